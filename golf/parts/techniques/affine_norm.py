"""AffineNorm: RMSNorm with a learned gain per channel, no bias (Zhang and Sennrich, arXiv:1910.07467)."""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.tags import tag


class AffineNorm(nn.Module):
    """A slot for `output_norm`, and what `plain_block` norms with."""

    def __init__(self, h):
        super().__init__()
        self.gain = tag(nn.Parameter(torch.ones(h.model_dim)), group="scalar", role="control")

    def forward(self, x):
        return F.rms_norm(x, (x.size(-1),), self.gain.to(x.dtype))
