"""Rows clipped at a percentile of their magnitudes, without the floor that the baseline puts under a scale."""

import torch

from golf.parts.quant import readable_scale


class Knobs:
    clip_percentile: "0 < float <= 1" = 0.9999984  # of a row's magnitudes


def percentile_rows(h, w, hessian, bits, role):
    limit = 2 ** (bits - 1) - 1
    scale = readable_scale(h, torch.quantile(w.abs(), h.clip_percentile, dim=1) / limit)
    return torch.round(w / scale[:, None]).clamp(-limit, limit).to(torch.int8), scale
