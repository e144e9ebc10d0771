"""SmearGate that reads its input: add a share of the token before, decided by the token's first channels (PR #1667,
@MarioPaerle; the BOS mask PR #1851, @aquariouseworkman).

The identity at the start (λ = 0). Without a mask on
the gate it runs across document boundaries, as in PR #1667, #2130 and #2135 (R42). In PR #1667 no optimizer has its 13 parameters, so that it stays the identity; their gradients add up
untouched and count in the norm that the others are clipped by.
"""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.tags import tag


class Knobs:
    smear_width: "1 <= int <= 16384" = 12  # channels that the gate reads
    smear_bos_mask: bool = True  # nothing from before a document's first token
    smear_trained: bool = True  # by the optimizer of the scalars; off: by none


class SmearInput(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.h = h
        assert h.smear_width <= h.model_dim, (
            f"smear_width = {h.smear_width} channels are more than model_dim = {h.model_dim}"
        )
        group = "scalar" if h.smear_trained else "untrained"
        self.w = tag(nn.Parameter(torch.zeros(1, h.smear_width)), group=group, role="control")
        self.strength = tag(nn.Parameter(torch.zeros(1)), group=group, role="control")

    def forward(self, x, ids):
        # x: (B, T, C)
        gate = self.strength.to(x.dtype) * torch.sigmoid(F.linear(x[..., : self.h.smear_width], self.w.to(x.dtype)))
        if self.h.smear_bos_mask:
            gate = gate * (ids != self.h.bos_id).unsqueeze(-1)
        return x + gate * F.pad(x, (0, 0, 1, -1))
