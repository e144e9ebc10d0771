"""How large `model.golf` will be, before any run: shapes by role, bits, clips and coder to bytes.

Weights are taken for Gaussian rows. With SDClip the step is a share of the row's deviation, so the entropy of the codes follows
from bits and clip alone; other rules clip near a row's largest value, which is less sure. What coders lose over the entropy was
measured on Gaussian codes (`benchmarks/coders.py`), and it depends on the entropy: brotli's Huffman codes fit some steps better.

Measured: PR #1394 as published (another container) +0.2 %, a model of 3.1 M weights trained on FineWeb with GPTQ and rANS +0.3 %,
the baseline's official artifact +0.4 %. Recipes with percentile scales and weight decay come out up to 25 % smaller.
"""

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import Protocol

# bits a code at which the coders were measured, on 786,432 codes
ENTROPIES = (
    2.06,
    2.25,
    2.44,
    2.53,
    2.73,
    3.02,
    3.21,
    3.31,
    3.51,
    3.61,
    3.81,
    4.10,
    4.30,
    4.50,
    4.70,
    5.10,
    5.50,
    6.00,
    6.50,
    6.80,
)
LOSSES = {  # coded / entropy − 1, in thousandths
    "ZlibCoder": (
        198.2,
        190.6,
        184.7,
        180.1,
        174.3,
        166.7,
        160.8,
        158.7,
        154.4,
        153.4,
        147.1,
        138.1,
        129.3,
        118.3,
        99.8,
        63.2,
        36.0,
        20.5,
        10.3,
        10.3,
    ),
    "ZstdCoder": (
        56.8,
        35.7,
        19.8,
        18.2,
        22.0,
        24.7,
        17.5,
        18.4,
        9.6,
        6.8,
        11.8,
        15.7,
        11.4,
        8.0,
        8.6,
        12.2,
        7.5,
        11.4,
        8.3,
        10.5,
    ),
    "LzmaCoder": (
        122.0,
        119.9,
        115.5,
        93.4,
        75.1,
        66.2,
        70.9,
        67.6,
        48.6,
        53.4,
        39.1,
        37.6,
        34.0,
        31.1,
        28.0,
        26.1,
        22.9,
        20.4,
        17.9,
        16.2,
    ),
    "BrotliCoder": (
        53.1,
        31.9,
        15.7,
        14.6,
        18.3,
        21.3,
        13.6,
        14.1,
        7.1,
        4.5,
        8.7,
        11.5,
        8.9,
        4.5,
        5.4,
        8.9,
        3.9,
        6.8,
        3.3,
        4.3,
    ),
    "BitpackCoder": (
        27.8,
        24.1,
        22.9,
        22.7,
        20.5,
        339.5,
        344.0,
        344.4,
        337.6,
        319.6,
        266.4,
        246.4,
        222.3,
        204.3,
        368.1,
        317.7,
        266.2,
        20.3,
        17.4,
        16.3,
    ),
    "RansCoder": (0.5,) * 20,
    "ContextRansCoder": (-1.0,) * 20,
}
UPPER = "clips near a row's largest value, and the floor under published scales makes small rows cheaper than that"
STEPPED = ("gptq_sdclip", "sdclip_rtn", "gptq_trellis")
GPTQ_WIDENS = 1.004  # error feedback makes the codes of a trained matrix so much longer than a Gaussian's when rounded
EMBED_NARROWS = 0.988  # a trained embedding has heavier tails than that: the same deviation, less entropy
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
        bits *= EMBED_NARROWS if tensor.role == "embed" and tensor.quantizer in STEPPED else 1
        total += numel * bits / 8 * (1 + coder_loss(coder, bits) / 1000) + SCALE_SHARE * 2 * (numel // tensor.shape[-1])
        sure = sure and tensor.quantizer in STEPPED
    basis = "Gaussian rows, measured loss of the coder"
    return round(total), basis if sure else f"{basis}; an upper estimate: {UPPER}"


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


def coder_loss(coder: str, bits: float) -> float:
    """In thousandths: between the measured entropies on a line, beyond them as at the last; 0 for a coder that was not measured."""
    losses = LOSSES.get(coder, (0.0,) * len(ENTROPIES))
    for i in range(1, len(ENTROPIES)):
        if bits <= ENTROPIES[i]:
            share = max((bits - ENTROPIES[i - 1]) / (ENTROPIES[i] - ENTROPIES[i - 1]), 0.0)
            return losses[i - 1] + share * (losses[i] - losses[i - 1])
    return losses[-1]
