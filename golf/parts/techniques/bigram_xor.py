"""BigramHash, xor form: look up the pair (token before, token) in a hashed table and add it to the embedding (PR #162, Raahil
Shah).

The table starts at zero. Published effect: 4096 → 10240 buckets −0.002 BPB (PR #180); dropped when vocabularies grew (PR #1218).
"""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.layers import CastedLinear, Embedding
from golf.parts.tags import tag


class Knobs:
    bigram_buckets: "2 <= int <= 16777216" = 2048
    bigram_dim: "1 <= int <= 16384" = 128
    bigram_scale: "0 <= float <= 100" = 0.05  # start of the learned factor
    bigram_proj_group: str = "matrix"  # optimizer of the projection | "scalar": Adam, as in the banked scripts


class Smoke:
    bigram_buckets = 256
    bigram_dim = 16


class BigramXor(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.h = h
        self.embed = Embedding(h.bigram_buckets, h.bigram_dim, role="table", init=None)
        assert h.bigram_proj_group in ("matrix", "scalar"), "bigram_proj_group is matrix or scalar"
        narrow = h.bigram_dim != h.model_dim
        self.proj = (
            CastedLinear(h, h.bigram_dim, h.model_dim, role="table", init=h.table_init, group=h.bigram_proj_group)
            if narrow
            else nn.Identity()
        )
        self.scale = tag(nn.Parameter(torch.tensor(h.bigram_scale)), group="scalar", role="control")

    def forward(self, x, ids):
        # x: (B, T, C)   ids: (B, T); the first position has the last bucket for itself
        pair = (36313 * ids[:, 1:]).bitwise_xor(27191 * ids[:, :-1]) % (self.h.bigram_buckets - 1)
        bucket = F.pad(pair, (1, 0), value=self.h.bigram_buckets - 1)
        return x + self.scale.to(x.dtype) * self.proj(self.embed(bucket))
