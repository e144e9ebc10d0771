"""Orthogonal initialisation of the linears that do not start at zero (PR #65, @aquariouseworkman; only wide ones from PR #162,
Raahil Shah).
"""

import torch

from golf.parts.layers import kaiming_uniform


def orthogonal(weight, rng):
    """Every linear, whatever its shape."""
    torch.nn.init.orthogonal_(weight, generator=rng)


def orthogonal_wide(weight, rng):
    """Linears with both sides of 64 or more; narrow ones keep their uniform start."""
    if min(weight.shape) >= 64:
        torch.nn.init.orthogonal_(weight, generator=rng)
    else:
        kaiming_uniform(weight, rng)
