"""What a byte buys: validation loss against bytes for every quantizer, on weights that were really trained.

Give it run folders (`float.golf` and `hessians.golf` of one recipe, a seed each), their recipe and shards. Every method is run at
several steps; each point is a real artifact, weighed, read back and scored. Methods are compared at equal bytes by
interpolating log(loss − float loss) over bytes; n, mean and sd (ddof 1) are over seeds and neighbouring steps.

    $ python benchmarks/quality.py runs/1337 runs/42 --recipe mine --val data/fineweb_val_000000.bin --tokens 65536
"""

import argparse
import csv
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from golf.artifact.score import Scorer
from golf.parts.artifact import RawCoder, read_container, write_container
from golf.parts.quant import dequantize, quantize
from golf.parts.tags import collect
from golf.recipe import load_recipe
from golf.recipe.namespace import namespace

ROLES = ("embed", "attn", "mlp")
STEPS = (0.8, 0.9, 0.96, 1.0, 1.04, 1.1, 1.25)


def chosen(quantizer: str, *more: str) -> list[str]:
    return [f"{role}_quantizer={quantizer}" for role in ROLES] + list(more)


def stepped(step: float) -> list[str]:
    """#1394's settings with every step times `step`."""
    clips = {"embed": 15.0, "attn": 12.85, "mlp": 12.85}
    bits = ["embed_bits=7", "attn_bits=6", "mlp_bits=6"]
    return bits + [f"{role}_clip_sigmas={clips[role] * step}" for role in ROLES]


def points() -> list[tuple[str, float, list[str]]]:
    """(method, dial, overrides)."""
    found = [("gptq-lite rows", bits, chosen("gptq_lite_rows", *(f"{role}_bits={bits}" for role in ROLES)))
             for bits in (4, 5, 6)]  # fmt: skip
    for step in STEPS:
        found.append(("nearest", step, chosen("sdclip_rtn", *stepped(step))))
        found.append(("gptq", step, chosen("gptq_sdclip", *stepped(step))))
        found.append(("gptq + lqer", step, chosen("gptq_sdclip", *stepped(step), 'corrections=["LQER"]')))
        trellis = chosen("gptq_trellis", *stepped(step), "levels=trellis_levels")
        found.append(("gptq trellis", step, trellis))
        found.append(("gptq, log scales", step, chosen("gptq_sdclip", *stepped(step), "log_scales=true")))
        found.append(("trellis + lqer + log scales", step, [*trellis, 'corrections=["LQER"]', "log_scales=true"]))
    return found


def measure(
    folder: Path, recipe: str, overrides: list[str], methods: list[str], scorer: Scorer, seed: int, out: Any
) -> None:
    """Every point of one run; rows go to `out` as they are made."""
    weights, hessians = (read_container(str(folder / name), RawCoder)[0] for name in ("float.golf", "hessians.golf"))
    tagged, start = collect(scorer.model), scorer(weights)
    coded = sum(entry.param.numel() for entry in tagged if entry.tag.role in ROLES)
    out.writerow([seed, "float", "", "", "", f"{start:.6f}", 0, 0])
    for method, dial, changes in points():
        if methods and method not in methods:
            continue
        begun = time.perf_counter()
        h = namespace(load_recipe(recipe, [*overrides, *changes, "coder=RansCoder"]))
        tensors = quantize(h, tagged, weights, hessians)
        seconds = time.perf_counter() - begun
        with tempfile.TemporaryDirectory() as scratch:
            size = write_container(str(Path(scratch) / "model.golf"), tensors, {}, h.coder)
        loss = scorer(dequantize(h, tensors))
        row = [
            seed,
            method,
            dial,
            size,
            f"{8 * size / coded:.4f}",
            f"{loss:.6f}",
            f"{loss - start:.6f}",
            f"{seconds:.1f}",
        ]
        out.writerow(row)
        sys.stdout.flush()


def summary(rows: list[list[str]], reference: str = "gptq") -> None:
    """Each method's gap over the reference's at the same bytes."""
    ratios: dict[str, list[float]] = {}
    for seed in {row[0] for row in rows}:
        mine = [row for row in rows if row[0] == seed and row[1] != "float" and float(row[6]) > 0]
        curve = sorted((float(row[3]), math.log(float(row[6]))) for row in mine if row[1] == reference)
        slope, at = np.polyfit([x for x, _ in curve], [y for _, y in curve], 1)
        for row in mine:
            if curve[0][0] <= float(row[3]) <= curve[-1][0]:
                ratios.setdefault(row[1], []).append(float(row[6]) / math.exp(slope * float(row[3]) + at))
    print(f"\n| method | loss gap / {reference}'s at equal bytes | sd | n |\n| --- | --- | --- | --- |")
    for method, values in ratios.items():
        sd = statistics.stdev(values) if len(values) > 1 else math.nan
        print(f"| {method} | {statistics.mean(values):.3f} | {sd:.3f} | {len(values)} |")


