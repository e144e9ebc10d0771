"""How large the artifact will be, before any run: from the shapes of the tensors and what the recipe's quantizers do to them.

The estimate takes weights for Gaussian rows. How far off it is for a trained model is not known before one was measured; the
upper bound (every code stored whole) always holds.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from golf.errors import GolfError
from golf.namespace import namespace
from golf.recipe import Recipe

# coder → coded bytes / entropy of the codes. zlib: fitted to one run, the official baseline of 15,814,468 bytes, its codes taken
# for Gaussian; the others: measured against the entropy of the codes of one trained model
CODERS = {"ZlibCoder": 1.0226, "ZstdCoder": 1.017, "LzmaCoder": 1.03, "BrotliShuffle": 1.014}


@dataclass(frozen=True)
class Tensor:
    """One stored tensor: shape, the role that its tag says, how it is quantized. bits 0: kept in floating point."""

    name: str
    shape: tuple[int, ...]
    role: str
    quantizer: str
    bits: int
    clip_sigmas: float

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Prediction:
    """Bytes of the model in the artifact. estimate_bytes None: no predictor for the recipe's coder."""

    params: int
    estimate_bytes: int | None
    upper_bytes: int
    basis: str


class Predictor(Protocol):
    """(tensors, coder) → bytes and how they were arrived at, or None."""

    def __call__(self, tensors: Iterable[Tensor], coder: str) -> tuple[int, str] | None: ...


def predict(recipe: Recipe, predictor: Predictor | None = None) -> Prediction:
    """Predict the model's bytes. Builds the model without memory for its weights (torch's meta device).

    Raises GolfError when the package of the recipe has no `model.GPT` and `tags.collect`.
    """
    tensors, coder = tensors_of(recipe)
    estimate = (predictor or by_entropy)(tensors, coder)
    upper = sum(_whole_bytes(t) for t in tensors)
    basis = estimate[1] if estimate else f"no predictor knows the coder `{coder}`"
    return Prediction(sum(t.numel for t in tensors), estimate[0] if estimate else None, upper, basis)


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
    found = []
    for name, param, tag in tagged:
        reference = str(values.get(f"{tag.role}_quantizer", "") or "")
        quantized = reference and (param.numel() > limit or tag.role == "gate")
        bits = int(values.get(f"{tag.role}_bits", 8)) if quantized else 0
        sigmas = float(values.get(f"{tag.role}_clip_sigmas", 0.0))
        found.append(
            Tensor(name, tuple(param.shape), tag.role, reference.rpartition(".")[2] if quantized else "", bits, sigmas)
        )
    return found, str(values.get("coder", "")).rpartition(".")[2]


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


def by_entropy(tensors: Iterable[Tensor], coder: str) -> tuple[int, str] | None:
    """Entropy of rounded Gaussian rows, times what the coder loses; scales and small tensors as they are."""
    if coder not in CODERS:
        return None
    total = 0.0
    for tensor in tensors:
        if not tensor.bits:
            total += 0.9 * _whole_bytes(tensor)
            continue
        total += CODERS[coder] * tensor.numel * gaussian_bits(_code_sigma(tensor)) / 8 + 2 * tensor.shape[0]
    return round(
        total
    ), f"Gaussian rows, {coder} at {CODERS[coder]} × entropy; accuracy unknown until a run is measured"


def _code_sigma(tensor: Tensor) -> float:
    """Standard deviation of a row's codes: the largest code over how many deviations it stands for."""
    limit = 2.0 ** (tensor.bits - 1) - 1
    if "sdclip" in tensor.quantizer or "gptq" in tensor.quantizer:
        return limit / tensor.clip_sigmas
    return limit / math.sqrt(2 * math.log(max(tensor.shape[-1], 2)))  # a row's largest value of n Gaussian ones


def gaussian_bits(sigma: float) -> float:
    """Entropy in bits of a Gaussian of standard deviation `sigma` rounded to integers."""
    reach = max(int(8 * sigma), 2)
    total = 0.0
    for k in range(-reach, reach + 1):
        p = 0.5 * (math.erf((k + 0.5) / (sigma * math.sqrt(2))) - math.erf((k - 0.5) / (sigma * math.sqrt(2))))
        total -= p * math.log2(p) if p > 0 else 0.0
    return total
