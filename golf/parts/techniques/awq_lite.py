"""AWQ-lite: the columns that matter most get 8 bits inside GPTQ, in groups of 64 (PR #1908, @romeerp; in PR #1945, @alertcat).

A group's weight is the sum over its columns of the inputs' root mean square times the mean |w|; the heaviest of all matrices win.
In every log that is one group of the tied embedding. Published effect: about −0.0003 BPB (PR #1908 on PR #1855).
"""

import torch

from golf.parts.quant import quantizer_of
from golf.parts.techniques.gptq import gptq
from golf.parts.techniques.sdclip import sdclip_scale


class Knobs:
    awq_bits: "2 <= int <= 8" = 8  # of the chosen groups
    awq_top_k: "1 <= int <= 1000" = 1  # groups of all matrices together
    awq_group: "1 <= int <= 16384" = 64  # columns


class Smoke:
    awq_group = 16


class AWQLite:
    """A slot for `wide_groups`."""

    @staticmethod
    def choose(h, tagged, weights, hessians):
        """{name: first columns of its chosen groups, int16}."""
        assert h.calibrate, "AWQ-lite needs the inputs of the matrices, and nothing collects them: set calibrate"
        scores = []
        for name, _, tag in tagged:
            if name in hessians and quantizer_of(h, tag.role)[1] < h.awq_bits:
                strength = (hessians[name].diag() / hessians[f"{name}:rows"]).sqrt()
                weight = strength * weights[name].float().cpu().abs().mean(dim=0)
                groups = weight[: len(weight) // h.awq_group * h.awq_group].view(-1, h.awq_group).sum(dim=1)
                scores += [(-float(score), name, i * h.awq_group) for i, score in enumerate(groups)]
        chosen = {}
        for _, name, start in sorted(scores)[: h.awq_top_k]:
            chosen[name] = [*chosen.get(name, ()), start]
        return {name: torch.tensor(sorted(starts), dtype=torch.int16) for name, starts in chosen.items()}

    @staticmethod
    def code(h, w, hessian, bits, role, starts):
        """(int8 codes, scale, scale of the chosen groups' columns) of w (rows, columns): GPTQ with SDClip scales."""
        wide = wide_columns(h, w.size(1), starts)
        scale = sdclip_scale(h, w, hessian, bits, role)
        wide_scale = sdclip_scale(h, w, hessian, h.awq_bits, role)
        steps = torch.where(wide, wide_scale[:, None], scale[:, None])
        limits = torch.where(wide, 2 ** (h.awq_bits - 1) - 1, int(2 ** (bits - 1) - 1))
        codes = gptq(h, w, hessian, steps, lambda column, at: torch.round(column).clamp(-limits[at], limits[at]))
        return codes.to(torch.int8), scale, wide_scale

    @staticmethod
    def rescale(h, rows, codes, starts, scale):
        """The chosen groups' columns of `rows`, in place, as their own scale (rows,) reads them."""
        wide = wide_columns(h, rows.size(1), starts)
        rows[:, wide] = codes.view(rows.shape)[:, wide].float() * scale.float()[:, None]


def wide_columns(h, columns, starts):
    """Which columns lie in the groups that begin at `starts`."""
    place = torch.arange(columns)[:, None] - starts.long()
    return ((place >= 0) & (place < h.awq_group)).any(dim=1)
