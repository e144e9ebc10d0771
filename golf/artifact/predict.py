"""How large `model.golf` will be, before any run: shapes by role, bits, clips and coder to bytes.

Weights are taken for Gaussian rows. With SDClip the step is a share of the row's deviation, so the entropy of the codes follows
from bits and clip alone; other rules clip near a row's largest value, which is less sure. What coders lose over the entropy was
measured on Gaussian codes (`benchmarks/coders.py`), and it depends on the entropy: brotli's Huffman codes fit some steps better.
"""

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import Protocol

ENTROPIES = (2.06, 2.53, 3.01, 3.33, 3.61, 4.12, 4.71, 5.50, 6.50)  # bits a code at which the coders were measured
LOSSES = {  # coded / entropy − 1
    "ZlibCoder": (0.1973, 0.1797, 0.1656, 0.1576, 0.1529, 0.1370, 0.0989, 0.0359, 0.0103),
    "ZstdCoder": (0.0563, 0.0182, 0.0245, 0.0174, 0.0072, 0.0150, 0.0080, 0.0077, 0.0081),
    "LzmaCoder": (0.1172, 0.1001, 0.0693, 0.0564, 0.0559, 0.0370, 0.0291, 0.0228, 0.0179),
    "BrotliCoder": (0.0530, 0.0146, 0.0210, 0.0143, 0.0044, 0.0115, 0.0052, 0.0039, 0.0033),
    "BitpackCoder": (0.0278, 0.0229, 0.3292, 0.3303, 0.3159, 0.2316, 0.3619, 0.2698, 0.0175),
    "RansCoder": (0.0008,) * 9,
    "ContextRansCoder": (-0.002,) * 9,
}
STEPPED = ("gptq_sdclip", "sdclip_rtn", "gptq_trellis")
GPTQ_WIDENS = 1.004  # error feedback makes the codes of a trained model so much longer than rounding
SCALE_SHARE, FLOAT_SHARE = 0.62, 0.87  # coded / stored bytes of fp16 scales and of fp16 weights
TENSOR_BYTES, CONTAINER_BYTES = 11, 200  # of the manifest for each stored tensor, and the rest


class Stored(Protocol):
    """One tensor of the model: `golf.compose.predict.Tensor` is one. bits 0: kept in floating point."""

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


def predict_bytes(tensors: Iterable[Stored], coder: str, half_controls: bool = False) -> tuple[int, str] | None:
    """(bytes of `model.golf`, how they were arrived at); None for a coder that was not measured.

    coder: the class's name. half_controls: control tensors are stored as fp16.
    """
    if coder not in LOSSES:
        return None
    total, sure = float(CONTAINER_BYTES), True
    for tensor in tensors:
        numel = math.prod(tensor.shape)
        total += TENSOR_BYTES * (2 if tensor.bits else 1)
        if not tensor.bits:
            total += FLOAT_SHARE * numel * (4 if tensor.role == "control" and not half_controls else 2)
            continue
        bits = gaussian_bits(_code_sigma(tensor)) * (GPTQ_WIDENS if "gptq_" in tensor.quantizer else 1)
        total += numel * bits / 8 * (1 + _loss(coder, bits)) + SCALE_SHARE * 2 * (numel // tensor.shape[-1])
        sure = sure and tensor.quantizer in STEPPED
    basis = "Gaussian rows, measured loss of the coder"
    return round(total), basis if sure else f"{basis}; clips near a row's largest value, which depends on the training"


def _code_sigma(tensor: Stored) -> float:
    """Standard deviation of a row's codes."""
    limit: int = 2 ** (tensor.bits - 1) - 1
    if tensor.quantizer in STEPPED:
        return limit / tensor.clip_sigmas
    columns = max(tensor.shape[-1], 2)
    return limit / NormalDist().inv_cdf(0.5 + 0.5 ** (1 / columns) / 2)  # the median of the largest of so many


def gaussian_bits(sigma: float) -> float:
    """Entropy in bits of a Gaussian of standard deviation `sigma` rounded to integers."""
    reach, below, total = max(int(8 * sigma), 2), NormalDist(0, sigma).cdf, 0.0
    for code in range(-reach, reach + 1):
        share = below(code + 0.5) - below(code - 0.5)
        total -= share * math.log2(share) if share > 0 else 0.0
    return total


def _loss(coder: str, bits: float) -> float:
    """Between the measured entropies on a line, beyond them as at the last."""
    losses = LOSSES[coder]
    for i in range(1, len(ENTROPIES)):
        if bits <= ENTROPIES[i]:
            share = max((bits - ENTROPIES[i - 1]) / (ENTROPIES[i] - ENTROPIES[i - 1]), 0.0)
            return losses[i - 1] + share * (losses[i] - losses[i - 1])
    return losses[-1]
