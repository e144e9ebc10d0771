"""Rows scaled by their largest value: nothing is clipped, and one outlier makes its whole row coarse (PR #180)."""

import torch

from golf.parts.quant import readable_scale


def amax_rows(h, w, hessian, bits, role):
    limit = 2 ** (bits - 1) - 1
    scale = readable_scale(h, w.abs().amax(dim=1) / limit)
    return torch.round(w / scale[:, None]).clamp(-limit, limit).to(torch.int8), scale


def amax_rows_floored(h, w, hessian, bits, role):
    """With a step of at least 1 / limit (PR #265, #287 and #315): a row whose largest value is under half of that becomes all zero."""
    limit = 2 ** (bits - 1) - 1
    scale = readable_scale(h, (w.abs().amax(dim=1) / limit).clamp_min(1.0 / limit))
    return torch.round(w / scale[:, None]).clamp(-limit - 1, limit).to(torch.int8), scale
