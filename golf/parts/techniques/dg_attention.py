"""Differential values (DG attention): attention carries the change of a token's value from the token before, more in deep layers
(PR #542, David Gao), with a causal convolution of the embedding.

Layer i of L takes p_t − (i / (L − 1)) p_{t−1}. The convolution starts at zero and is mixed in by half, so the embedding starts
halved.
"""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.tags import tag


class DifferentialValue(nn.Module):
    """Belongs into the chain `value`."""

    def __init__(self, h, layer):
        super().__init__()
        self.share = layer / max(h.num_layers - 1, 1)

    def forward(self, v, u, flow):
        # v: (B, T, Hkv, D)
        return v - self.share * F.pad(v, (0, 0, 0, 0, 1, -1))


class LocalConvolution(nn.Module):
    """Belongs into the chain `embed_post`: each channel's last four tokens, blended in by a learned share."""

    def __init__(self, h):
        super().__init__()
        self.weight = tag(nn.Parameter(torch.zeros(h.model_dim, 1, 4)), group="scalar", role="table")
        self.mix = tag(nn.Parameter(torch.tensor(0.0)), group="scalar", role="control")

    def forward(self, x, ids):
        # x: (B, T, C)
        near = F.conv1d(F.pad(x.mT, (3, 0)), self.weight.to(x.dtype), groups=x.size(-1)).mT
        share = torch.sigmoid(self.mix).to(x.dtype)
        return (1 - share) * x + share * near
