"""QAT, quantization-aware training: every linear multiplies with its quantized weight, and the gradient passes to the master as if
it had not (straight-through). Off in evaluation.

Clipped at a percentile as PR #65 (@aquariouseworkman), at the largest value in the arithmetic of the activations as PR #63 (@yahya010),
in steps of codes as PR #86 (@aruniyer); PR #50's int8 (Matthew Li) and the late form of PR #315's line never acted. PR #1204 rounded
softly, without a straight path. None of the first three trains with the floor of 1 / limit that its export has.
"""

import torch
import torch.nn.functional as F


class Knobs:
    qat_bits: "2 <= int <= 8" = 6
    qat_percentile: "0 < float <= 1" = 0.9999984  # of a row's magnitudes
    qat_step: "1 <= int <= 64" = 4  # codes are multiples of it
    soft_round_alpha: "0 < float <= 1e4" = 16.0  # steepness of the soft rounding; PR #1204 went from 1 to 16


def straight_through(w, coded):
    """`coded`, with the gradient of `w`."""
    return w + (coded - w).detach()


def qat_by_percentile(h, x, weight, training):
    """A slot for `product` (PR #65): rows of what the activations see, clipped at a percentile, coded in fp32."""
    w = weight.to(x.dtype)
    if training:
        limit = 2 ** (h.qat_bits - 1) - 1
        master = w.detach().float()
        clip = torch.quantile(master.abs(), h.qat_percentile, dim=1, keepdim=True).clamp_min(1e-8)
        step = clip / limit
        coded = torch.round(torch.maximum(torch.minimum(master, clip), -clip) / step) * step
        w = straight_through(w, coded.to(x.dtype))
    return F.linear(x, w)


def qat_by_amax(h, x, weight, training):
    """A slot for `product` (PR #63): clipped at a row's largest value, at least 1 / limit, all in the dtype of the activations."""
    w = weight.to(x.dtype)
    if training:
        limit = 2 ** (h.qat_bits - 1) - 1
        step = w.detach().abs().amax(dim=1, keepdim=True).clamp_min(1.0 / limit) / limit
        w = straight_through(w, torch.round(w.detach() / step).clamp(-limit, limit) * step)
    return F.linear(x, w)


def qat_in_steps(h, x, weight, training):
    """A slot for `product` (PR #86): 8-bit codes that are multiples of `qat_step`, in fp32."""
    w = weight
    if training:
        master = weight.detach().float()
        step = master.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
        codes = h.qat_step * torch.round(torch.round(master / step) / h.qat_step)
        w = straight_through(w, codes.clamp(-128, 128 - h.qat_step) * step)
    return F.linear(x, w.to(x.dtype))


def qat_floored(h, x, weight, training):
    """A slot for `product` (PR #50; the late form of PR #315's line): a step of at least 1 / limit, as the export of those rows has."""
    w = weight.to(x.dtype)
    if training:
        limit = 2 ** (h.qat_bits - 1) - 1
        master = weight.detach().float()
        step = (master.abs().amax(dim=1, keepdim=True) / limit).clamp_min(1.0 / limit)
        w = straight_through(w, (torch.round(master / step).clamp(-limit - 1, limit) * step).to(x.dtype))
    return F.linear(x, w)


def qat_soft(h, x, weight, training):
    """A slot for `product` (PR #1204): rounding by a sigmoid between two codes, which has a gradient of its own."""
    w = weight
    if training:
        limit = 2 ** (h.qat_bits - 1) - 1
        step = (weight.float().abs().amax(dim=1, keepdim=True) / limit).clamp_min(1.0 / limit)
        u = weight.float() / step
        part = torch.sigmoid(h.soft_round_alpha * (u - torch.floor(u) - 0.5))
        w = (torch.floor(u) + part).clamp(-limit, limit) * step
    return F.linear(x, w.to(x.dtype))
