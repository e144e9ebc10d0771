"""The two layers everything is made of, their initialisation, and the norm without weight."""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.tags import tag


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


def kaiming_uniform(h, weight, rng):
    bound = weight.size(-1) ** -0.5
    weight.uniform_(-bound, bound, generator=rng)


class CastedLinear(nn.Module):
    """x Wᵀ with an fp32 master weight that is cast to the activations at the product; no bias. init=None starts at zero."""

    def __init__(self, h, inputs, outputs, *, role, init, group="matrix"):
        super().__init__()
        self.h = h
        self.weight = tag(nn.Parameter(torch.zeros(outputs, inputs)), group=group, role=role, init=init)

    def forward(self, x):
        if self.h.product:
            return self.h.product(self.h, x, self.weight, self.training)
        return F.linear(x, self.weight.to(x.dtype))


class Embedding(nn.Module):
    """A lookup table whose master weight lives in the dtype of the activations. init=None starts at zero."""

    def __init__(self, rows, width, *, role, init, group="embed"):
        super().__init__()
        self.weight = tag(nn.Parameter(torch.zeros(rows, width)), group=group, role=role, master="compute", init=init)

    def forward(self, ids):
        return F.embedding(ids, self.weight)
