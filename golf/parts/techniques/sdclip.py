"""SDClip: a row's scale is k standard deviations over the largest code (PR #1394, @clarkkev). No search.

Only k / limit matters: a Gaussian row costs 2.047 - log2(k / limit) bits a weight behind an entropy coder, so k is the knob that
trades bytes for error.

With `hessian_clip_lambda` rows that matter more get a larger clip, hence fewer bytes (PR #1412).
"""

import torch

from golf.parts.quant import readable_scale


class Knobs:
    hessian_clip_lambda: "0 <= float <= 100" = (
        0.0  # how much larger the clip of a row that matters more | 0: rows are alike; #1412 used 0.175
    )


def sdclip_scale(h, w, hessian, bits, role):
    """SDClip, k standard deviations over the largest code: (rows,) fp32 as the decoder will read it. hessian: (columns, columns) or None."""
    sigmas = {"attn": h.attn_clip_sigmas, "mlp": h.mlp_clip_sigmas}
    if h.table_quantizer or h.gate_quantizer:
        sigmas |= {"table": h.table_clip_sigmas, "gate": h.table_clip_sigmas}
    scale = sigmas.get(role, h.embed_clip_sigmas) * w.std(dim=1) / (2 ** (bits - 1) - 1)
    if h.hessian_clip_lambda:
        assert h.calibrate, "hessian_clip_lambda needs Hessians, and nothing collects them: set calibrate"
        if hessian is not None:
            scale = scale * (1 + h.hessian_clip_lambda * (row_importance(w, hessian) - 1))
    return readable_scale(h, scale.clamp_min(1e-10))


def row_importance(w, hessian):
    """Mean |w| of a row, columns weighted by the (damped) Hessian's diagonal; 1 on average."""
    diagonal = hessian.diag() + 0.01 * hessian.diag().mean()
    weight = diagonal.clamp_min(1e-8)
    importance = (w.abs() * (weight / weight.mean())).mean(dim=1)
    return importance / importance.mean().clamp_min(1e-10)


def sdclip_rtn(h, w, hessian, bits, role):
    """SDClip with rounding to nearest."""
    limit = int(2 ** (bits - 1) - 1)
    scale = sdclip_scale(h, w, hessian, bits, role)
    return torch.round(w / scale[:, None]).clamp(-limit, limit).to(torch.int8), scale
