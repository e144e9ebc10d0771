"""`golf package --fit` as it was and as it is, on ten small checkpoints that are trained here: bytes below the target, KL, CPU seconds.

    python benchmarks/fit_twins.py [--twins baseline:1,pr1573:2,pr1394:1:fisher,…] [--steps 48]

A twin is recipe:seed, `:fisher` where its calibration keeps the loss's gradients, too. Before: the recipe's coder and the plans of the first
`--fit` (the embedding finer, attention or MLPs coarser, low-rank corrections, pruning, SDClip's grids). Now: everything that the command
tries. Both choose by KL on the end of a training shard and are judged on text that neither saw. Targets are 0.80 to 0.95 of the recipe's own
artifact, by a hash of the twin's name; what packed code a setting costs more is taken off.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "tests/helpers")]

from worlds import data_of, execute, run_folder, tiny  # noqa: E402

from golf.artifact.dials import Checkpoint, container_bytes, load_checkpoint, make_tensors  # noqa: E402
from golf.artifact.fit import (  # noqa: E402
    BOTH_PLANS,
    EMBEDDING_PLANS,
    LOG_SCALES,
    TENSOR_PLANS,
    TRELLIS_PLANS,
    fit,
    plans_for,
    weigh_coders,
)
from golf.artifact.score import Scorer  # noqa: E402
from golf.compose import compose  # noqa: E402
from golf.compose.pack import pack  # noqa: E402
from golf.data.factbook import load_documents  # noqa: E402
from golf.data.shards import write_shard  # noqa: E402
from golf.data.tokenizer import load_tokenizer, train_tokenizer  # noqa: E402
from golf.parts.quant import dequantize  # noqa: E402
from golf.recipe import Recipe, changed  # noqa: E402
from golf.recipe.namespace import namespace  # noqa: E402

TWINS = "baseline:1,baseline:2,pr549:1,pr1573:1,pr1573:2,pr1019:1,pr1394:1:fisher,pr1394:2:fisher,pr1493:1:fisher,pr1413:1:fisher"
LATER = {plan.name for plan in (*EMBEDDING_PLANS, LOG_SCALES, *TENSOR_PLANS, *TRELLIS_PLANS, *BOTH_PLANS)}
TOLERANCE_BYTES = 300  # the command's 5,000 are a tenth of such a model
CHOOSES_TOKENS = JUDGES_TOKENS = 4096


def made_data(folder: Path) -> Path:
    """A tokenizer of 384 pieces, two shards of training tokens and one of validation."""
    folder.mkdir()
    lines = [line for document in load_documents() for line in document.lines]
    (folder / "tokenizer.model").write_bytes(train_tokenizer(lines[:4000], 384))
    sp = load_tokenizer(folder / "tokenizer.model", 384)
    tokens = [token for line in lines[:4000] for token in (1, *sp.encode(line))]
    ends = (0, len(tokens) * 7 // 10, len(tokens) * 85 // 100, len(tokens))
    for name, start, end in zip(("train_000000", "train_000001", "val_000000"), ends[:-1], ends[1:], strict=True):
        write_shard(folder / f"fineweb_{name}.bin", tokens[start:end])
    return folder


def trained(recipe: Recipe, seed: int, folder: Path, data: Path) -> None:
    """Leave the checkpoint of the recipe's own script, and its calibration, in `folder`."""
    with run_folder(folder, pytest.MonkeyPatch(), data_of(recipe, data), ("train",), seed):
        execute(compose(recipe), folder / "train_gpt.py").main()


@dataclass(frozen=True)
class Landed:
    plan: str
    coder: str
    below_bytes: int
    kl_nats: float
    cpu_seconds: float
    artifacts: int


