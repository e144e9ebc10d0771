"""XNOR products: weights and inputs of a linear are both signs times a scale, so that a product counts equal bits (Rastegari et al.,
arXiv:1603.05279; PR #1388's folder).

A token's inputs share the mean of their magnitudes. The MLP's down projection reads its inputs as they are (`XnorMLP`): after the
square their signs say little. Computed here with ordinary products; bit kernels would count faster.
"""

import torch
from torch import nn

from golf.parts.layers import CastedLinear, norm
from golf.parts.techniques.qat import straight_through
from golf.parts.techniques.ternary import binary_product


def xnor_product(h, x, weight, training):
    """A slot for `product`."""
    size = x.detach().abs().mean(dim=-1, keepdim=True).clamp_min(1e-8)
    signs = torch.where(x.detach() >= 0, size, -size)
    return binary_product(h, straight_through(x, signs), weight, training)


def signed_square(h, z):
    """z · |z|: a slot for `activation`."""
    return z * z.abs()


class BinaryLinear(CastedLinear):
    """Signs for weights only."""

    def forward(self, x):
        return binary_product(self.h, x, self.weight, self.training)


class XnorMLP(nn.Module):
    """A slot for `mlp`."""

    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        hidden = int(h.mlp_mult * h.model_dim)
        self.fc = CastedLinear(h, h.model_dim, hidden, role="mlp", init=h.linear_init)
        self.proj = BinaryLinear(h, hidden, h.model_dim, role="mlp", init=None)

    def forward(self, u):
        return self.proj(norm(self.h.activation(self.h, self.fc(u))))
