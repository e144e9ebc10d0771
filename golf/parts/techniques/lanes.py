"""Two residual lanes: from some layer on attention writes from one lane and the MLP from another, and each adds to both (PR #1529
and PR #1530).

#1529 by @msisovic, #1530 by @samacqua. Both lanes start as the stream; attention reads the first (mixed with x0), the MLP the
second, and each block rescales the lanes and adds both outputs to both by learned scalars: six a layer, for all layers. Their
mean is what the head reads. `Lanes` (#1530) merges the skip of the first such layer into the first lane alone.
`MergedLanes` (#1529) merges it before the lanes part. Later skips go into the first lane in both.
"""

import torch
from torch import nn

from golf.parts.route import UNet
from golf.parts.tags import tag


class Knobs:
    lanes_from: "0 <= int < 256" = 8  # first layer with two lanes
    lane_keep: "-100 <= float <= 100" = 1.1  # start of the factors on the lanes


class Lanes(UNet):
    """A slot for `route`."""

    def __init__(self, h):
        super().__init__(h)
        assert "arallel" not in str(h.block) and "PlainBlock" not in str(h.block), (
            "two lanes run a block's attention and MLP apart: `block` must be the plain `Block`"
        )
        assert not h.core, "two lanes and a recycled core are two orders of the blocks: take `core` or `route` out"
        assert h.num_layers // 2 <= h.lanes_from < h.num_layers, (
            f"lanes_from = {h.lanes_from} is no layer of the second half of num_layers = {h.num_layers}, counted from 0"
        )
        assert "looped" not in str(h.order) or h.loop_last < h.lanes_from, (
            f"lanes_from = {h.lanes_from} lies in the loop, up to loop_last = {h.loop_last}: its passes would part the lanes again"
        )
        self.lane_keep = tag(
            nn.Parameter(torch.full((h.num_layers, 2), h.lane_keep)), group="scalar", role="control"
        )  # (layer, lane)
        self.lane_add = tag(
            nn.Parameter(torch.ones(h.num_layers, 2, 2)), group="scalar", role="control"
        )  # (layer, attention or MLP, lane)

    def part(self, x, skips, row):
        """The two lanes at the first layer that has them."""
        return self.merge(x, skips.pop(), row) if skips else x, x

    def run_decoder(self, x, flow, blocks, decoder, skips):
        first = decoder.index(self.h.lanes_from)
        x, flow = super().run_decoder(x, flow, blocks, decoder[:first], skips)
        one, two = self.part(x, skips, first)
        for row, layer in enumerate(decoder[first:], first):
            if row > first and skips:
                one = self.merge(one, skips.pop(), row)
            block, flow = blocks[layer], flow.onward()
            keep, add = self.lane_keep[layer].to(x.dtype), self.lane_add[layer].to(x.dtype)
            y, flow = block.attention_of(block.read(block.mixed(one, flow)), flow)
            z = block.mlp_of(block.read(two), flow)
            one, two = keep[0] * one + add[0, 0] * y + add[1, 0] * z, keep[1] * two + add[0, 1] * y + add[1, 1] * z
        return (one + two) / 2, flow


class MergedLanes(Lanes):
    """A slot for `route`."""

    def part(self, x, skips, row):
        merged = super().part(x, skips, row)[0]
        return merged, merged
