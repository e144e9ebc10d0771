"""SmearGate that reads its input: add a share of the token before, decided by the token's first channels (PR #1667,
@MarioPaerle; the BOS mask PR #1851, @aquariouseworkman).

The identity at the start (λ = 0). Nothing flows from one document into the next.
"""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.tags import tag


class Knobs:
    smear_width: "1 <= int <= 16384" = 12  # channels that the gate reads
    bos_id: "0 <= int < 65536" = 1


class SmearInput(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.h = h
        assert h.smear_width <= h.model_dim, (
            f"smear_width = {h.smear_width} channels are more than model_dim = {h.model_dim}"
        )
        self.w = tag(nn.Parameter(torch.zeros(1, h.smear_width)), group="scalar", role="control")
        self.strength = tag(nn.Parameter(torch.zeros(1)), group="scalar", role="control")

    def forward(self, x, ids):
        # x: (B, T, C)
        gate = self.strength.to(x.dtype) * torch.sigmoid(F.linear(x[..., : self.h.smear_width], self.w.to(x.dtype)))
        inside = (ids != self.h.bos_id).unsqueeze(-1)
        return x + gate * inside * F.pad(x, (0, 0, 1, -1))
