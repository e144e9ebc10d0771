"""Sparse attention gate: scale each head by a sigmoid of the block input's first channels (PR #1787, @nprime06).

Starts at ½ for every head; attn_scale takes up the slack. 96 parameters a layer, fp16. With `gate_quantizer` they are
coded in 8 bits.

It goes into the slot `head_gate`.
"""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.tags import tag


class Knobs:
    gate_window: "1 <= int <= 16384" = 12  # channels that the gate reads
    gate_scale: "-100 <= float <= 100" = 1.0


class SparseGate(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        assert h.gate_window <= h.model_dim, (
            f"gate_window = {h.gate_window} channels are more than model_dim = {h.model_dim}"
        )
        self.w = tag(nn.Parameter(torch.zeros(h.num_heads, h.gate_window)), group="scalar", role="gate")

    def forward(self, y, u, flow):
        # y: (B, T, H, D)   u: (B, T, C)
        gate = torch.sigmoid(self.h.gate_scale * F.linear(u[..., : self.h.gate_window], self.w.to(u.dtype)))
        return y * gate[..., None]
