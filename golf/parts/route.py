"""The order in which the blocks run, and the skips between them."""

import torch
from torch import nn

from golf.parts.tags import tag


class UNet(nn.Module):
    """The first half of the blocks pushes its outputs, the second half pops them, last in first out, with learned weights."""

    def __init__(self, h):
        super().__init__()
        self.h = h
        skips = h.num_layers // 2
        self.skip_weights = tag(nn.Parameter(torch.ones(skips, h.model_dim)), group="scalar", role="control")

    def forward(self, x, blocks, flow, loop):
        half = self.h.num_layers // 2
        skips = []
        for layer in range(self.h.num_layers):
            if layer < half:
                x, flow = blocks[layer](x, flow._replace(layer=layer))
                skips.append(x)
            else:
                if skips:
                    x = x + self.skip_weights[layer - half].to(x.dtype) * skips.pop()
                x, flow = blocks[layer](x, flow._replace(layer=layer))
        return x
