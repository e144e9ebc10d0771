"""XSA, exclusive self-attention: take out of every head's output what lies along the token's own value (PR #265, @unnir).

No parameters. Published effect: about −0.002 BPB on the last four layers. PR #1019 uses it on all.
"""

import torch.nn.functional as F
from torch import nn


class Knobs:
    xsa_last_n: "0 <= int <= 256" = 4  # the last layers that have it


class XSA(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        assert h.xsa_last_n <= h.num_layers, f"xsa_last_n = {h.xsa_last_n} are more than num_layers = {h.num_layers}"

    @staticmethod
    def at(h, layer):
        return layer >= h.num_layers - h.xsa_last_n

    def forward(self, y, u, flow):
        # y: (B, T, H, D)   flow.v: (B, T, Hkv, D)
        grouped = y.unflatten(2, (flow.v.size(2), -1))
        own = F.normalize(flow.v, dim=-1, eps=1e-12)[:, :, :, None]
        return (grouped - (grouped * own).sum(dim=-1, keepdim=True) * own).flatten(2, 3)