class Code:
    """Packed bytes of a recipe's script with these settings over those without: what a model must give up for them."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.known = recipe, dict[str, int]()

    def __call__(self, values: Mapping[str, Any]) -> int:
        return self.weigh(values) - self.weigh({})

    def weigh(self, values: Mapping[str, Any]) -> int:
        kind = repr(sorted((key, value) for key, value in values.items() if not isinstance(value, float)))
        if kind not in self.known:
            self.known[kind] = len(pack(compose(changed(self.recipe, values))))
        return self.known[kind]


def landed(recipe: Recipe, start: Checkpoint, target: int, code: Code, data: Path, *, now: bool) -> Landed:
    """What the command chooses: as it is, or as it was first."""
    chooses = Scorer(namespace(recipe), data / "fineweb_train_000001.bin", CHOOSES_TOKENS).against(start.weights)
    judges = Scorer(namespace(recipe), data / "fineweb_val_000000.bin", JUDGES_TOKENS).against(start.weights)
    begun, kept, asked = time.process_time(), dict[str, Any](), recipe
    if now:
        kept = dict(weigh_coders(recipe, start, lambda values: target - code(values))[0].values)
        asked = changed(recipe, kept)
    plans = [plan for plan in plans_for(asked, start) if now or plan.name not in LATER]
    found = fit(
        asked,
        start,
        lambda values: target - code({**kept, **values}),
        plans=plans,
        tolerance_bytes=TOLERANCE_BYTES,
        evaluate=chooses,
    )
    seconds = time.process_time() - begun
    h, tensors = make_tensors(asked, found.values, start)
    below = target - code({**kept, **found.values}) - container_bytes(h, tensors)
    return Landed(found.plan, h.coder.name, below, judges(dequantize(h, tensors)), seconds, len(found.tried))


def row(twin: str, steps: int, scratch: Path, data: Path) -> str:
    name, seed, *more = twin.split(":")
    recipe = tiny(name, iterations=steps, train_log_every=steps)
    kept = changed(recipe, {"steps": "by_tensor.fisher"}) if "fisher" in more else recipe
    folder = scratch / twin.replace(":", "_")
    trained(kept, int(seed), folder, data)
    start = load_checkpoint(recipe, folder)
    own = container_bytes(*make_tensors(recipe, {}, start))
    share = 0.80 + 0.15 * hashlib.sha256(twin.encode()).digest()[0] / 255
    target, code = int(share * own), Code(recipe)
    was, now = (landed(recipe, start, target, code, data_of(recipe, data), now=now) for now in (False, True))
    weights = sum(weight.numel() for weight in start.weights.values())
    calibrated = "with gradients" if any(key.endswith(":fisher") for key in start.hessians) else "yes" if start.hessians else "no"  # fmt: skip
    return f"| {name}, {seed} | {weights:,} | {calibrated} | {own:,} | {target:,} | " + " | ".join(
        f"{one.plan}; {one.coder} | {one.below_bytes} | {one.kl_nats:.6f} | {one.artifacts} | {one.cpu_seconds:.0f}" for one in (was, now)
    ) + f" | {now.kl_nats / was.kl_nats:.2f} |"  # fmt: skip


def main() -> None:
    """Print a table, a row a twin."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--twins", default=TWINS)
    parser.add_argument("--steps", type=int, default=32)
    args, out = parser.parse_args(), sys.__stdout__
    torch.set_num_threads(1)
    print("| twin, seed | weights | Hessians | own bytes | target | before: plan; coder | below | KL | artifacts | CPU s "
          "| now: plan; coder | below | KL | artifacts | CPU s | KL now / before |\n" + "|---" * 16 + "|", file=out, flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        data = made_data(Path(folder) / "data")
        for twin in args.twins.split(","):
            try:
                print(row(twin, args.steps, Path(folder), data), file=out, flush=True)
            except Exception as fault:
                print(
                    f"| {twin} | {type(fault).__name__}: {str(fault).strip().splitlines()[0][:150]} |",
                    file=out,
                    flush=True,
                )


if __name__ == "__main__":
    main()
