"""GPTQ: round column after column and let the columns still to come make up for each error, weighted by the Hessian of the
layer's inputs (Frantar et al., arXiv:2210.17323).

Blocks of columns as in the paper; a Hessian that rounding left indefinite is damped until it is not.

With SDClip scales as in PR #1394, with percentile scales as in PR #740.
"""

import torch

from golf.parts.quant import readable_scale
from golf.parts.techniques.gptq_lite import clip_candidates
from golf.parts.techniques.sdclip import sdclip_scale


class Knobs:
    gptq_block: "1 <= int <= 65536" = (
        128  # columns whose errors are passed on together | 64 is worse, 256 no better (PR #1935)
    )
    gptq_damp: "0 <= float <= 100" = 0.01  # of the mean diagonal, added to the diagonal
    gptq_descending: bool = True  # columns with the largest diagonal first | off: the smallest first, as #740


def gptq(h, w, hessian, scale, nearest):
    """Levels (rows, columns) of w in steps of `scale`, (rows,) or (rows, columns). hessian: Σ xᵀx.

    nearest: a column in steps, and its number, -> its levels.
    """
    order, u, dead = error_feedback(h, hessian)
    scale = scale.view(len(w), -1).expand_as(w)[:, order]
    w = w.masked_fill(dead, 0.0)[:, order]
    levels = torch.empty_like(w)
    for start in range(0, w.size(1), h.gptq_block):
        block, feed = w[:, start : start + h.gptq_block], u[start : start + h.gptq_block]
        errors = torch.empty_like(block)
        for i in range(block.size(1)):
            column = start + i
            levels[:, column] = nearest(block[:, i] / scale[:, column], order[column])
            errors[:, i] = (block[:, i] - levels[:, column] * scale[:, column]) / feed[i, column]
            block[:, i:] -= torch.outer(errors[:, i], feed[i, column : start + block.size(1)])
        w[:, start + block.size(1) :] -= errors @ feed[:, start + block.size(1) :]
    return levels[:, order.argsort()]


def error_feedback(h, hessian):
    """(order of the columns, upper factor u of the inverse = uᵀu in that order, columns that no input ever reaches)."""
    assert hessian.isfinite().all(), "a Hessian holds inf or nan: the training has diverged"
    hessian = hessian.clone()
    diagonal = hessian.diagonal()
    dead = diagonal == 0
    diagonal[dead] = 1
    diagonal += h.gptq_damp * diagonal.mean()
    order = torch.argsort(diagonal, descending=h.gptq_descending, stable=True)
    hessian = hessian[order][:, order]
    lower, failed = torch.linalg.cholesky_ex(hessian)
    while failed:  # rounding can leave a Hessian of few inputs indefinite: damp it until it is not
        hessian.diagonal().mul_(1.1)
        lower, failed = torch.linalg.cholesky_ex(hessian)
    return order, torch.linalg.cholesky(torch.cholesky_inverse(lower), upper=True), dead


def gptq_sdclip(h, w, hessian, bits, role):
    """SDClip scales; a tensor without a Hessian is rounded to nearest, which is what GPTQ does with an even one."""
    limit = int(2 ** (bits - 1) - 1)
    scale = sdclip_scale(h, w, hessian, bits, role)
    return coded(h, w, hessian, scale, -limit, limit), scale


def gptq_percentile(h, w, hessian, bits, role):
    """Every row's scale from the percentile that rounds it best, fp32 until it is stored; codes from -limit - 1 (PR #740)."""
    limit = 2 ** (bits - 1) - 1
    scales = torch.stack([(clip / limit).clamp_min(1e-8) for clip in clip_candidates(h, w)])
    rounded = torch.round(w / scales[:, :, None]).clamp(-limit - 1, limit) * scales[:, :, None]
    scale = scales[(w - rounded).square().mean(dim=2).argmin(dim=0), torch.arange(len(w))]
    return coded(h, w, hessian, scale, -limit - 1, limit), scale


def gptq_search(h, w, hessian, bits, role):
    """GPTQ once for every percentile; the matrix keeps the one with the least plain squared error (PR #1019). Floor 1 / limit."""
    limit = 2 ** (bits - 1) - 1
    least = None
    for clip in clip_candidates(h, w):
        scale = readable_scale(h, (clip / limit).clamp_min(1.0 / limit))
        codes = coded(h, w, hessian, scale, -limit, limit)
        error = (w - codes * scale[:, None]).square().mean()
        if least is None or error < least:
            least, best = error, (codes, scale)
    return best


def coded(h, w, hessian, scale, low, high):
    """int8 codes in [low, high]."""
    if hessian is None:
        assert h.calibrate, (
            "GPTQ needs Hessians, and nothing collects them (it would be plain rounding): set calibrate, as in "
            '"calibrate.from_training_text"'
        )
        return torch.round(w / scale[:, None]).clamp(low, high).to(torch.int8)
    return gptq(h, w, hessian, scale, lambda column, at: torch.round(column).clamp(low, high)).to(torch.int8)
