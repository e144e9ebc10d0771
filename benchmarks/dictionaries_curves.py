"""L0–EV–CE curves of golf and SAELens on the same activations of small real models.

    python benchmarks/dictionaries_curves.py glassllm:en=text.jsonl hf:gptneox=text.jsonl golf:submissions/twin=shards --seeds 3

A model is named as `golf sae` names it (`golf.models.source`), with the text that its activations are of; without one, the model's own.
The residual stream after its middle layer is harvested once by golf. In every seed both contestants get the same tokens in the same order,
as many, and the same scaling to a mean norm of √d. TopK and BatchTopK: both at the same k. ReLU: SAELens at a penalty, golf at the L0 that it
ended with. EV and L0 on held-out text, and what putting the reconstruction into the model costs, are measured by golf's code for both.
Without SAELens golf's curve alone is made, at the L0 of the k.
"""

import argparse
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from dictionaries_contestants import PENALISED, Coder, Contestant, Problem, golf, installed, saelens, versions

from golf.models.open import open_source
from golf.models.source import Source
from golf.sae.measure import measure_all_losses, measure_quality
from golf.sae.settings import Settings
from golf.sae.streams import HeldOut, Place, held_out
from golf.sae.text import HeldOutText

SEQ_LEN, ROWS = 128, 64  # windows of the harvest, and how many go through the model at once
WARMUP = 0.05  # of the run, in which SAELens' penalty grows, as its own trainings have it


@dataclass(frozen=True)
class Scaled:
    """A coder that was trained on scale · x, for x."""

    made: Coder
    scale: float

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.made[1](x * self.scale)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.made[2](z) / self.scale


@dataclass(frozen=True)
class Point:
    """What a contestant reached at one setting and seed."""

    l0: float
    ev: float
    recovered: float | None
    nats: float  # how much higher the model's loss is
    dead: float
    cpu_s: float


