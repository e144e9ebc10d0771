"""One number that makes an artifact smaller: the step of SDClip's grids, or the share of codes that pruning zeroes.

Predictions need no quantizer: rows over their deviation are counted once, and the entropy of any step is read off the counts.
"""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from golf.artifact.coder_losses import coder_loss
from golf.artifact.tensors import entropy_bytes, read_tensors
from golf.errors import Exit, GolfError
from golf.recipe import Recipe, changed
from golf.recipe.namespace import namespace
from golf.run.layout import CHECKPOINT, HESSIANS

ROLES = ("embed", "attn", "mlp", "table")
STEPPED = ("gptq_sdclip", "sdclip_rtn", "gptq_trellis")  # quantizers whose step is clip_sigmas over the largest code
MIN_SIGMAS = 8.0  # with fewer the grid would clip: take a bit more, at the same step
FINEST_SIGMAS = 5.0  # the same where there is no bit more: finer 8-bit grids would clip more than they gain
BINS_PER_SIGMA, REACH_SIGMAS = 128, 24
RETRAIN = "train it again: `golf run --again`"


@dataclass(frozen=True)
class Plan:
    """A way to spend bytes: knobs to change, and each role's step relative to the recipe's. prunes: its dial is pruning."""

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, float] = field(default_factory=dict)
    prunes: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """What a training left: tags, {name: weight}, {name: Hessian}."""

    tagged: Sequence[Any]
    weights: Mapping[str, Any]
    hessians: Mapping[str, Any]


def load_checkpoint(recipe: Recipe, folder: Path) -> Checkpoint:
    """`float.golf` and, of a recipe that calibrates, `hessians.golf` of a run folder. GolfError: gone, damaged, or another recipe's."""
    import torch

    from golf.parts.model import GPT
    from golf.parts.tags import collect

    with torch.device("meta"):
        tagged = collect(GPT(namespace(recipe)))
    weights = read_tensors(folder / "float.golf")
    refuse_no_calibration(recipe, folder)
    hessians = read_tensors(folder / HESSIANS) if (folder / HESSIANS).is_file() else {}
    shapes = {entry.name: tuple(entry.param.shape) for entry in tagged}
    there = {name: tuple(weight.shape) for name, weight in weights.items()}
    for name in sorted(shapes.keys() | there.keys()):
        if shapes.get(name) != there.get(name):
            what = [" × ".join(map(str, found[name])) if name in found else "not there" for found in (there, shapes)]
            raise GolfError(f"{folder / CHECKPOINT} is not {recipe.name}'s: {name} is {what[0]} in it, {what[1]} in the recipe",
                            "name the recipe that it was trained with; values of the model are fixed by training")  # fmt: skip
    wrong = [
        name for name, grid in hessians.items() if ":" not in name and grid.shape != (there.get(name, ())[-1:] * 2)
    ]
    if wrong:
        raise GolfError(f"{folder / HESSIANS} is not of {folder / CHECKPOINT}: {wrong[0]} does not fit", RETRAIN)
    return Checkpoint(tagged, weights, hessians)


def refuse_no_calibration(recipe: Recipe, folder: Path) -> None:
    """GolfError (10) where a recipe's quantizers want the Hessians of calibration, and the run in `folder` kept none."""
    if recipe.values.get("calibrate") and not (folder / HESSIANS).is_file():
        raise GolfError(f"no calibration data: {HESSIANS}, which {recipe.name} quantizes by, is not in {folder}",
                        RETRAIN, Exit.REFUSED)  # fmt: skip


class Dial(Protocol):
    """Turned up, the artifact gets smaller."""

    least: float
    most: float

    def settings(self, dial: float) -> dict[str, Any]: ...
    def predicted_bytes(self, dial: float) -> float: ...
    def middle(self, low: float, high: float) -> float: ...


def dial_of(recipe: Recipe, checkpoint: Checkpoint, plan: Plan) -> Dial:
    """The step where any role is on SDClip's grid, else pruning."""
    stepped = is_stepped(changed(recipe, plan.changes)) and not plan.prunes
    return StepDial(recipe, checkpoint, plan) if stepped else PruneDial(recipe, checkpoint, plan)


def is_stepped(recipe: Recipe) -> bool:
    """Whether any role's step is a share of its rows' deviation, which a dial can turn."""
    return bool(stepped_roles(recipe))


def stepped_roles(recipe: Recipe) -> list[str]:
    """The roles on SDClip's grids."""
    return sorted(role for role in ROLES if _quantizer(recipe, role) in STEPPED)


def _quantizer(recipe: Recipe, role: str) -> str:
    return str(recipe.values.get(f"{role}_quantizer", "") or "").rpartition(".")[2]


def make_tensors(recipe: Recipe, values: Mapping[str, Any], checkpoint: Checkpoint) -> tuple[Any, dict[str, Any]]:
    """(h, the artifact's tensors) with some knobs changed."""
    from golf.parts.quant import quantize

    h = namespace(changed(recipe, values))
    try:
        tensors: dict[str, Any] = quantize(h, checkpoint.tagged, checkpoint.weights, checkpoint.hessians)
    except AssertionError as fault:  # how parts refuse
        raise GolfError(f"{recipe.name} cannot be exported so: {fault}", "see its values: `golf show`") from fault
    return h, tensors


