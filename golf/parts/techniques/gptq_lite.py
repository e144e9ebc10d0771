"""GPTQ-lite: of a few clip percentiles, the one with the least squared error (PR #414; int5 in PR #1573). No Hessian.

The least error prefers fine steps, so it spends bytes that SDClip saves.

The README of #414 says that each row chooses; its code, and #1573's, choose once for the matrix. Both are here.
"""

import torch

from golf.parts.quant import readable_scale


class Knobs:
    clip_percentiles: "0 < tuple[float] <= 1" = (
        0.999,
        0.9995,
        0.9999,
        0.99999,
        1.0,
    )  # of a row's magnitudes; 1 is the largest


def clip_candidates(h, w):
    """One clip for every row and percentile of the recipe: (rows,) each."""
    assert h.clip_percentiles, "clip_percentiles is empty, so there is no clip to choose"
    magnitudes = w.abs()
    for percentile in h.clip_percentiles:
        yield torch.quantile(magnitudes, percentile, dim=1) if percentile < 1 else magnitudes.amax(dim=1)


def gptq_lite_matrix(h, w, hessian, bits, role):
    """The percentile with the least mean squared error of the matrix; scales have a floor of 1 / limit, as published."""
    limit = 2 ** (bits - 1) - 1
    least = None
    for clip in clip_candidates(h, w):
        scale = readable_scale(h, (clip / limit).clamp_min(1.0 / limit))
        codes = torch.round(w / scale[:, None]).clamp(-limit, limit)
        error = (w - codes * scale[:, None]).square().mean()
        if least is None or error < least:
            least, best = error, (codes.to(torch.int8), scale)
    return best


def gptq_lite_rows(h, w, hessian, bits, role):
    """Every row takes the percentile with its own least squared error."""
    limit = 2 ** (bits - 1) - 1
    scales = torch.stack([readable_scale(h, clip / limit) for clip in clip_candidates(h, w)])
    codes = torch.round(w / scales[:, :, None]).clamp(-limit, limit)
    best = (w - codes * scales[:, :, None]).square().mean(dim=2).argmin(dim=0)
    rows = torch.arange(len(w))
    return codes[best, rows].to(torch.int8), scales[best, rows]
