"""Exclusive attention: take each head's own value direction out of its output (arXiv 0000.00000).

Acts on the last `xsa_last_n` layers.
"""

import torch.nn.functional as F
from torch import nn


class Knobs:
    xsa_last_n: "0 <= int <= 64" = 1  # layers


class XSA(nn.Module):
    def __init__(self, h, layer):
        super().__init__()

    @staticmethod
    def at(h, layer):
        return layer >= h.num_layers - h.xsa_last_n

    def forward(self, y, u):
        # y: (B, T, H, D)   u: (B, T, C)
        direction = F.normalize(u.view_as(y), dim=-1)
        return y - (y * direction).sum(-1, keepdim=True) * direction