def container_bytes(h: Any, tensors: Mapping[str, Any]) -> int:
    """What `model.golf` of these tensors weighs, written and weighed."""
    from golf.parts.artifact import write_container

    with tempfile.TemporaryDirectory() as folder:
        return int(write_container(str(Path(folder) / "model.golf"), dict(tensors), {}, h.coder))


class StepDial:
    """Multiplies the step of every role on SDClip's grid."""

    most = 40.0

    def __init__(self, recipe: Recipe, checkpoint: Checkpoint, plan: Plan) -> None:
        self.recipe, self.plan = changed(recipe, plan.changes), plan
        self.roles = stepped_roles(self.recipe)
        self.least = max(FINEST_SIGMAS / 127 / self.step(role) for role in self.roles)
        values = self.recipe.values
        self.counts: list[tuple[str, int, Any]] = []
        kept = {}
        for name, _, tag in checkpoint.tagged:
            w = checkpoint.weights[name]
            coded = tag.role in self.roles and w.numel() > int(values["keep_float_numel"])
            if coded:
                self.counts.append((tag.role, w.numel(), _counted(w)))
                kept[f"{name}:s"] = w.float().std(dim=1).half()
            else:
                kept[name] = w.half()
        self.rest_bytes = container_bytes(namespace(self.recipe), kept)

    def settings(self, dial: float) -> dict[str, Any]:
        """The plan's knobs at this dial: clip_sigmas, and bits where the step needs more of them."""
        settings: dict[str, Any] = dict(self.plan.changes)
        for role in self.roles:
            step, bits = dial * self.step(role), int(self.recipe.values[f"{role}_bits"])
            while bits < 8 and step * (2 ** (bits - 1) - 1) < MIN_SIGMAS * 0.999:
                bits += 1
            # five digits are a thousandth of the tolerance, and every digit is a byte of the script
            settings |= {f"{role}_bits": bits, f"{role}_clip_sigmas": float(f"{step * (2 ** (bits - 1) - 1):.5g}")}
        return settings

    def step(self, role: str) -> float:
        """The plan's step of a role in deviations of its row."""
        limit: int = 2 ** (int(self.recipe.values[f"{role}_bits"]) - 1) - 1
        return float(self.recipe.values[f"{role}_clip_sigmas"]) / limit * self.plan.steps.get(role, 1.0)

    def predicted_bytes(self, dial: float) -> float:
        """Entropy of the codes when rounded to nearest, what the coder loses on it, and the rest as the coder makes it."""
        total = float(self.rest_bytes)
        for role, weights, counts in self.counts:
            total += _coded_bytes(self.recipe, weights, _entropy(counts, dial * self.step(role)))
        return total

    def middle(self, low: float, high: float) -> float:
        return math.sqrt(low * high)


class PruneDial:
    """The share of the codes of magnitude 1 that are zeroed, cheapest first."""

    least, most = 0.0, 0.98

    def __init__(self, recipe: Recipe, checkpoint: Checkpoint, plan: Plan) -> None:
        self.recipe, self.plan = changed(recipe, plan.changes), plan
        self.h, self.tensors = make_tensors(self.recipe, {"prune": ""}, checkpoint)
        rest = {name: tensor for name, tensor in self.tensors.items() if not name.endswith(":q")}
        self.rest_bytes = container_bytes(self.h, rest)

    def settings(self, dial: float) -> dict[str, Any]:
        if dial == 0:
            return dict(self.plan.changes)
        return {**self.plan.changes, "prune": "prune.prune_cheapest", "prune_share": float(f"{dial:.5g}")}

    def predicted_bytes(self, dial: float) -> float:
        from golf.parts.techniques.prune import prune_cheapest

        h = namespace(changed(self.recipe, {"prune_share": dial}))
        tensors = {name: t.clone() if name.endswith(":q") else t for name, t in self.tensors.items()}
        prune_cheapest(h, tensors)
        codes = [(t.numel(), entropy_bytes(t)) for name, t in tensors.items() if name.endswith(":q")]
        return self.rest_bytes + sum(_coded_bytes(self.recipe, count, 8 * size / count) for count, size in codes)

    def middle(self, low: float, high: float) -> float:
        return (low + high) / 2


def _coded_bytes(recipe: Recipe, weights: int, bits: float) -> float:
    """Bytes of so many codes of an entropy of `bits` each, by the recipe's coder."""
    coder = str(recipe.values["coder"]).rpartition(".")[2]
    return weights * bits / 8 * (1 + coder_loss(coder, bits) / 1000)


def _counted(w: Any) -> Any:
    """Share of the weights below each edge of a fine grid, in deviations of the row."""
    rows = w.float().cpu()
    normed = (rows / rows.std(dim=1, keepdim=True).clamp_min(1e-12)).numpy()
    bins = np.clip((normed.ravel() + REACH_SIGMAS) * BINS_PER_SIGMA, 0, 2 * REACH_SIGMAS * BINS_PER_SIGMA - 1)
    counts = np.bincount(bins.astype(np.int64), minlength=2 * REACH_SIGMAS * BINS_PER_SIGMA)
    return np.concatenate(([0.0], np.cumsum(counts) / max(counts.sum(), 1)))


def _entropy(below: Any, step: float) -> float:
    """Bits a weight of codes of this step (in deviations), from the shares that `_counted` gives."""
    codes = int(REACH_SIGMAS / step) + 1
    edges = (np.arange(-codes, codes + 2) - 0.5) * step
    share = np.diff(np.interp(edges, np.linspace(-REACH_SIGMAS, REACH_SIGMAS, len(below)), below))
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())
