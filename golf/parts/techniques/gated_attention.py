"""Gated attention: scale each head by a sigmoid of the whole block input, with a bias (PR #549's option, used by PR #1573,
@shivangbaveja).

Starts at σ(4) ≈ 0.982 for every head. 4,104 parameters a layer at 512 × 8.

PR #1667, #1736 and #1787 have gates of other forms; the slot `head_gate` holds one.
"""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.tags import tag


class Knobs:
    attn_gate_bias: "-100 <= float <= 100" = 4.0  # start


class GatedAttention(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        self.weight = tag(nn.Parameter(torch.zeros(h.num_heads, h.model_dim)), group="scalar", role="control")
        self.bias = tag(nn.Parameter(torch.full((h.num_heads,), h.attn_gate_bias)), group="scalar", role="control")

    def forward(self, y, u, flow):
        # y: (B, T, H, D)   u: (B, T, C)
        gate = torch.sigmoid(F.linear(u, self.weight.to(u.dtype), self.bias.to(u.dtype)))
        return y * gate[..., None]
