"""How large the artifact will be, before any run: from the shapes of the tensors and what the recipe's quantizers do to them.

What is stored is found here, by building the model without memory for its weights; `golf.artifact.estimate` turns it into bytes.
The upper bound (every code stored whole) always holds.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from golf.artifact.estimate import SCALE_SHARE, Estimate, predict_bytes, tensor_bytes
from golf.artifact.spread import Training, deviation
from golf.errors import GolfError
from golf.recipe import Recipe, load_recipe
from golf.recipe.namespace import namespace

STEPS = 7000  # of a run of 600 s, where no recipe in the line has published how many it took


@dataclass(frozen=True)
class Tensor:
    """One stored tensor: shape, the role that its tag says, how it is quantized. bits 0: kept in floating point.

    deviation: what its weights' will be after training; None where that is not known (only Muon's matrices' is). code_step: its codes are
    multiples of it. group: weights that share a scale; 0 for a row. bf16: its fp32 weights are none: on a GPU it is trained in bf16.
    """

    name: str
    shape: tuple[int, ...]
    role: str
    quantizer: str
    bits: int
    clip_sigmas: float
    deviation: float | None = None
    code_step: int = 1
    group: int = 0
    bf16: bool = False

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Prediction:
    """Bytes of the model in the artifact. estimate_bytes None: no predictor for the recipe's coder; within: its share of error.

    roles: role → (weights, bits a weight, bytes).
    """

    params: int
    estimate_bytes: int | None
    upper_bytes: int
    basis: str
    within: float = 0.0
    roles: Mapping[str, tuple[int, float, int]] | None = None


class Predictor(Protocol):
    """(tensors, coder, whether control tensors are fp16) → bytes and how they were arrived at, or None."""

    def __call__(self, tensors: Iterable[Tensor], coder: str, half_controls: bool) -> Estimate | None: ...


def predict(recipe: Recipe, predictor: Predictor = predict_bytes) -> Prediction:
    """Predict the model's bytes. Builds the model without memory for its weights (torch's meta device).

    Raises GolfError when the package of the recipe has no `model.GPT` and `tags.collect`.
    """
    tensors, coder = tensors_of(recipe)
    half = bool(recipe.values.get("half_controls", False))
    estimate = predictor(tensors, coder, half)
    params, upper = sum(t.numel for t in tensors), sum(_whole_bytes(t) for t in tensors)
    if estimate is None:
        return Prediction(params, None, upper, f"no predictor knows the coder `{coder}`")
    extra = _correction_bytes(recipe, tensors)
    roles = {}
    for role in dict.fromkeys(t.role for t in tensors):
        mine = [t for t in tensors if t.role == role]
        weights, size = sum(t.numel for t in mine), sum(tensor_bytes(t, coder, half) for t in mine)
        roles[role] = (weights, 8 * size / weights, round(size))
    return Prediction(params, estimate.bytes + extra, upper, estimate.basis, estimate.within, roles)


def published_model_bytes(recipe: Recipe) -> tuple[float, int] | None:
    """(bytes of the model that its authors published, of how many seeds that is the mean); None where they are not on record.

    One of several seeds is the largest of them.
    """
    facts = recipe.published
    if "model_bytes" in facts:
        return float(facts["model_bytes"]), 1
    if "code_bytes" not in facts or "artifact_bytes" not in facts:
        return None
    totals = facts.get("total_bytes", [facts["artifact_bytes"]])
    return sum(totals) / len(totals) - facts["code_bytes"], len(totals)


def tensors_of(recipe: Recipe) -> tuple[list[Tensor], str]:
    """(every tensor that the artifact stores, the coder's name)."""
    import torch

    h = namespace(recipe)
    build = _member(recipe, "model", "GPT")
    collect = _member(recipe, "tags", "collect")
    with torch.device("meta"):
        tagged = collect(build(h))
    values = recipe.values
    limit = int(values.get("keep_float_numel", 0))
    training, found, assigned = training_of(recipe), [], _assigned_bits(recipe, h, tagged)
    stepped = _stepped(recipe)
    spread_of = cache(lambda columns: deviation(columns, training) if training else None)
    for name, param, tag in tagged:
        reference = str(values.get(f"{tag.role}_quantizer", "") or "")
        quantized = reference and (param.numel() > limit or tag.role == "gate")
        bits = int(values.get(f"{tag.role}_bits", 8)) if quantized else 0
        if quantized and name in assigned:
            bits = assigned[name] % 16  # 16 stays fp16
        sigmas = float(values.get(f"{tag.role}_clip_sigmas", 0.0))
        quantizer = reference.rpartition(".")[2] if bits else ""
        spread = spread_of(param.shape[-1]) if tag.group == "matrix" and bits else None
        step = int(values["code_step"]) if stepped and name.startswith(stepped) and bits else 1
        group = int(values["weight_group"]) if quantizer in ("ternary_codes", "binary_codes") else 0
        bf16 = tag.master == "compute"
        found.append(Tensor(name, tuple(param.shape), tag.role, quantizer, bits, sigmas, spread, step, group, bf16))
    return found, str(values.get("coder", "")).rpartition(".")[2]


def _stepped(recipe: Recipe) -> tuple[str, ...]:
    """Beginnings of the names of tensors whose codes are rounded to multiples of a step."""
    if not str(recipe.values.get("prune", "")).endswith("codes_in_steps"):
        return ()
    return tuple(f"blocks.{layer}." for layer in recipe.values["code_step_layers"])


def _assigned_bits(recipe: Recipe, h: Any, tagged: Iterable[Any]) -> Mapping[str, int]:
    """Bits by name where a recipe chooses them matrix by matrix. Sensitivities are not known before a calibration: of the matrices that
    are not first by their layer, those with more bits are spread evenly."""
    chosen = str(recipe.values.get("assign_bits", "") or "")
    if chosen.endswith("chosen_in_fp16"):
        found: Mapping[str, int] = h.assign_bits(h, tagged, {})
        return found
    if "bits_by_trace" not in chosen:
        return {}
    values = recipe.values
    names = [entry.name for entry in tagged if entry.tag.role in ("attn", "mlp") and entry.tag.group == "matrix"]
    stems = ("route.repeat.", *(f"blocks.{layer}." for layer in values["high_bits_layers"]))
    first = [name for name in names if values["high_bits_layers"] and name.startswith(stems)]
    rest, left = [name for name in names if name not in first], max(values["high_bits_count"] - len(first), 0)
    high = {*first, *(rest[i * len(rest) // left] for i in range(min(left, len(rest))))}
    return {name: values["high_bits"] if name in high else values["low_bits"] for name in names}


def _member(recipe: Recipe, module: str, name: str) -> Callable[..., Any]:
    try:
        found: Callable[..., Any] = getattr(import_module(f"{recipe.package}.{module}"), name)
    except (ImportError, AttributeError) as fault:
        raise GolfError(
            f"`{recipe.package}` has no `{module}.{name}`", "predictions need golf's own model and tags"
        ) from fault
    return found


def _whole_bytes(tensor: Tensor) -> int:
    if not tensor.bits:
        return (4 if tensor.role == "control" else 2) * tensor.numel
    return tensor.numel + 2 * tensor.shape[0]


def training_of(recipe: Recipe) -> Training | None:
    """What decides how far Muon spreads the weights; None for parts that have no such knobs.

    Steps: what the recipe or the nearest one that it extends has published, and no more than `iterations`.
    """
    values = recipe.values
    if not {"matrix_lr", "muon_wd", "momentum"} <= set(values):
        return None
    line = [recipe.published, *(load_recipe(name).published for name in recipe.chain[1:])]
    steps = min(
        next((int(published["steps"]) for published in line if "steps" in published), STEPS), values["iterations"]
    )
    by_share = str(values["lr_at"]).endswith(("warmdown_by_fraction", "warmdown_after_changes"))
    warmdown = values["warmdown_frac"] * steps if by_share else values["warmdown_iters"]
    exported, averaged = str(values["export_weights"]), {}
    if exported.endswith("ema_weights"):
        averaged = {"ema_decay": values["ema_decay"]}
    elif exported.endswith("swa_weights"):
        averaged = {"swa_start": values["swa_start"], "swa_every": values["swa_every"]}
    return Training(
        steps=steps, lr=values["matrix_lr"], weight_decay=values["muon_wd"], momentum=values["momentum"],
        momentum_start=values["momentum_warmup_start"], momentum_warmup_steps=values["momentum_warmup_steps"],
        warmdown_steps=warmdown, **averaged,
    )  # fmt: skip


def _correction_bytes(recipe: Recipe, tensors: list[Tensor]) -> int:
    """Beside codes and scales: low-rank corrections of the largest tensors, and columns with more bits than their matrix."""
    return _low_rank_bytes(recipe, tensors) + _wide_bytes(recipe, tensors)


def _low_rank_bytes(recipe: Recipe, tensors: list[Tensor]) -> int:
    """A rank's left factor at 1.4 bits a value, its right one at 3.4, scales."""
    if not any(str(member).endswith("LQER") for member in recipe.values.get("corrections", ())):
        return 0
    largest = sorted((t for t in tensors if t.bits), key=lambda t: -t.numel)[: recipe.values["lqer_top_k"]]
    rank, group = int(recipe.values["lqer_rank"]), int(recipe.values["lqer_group"])
    return rank * round(sum(t.shape[0] * 1.4 / 8 + t.shape[1] * (3.4 / 8 + 2 / group) for t in largest))


def _wide_bytes(recipe: Recipe, tensors: list[Tensor]) -> int:
    """Groups of columns in finer steps, with a second scale a row. Taken to lie in the embedding, as in every public log of AWQ-lite,
    else in the largest matrix."""
    values = recipe.values
    wider = [t for t in tensors if values.get("wide_groups") and 0 < t.bits < values["awq_bits"]]
    if not wider:
        return 0
    table = max(wider, key=lambda t: (t.role == "embed", t.numel))
    bits = math.log2((2 ** (int(values["awq_bits"]) - 1) - 1) / (2 ** (table.bits - 1) - 1))
    rows, columns = table.shape[0], min(int(values["awq_top_k"]) * int(values["awq_group"]), table.shape[1])
    return round(rows * columns * bits / 8 + 2 * rows * SCALE_SHARE)
