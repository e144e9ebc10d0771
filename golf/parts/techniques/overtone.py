"""Overtone initialisation: the token table's singular values fall as 1 / √k, and deeper blocks start with more of the stream and less of
the embedding (PR #60, @notapplica).
"""

import math

import torch

from golf.parts.model import tied_normal


def overtone_normal(h, weight, rng):
    """A slot for `embed_init`: the normal start with the largest singular value over √k in place of the k-th."""
    tied_normal(h, weight, rng)
    u, s, v = torch.linalg.svd(weight, full_matrices=False)
    weight.copy_(u @ torch.diag(s[0] * torch.arange(1, len(s) + 1, dtype=s.dtype) ** -0.5) @ v)


def phase_mix(h, layer):
    """A slot for `mix_start`: σ(3 (layer / (layers − 1) − ½))."""
    return 1 / (1 + math.exp(-3 * (layer / max(h.num_layers - 1, 1) - 0.5)))
