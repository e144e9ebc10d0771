"""Causal attention with hooks on its output."""

import torch.nn.functional as F
from torch import nn

from toy_parts.knobs import Chain, Slot
from toy_parts.layers import Linear, norm


class Knobs:
    num_heads: "1 <= int <= 64" = 2  # heads
    attend: Slot = "sdpa"  # (q, k, v) -> y
    attn_out: Chain = ()  # members change the output: (y, u) -> y
    query_gain: "0 < float <= 100" = 1.0  # on the queries | 1 for off


class Smoke:
    num_heads = 2


def sdpa(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def members(h, techniques, layer):
    return nn.ModuleDict({T.__name__: T(h, layer) for T in techniques if not hasattr(T, "at") or T.at(h, layer)})


class Attention(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        assert h.model_dim % h.num_heads == 0, f"{h.num_heads} heads do not divide {h.model_dim} dims"
        self.qkv = Linear(h.model_dim, 3 * h.model_dim)
        self.o = Linear(h.model_dim, h.model_dim)
        if h.attn_out:
            # hooks see the heads' outputs
            self.attn_out = members(h, h.attn_out, layer)

    def forward(self, u):
        # u: (B, T, C)
        B, T, C = u.shape
        q, k, v = self.qkv(u).view(B, T, 3, self.h.num_heads, -1).permute(2, 0, 3, 1, 4)
        q = self.h.query_gain * norm(q) if self.h.query_gain != 1 else norm(q)
        y = self.h.attend(q, norm(k), v).transpose(1, 2)
        if self.h.attn_out:
            for hook in self.attn_out.values():
                y = hook(y, u)
        return self.o(y.reshape(B, T, C))

    def never_called(self):
        """Goes: nothing mentions it."""
        return F.relu(self.o.weight)
