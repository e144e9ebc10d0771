"""Attention output gate: scale each head by twice a sigmoid of the block input's first channels (PR #1667, @MarioPaerle).

The identity at the start. 96 parameters a layer; about 1.5 % of the step's time by its README.

It goes into the slot `head_gate`.
"""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.tags import tag


class Knobs:
    out_gate_window: "1 <= int <= 16384" = 12  # channels that the gate reads


class OutGate(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        assert h.out_gate_window <= h.model_dim, (
            f"out_gate_window = {h.out_gate_window} channels are more than model_dim = {h.model_dim}"
        )
        self.w = tag(nn.Parameter(torch.zeros(h.num_heads, h.out_gate_window)), group="scalar", role="control")

    def forward(self, y, u, flow):
        # y: (B, T, H, D)   u: (B, T, C)
        gate = 2 * torch.sigmoid(F.linear(u[..., : self.h.out_gate_window], self.w.to(u.dtype)))
        return y * gate[..., None]
