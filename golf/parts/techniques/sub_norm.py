"""SubLN: a norm before the projections that write into the stream, of attention's output and of the MLP's activations (Wang et al.,
arXiv:2210.06423; BitNet; PR #640, Ciprian-Florin Ifrim).
"""

from torch import nn

from golf.parts.layers import norm
from golf.parts.model import relu2


def normed_relu2(h, z):
    """A slot for `activation`."""
    return norm(relu2(h, z))


class HeadsNorm(nn.Module):
    """Belongs into the chain `attn_out`, last: all heads of a token together."""

    def __init__(self, h, layer):
        super().__init__()

    def forward(self, y, u, flow):
        # y: (B, T, H, D)
        return norm(y.flatten(2)).view_as(y)
