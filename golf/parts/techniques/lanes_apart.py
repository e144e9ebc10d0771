"""Attention and MLP in lanes of their own: from some layer on neither reads what the other wrote (PR #1334 and PR #1477).

By @aryanbhosale. Attention runs on the first lane (mixed with x0), the MLP on the second; the head reads their learned mean, half
and half at the start: one parameter. Skips go into the first lane (`LanesApart`, #1477), or the first into both and the others nowhere
(`SplitLanes`, #1334).
"""

import torch
from torch import nn

from golf.parts.route import UNet
from golf.parts.tags import tag


class Knobs:
    apart_from: "0 <= int < 256" = 7  # first layer whose attention and MLP are apart


class LanesApart(UNet):
    """A slot for `route`."""

    def __init__(self, h):
        super().__init__(h)
        assert "arallel" not in str(h.block) and "PlainBlock" not in str(h.block), (
            "lanes run a block's attention and MLP apart: `block` must be the plain `Block`"
        )
        assert not h.core, "lanes apart and a recycled core are two orders of the blocks: take `core` or `route` out"
        assert h.num_layers // 2 <= h.apart_from < h.num_layers, (
            f"apart_from = {h.apart_from} is no layer of the second half of num_layers = {h.num_layers}, counted from 0"
        )
        assert "looped" not in str(h.order) or h.loop_last < h.apart_from, (
            f"apart_from = {h.apart_from} lies in the loop, up to loop_last = {h.loop_last}: its passes would part the lanes again"
        )
        self.share = tag(nn.Parameter(torch.tensor(0.5)), group="scalar", role="control")

    def run_decoder(self, x, flow, blocks, decoder, skips):
        first = decoder.index(self.h.apart_from)
        x, flow = super().run_decoder(x, flow, blocks, decoder[:first], skips)
        one = two = x
        for row, layer in enumerate(decoder[first:], first):
            if skips:
                one = self.merge(one, skips.pop(), row)
            block = blocks[layer]
            one = block.mixed(one, flow)
            y, flow = block.attention_of(block.read(one), flow.onward())
            one, two = one + y, two + block.mlp_of(block.read(two), flow)
        share = self.share.to(x.dtype)
        return share * one + (1 - share) * two, flow


class SplitLanes(LanesApart):
    """A slot for `route`: the lanes part after the first one's skip, and later skips are thrown away, as PR #1334 did."""

    def run_decoder(self, x, flow, blocks, decoder, skips):
        first = decoder.index(self.h.apart_from)
        x, flow = UNet.run_decoder(self, x, flow, blocks, decoder[:first], skips)
        if skips:
            x = self.merge(x, skips.pop(), first)
        return super().run_decoder(x, flow, blocks, decoder[first:], [])
