"""Parallel residuals: from some layer on, attention and MLP read the same input (GPT-J; PR #1412, Robby Sneiderman).

No parameters. Published effect with a Hessian-aware clip: 1.0856 → 1.0835 BPB.
"""

from golf.parts.model import Block


class Knobs:
    parallel_from: "0 <= int <= 256" = 7  # first layer that does


class ParallelBlock(Block):
    def forward(self, x, flow):
        x = self.mixed(x, flow)
        u = self.read(x)
        y, flow = self.attention_of(u, flow)
        return x + y + self.mlp_of(u, flow), flow


def parallel_block(h, layer):
    """Sequential blocks first, parallel ones from `parallel_from`: a slot for `block`."""
    assert h.parallel_from < h.num_layers, (
        f"no layer would be parallel: parallel_from = {h.parallel_from} of num_layers = {h.num_layers}, counted from 0"
    )
    return ParallelBlock(h, layer) if layer >= h.parallel_from else Block(h, layer)
