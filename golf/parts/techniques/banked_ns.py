"""Newton–Schulz in the order of operations of the banked scripts (PR #399 line, PR #1573): c · (A @ A) instead of (c · A) @ A.

The same polynomial as the baseline's; in bf16 the two orders differ by up to 1e-2.
"""

from golf.parts.muon import bf16_product


def banked_newton_schulz(g, steps):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    for _ in range(steps):
        gram = bf16_product(x, x.T)
        x = a * x + bf16_product(b * gram + c * bf16_product(gram, gram), x)
    return x.T if tall else x
