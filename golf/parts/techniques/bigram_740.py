"""BigramHash, the linear form of PR #740 (@resouer): look up the pair (token before, token) and add it to the embedding.

Its table starts at N(0, 1), a hundred times the token embedding, and everything in it is trained with the scalars.
"""

import torch.nn.functional as F
from torch import nn

from golf.parts.layers import CastedLinear, Embedding


class Knobs:
    bigram_740_buckets: "2 <= int <= 16777216" = 4096
    bigram_740_dim: "1 <= int <= 16384" = 128


class Smoke:
    bigram_740_buckets = 256
    bigram_740_dim = 16


def standard_normal(h, weight, rng):
    weight.normal_(generator=rng)


class Bigram740(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.h = h
        self.embed = Embedding(
            h.bigram_740_buckets, h.bigram_740_dim, role="table", init=standard_normal, group="scalar"
        )
        self.proj = CastedLinear(h, h.bigram_740_dim, h.model_dim, role="table", init=h.table_init, group="scalar")

    def forward(self, x, ids):
        # x: (B, T, C)   ids: (B, T); the token before the first counts as 0
        before = F.pad(ids, (1, -1))
        bucket = (2654435761 * ids + 40503 * before) % self.h.bigram_740_buckets
        return x + self.proj(self.embed(bucket))
