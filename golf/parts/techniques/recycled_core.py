"""Recycled core: between the two halves a few layers run again, each pass behind a learned affine map (PR #1573,
@shivangbaveja).

Active from the first step and in evaluation. The maps start as the identity: 2 × model_dim parameters a pass. No skips are
pushed and value embeddings stay out.
"""

import torch
from torch import nn

from golf.parts.tags import tag


class Knobs:
    recycle_layers: "0 <= tuple[int] < 256" = (3, 4)
    recycle_repeats: "1 <= int <= 64" = 1


class RecycledCore(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.h = h
        assert h.recycle_layers and max(h.recycle_layers) < h.num_layers, (
            f"recycle_layers = {h.recycle_layers} are not among num_layers = {h.num_layers} layers, counted from 0"
        )
        passes = h.recycle_repeats * len(h.recycle_layers)
        self.scale = nn.ParameterList(
            tag(nn.Parameter(torch.ones(h.model_dim)), group="scalar", role="control") for _ in range(passes)
        )
        self.bias = nn.ParameterList(
            tag(nn.Parameter(torch.zeros(h.model_dim)), group="scalar", role="control") for _ in range(passes)
        )

    def forward(self, x, blocks, flow):
        lookups, flow = flow.lookups, flow._replace(lookups=None)
        for i, layer in enumerate(self.h.recycle_repeats * self.h.recycle_layers):
            x = self.scale[i].to(x.dtype) * x + self.bias[i].to(x.dtype)
            x, flow = blocks[layer](x, flow.onward())
        return x, flow._replace(lookups=lookups)