COLOURS = ("#8c8c8c", "#c77c2e", "#1f5fa8", "#2a9d8f", "#b23a48", "#7a5195", "#1a1a1a")  # told apart in grey, too


def plot(rows: list[list[str]], path: Path) -> None:
    """Bits per weight against what quantization lost: a thin line a seed, a thick one through their means, named at its end."""
    import matplotlib.pyplot as plt  # noqa: PLC0415  (optional)
    from matplotlib.ticker import FixedLocator, NullFormatter, ScalarFormatter  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(10.5, 5.5), layout="constrained")
    points = [(row[0], row[1], float(row[2]), float(row[4]), 1000 * float(row[6])) for row in rows if row[1] != "float"]
    names = list(dict.fromkeys(point[1] for point in points))
    means = {}
    for name, colour in zip(names, COLOURS, strict=False):
        mine = [point for point in points if point[1] == name]
        for seed in dict.fromkeys(point[0] for point in mine):
            line = sorted((bits, gap) for of, _, _, bits, gap in mine if of == seed)
            axes.plot(*zip(*line, strict=True), "-", color=colour, linewidth=0.7, alpha=0.35)
        dials = sorted(dict.fromkeys(point[2] for point in mine))
        groups = [[point for point in mine if point[2] == dial] for dial in dials]
        means[name] = sorted(
            (statistics.mean(p[3] for p in group), statistics.mean(p[4] for p in group)) for group in groups
        )
        axes.plot(*zip(*means[name], strict=True), "o-", color=colour, linewidth=1.8, markersize=3.5, label=name)
    inside = [bits for name, line in means.items() if "lite" not in name for bits, _ in line]
    axes.set_xlim(min(inside) - 0.05, max(inside) + 0.05)
    seen = [gap for _, _, _, bits, gap in points if axes.get_xlim()[0] <= bits <= axes.get_xlim()[1]]
    axes.set_ylim(min(seen) / 1.1, max(seen) * 1.1)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator([1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100]))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("bits per weight of attention, MLP and embedding, whole artifact counted")
    axes.set_ylabel("loss over the float model, thousandths of a nat per token")
    seeds = ", ".join(dict.fromkeys(point[0] for point in points))
    axes.set_title(f"What a byte buys: seeds {seeds} thin, their means thick", loc="left", fontsize=11)
    axes.grid(True, color="#dddddd", linewidth=0.5)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    order = sorted(means, key=lambda name: -means[name][0][1])
    figure.legend([handles[name] for name in order], order, frameon=False, fontsize=9, loc="outside right upper")
    axes.spines[["top", "right"]].set_visible(False)
    plt.rcParams["svg.fonttype"], plt.rcParams["svg.hashsalt"] = (
        "none",
        "quality",
    )  # text stays text, and the file its bytes
    figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folders", nargs="*", type=Path)
    options.add_argument("--recipe", default="baseline")
    options.add_argument("--set", nargs="*", default=[], help="key=value of the recipe")
    options.add_argument("--methods", nargs="*", default=[], help="some of them only")
    options.add_argument("--val", type=Path, help="a validation shard")
    options.add_argument("--tokens", type=int, default=65_536)
    options.add_argument("--csv", type=Path, default=Path("quality.csv"))
    options.add_argument("--plot", type=Path)
    given = options.parse_args()
    torch.set_num_threads(1)
    if given.folders:
        scorer = Scorer(namespace(load_recipe(given.recipe, given.set)), given.val, given.tokens)
        with given.csv.open("a", buffering=1) as file:
            for folder in given.folders:
                seed = read_container(str(folder / "float.golf"), RawCoder)[1]["seed"]
                measure(folder, given.recipe, given.set, given.methods, scorer, seed, csv.writer(file))
    rows = list(csv.reader(given.csv.open()))
    summary(rows)
    if given.plot:
        plot(rows, given.plot)


if __name__ == "__main__":
    main()
