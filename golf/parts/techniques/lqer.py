"""LQER: add back a low-rank part of the quantization error of the few tensors that lost most (arXiv:2402.02446; PR #1851).

Asymmetric as published: the left factor in 2 bits with one scale, the right one in 4 bits by groups of 64. Rank 4 of three
tensors: −0.0005 to −0.0009 BPB for 40 to 50 KB; rank 6 of four was the best of the sweep in PR #1935.

It goes into the chain `corrections`.
"""

import torch

from golf.parts.quant import rows_of


class Knobs:
    lqer_rank: "1 <= int <= 4096" = 4
    lqer_top_k: "1 <= int <= 1000" = 3  # tensors, by the Frobenius norm of their error
    lqer_asymmetric: bool = True  # 2 and 4 bits for the two factors | off: both by rows in lqer_factor_bits
    lqer_group: "1 <= int <= 16384" = 64  # values of the right factor that share a scale
    lqer_factor_bits: "2 <= int <= 8" = 4


class LQER:
    @staticmethod
    def add(h, tensors, weights):
        """Put the coded factors of the largest errors beside the codes: `name:a`, `name:b` and their scales."""
        errors = {}
        for name in tensors:
            base, _, kind = name.partition(":")
            if kind == "q":
                rows = rows_of(h, tensors, base)
                errors[base] = weights[base].float().cpu().view_as(rows) - rows
        for base in sorted(errors, key=lambda base: -errors[base].norm())[: h.lqer_top_k]:
            u, s, v = torch.linalg.svd(errors[base], full_matrices=False)
            left, right = u[:, : h.lqer_rank] * s[: h.lqer_rank], v[: h.lqer_rank].contiguous()
            if h.lqer_asymmetric and right.numel() % h.lqer_group == 0:
                left, right = grid(left, left.numel(), -2, 1), grid(right, h.lqer_group, -8, 7)
            else:
                limit = 2 ** (h.lqer_factor_bits - 1) - 1
                left, right = grid(left, left.size(1), -limit, limit), grid(right, right.size(1), -limit, limit)
            tensors[f"{base}:a"], tensors[f"{base}:as"] = left
            tensors[f"{base}:b"], tensors[f"{base}:bs"] = right

    @staticmethod
    def apply(tensors, weights):
        for name in tensors:
            base, _, kind = name.partition(":")
            if kind == "a":
                left = values_of(tensors[name], tensors[f"{base}:as"])
                weights[base] = weights[base] + left @ values_of(tensors[f"{base}:b"], tensors[f"{base}:bs"])


def grid(factor, group, low, high):
    """(int8 codes, fp16 scales): every `group` values in a row share a scale, which takes their largest to the range's middle end."""
    groups = factor.reshape(-1, group)
    scale = (groups.abs().amax(dim=1) / ((high - low) / 2)).half()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    codes = torch.round(groups / scale.float()[:, None]).clamp(low, high).to(torch.int8)
    return codes.view(factor.shape), scale


def values_of(codes, scale):
    return (codes.view(len(scale), -1).float() * scale.float()[:, None]).view(codes.shape)
