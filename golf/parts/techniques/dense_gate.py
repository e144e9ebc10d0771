"""Dense attention gate: scale each head by a sigmoid of the whole block input (PR #1736, @dexhunter).

Starts near ½ for every head; attn_scale takes up the slack. 4,096 parameters a layer at 512 × 8. With
`gate_quantizer` they are coded in 8 bits. It goes into the slot `head_gate`.
"""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.tags import tag


class Knobs:
    dense_gate_std: "0 < float <= 10" = 0.005  # of its start


def dense_gate_normal(h, weight, rng):
    weight.normal_(std=h.dense_gate_std, generator=rng)


class DenseGate(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        self.w = tag(
            nn.Parameter(torch.zeros(h.num_heads, h.model_dim)), group="scalar", role="gate", init=dense_gate_normal
        )

    def forward(self, y, u, flow):
        # y: (B, T, H, D)   u: (B, T, C)
        return y * torch.sigmoid(F.linear(u, self.w.to(u.dtype)))[..., None]
