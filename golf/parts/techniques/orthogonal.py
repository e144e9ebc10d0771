"""Orthogonal initialisation of the linears that do not start at zero (PR #65, @aquariouseworkman; only wide ones from PR #162,
Raahil Shah).
"""

import torch

from golf.parts.layers import kaiming_uniform


def orthogonal(h, weight, rng):
    """Every linear, whatever its shape."""
    torch.nn.init.orthogonal_(weight, generator=rng)


def orthogonal_wide(h, weight, rng):
    """Linears with both sides of 64 or more; narrow ones keep their uniform start."""
    if min(weight.shape) >= 64:
        torch.nn.init.orthogonal_(weight, generator=rng)
    else:
        kaiming_uniform(h, weight, rng)


def orthogonal_tables(h, weight, rng):
    """Projections behind tables: wide ones orthogonal, narrow ones stay at zero, where they are made (PR #549 line)."""
    if min(weight.shape) >= 64:
        torch.nn.init.orthogonal_(weight, generator=rng)


def orthogonal_mup(h, weight, rng):
    """The same scaled by 1 / √(2 · layers): what PR #162 to #414 do to the projections behind tables."""
    orthogonal_tables(h, weight, rng)
    weight.mul_((2 * h.num_layers) ** -0.5)
