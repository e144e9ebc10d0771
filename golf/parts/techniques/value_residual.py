"""Value residual: every layer's values are a learned mix of its own and the first block's (PR #549's option, used by PR #1573,
@shivangbaveja; arXiv:2410.17897).

The mix starts half and half. The first block has nothing to mix with; its two weights are there but idle.
"""

import torch
from torch import nn

from golf.parts.tags import tag


class ValueResidual(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        assert h.keep_first_value, "`ValueResidual` reads the first block's values: set `keep_first_value = true`"
        self.mix = tag(nn.Parameter(torch.full((2,), 0.5)), group="scalar", role="control")

    def forward(self, v, u, flow):
        # v: (B, T, Hkv, D)
        if flow.v0 is None:
            return v
        mix = self.mix.to(v.dtype)
        return mix[0] * flow.v0 + mix[1] * v
