"""Factored embedding: a narrow token table, projected to the model's width before the norm and back before the tied head; both
projections and the lookup in fp8 (PR #640, Ciprian-Florin Ifrim). The head's product with the table is not rounded.
"""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.layers import kaiming_uniform, norm
from golf.parts.tags import tag
from golf.parts.techniques.fp8 import fake_fp8


class FactoredEmbedding(nn.Module):
    """Belongs into the chain `embed_pre`, first."""

    def __init__(self, h):
        super().__init__()
        assert h.embed_dim and h.output_norm, (
            "a factored embedding wants embed_dim, its width, and `FactoredHead` as output_norm for the way back"
        )
        self.weight = tag(
            nn.Parameter(torch.zeros(h.model_dim, h.embed_dim)), group="matrix", role="table", init=kaiming_uniform
        )

    def forward(self, x, ids):
        # x: (B, T, E)   ->   (B, T, C)
        return F.linear(fake_fp8(x), fake_fp8(self.weight).to(x.dtype))


class FactoredHead(nn.Module):
    """A slot for `output_norm`: the norm, then the projection to the table's width."""

    def __init__(self, h):
        super().__init__()
        self.weight = tag(
            nn.Parameter(torch.zeros(h.embed_dim, h.model_dim)), group="matrix", role="table", init=kaiming_uniform
        )

    def forward(self, x):
        # x: (B, T, C)   ->   (B, T, E)
        return F.linear(norm(x), fake_fp8(self.weight).to(x.dtype))
