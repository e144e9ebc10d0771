"""U-Net skips: the first half of the order pushes its outputs, the second pops them, with learned weights."""

import torch
from torch import nn

from golf.parts.knobs import Chain, Slot
from golf.parts.tags import tag


class Knobs:
    order: Slot = "halves"  # (h, loop) -> layers that push a skip, layers that pop one
    skip_row: Slot = (
        ""  # (h, row) -> row of the skip tensors for the row-th layer that pops, None for no skip; "" as many as skips
    )
    skip_gates: bool = False  # blend skip and stream by a learned gate per channel instead of adding
    core: Chain = ()  # members run between the two halves, once loops are on: (x, blocks, flow) -> x, flow


def halves(h, loop):
    """The first half of the layers, then the rest."""
    half = h.num_layers // 2
    return list(range(half)), list(range(half, h.num_layers))


class UNet(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.h = h
        encoder, decoder = h.order(h, True)
        if h.skip_row:
            encoder, decoder = h.order(h, False)
        skips = min(len(encoder), len(decoder))
        self.skip_weights = tag(nn.Parameter(torch.ones(skips, h.model_dim)), group="scalar", role="control")
        if h.skip_gates:
            self.skip_gates = tag(nn.Parameter(torch.zeros(skips, h.model_dim)), group="scalar", role="control")
        if h.core:
            self.core = nn.ModuleDict({T.__name__: T(h) for T in h.core})

    def merge(self, x, skip, row):
        if self.h.skip_row:
            row = self.h.skip_row(self.h, row)
            if row is None:
                return x
        skip = self.skip_weights[row].to(x.dtype) * skip
        if self.h.skip_gates:
            return torch.lerp(skip, x, torch.sigmoid(self.skip_gates[row].to(x.dtype)))
        return x + skip

    def forward(self, x, blocks, flow, loop):
        encoder, decoder = self.h.order(self.h, loop)
        skips = []
        for layer in encoder:
            x, flow = blocks[layer](x, flow.onward())
            skips.append(x)
        if self.h.core and loop:
            for core in self.core.values():
                x, flow = core(x, blocks, flow)
        return self.run_decoder(x, flow, blocks, decoder, skips)[0]

    def run_decoder(self, x, flow, blocks, decoder, skips):
        for row, layer in enumerate(decoder):
            if skips:
                x = self.merge(x, skips.pop(), row)
            x, flow = blocks[layer](x, flow.onward())
        return x, flow