def harvested(source: Source, place: Place, data: Path | None, tokens: int) -> torch.Tensor:
    """(tokens, d) of the training split, in the order of the text."""
    ids = torch.from_numpy(source.tokens("train", data, tokens + SEQ_LEN).astype("int64"))
    windows = ids[: len(ids) // SEQ_LEN * SEQ_LEN].view(-1, SEQ_LEN)
    found = torch.cat([source.streams(part, [place.reads])[place.reads].flatten(0, 1) for part in windows.split(ROWS)])
    if len(found) < tokens:
        raise SystemExit(f"{source.name}: the text has {len(found):,} tokens, {tokens:,} are wanted: fewer --steps")
    return found[:tokens]


def cpu_seconds() -> float:
    """Of this process, until now."""
    spent = os.times()
    return spent.user + spent.system


class Curves:
    """The contestants of one model: every setting of every seed is trained, then all of a seed are measured together."""

    def __init__(self, source: Source, data: Path | None, given: argparse.Namespace) -> None:
        self.source, self.given = source, given
        self.place = Place.of(source.num_layers // 2 if given.layer is None else given.layer)
        width = source.model_dim
        features = given.features // width * width
        rate = Settings(expansion=features // width).rate(features)
        self.problem = Problem(features, width, 1.0, given.batch, given.steps, rate)
        self.x = harvested(source, self.place, data, given.steps * given.batch)
        self.scale = float(width**0.5 / self.x[:32_768].norm(dim=-1).mean())
        wanted = HeldOutText(data, "val", None, "held out")
        self.text: HeldOut = held_out(source, given.held_out, wanted, SEQ_LEN)
        self.points: dict[tuple[str, str, str], list[Point]] = {}

    def seed(self, seed: int) -> None:
        """Train and measure everything of a seed."""
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(seed))
        x = self.x[order] * self.scale
        trained: list[tuple[tuple[str, str, str], Scaled, float]] = []

        def enter(arch: str, setting: str, who: str, contestant: Contestant, problem: Problem) -> Scaled:
            begun = cpu_seconds()
            made, _ = contestant(problem, x, seed)
            coder = Scaled(made, self.scale)
            trained.append(((arch, setting, who), coder, cpu_seconds() - begun))
            return coder

        peer = "sae_lens" in installed()
        of_peer = {} if self.given.peer_rate is None else {"rate": self.given.peer_rate}
        for k in self.given.ks:
            problem = replace(self.problem, l0=k)
            for arch in [one for one in self.given.archs if one not in PENALISED]:
                enter(arch, f"k {k}", "golf", golf(arch), problem)
                if peer:
                    enter(arch, f"k {k}", "SAELens", saelens(arch), replace(problem, **of_peer))
            if "relu" in self.given.archs and not peer:
                enter("relu", f"L0 {k}", "golf", golf("relu", target_l0=float(k)), problem)
        for penalty in self.given.penalties if peer and "relu" in self.given.archs else ():
            warmup = round(WARMUP * self.problem.steps)
            other = saelens("relu", l1_coefficient=penalty, l1_warm_up_steps=warmup)
            coder = enter("relu", f"λ {penalty:g}", "SAELens", other, replace(self.problem, **of_peer))
            quality = measure_quality(self.source, self.place, {"": coder}, self.text)[""]
            there = float(quality.fires.sum()) / quality.tokens
            enter("relu", f"λ {penalty:g}", "golf", golf("relu", target_l0=there), self.problem)
        self._measure(trained)

    def _measure(self, trained: list[tuple[tuple[str, str, str], Scaled, float]]) -> None:
        coders = {str(number): coder for number, (_, coder, _) in enumerate(trained)}
        quality = measure_quality(self.source, self.place, coders, self.text)
        jobs = [(self.place, coder) for coder in coders.values()]
        losses = measure_all_losses(self.source, jobs, self.text, self.given.ce_tokens)
        for (key, _, cpu_s), sums, lost in zip(trained, quality.values(), losses, strict=True):
            told, nats = sums.report(), lost.report()
            difference = nats["ce_difference_nats"]
            assert difference is not None
            self.points.setdefault(key, []).append(
                Point(told["l0"], told["explained_variance"], nats["ce_recovered"], difference, told["dead_share"], cpu_s)
            )  # fmt: skip

    def told(self, say: Callable[[str], None]) -> None:
        """The tables of the model."""
        p = self.problem
        say(
            f"\n## {self.source.name}, the residual stream after layer {self.place.reads.layer} of {self.source.num_layers}, d {p.width}, "
            f"{p.features:,} features\n"
        )
        say("| architecture | setting | who | L0 (sd) | EV (sd) | CE recovered (sd) | nats added (sd) | dead | CPU s |")
        say("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for (arch, setting, who), points in sorted(self.points.items(), key=lambda row: (row[0][0], *_order(row[0]))):
            recovered = [one.recovered for one in points if one.recovered is not None]
            say(
                f"| {arch} | {setting} | {who} | {_mean([one.l0 for one in points], 1)} | {_mean([one.ev for one in points], 4)} "
                f"| {_mean(recovered, 4) if len(recovered) == len(points) else '–'} | {_mean([one.nats for one in points], 4)} "
                f"| {100 * statistics.mean(one.dead for one in points):.1f} % | {statistics.mean(one.cpu_s for one in points):.1f} |"
            )


def _order(key: tuple[str, str, str]) -> tuple[float, str]:
    return float(key[1].split()[1]), key[2]


def _mean(values: list[float], digits: int) -> str:
    spread = f" ({statistics.stdev(values):.{digits}f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def main() -> None:
    torch.set_num_threads(1)
    wishes = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    wishes.add_argument("models", nargs="+", metavar="MODEL[=TEXT]")
    for name, default in (("seeds", 3), ("first-seed", 0), ("features", 512), ("steps", 600), ("batch", 1024), ("held-out", 16_384),
                          ("ce-tokens", 8192)):  # fmt: skip
        wishes.add_argument(f"--{name}", type=int, default=default)
    wishes.add_argument("--layer", type=int, default=None)
    wishes.add_argument("--archs", type=lambda text: text.split(","), default=["topk", "batchtopk", "relu"])
    wishes.add_argument("--ks", type=lambda text: [int(one) for one in text.split(",")], default=[4, 8, 16, 32])
    wishes.add_argument(
        "--penalties", type=lambda text: [float(one) for one in text.split(",")], default=[1.0, 2.0, 4.0, 8.0]
    )
    wishes.add_argument("--peer-rate", type=float, default=None, help="SAELens' learning rate; default: golf's")
    given = wishes.parse_args()
    print("# L0–EV–CE curves on small real models\n")
    rate = "golf's rate" if given.peer_rate is None else f"a rate of {given.peer_rate:g}"
    print(
        f"By `python benchmarks/dictionaries_curves.py`: {given.steps} steps of {given.batch:,} tokens, SAELens at {rate}, {given.seeds} "
        f"seeds, measured on {given.held_out:,} held-out tokens at most (losses on {given.ce_tokens:,}); {versions()}. Means, in brackets the "
        "standard deviation over the seeds.",
        flush=True,
    )
    for model in given.models:
        spec, _, data = model.partition("=")
        curves = Curves(open_source(spec, "cpu"), Path(data) if data else None, given)
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            curves.seed(seed)
        curves.told(lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
