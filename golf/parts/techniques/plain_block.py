"""PlainBlock: GPT-2's pre-norm block with RMSNorm and nothing of the contest's: no residual mix, gains, rotation or QK norm."""

from torch import nn

from golf.parts.attention import members
from golf.parts.layers import CastedLinear
from golf.parts.techniques.affine_norm import AffineNorm


class PlainAttention(nn.Module):
    """Causal attention without positions: the embedding has them."""

    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        assert h.model_dim % h.num_heads == 0, (
            f"model_dim = {h.model_dim} does not divide into num_heads = {h.num_heads} heads"
        )
        assert h.num_heads % h.num_kv_heads == 0, (
            f"num_heads = {h.num_heads} query heads cannot share num_kv_heads = {h.num_kv_heads} heads of keys and values evenly"
        )
        self.head_dim = h.model_dim // h.num_heads
        self.c_q = CastedLinear(h, h.model_dim, h.model_dim, role="attn", init=h.linear_init)
        self.c_k = CastedLinear(h, h.model_dim, h.num_kv_heads * self.head_dim, role="attn", init=h.linear_init)
        self.c_v = CastedLinear(h, h.model_dim, h.num_kv_heads * self.head_dim, role="attn", init=h.linear_init)
        self.proj = CastedLinear(h, h.model_dim, h.model_dim, role="attn", init=None)

    def forward(self, u, flow):
        # u: (B, T, C), normed
        q, k, v = (w(u).unflatten(2, (-1, self.head_dim)) for w in (self.c_q, self.c_k, self.c_v))
        return self.proj(self.h.attend(q, k, v, flow.docs).flatten(2))


class PlainBlock(nn.Module):
    """A slot for `block`, with rotary = false and learned positions."""

    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        assert not h.rotary, (
            "`PlainBlock` rotates nothing: set rotary = false, and add `LearnedPositions` to `embed_pre`"
        )
        assert not (h.value or h.attn_out or h.head_gate or h.adapters), (
            "`PlainBlock` has no place for value, attn_out, head_gate or adapters"
        )
        self.attn_norm, self.mlp_norm = AffineNorm(h), AffineNorm(h)
        self.attn = PlainAttention(h, layer)
        self.mlp = h.mlp(h, layer)
        if h.mlp_in:
            self.mlp_in = members(h, h.mlp_in, layer)

    def forward(self, x, flow):
        x = x + self.attn(self.attn_norm(x), flow)
        u = self.mlp_norm(x)
        if self.h.mlp_in:
            for hook in self.mlp_in.values():
                u = hook(u, flow)
        return x + self.mlp(u), flow
