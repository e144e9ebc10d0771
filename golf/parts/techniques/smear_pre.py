"""SmearGate before the embedding norm: blend every token with the one before it, a learned share per channel (PR #65,
@aquariouseworkman).

σ(gate) is the share of the token itself; PR #65 starts at gate 3, PR #740 (@resouer) at 0, an even blend. The sign is the
opposite of the gate's behind the norm. Runs across document boundaries (R42).
"""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.tags import tag


class Knobs:
    smear_pre_start: "-100 <= float <= 100" = 3.0


class SmearPre(nn.Module):
    def __init__(self, h):
        super().__init__()
        # neither script names it among its control tensors, so it is stored as fp16
        self.gate = tag(nn.Parameter(torch.full((h.model_dim,), h.smear_pre_start)), group="scalar", role="table")

    def forward(self, x, ids):
        # x: (B, T, C)
        share = torch.sigmoid(self.gate).to(x.dtype)
        return share * x + (1 - share) * F.pad(x, (0, 0, 1, -1))
