"""Straight: the blocks one after the other, without the U-Net's skips: a slot for `route`."""

from torch import nn


class Straight(nn.Module):
    def __init__(self, h):
        super().__init__()

    def forward(self, x, blocks, flow, loop):
        for block in blocks:
            x, flow = block(x, flow.onward())
        return x
