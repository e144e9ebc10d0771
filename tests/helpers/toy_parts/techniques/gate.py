"""Sparse gate: scale each head by sigmoid(w · u[:window]) (PR #0)."""

import torch
import torch.nn.functional as F
from torch import nn


class Knobs:
    gate_window: "1 <= int <= 4096" = 3  # residual dims that the gate reads
    gate_scale: "-100 <= float <= 100" = 1.0


class Gate(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        self.w = nn.Parameter(torch.full((h.num_heads, h.gate_window), 0.1))

    def forward(self, y, u):
        gate = torch.sigmoid(self.h.gate_scale * F.linear(u[..., : self.h.gate_window], self.w))
        return y * gate[..., None]
