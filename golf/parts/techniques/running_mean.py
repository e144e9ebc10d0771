"""Running mean: after every block the stream is blended with its own mean over all tokens so far (PR #641, Ciprian-Florin Ifrim).

x + tanh(p) (mean − x), a learned p a channel that starts at zero. Runs across document boundaries.
"""

import torch
from torch import nn

from golf.parts.model import Block
from golf.parts.tags import tag


class RunningMeanBlock(Block):
    """A slot for `block`."""

    def __init__(self, h, layer):
        super().__init__(h, layer)
        self.blend = tag(nn.Parameter(torch.zeros(h.model_dim)), group="scalar", role="control")

    def forward(self, x, flow):
        x, flow = super().forward(x, flow)
        counts = torch.arange(1, x.size(1) + 1, dtype=torch.float32, device=x.device)[:, None]
        mean = (x.float().cumsum(dim=1) / counts).to(x.dtype)
        return x + torch.tanh(self.blend).to(x.dtype) * (mean - x), flow
