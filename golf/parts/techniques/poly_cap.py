"""Polynomial logit cap with a bias per token: the tanh's series up to the fifth power, bounded at both ends (PR #640, Ciprian-Florin
Ifrim).
"""

import torch
from torch import nn

from golf.parts.tags import tag


class PolyCap(nn.Module):
    """A slot for `cap`: softcap · p(z / softcap), p(u) = u − u³/3 + u⁵/15, with u in ±2 and p in ±1."""

    def __init__(self, h):
        super().__init__()
        self.h = h
        assert not h.training_nats, "`training_nats` caps the logits by itself: take it or `cap` out"
        self.bias = tag(nn.Parameter(torch.zeros(h.vocab_size)), group="scalar", role="control")

    def forward(self, z):
        u = ((z + self.bias.to(z.dtype)) / self.h.softcap).clamp(-2.0, 2.0)
        return self.h.softcap * (u * (1 - u * u / 3 + u.pow(4) / 15)).clamp(-1.0, 1.0)
