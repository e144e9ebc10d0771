"""Run under torchrun by test_parts_ddp: a composed file's gradients, losses and logits over a few steps, saved by rank 0.

Usage: ddp_driver.py train_gpt.py OUT STEPS [double]
"""

import sys
from pathlib import Path
from types import ModuleType

import torch
import torch.distributed as dist


def load(path: Path) -> ModuleType:
    module = ModuleType("composed")
    module.__file__ = str(path)
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    return module


def main(script: str, out: str, steps: int, double: bool) -> None:
    file = load(Path(script))
    env = file.Env()
    file.set_up(env)
    model = file.build(env)
    if double:
        model.double()
    trained = file.ddp(env, model)
    adam, _ = optimizers = file.build_optimizers(file.collect(model), env)
    loader, clock = file.SequentialStream(env), file.Clock(env, 0.0)
    gradients, losses = [], []

    # Adam steps first: all gradients are there, and nothing has moved
    def remember(*args: object) -> None:
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})

    adam.register_step_pre_hook(remember)
    for _ in range(steps):
        loss = file.take_step(env, trained, loader, optimizers, clock).clone()
        if env.distributed:
            dist.all_reduce(loss)
            loss /= env.world_size
        losses.append(loss.item())
        clock.step += 1
    with torch.no_grad():
        logits = model(torch.arange(2, 34).view(1, -1))
    if env.rank == 0:
        torch.save({"gradients": gradients, "losses": losses, "logits": logits}, out)
    if env.distributed:
        del trained
        dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), "double" in sys.argv)
