"""SmearGate after the embedding norm: blend every token with the one before it, a learned share per channel (PR #162, Raahil
Shah).

σ(gate) is the share of the token before, ½ at the start; the sign is the opposite of the gate's before the norm. Runs across document
boundaries (R42).
"""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.tags import tag


class SmearPost(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.gate = tag(nn.Parameter(torch.zeros(h.model_dim)), group="scalar", role="control")

    def forward(self, x, ids):
        # x: (B, T, C)
        share = torch.sigmoid(self.gate).to(x.dtype)
        return (1 - share) * x + share * F.pad(x, (0, 0, 1, -1))
