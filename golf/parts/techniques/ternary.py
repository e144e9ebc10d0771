"""Ternary and binary weights: every linear multiplies with −1, 0 or 1 times its group's mean magnitude, in training and in evaluation,
straight through to an fp32 master (BitNet b1.58; PR #640 and binary PR #641, Ciprian-Florin Ifrim).

A group is so many consecutive weights of a row. The artifact holds signs and fp16 scales; read back, a ternary group is stretched by
the share of its weights that are not zero, so that the forward rounds it to what was stored.
"""

import torch
import torch.nn.functional as F

from golf.parts.quant import readable_scale
from golf.parts.techniques.qat import straight_through


class Knobs:
    weight_group: "1 <= int <= 65536" = 128  # weights of a row that share a scale


class Smoke:
    weight_group = 32


def ternary_normal(h, weight, rng):
    """N(0, 0.02²): a slot for `linear_init`."""
    weight.normal_(std=0.02, generator=rng)


def weight_groups(h, w):
    """(rows · groups, weight_group) of a matrix."""
    assert h.model_dim % h.weight_group == 0, (
        f"weight_group = {h.weight_group} does not divide the rows of model_dim = {h.model_dim} weights"
    )
    return w.reshape(-1, h.weight_group)


def ternary(groups):
    """(signs, scales): −1, 0, 1 to the nearest of each group's mean magnitude."""
    scale = groups.abs().mean(dim=1, keepdim=True).clamp_min(1e-8)
    return torch.round(groups / scale).clamp(-1, 1), scale


def binary(groups):
    """(signs, scales): −1 or 1 times each group's mean magnitude; 0 counts as 1."""
    scale = groups.abs().mean(dim=1, keepdim=True)
    return torch.where(groups >= 0, 1.0, -1.0).to(groups.dtype), scale


def ternary_product(h, x, weight, training):
    """A slot for `product`."""
    w = weight.to(x.dtype)
    signs, scale = ternary(weight_groups(h, w.detach()))
    return F.linear(x, straight_through(w, (signs * scale).view_as(w)))


def binary_product(h, x, weight, training):
    """A slot for `product`."""
    w = weight.to(x.dtype)
    signs, scale = binary(weight_groups(h, w.detach()))
    return F.linear(x, straight_through(w, (signs * scale).view_as(w)))


def ternary_codes(h, w, hessian, bits, role):
    """Codes −1, 0, 1 to the nearest of the stored scale, a scale a group: a slot for the quantizer of a role."""
    groups = weight_groups(h, w)
    scale = readable_scale(h, ternary(groups)[1])
    return torch.round(groups / scale).clamp(-1, 1).to(torch.int8), scale[:, 0]


def binary_codes(h, w, hessian, bits, role):
    """Codes −1, 1 and a scale a group: a slot for the quantizer of a role."""
    signs, scale = binary(weight_groups(h, w))
    return signs.to(torch.int8), scale[:, 0]


class Stretch:
    """Belongs into the chain `corrections`, with ternary codes: a group's scale over its share of weights that are not zero."""

    @staticmethod
    def add(h, tensors, weights):
        """Nothing: codes and scales say all."""

    @staticmethod
    def apply(tensors, weights):
        for name in weights:
            if f"{name}:q" in tensors:
                signs = tensors[f"{name}:q"].view(len(tensors[f"{name}:s"]), -1)
                share = signs.abs().float().mean(dim=1, keepdim=True).clamp_min(1e-8)
                weights[name] = weights[name] / share
