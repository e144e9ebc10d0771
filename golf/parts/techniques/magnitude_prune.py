"""Magnitude pruning before quantization: every large matrix loses its smallest weights (PR #180, @thwu1)."""

import torch


class Knobs:
    smallest_share: "0 <= float < 1" = 0.03  # of a matrix's weights
    smallest_from_numel: "0 <= int <= 1000000000" = 65_536  # only of matrices with more values than that


class Smoke:
    smallest_from_numel = 256


def without_smallest(h, tagged, weights):
    """A slot for `sparsify`: weights under the share's quantile of the matrix's magnitudes become zero."""
    kept = dict(weights)
    for name, param, _ in tagged:
        if param.ndim == 2 and param.numel() > h.smallest_from_numel:
            w = weights[name].float().cpu()
            kept[name] = w.masked_fill(w.abs() < torch.quantile(w.abs().flatten(), h.smallest_share), 0.0)
    return kept
