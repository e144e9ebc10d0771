"""How large `model.golf` will be, before any run: shapes by role, bits, clips and coder to bytes.

Weights are taken for Gaussian rows. With SDClip the step is a share of the row's deviation, so the entropy of the codes follows
from bits and clip alone. Other rules clip near a row's largest value, and the published ones put a floor under the scale: on that
fixed grid a code costs what the weights' own deviation makes it cost, which is predicted from Muon's settings
(`golf.artifact.spread`). What coders lose over the entropy was measured (`golf.artifact.coder_losses`), and depends on it:
brotli's Huffman codes fit some steps better.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

from golf.artifact.coder_losses import LOSSES, coder_loss

SIGNS = {"ternary_codes": 8 / 5, "binary_codes": 1.0}  # bits a code as packed, which LZMA makes no shorter
PACKED = ("TernaryCoder", "BinaryCoder")  # what is not a sign is fp8, or fp16 where it is no matrix
FP8_SHARE = 0.87  # coded / stored bytes of fp8 weights: as fp16's, not measured on a trained table
STEPPED = ("gptq_sdclip", "sdclip_rtn", "gptq_trellis")
FLOORED = (
    "int8_rows",
    "gptq_lite_matrix",
    "gptq_search",
    "amax_rows_floored",
)  # scales of at least 1 / the largest code
# codes of a trained matrix after error feedback, beside a Gaussian's when rounded: fitted on eight published artifacts (brotli, PR #1412
# to #1868), which it then meets within 0.07 %, as the seven others. In small models 1.004 was measured
GPTQ_WIDENS = 1.0015
EMBED_NARROWS = 0.988  # a trained embedding has heavier tails than that: the same deviation, less entropy
SCALE_SHARE = 0.62  # coded / stored bytes of fp16 scales
# the same of weights kept in fp16, measured on Gaussian rows: of fp32 masters, of bf16 ones (three bits of their fp16 are zero)
FLOAT_SHARES = {
    "ZlibCoder": (0.926, 0.775),
    "ZstdCoder": (0.852, 0.67),
    "LzmaCoder": (0.852, 0.674),
    "BrotliCoder": (0.848, 0.662),
}
FLOAT_SHARE = (0.87, 0.69)  # by other coders
FLOOR_SHARE = 0.05  # the same of scales that are all one number
TENSOR_BYTES, CONTAINER_BYTES = 11, 200  # of the manifest for each stored tensor, and the rest
# measured errors as shares, by what the bytes hang on (benchmarks/quantization.md)
WITHIN = {"step": 0.005, "floor": 0.018, "signs": 0.02, "largest value": 0.15}
# in small models coders' tables, scales and undertrained embeddings weigh more
SMALL_WEIGHTS, WITHIN_SMALL = 4_000_000, 0.05


class Stored(Protocol):
    """One tensor of the model: `golf.artifact.estimate.Tensor` is one. bits 0: kept in floating point; deviation None: not known."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def role(self) -> str: ...
    @property
    def quantizer(self) -> str: ...
    @property
    def bits(self) -> int: ...
    @property
    def clip_sigmas(self) -> float: ...
    @property
    def deviation(self) -> float | None: ...
    @property
    def code_step(self) -> int: ...
    @property
    def group(self) -> int: ...
    @property
    def bf16(self) -> bool: ...


@dataclass(frozen=True)
class Estimate:
    """Bytes of `model.golf`, how they were arrived at, and how far off such estimates were (a share)."""

    bytes: int
    basis: str
    within: float


def predict_bytes(tensors: Iterable[Stored], coder: str, half_controls: bool = False) -> Estimate | None:
    """The bytes of `model.golf`; None for a coder that was not measured.

    coder: the class's name. half_controls: control tensors are stored as fp16.
    """
    if coder not in LOSSES and coder not in PACKED:
        return None
    bytes_of, weights = dict.fromkeys(WITHIN, 0.0), 0
    for tensor in tensors:
        bytes_of[_hangs_on(tensor)] += tensor_bytes(tensor, coder, half_controls)
        weights += math.prod(tensor.shape)
    total = CONTAINER_BYTES + sum(bytes_of.values())
    within = sum(WITHIN[kind] * size for kind, size in bytes_of.items()) / total
    basis = "Gaussian rows, measured loss of the coder"
    if bytes_of["floor"]:
        basis += "; scales have a floor: weights spread as Muon's random walk"
    if bytes_of["largest value"]:
        basis += f"; {bytes_of['largest value'] / total:.0%} of it clipped at a row's largest value, at most that"
    return Estimate(round(total), basis, within + (WITHIN_SMALL if weights < SMALL_WEIGHTS else 0))


def tensor_bytes(tensor: Stored, coder: str, half_controls: bool = False) -> float:
    """What one tensor takes: codes, scales and its lines in the manifest."""
    numel = math.prod(tensor.shape)
    if tensor.quantizer in SIGNS:
        return 2 * TENSOR_BYTES + numel * SIGNS[tensor.quantizer] / 8 + 2 * SCALE_SHARE * numel / tensor.group
    if not tensor.bits and coder in PACKED:
        return TENSOR_BYTES + numel * (FP8_SHARE if len(tensor.shape) == 2 else 2 * FLOAT_SHARE[0])
    if not tensor.bits:
        share = FLOAT_SHARES.get(coder, FLOAT_SHARE)[tensor.bf16]
        return TENSOR_BYTES + share * numel * (4 if tensor.role == "control" and not half_controls else 2)
    bits = gaussian_bits(code_sigma(tensor) / tensor.code_step) * (GPTQ_WIDENS if "gptq_" in tensor.quantizer else 1)
    bits *= EMBED_NARROWS if tensor.role == "embed" and tensor.quantizer in STEPPED else 1
    scales = 2 * (numel // tensor.shape[-1]) * (FLOOR_SHARE if _on_the_floor(tensor) else SCALE_SHARE)
    return 2 * TENSOR_BYTES + numel * bits / 8 * (1 + coder_loss(coder, bits) / 1000) + scales


def code_sigma(tensor: Stored) -> float:
    """Standard deviation of a row's codes."""
    limit: int = 2 ** (tensor.bits - 1) - 1
    if tensor.quantizer in STEPPED:
        return limit / tensor.clip_sigmas
    if _on_the_floor(tensor):
        return limit * (tensor.deviation or 0.0)
    return limit / _largest(tensor)


def _on_the_floor(tensor: Stored) -> bool:
    """Whether a row's largest value is below 1, so that its scale is the floor."""
    known = tensor.deviation is not None and tensor.quantizer in FLOORED
    return known and (tensor.deviation or 0.0) * _largest(tensor) < 1


def _largest(tensor: Stored) -> float:
    """The median of the largest magnitude of a Gaussian row, in deviations."""
    return NormalDist().inv_cdf(0.5 + 0.5 ** (1 / max(tensor.shape[-1], 2)) / 2)


def _hangs_on(tensor: Stored) -> str:
    if tensor.quantizer in SIGNS:
        return "signs"
    if not tensor.bits or tensor.quantizer in STEPPED:
        return "step"
    return "floor" if tensor.quantizer in FLOORED and tensor.deviation is not None else "largest value"


def gaussian_bits(sigma: float) -> float:
    """Entropy in bits of a Gaussian of standard deviation `sigma` rounded to integers."""
    reach, below, total = max(int(8 * sigma), 2), NormalDist(0, max(sigma, 1e-9)).cdf, 0.0
    for code in range(-reach, reach + 1):
        share = below(code + 0.5) - below(code - 0.5)
        total -= share * math.log2(share) if share > 0 else 0.0
    return total
