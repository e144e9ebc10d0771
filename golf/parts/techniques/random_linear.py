"""Random linear maps with adapters: an MLP's matrices are fixed random numbers that a seed makes again, plus a learned product of
low rank (PR #2058's folder).

Only the factors A and B are stored. Rests on torch's CPU generator never changing.
"""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.tags import tag


class Knobs:
    adapter_rank: "1 <= int <= 16384" = 160


class Smoke:
    adapter_rank = 8


def narrow_normal(h, weight, rng):
    weight.normal_(std=0.01, generator=rng)


class RandomLinear(nn.Module):
    """x (R + A B)ᵀ: R from the seed, N(0, 1 / inputs); A starts small, B at zero."""

    def __init__(self, h, inputs, outputs, seed):
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        fixed = torch.randn(outputs, inputs, generator=rng, device="cpu") / inputs**0.5
        self.register_buffer("fixed", fixed, persistent=False)
        self.a = tag(nn.Parameter(torch.zeros(outputs, h.adapter_rank)), group="matrix", role="mlp", init=narrow_normal)
        self.b = tag(nn.Parameter(torch.zeros(h.adapter_rank, inputs)), group="matrix", role="mlp", init=None)

    def forward(self, x):
        return F.linear(x, self.fixed.to(x.dtype)) + F.linear(F.linear(x, self.b.to(x.dtype)), self.a.to(x.dtype))


class RandomLinearMLP(nn.Module):
    """A slot for `mlp`."""

    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        hidden = int(h.mlp_mult * h.model_dim)
        self.fc = RandomLinear(h, h.model_dim, hidden, 2 * layer)
        self.proj = RandomLinear(h, hidden, h.model_dim, 2 * layer + 1)

    def forward(self, u):
        return self.proj(self.h.activation(self.h, self.fc(u)))
