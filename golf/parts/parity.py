"""Parity features: a dictionary of ±1 patterns that is computed, never stored.

Over the d = 2^t coordinates x of a vector, feature α + d·row is w[x] = (−1)^(⟨α, x⟩ + ⟨β, (x³, x⁵)⟩) / √d: β is the row's offset,
and x, x³, x⁵ in GF(2^t) are read as bits. Offset 0 gives the Walsh–Hadamard basis; offsets within x³ give the words of the
dual BCH code (Gold sequences), any two of which have |⟨w, w'⟩| ≤ 2^(⌊t/2⌋ + 1) / d. All rows together are a tight frame.
"""

import torch
from torch import nn

# x^t + … as bits: x generates the field
PRIMITIVE = {
    2: 7,
    3: 11,
    4: 19,
    5: 37,
    6: 67,
    7: 131,
    8: 285,
    9: 529,
    10: 1033,
    11: 2053,
    12: 4179,
    13: 8219,
    14: 17475,
}


def field_powers(t):
    """ω⁰, ω¹, … of GF(2^t), ω = x: every element but 0 once."""
    powers = [1]
    while len(powers) < 2**t - 1:
        shifted = powers[-1] << 1
        powers.append(shifted ^ PRIMITIVE[t] if shifted >> t else shifted)
    return powers


def parity_points(t):
    """x³ and x⁵ of every coordinate x, as the low and the high t bits of one number: (2^t,) int64."""
    powers, points = field_powers(t), [0] * 2**t
    for i, x in enumerate(powers):
        points[x] = powers[3 * i % len(powers)] | powers[5 * i % len(powers)] << t
    return torch.tensor(points)


def parity_signs(masks, points):
    """(−1)^⟨mask, point⟩ over their bits, 1 or −1: (masks, points) int8."""
    bits = masks[:, None] & points
    for shift in (16, 8, 4, 2, 1):
        bits = bits ^ bits >> shift
    return (1 - 2 * (bits & 1)).to(torch.int8)


class ParityTransform(nn.Module):
    """Vectors (n, d) to scores (n, rows · d), and codes back to vectors: a flip of signs per row and one Hadamard transform.

    The transform is two products with Hadamard matrices of side √d, so a row costs d · 2√d multiplications instead of d².
    """

    def __init__(self, t, offsets):
        super().__init__()
        self.register_buffer("signs", parity_signs(torch.tensor(offsets), parity_points(t)), persistent=False)
        low, high = torch.arange(2 ** (t // 2)), torch.arange(2 ** (t - t // 2))
        self.register_buffer("low", parity_signs(low, low).float(), persistent=False)
        self.register_buffer("high", parity_signs(high, high) * 2 ** (-t / 2), persistent=False)

    def hadamard(self, x):
        # x: (n, rows, d)
        x = x.unflatten(2, (len(self.high), len(self.low)))
        return (self.high.to(x.dtype) @ (x @ self.low.to(x.dtype))).flatten(2)

    def scores(self, x):
        return self.hadamard(x[:, None] * self.signs).flatten(1)

    def vectors(self, codes):
        return (self.hadamard(codes.unflatten(1, (len(self.signs), -1))) * self.signs).sum(1)
