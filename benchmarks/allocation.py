"""A step for every tensor by sensitivity: what it gives at equal bytes, and whether one backward pass can tell.

Give it run folders (`float.golf` and `hessians.golf` of one recipe, a seed each), their recipe and shards. Gradients come from the train
split, the score from the validation split: KL of the float model to the quantized one, paired and positive, in nats a token. Every point
is a real artifact, weighed, read back and scored; methods are compared at equal bytes on the line through log KL over bytes of GPTQ's.

    $ python benchmarks/allocation.py runs/1337 runs/42 --recipe mine --set model_dim=256 --data-path data --tokens 16384
    $ python benchmarks/allocation.py runs/1337 --recipe mine --tensors     # predicted against measured, tensor by tensor
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from golf.parts.artifact import RawCoder, read_container, write_container
from golf.parts.data import load_shard, shard_paths
from golf.parts.model import GPT
from golf.parts.quant import dequantize, load_weights, quantize
from golf.parts.tags import collect
from golf.parts.techniques.by_tensor import OutputGradients, rounding_cost
from golf.recipe import load_recipe
from golf.recipe.namespace import namespace

ROLES = ("embed", "attn", "mlp")
DIALS = (0.7, 0.85, 1.0, 1.2, 1.45)
TRELLIS = ["levels=trellis_levels", *(f"{role}_quantizer=gptq_trellis" for role in ROLES)]
LOW_RANK = ['corrections=["LQER"]']
TENSORS = ["steps=by_tensor.fisher"]
METHODS = {
    "gptq": [], "+ trellis": TRELLIS, "+ low rank": LOW_RANK, "+ log scales": ["log_scales=true"], "+ tensors": TENSORS,
    "+ roles": TENSORS, "+ tensors ±2.5": [*TENSORS, "step_octaves=2.5"], "+ tensors + trellis": TENSORS + TRELLIS,
    "+ tensors + low rank": TENSORS + LOW_RANK, "+ all": [*TENSORS, *TRELLIS, *LOW_RANK, "log_scales=true"],
}  # fmt: skip


class CPU:
    """`Env` of one CPU process."""

    rank, world_size, cuda, device = 0, 1, False, torch.device("cpu")

    def __init__(self, data_path: Path) -> None:
        self.data_path = str(data_path)


def rows_of(env: CPU, split: str, tokens: int, length: int) -> torch.Tensor:
    ids = np.concatenate([load_shard(path) for path in shard_paths(env, split)])[: tokens // length * length]
    return torch.from_numpy(ids.astype(np.int64)).view(-1, length)


class Divergence:
    """Mean over tokens of KL(float ‖ weights), and their difference in nats."""

    def __init__(self, model: Any, weights: Mapping[str, Any], ids: torch.Tensor) -> None:
        self.model, self.ids = model, ids
        load_weights(model, {name: tensor.float() for name, tensor in weights.items()})
        self.start = list(self.each())

    @torch.no_grad()
    def each(self) -> Any:
        for row in self.ids.split(4):
            yield F.log_softmax(self.model(row).float(), -1)

    def __call__(self, weights: Mapping[str, Any]) -> tuple[float, float]:
        load_weights(self.model, weights)
        total, gap, count = 0.0, 0.0, 0
        for row, (was, now) in zip(self.ids.split(4), zip(self.start, self.each(), strict=True), strict=True):
            total += float((was.exp() * (was - now)).sum())
            gap += float((was - now)[:, :-1].gather(2, row[:, 1:, None]).sum())
            count += row.numel()
        return total / count, gap / count


def gradients(
    h: Any, env: CPU, model: Any, weights: Mapping[str, Any], names: list[str], batches: int
) -> dict[str, torch.Tensor]:
    load_weights(model, {name: tensor.float() for name, tensor in weights.items()})
    found = OutputGradients(h, env, model, names)
    model.requires_grad_(False)
    for row in rows_of(env, "train", batches * 8 * h.train_seq_len, h.train_seq_len).split(8):
        found.learn(row)
    found.close()
    return {f"{name}:fisher": found.total[name] / found.rows[name].clamp(min=1) for name in names}


class ByRole:
    """`h` with another way to choose steps."""

    def __init__(self, h: Any, steps: Any) -> None:
        self.h, self.steps = h, steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self.h, name)


class Folder:
    """One run: its weights, Hessians and gradients, and what a setting makes of them."""

    def __init__(self, path: Path, given: argparse.Namespace) -> None:
        self.given, self.env = given, CPU(given.data_path)
        weights, note = read_container(str(path / "float.golf"), RawCoder)
        self.weights, self.seed = weights, note["seed"]
        hessians = read_container(str(path / "hessians.golf"), RawCoder)[0]
        self.hessians = {name: tensor for name, tensor in hessians.items() if ":" not in name}
        h = self.h([])
        self.model = GPT(h)
        self.tagged = collect(self.model)
        begun = time.process_time()
        self.hessians |= gradients(h, self.env, self.model, weights, [*self.hessians], given.batches)
        self.seconds = time.process_time() - begun
        self.score = Divergence(self.model, weights, rows_of(self.env, "val", given.tokens, h.train_seq_len))

    def h(self, more: list[str]) -> Any:
        return namespace(load_recipe(self.given.recipe, [*self.given.set, "coder=RansCoder", *more]))

    def dialled(self, dial: float, more: list[str]) -> Any:
        values = load_recipe(self.given.recipe, self.given.set).values
        bits = {"embed": 8, "attn": 7, "mlp": 7}  # a bit more than the recipe's at the same step, so that nothing clips
        words = []
        for role in ROLES:
            was = 2 ** (values[f"{role}_bits"] - 1) - 1
            sigmas = values[f"{role}_clip_sigmas"] * dial * (2 ** (bits[role] - 1) - 1) / was
            words += [f"{role}_bits={bits[role]}", f"{role}_clip_sigmas={sigmas}"]
        return self.h([*words, *more])

    def by_role(self, h: Any, tagged: Any, weights: Any, hessians: Any) -> dict[str, float]:
        """The best steps where all tensors of a role share one: what three dials of a recipe could reach."""
        costs, sizes = dict.fromkeys(ROLES, 0.0), dict.fromkeys(ROLES, 0)
        coded = [(name, tag.role) for name, _, tag in tagged if f"{name}:fisher" in hessians]
        for name, role in coded:
            bits = getattr(h, f"{role}_bits")
            costs[role] += rounding_cost(
                h, weights[name].float(), hessians[name], hessians[f"{name}:fisher"], bits, role
            )
            sizes[role] += weights[name].numel()
        octaves = {role: math.log2(sizes[role] / costs[role]) / 2 for role in ROLES if costs[role]}
        mean = sum(sizes[role] * octaves[role] for role in octaves) / sum(sizes.values())
        return {
            name: min(1 + math.log2(1 + (2 ** (getattr(h, f"{role}_bits") - 1) - 1) / 2 ** (octaves[role] - mean)), 8.0)
            for name, role in coded
        }

    def made(self, h: Any) -> tuple[dict[str, Any], int]:
        tensors = quantize(h, self.tagged, self.weights, self.hessians)
        with tempfile.TemporaryDirectory() as scratch:
            return tensors, int(write_container(str(Path(scratch) / "model.golf"), tensors, {}, h.coder))

    def point(self, dial: float, method: str) -> tuple[int, float, float]:
        """(bytes, KL, nats lost)."""
        h = self.dialled(dial, METHODS[method])
        if method == "+ roles":
            h = ByRole(h, self.by_role)
        tensors, size = self.made(h)
        return size, *self.score(dequantize(h, tensors))


def tensors(run: Folder) -> None:
    """Predicted and measured KL of every tensor quantized alone."""
    h = run.dialled(1.0, [])
    quantized, _ = run.made(h)
    read = dequantize(h, quantized)
    pairs = []
    for name, _, tag in run.tagged:
        if f"{name}:q" not in quantized:
            continue
        alone = {n: w.float() for n, w in run.weights.items()} | {name: read[name].view_as(run.weights[name])}
        kl, _ = run.score(alone)
        cost = rounding_cost(
            h,
            run.weights[name].float(),
            run.hessians[name],
            run.hessians[f"{name}:fisher"],
            getattr(h, f"{tag.role}_bits"),
            tag.role,
        )
        pairs.append((cost, kl))
        print(f"{run.seed},{name},{run.weights[name].numel()},{cost:.4e},{kl:.4e}", flush=True)
    x, y = np.log(np.array(pairs)).T
    print(
        f"{len(pairs)} tensors: correlation of logarithms {np.corrcoef(x, y)[0, 1]:.3f}, spread of their ratio {np.std(y - x):.2f}"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folders", nargs="+", type=Path)
    options.add_argument("--recipe", default="baseline")
    options.add_argument("--set", nargs="*", default=[], help="key=value of the recipe")
    options.add_argument("--data-path", type=Path, required=True)
    options.add_argument("--tokens", type=int, default=16_384)
    options.add_argument("--batches", type=int, default=16)
    options.add_argument("--methods", nargs="*", default=list(METHODS))
    options.add_argument("--dials", nargs="*", type=float, default=DIALS, help="steps of the methods")
    options.add_argument("--curve", nargs="*", type=float, default=DIALS, help="steps of GPTQ's curve")
    options.add_argument("--tensors", action="store_true")
    given = options.parse_args()
    torch.set_num_threads(1)
    ratios: dict[str, list[float]] = {}
    for path in given.folders:
        run = Folder(path, given)
        print(f"seed {run.seed}: gradients of {given.batches} batches in {run.seconds:.1f} CPU s", flush=True)
        if given.tensors:
            tensors(run)
            continue
        curve: list[tuple[int, float]] = []
        for method in given.methods:
            for dial in given.curve if method == "gptq" else given.dials:
                size, kl, gap = run.point(dial, method)
                print(f"{run.seed},{method},{dial},{size},{kl:.6f},{gap:.6f}", flush=True)
                if method == "gptq":
                    curve.append((size, math.log(kl)))
                elif curve[-1][0] <= size <= curve[0][0]:
                    at = np.interp(size, *zip(*sorted(curve), strict=True))
                    ratios.setdefault(method, []).append(kl / math.exp(at))
    for method, values in ratios.items():
        sd = f"{statistics.stdev(values):.3f}" if len(values) > 1 else "–"
        print(f"| {method} | {statistics.mean(values):.3f} | {sd} | {len(values)} |")


if __name__ == "__main__":
    main()
