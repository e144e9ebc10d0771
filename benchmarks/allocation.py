"""A step for every tensor by sensitivity: what it gives at equal bytes, and whether one backward pass can tell.

Give it run folders (`float.golf` and `hessians.golf` of one recipe, a seed each), their recipe and shards. Gradients come from the train
split, the score from the validation split: KL of the float model to the quantized one, paired and positive, in nats a token. Every point
is a real artifact, weighed, read back and scored; methods are compared at equal bytes on the line through log KL over bytes of GPTQ's.
`+ tensors` takes steps from one backward pass, `+ tensors measured` from the KL of every tensor quantized alone.

    $ python benchmarks/allocation.py runs/1337 runs/42 --recipe mine --set model_dim=256 --data-path data --tokens 16384 --figure kl.svg
    $ python benchmarks/allocation.py runs/1337 --recipe mine --data-path data --tensors     # predicted against measured, tensor by tensor
    $ python benchmarks/allocation.py runs/1337 --recipe mine --data-path data --calibration 1 4 16 64   # how many batches are enough
    $ python benchmarks/allocation.py glassllm:en --recipe pr1394 --set keep_float_numel=2048 --data-path data --tokenizer t.model

`glassllm:en` is the converged model of 0.85 M weights that the package of that name carries; FineWeb is outside its domain.
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from golf.data.tokenizer import load_tokenizer
from golf.figures.charts import Chart, Panel
from golf.figures.svg import draw
from golf.models.glass import Product, open_glass
from golf.parts.artifact import RawCoder, read_container, write_container
from golf.parts.data import load_shard, shard_paths
from golf.parts.model import GPT
from golf.parts.quant import dequantize, load_weights, quantize
from golf.parts.tags import Tag, Tagged, collect
from golf.parts.techniques.by_tensor import rounding_cost
from golf.parts.techniques.calibrate import InputGram, output_gradients, watch
from golf.recipe import load_recipe
from golf.recipe.namespace import namespace

ROLES = ("embed", "attn", "mlp")
DIALS = (0.7, 0.85, 1.0, 1.2, 1.45)
TRELLIS = ["levels=trellis_levels", *(f"{role}_quantizer=gptq_trellis" for role in ROLES)]
LOW_RANK = ['corrections=["LQER"]']
TENSORS = ["steps=by_tensor.fisher"]
METHODS = {
    "gptq": [], "+ tensors measured": TENSORS, "+ trellis": TRELLIS, "+ low rank": LOW_RANK, "+ log scales": ["log_scales=true"], "+ tensors": TENSORS,
    "+ roles": TENSORS, "+ tensors ±1.5": [*TENSORS, "step_octaves=1.5"], "+ tensors + trellis": TENSORS + TRELLIS,
    "+ tensors + low rank": TENSORS + LOW_RANK, "+ all": [*TENSORS, *TRELLIS, *LOW_RANK, "log_scales=true"],
}  # fmt: skip


class CPU:
    """`Env` of one CPU process."""

    rank, world_size, cuda, device = 0, 1, False, torch.device("cpu")

    def __init__(self, data_path: Path) -> None:
        self.data_path = str(data_path)

    def autocast(self) -> Any:
        return nullcontext()

    def synchronize(self) -> None:
        """Nothing runs beside the CPU."""


def rows_of(env: CPU, split: str, tokens: int, length: int) -> torch.Tensor:
    ids = np.concatenate([load_shard(path) for path in shard_paths(env, split)])[: tokens // length * length]
    return torch.from_numpy(ids.astype(np.int64)).view(-1, length)


class Divergence:
    """Mean over tokens of KL(float ‖ weights), and their difference in nats. load: (model, {name: fp32 weight}) copies them in."""

    def __init__(self, model: Any, weights: Mapping[str, Any], ids: torch.Tensor, load: Any = load_weights) -> None:
        self.model, self.ids, self.load = model, ids, load
        load(model, {name: tensor.float() for name, tensor in weights.items()})
        self.start = list(self.each())

    @torch.no_grad()
    def each(self) -> Any:
        for row in self.ids.split(4):
            yield F.log_softmax(self.model(row).float(), -1)

    def __call__(self, weights: Mapping[str, Any]) -> tuple[float, float]:
        self.load(self.model, weights)
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
    rows = rows_of(env, "train", batches * 8 * h.train_seq_len, h.train_seq_len).split(8)
    found: dict[str, torch.Tensor] = output_gradients(h, env, lambda line: None, model, names, rows)
    return found


def grams(h: Any, env: CPU, model: Any, weights: Mapping[str, Any], batches: int) -> dict[str, torch.Tensor]:
    """Σ xᵀx a batch of every matrix's inputs, as calibration keeps it."""
    load_weights(model, {name: tensor.float() for name, tensor in weights.items()})
    found, hooks = watch(h, env, model)
    with torch.no_grad():
        for row in rows_of(env, "train", batches * 8 * h.train_seq_len, h.train_seq_len).split(8):
            model(row)
    for hook in hooks:
        hook.remove()
    return {name: gram.total / batches for name, gram in found.items()}


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
        self.hessians |= self.gradients(given.batches)
        self.seconds = time.process_time() - begun
        self.score = Divergence(self.model, weights, rows_of(self.env, "val", given.tokens, h.train_seq_len))

    def gradients(self, batches: int) -> dict[str, torch.Tensor]:
        names = [name for name in self.hessians if ":" not in name]
        return gradients(self.h([]), self.env, self.model, self.weights, names, batches)

    def grams(self, batches: int) -> dict[str, torch.Tensor]:
        return grams(self.h([]), self.env, self.model, self.weights, batches)

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
            costs[role] += rounding_cost(h, weights[name].float(), name, hessians, bits, role)
            sizes[role] += weights[name].numel()
        octaves = {role: math.log2(sizes[role] / costs[role]) / 2 for role in ROLES if costs[role]}
        mean = sum(sizes[role] * octaves[role] for role in octaves) / sum(sizes.values())
        return {
            name: min(1 + math.log2(1 + (2 ** (getattr(h, f"{role}_bits") - 1) - 1) / 2 ** (octaves[role] - mean)), 8.0)
            for name, role in coded
        }

    def made(self, h: Any, hessians: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], int]:
        tensors = quantize(h, self.tagged, self.weights, hessians or self.hessians)
        with tempfile.TemporaryDirectory() as scratch:
            return tensors, int(write_container(str(Path(scratch) / "model.golf"), tensors, {}, h.coder))

    def point(self, dial: float, method: str) -> tuple[int, float, float]:
        """(bytes, KL, nats lost)."""
        h = self.dialled(dial, METHODS[method])
        if method == "+ roles":
            h = ByRole(h, self.by_role)
        tensors, size = self.made(h, self.as_measured if method == "+ tensors measured" else None)
        return size, *self.score(dequantize(h, tensors))

    @cached_property
    def alone(self) -> dict[str, tuple[float, float]]:
        """{tensor: (its predicted KL, its measured KL)} with that tensor quantized alone."""
        h = self.dialled(1.0, [])
        quantized, _ = self.made(h)
        read, found = dequantize(h, quantized), {}
        for name, _, tag in self.tagged:
            if f"{name}:q" in quantized:
                w, bits = self.weights[name].float(), getattr(h, f"{tag.role}_bits")
                cost = rounding_cost(h, w, name, self.hessians, bits, tag.role)
                others = {n: w.float() for n, w in self.weights.items()}
                found[name] = cost, self.score(others | {name: read[name].view_as(w)})[0]
        return found

    @cached_property
    def as_measured(self) -> dict[str, Any]:
        """Hessians and gradients, these scaled so that every tensor's predicted cost is the measured one."""
        scaled = {
            f"{name}:{of}": self.hessians[f"{name}:{of}"] * (kl / cost)
            for name, (cost, kl) in self.alone.items()
            for of in ("fisher", "felt")
            if f"{name}:{of}" in self.hessians
        }
        return {**self.hessians, **scaled}


