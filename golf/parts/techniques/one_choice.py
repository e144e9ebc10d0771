"""One choice a bank: all layers' matrices of a kind are one tensor, with one clip percentile for all its rows (PR #1120, @newjordan).

Banks as its script keeps them: queries with output projections, keys with values, and each side of the MLPs.
"""

import torch

from golf.parts.quant import quantizer_of

BANKS = (("attn.c_q", "attn.proj"), ("attn.c_k", "attn.c_v"), ("mlp.fc",), ("mlp.proj",))


def bank_by_bank(h, tagged, weights):
    """{name: (codes, scale)} of the blocks' matrices: a slot for `code_together`."""
    assert not h.assign_bits, "a bank has one number of bits: take `assign_bits` out"
    made = {}
    for kinds in BANKS:
        bank = [entry for entry in tagged if entry.name.endswith(tuple(f".{kind}.weight" for kind in kinds))]
        bank = [
            entry for entry in bank if entry.name.startswith("blocks.") and entry.param.numel() > h.keep_float_numel
        ]
        if bank:
            quantizer, bits = quantizer_of(h, bank[0].tag.role)
            rows = torch.cat([weights[entry.name].float().cpu() for entry in bank])
            codes, scale = quantizer(h, rows, None, bits, bank[0].tag.role)
            sizes = [len(entry.param) for entry in bank]
            made |= {e.name: pair for e, pair in zip(bank, zip(codes.split(sizes), scale.split(sizes)), strict=True)}
    return made
