"""SwiGLU: an MLP whose hidden values are gated by the SiLU of a second projection (Shazeer, arXiv:2002.05202; PR #73's folder).

Three matrices of width `swiglu_hidden`. Whether the public script's gate and up are one matrix, which Muon would orthogonalise as
one, is unknown: here they are two.
"""

import torch.nn.functional as F
from torch import nn

from golf.parts.layers import CastedLinear


class Knobs:
    swiglu_hidden: "1 <= int <= 65536" = 640


class Smoke:
    swiglu_hidden = 96


class SwiGLU(nn.Module):
    """A slot for `mlp`."""

    def __init__(self, h, layer):
        super().__init__()
        self.gate = CastedLinear(h, h.model_dim, h.swiglu_hidden, role="mlp", init=h.linear_init)
        self.up = CastedLinear(h, h.model_dim, h.swiglu_hidden, role="mlp", init=h.linear_init)
        self.down = CastedLinear(h, h.swiglu_hidden, h.model_dim, role="mlp", init=None)

    def forward(self, u):
        return self.down(F.silu(self.gate(u)) * self.up(u))
