"""Run alone or under torchrun by test_muon_ranks: a composed file's training steps in double precision, then its weights and who orthogonalised what.

Usage: ranks_driver.py train_gpt.py OUT
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from ddp_driver import load


class Trained(Exception):
    """Raised where the script would validate: after its last step."""


def main(script: str, out: str) -> None:
    file = load(Path(script))
    build, warm_up, update, seen, done = file.build, file.warm_up, file.Muon.update, {}, []

    def built(env: object) -> torch.nn.Module:
        model = build(env).double()
        seen["model"], seen["names"] = model, {param: name for name, param in model.named_parameters()}
        return model

    def warmed(*args: object) -> None:
        warm_up(*args)
        done.clear()

    def updated(muon: torch.optim.Optimizer, p: torch.Tensor, momentum: float) -> torch.Tensor:
        done.append(seen["names"][p])
        return update(muon, p, momentum)

    def validate(*args: object) -> None:
        raise Trained

    file.build, file.warm_up, file.Muon.update, file.validate = built, warmed, updated, validate
    sys.argv = [script]
    try:
        file.main()
    except Trained:
        everyone = [done]
        if dist.is_initialized():
            everyone = [None] * dist.get_world_size()
            dist.all_gather_object(everyone, done)
        if not dist.is_initialized() or dist.get_rank() == 0:
            weights = {name: param.detach() for param, name in seen["names"].items()}
            torch.save({"weights": weights, "done": everyone}, out)
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
