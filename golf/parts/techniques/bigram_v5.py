"""BigramHash, the first form: look up the pair (token before, token) in a hashed table and add it to the embedding (PR #65,
@aquariouseworkman).

No scale; the projection starts at zero. Runs across document boundaries.
"""

import torch.nn.functional as F
from torch import nn

from golf.parts.layers import CastedLinear, Embedding
from golf.parts.techniques.value_embed import small_normal


class Knobs:
    bigram_v5_buckets: "2 <= int <= 16777216" = 4096
    bigram_v5_dim: "1 <= int <= 16384" = 128


class Smoke:
    bigram_v5_buckets = 256
    bigram_v5_dim = 16


class BigramV5(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.h = h
        self.embed = Embedding(h.bigram_v5_buckets, h.bigram_v5_dim, role="table", init=small_normal)
        self.proj = CastedLinear(h, h.bigram_v5_dim, h.model_dim, role="table", init=None)

    def forward(self, x, ids):
        # x: (B, T, C)   ids: (B, T); before the first token stands token 0
        bucket = (92821 * F.pad(ids[:, :-1], (1, 0)) + ids) % self.h.bigram_v5_buckets
        return x + self.proj(self.embed(bucket))
