"""TopKSAE: the learned control of CayleySAE at the same place: a sparse code over a dictionary of weights (Gao et al., arXiv:2406.04093).

Encoder, decoder, a bias per feature and one per channel: 2·d·m + m + d parameters a layer, where CayleySAE learns m + d.
"""

import torch
from torch import nn

from golf.parts.layers import CastedLinear
from golf.parts.tags import tag


class Knobs:
    topk_features: "1 <= int <= 16777216" = 8704  # as many as CayleySAE has at width 512
    topk_kept: "1 <= int <= 16777216" = 48  # features a token


class Smoke:
    topk_features = 320
    topk_kept = 12


class TopKSAE(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        assert h.topk_kept <= h.topk_features, f"TopKSAE keeps {h.topk_kept} features a token and has {h.topk_features}"
        self.enc = CastedLinear(h, h.model_dim, h.topk_features, role="mlp", init=h.linear_init)
        self.dec = CastedLinear(h, h.topk_features, h.model_dim, role="mlp", init=h.linear_init)
        self.bias = tag(nn.Parameter(torch.zeros(h.topk_features)), group="bias", role="bias")
        self.out_bias = tag(nn.Parameter(torch.zeros(h.model_dim)), group="bias", role="bias")

    def forward(self, u, flow):
        # u: (B, T, C), normed
        scores = self.enc(u) + self.bias.to(u.dtype)
        codes, index = scores.topk(self.h.topk_kept)
        sparse = torch.zeros_like(scores).scatter(-1, index, codes.relu())
        return self.dec(sparse) + self.out_bias.to(u.dtype)
