"""Parallel residual: attention and MLP read the same stream."""

from toy_parts.layers import norm
from toy_parts.model import Block


class ParallelBlock(Block):
    def __init__(self, h, layer):
        super().__init__(h, layer)
        self.share = 1 / (layer + 1)

    def forward(self, x):
        u = norm(x)
        return x + self.share * (self.attn(u) + self.mlp(u))