class Pretrained(Folder):
    """glassllm's model: matrices as (outputs, inputs), Hessians and gradients collected here, text of the shards in its own tokens."""

    def __init__(self, spec: str, given: argparse.Namespace) -> None:
        self.given, self.seed = given, spec
        source = open_glass(spec.partition(":")[2], "cpu")
        self.model = source.model
        self.modules = {f"{name}.weight": one for name, one in self.model.named_modules() if isinstance(one, Product)}
        params = {"embedding": self.model.embedding, **{name: one.weight for name, one in self.modules.items()}}
        params |= {name: one for name, one in self.model.named_parameters() if one.ndim == 1}
        self.weights = {name: self.turned(name, param.detach()).clone() for name, param in params.items()}
        self.tagged = [
            Tagged(
                name,
                w,
                Tag("", "control" if w.ndim == 1 else "embed" if name == "embedding" else name.split(".")[2], "", None),
            )
            for name, w in self.weights.items()
        ]
        self.params, pieces = params, load_tokenizer(given.tokenizer, 1024)
        env, self.ids = CPU(given.data_path), {}
        for split, tokens in (("train", 16 * 8 * 128 * 4), ("val", given.tokens)):
            ids = source.encode([pieces.decode(rows_of(env, split, 2 * tokens, 128).flatten().tolist())])[0]
            self.ids[split] = torch.tensor(ids[: tokens // 128 * 128]).view(-1, 128)
        self.hessians = self.grams(given.batches)
        begun = time.process_time()
        self.hessians |= self.gradients(given.batches)
        self.seconds = time.process_time() - begun
        self.score = Divergence(self.model, self.weights, self.ids["val"], self.load)

    def turned(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """(inputs, outputs) to (outputs, inputs) and back."""
        return weight.T.contiguous() if name in self.modules else weight

    @torch.no_grad()
    def load(self, model: Any, weights: Mapping[str, Any]) -> None:
        for name, param in self.params.items():
            param.copy_(self.turned(name, weights[name].view(self.weights[name].shape)))

    def head_inputs(self, output: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(output, (output.size(-1),), self.model.gamma, self.model.config.eps)

    @torch.no_grad()
    def grams(self, batches: int) -> dict[str, torch.Tensor]:
        self.load(self.model, self.weights)
        found = {
            name: InputGram(self.h([]), self.weights[name].size(1), "cpu") for name in ("embedding", *self.modules)
        }
        last = self.model.blocks[-1].register_forward_hook(
            lambda m, i, output: found["embedding"].add(self.head_inputs(output))
        )
        hooks = [last, *(one.register_forward_pre_hook(found[name].before) for name, one in self.modules.items())]
        for row in self.ids["train"][: 8 * batches].split(8):
            self.model(row)
        for hook in hooks:
            hook.remove()
        return {name: gram.total / batches for name, gram in found.items()}

    def gradients(self, batches: int) -> dict[str, torch.Tensor]:
        self.load(self.model, self.weights)
        total = {name: torch.zeros(len(self.weights[name])) for name in ("embedding", *self.modules)}
        rows, rng = 0, torch.Generator().manual_seed(1)

        def hook(name: str) -> Any:
            def add(module: Any, inputs: Any, outputs: Any) -> None:
                total[name] += outputs[0].flatten(0, -2).square().sum(0)

            return add

        reads, felt = (torch.zeros(size) for size in self.weights["embedding"].shape)

        def feel(gradients: torch.Tensor) -> None:
            felt.add_(gradients.flatten(0, -2).square().sum(0))

        def look_up(module: Any, inputs: Any) -> None:
            inputs[0].register_hook(feel)

        hooks = [one.register_full_backward_hook(hook(name)) for name, one in self.modules.items()]
        hooks.append(self.model.blocks[0].register_forward_pre_hook(look_up))
        self.model.embedding.requires_grad_(True)  # so that every module's input has a gradient
        for row in self.ids["train"][: 8 * batches].split(8):
            logits = self.model(row).flatten(0, 1)
            share = logits.detach().softmax(-1)
            F.cross_entropy(logits, torch.multinomial(share, 1, generator=rng).squeeze(1), reduction="sum").backward()
            total["embedding"] += (share * (1 - share)).sum(0)
            reads += row.flatten().bincount(minlength=len(reads))
            rows += row.numel()
        self.model.embedding.requires_grad_(False)
        self.model.embedding.grad = None
        for one in hooks:
            one.remove()
        found = {f"{name}:fisher": squares / rows for name, squares in total.items()}
        return found | {"embedding:reads": reads / batches, "embedding:felt": felt / rows}


def tensors(run: Folder) -> None:
    """Predicted and measured KL of every tensor quantized alone."""
    for name, (cost, kl) in run.alone.items():
        print(f"{run.seed},{name},{run.weights[name].numel()},{cost:.4e},{kl:.4e}", flush=True)
    x, y = np.log(np.array([*run.alone.values()])).T
    print(
        f"{len(x)} tensors: correlation of logarithms {np.corrcoef(x, y)[0, 1]:.3f}, spread of their ratio {np.std(y - x):.2f}"
    )


def calibration(run: Folder, counts: list[int]) -> None:
    """KL of GPTQ and of steps by tensor at dial 1, by how many batches of 8 rows gave the Hessians and the gradients."""
    print("| batches | GPTQ: bytes | KL | Hessians, CPU s | + tensors: bytes | KL | gradients, CPU s |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for batches in counts:
        begun = time.process_time()
        run.hessians = run.grams(batches)
        counted = time.process_time()
        size, kl, _ = run.point(1.0, "gptq")
        started = time.process_time()
        run.hessians |= run.gradients(batches)
        done = time.process_time()
        stepped, least, _ = run.point(1.0, "+ tensors")
        print(
            f"| {batches} | {size:,} | {kl:.6f} | {counted - begun:.1f} | {stepped:,} | {least:.6f} | {done - started:.1f} |",
            flush=True,
        )


def figure(points: dict[str, list[tuple[float, float]]], path: Path) -> None:
    """KL over bytes: a line for a method with several dials, a dot for one with one."""
    lines = {name: sorted(line) for name, line in points.items() if len(line) > 1}
    dots = {name: line for name, line in points.items() if len(line) == 1}
    panel = Panel(
        "bytes of the artifact", "KL to the float model, nats a token", lines, y_log=True, dots=True, scatter=dots
    )
    note = "every point is a real artifact, read back and scored"
    path.write_text(draw(Chart("Steps by sensitivity at equal bytes", [panel], note)), encoding="utf-8")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folders", nargs="+", help="run folders, or glassllm:en")
    options.add_argument("--recipe", default="baseline")
    options.add_argument("--set", nargs="*", default=[], help="key=value of the recipe")
    options.add_argument("--data-path", type=Path, required=True)
    options.add_argument("--tokens", type=int, default=16_384)
    options.add_argument("--batches", type=int, default=16)
    options.add_argument("--methods", nargs="*", default=list(METHODS))
    options.add_argument("--dials", nargs="*", type=float, default=DIALS, help="steps of the methods")
    options.add_argument("--curve", nargs="*", type=float, default=DIALS, help="steps of GPTQ's curve")
    options.add_argument("--tensors", action="store_true")
    options.add_argument("--calibration", nargs="*", type=int, help="batches, to compare")
    options.add_argument("--tokenizer", type=Path, help="SentencePiece model of the shards, for glassllm")
    options.add_argument("--figure", type=Path, help="an .svg to draw")
    given = options.parse_args()
    torch.set_num_threads(1)
    ratios: dict[str, list[float]] = {}
    points: dict[str, list[tuple[float, float]]] = {}
    for path in given.folders:
        run = Pretrained(path, given) if path.startswith("glassllm:") else Folder(Path(path), given)
        print(f"seed {run.seed}: gradients of {given.batches} batches in {run.seconds:.1f} CPU s", flush=True)
        if given.tensors:
            tensors(run)
            continue
        if given.calibration:
            calibration(run, given.calibration)
            continue
        curve: list[tuple[int, float]] = []
        for method in given.methods:
            for dial in given.curve if method == "gptq" else given.dials:
                size, kl, gap = run.point(dial, method)
                print(f"{run.seed},{method},{dial},{size},{kl:.6f},{gap:.6f}", flush=True)
                points.setdefault(f"{run.seed} {method}", []).append((float(size), kl))
                if method == "gptq":
                    curve.append((size, math.log(kl)))
                elif curve[-1][0] <= size <= curve[0][0]:
                    at = np.interp(size, *zip(*sorted(curve), strict=True))
                    ratios.setdefault(method, []).append(kl / math.exp(at))
    for method, values in ratios.items():
        sd = f"{statistics.stdev(values):.3f}" if len(values) > 1 else "–"
        print(f"| {method} | {statistics.mean(values):.3f} | {sd} | {len(values)} |")
    if given.figure and points:
        figure(points, given.figure)


if __name__ == "__main__":
    main()
