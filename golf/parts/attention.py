"""Causal grouped-query attention: RMS-normed queries and keys, rotary positions, a learned gain per query head."""

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.knobs import Chain, Slot
from golf.parts.layers import CastedLinear, norm
from golf.parts.tags import tag

try:
    from flash_attn_interface import flash_attn_func
except ImportError:
    flash_attn_func = None


class Knobs:
    num_heads: "1 <= int <= 256" = 8  # query heads
    num_kv_heads: "1 <= int <= 256" = 4  # key and value heads, each shared by num_heads / num_kv_heads query heads
    qk_gain: "0 < float <= 100" = 1.5  # start of the learned gain on the queries
    rope_base: "1 < float <= 1e9" = 10_000.0
    rope_dims: "0 <= int <= 4096 and int % 2 == 0" = 0  # rotated dims per head | 0 for all
    rope_train_len: "0 <= int <= 1048576" = 0  # beyond this many tokens the base grows (NTK) | 0 for never
    frequencies: Slot = ""  # (h, dims, device) -> radians a token of every rotated pair, in place of powers of the base
    rotary: bool = True  # make the tables of rotary positions | off where positions are learned
    attend: Slot = "causal_attention"  # (q, k, v, docs) -> y
    linear_init: Slot = "kaiming_uniform"  # (h, weight, rng) of every linear that does not start at zero
    fused_qkv: bool = False  # queries, keys and values are one matrix, for the optimizer too
    value: Chain = ()  # members change the values: (v, u, flow) -> v
    keep_first_value: bool = False  # hand the first block's values to the later blocks as flow.v0
    attn_out: Chain = ()  # members change the heads' outputs: (y, u, flow) -> y
    head_gate: Slot = ""  # scales the heads last: (y, u, flow) -> y; one, or none


class Smoke:
    num_heads = 4
    num_kv_heads = 2
    rope_dims = 8


def members(h, techniques, layer):
    """The members of a chain that this layer has, keyed by class name; a technique without `at` is on every layer."""
    return nn.ModuleDict({T.__name__: T(h, layer) for T in techniques if not hasattr(T, "at") or T.at(h, layer)})


def attention_kind(env):
    """What `causal_attention` runs on: "fa3" or "sdpa"."""
    return "fa3" if env.cuda and flash_attn_func is not None else "sdpa"


def causal_attention(q, k, v, docs):
    # q: (B, T, H, D)   k v: (B, T, Hkv, D)   ->   (B, T, H, D)
    if flash_attn_func is not None and q.dtype == torch.bfloat16:
        return flash_attn_func(q, k, v, causal=True)
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2)


def rotary_tables(h, tokens, device):
    """cos and sin of every position's angles, fp32: (1, T, 1, dims / 2)."""
    dims = h.rope_dims if h.rope_dims else h.model_dim // h.num_heads
    if h.frequencies:
        frequency = h.frequencies(h, dims, device)
    else:
        base = h.rope_base
        if h.rope_train_len and tokens > h.rope_train_len:
            base = base * (tokens / h.rope_train_len) ** (dims / (dims - 2))
        frequency = 1.0 / base ** (torch.arange(0, dims, 2, dtype=torch.float32, device=device) / dims)
    angle = torch.outer(torch.arange(tokens, dtype=torch.float32, device=device), frequency)[None, :, None, :]
    return angle.cos(), angle.sin()


def rotate(x, rope):
    """Rotate pairs (j, j + dims / 2) of the first dims of each head; the rest passes through."""
    cos, sin = rope[0].to(x.dtype), rope[1].to(x.dtype)
    half = cos.size(-1)
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat((a * cos + b * sin, b * cos - a * sin, rest), dim=-1)


def adapt(flow, name, u, y):
    """y, the output of a matrix for the input u, with what an adapter of test-time training adds to it."""
    return y if flow.lora is None else y + flow.lora(name, flow.layer, u, y)


class Attention(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        assert h.model_dim % h.num_heads == 0, (
            f"model_dim = {h.model_dim} does not divide into num_heads = {h.num_heads} heads"
        )
        assert h.num_heads % h.num_kv_heads == 0, (
            f"num_heads = {h.num_heads} query heads cannot share num_kv_heads = {h.num_kv_heads} heads of keys and values evenly"
        )
        assert h.model_dim % (2 * h.num_heads) == 0, (
            f"a head of model_dim / num_heads = {h.model_dim // h.num_heads} channels has no pairs to rotate: it must be even"
        )
        assert h.rope_dims <= h.model_dim // h.num_heads, (
            f"rope_dims = {h.rope_dims} are more than the {h.model_dim // h.num_heads} channels of a head (model_dim / num_heads)"
        )
        assert not h.rope_train_len or (h.rope_dims or h.model_dim // h.num_heads) > 2, (
            "rope_train_len stretches the slow pairs of a head: it needs rope_dims > 2"
        )
        self.head_dim = h.model_dim // h.num_heads
        kv_dim = h.num_kv_heads * self.head_dim
        if h.fused_qkv:
            self.c_qkv = CastedLinear(h, h.model_dim, h.model_dim + 2 * kv_dim, role="attn", init=h.linear_init)
        else:
            self.c_q = CastedLinear(h, h.model_dim, h.model_dim, role="attn", init=h.linear_init)
            self.c_k = CastedLinear(h, h.model_dim, kv_dim, role="attn", init=h.linear_init)
            self.c_v = CastedLinear(h, h.model_dim, kv_dim, role="attn", init=h.linear_init)
        self.proj = CastedLinear(h, h.model_dim, h.model_dim, role="attn", init=None)
        self.q_gain = tag(nn.Parameter(torch.full((h.num_heads,), h.qk_gain)), group="scalar", role="control")
        if h.value:
            self.value = members(h, h.value, layer)
        if h.attn_out:
            self.attn_out = members(h, h.attn_out, layer)
        if h.head_gate:
            self.head_gate = h.head_gate(h, layer)

    def forward(self, u, flow):
        # u: (B, T, C), normed   ->   (B, T, C) and the flow
        B, T, C = u.shape
        if self.h.fused_qkv:
            kv_dim = self.h.num_kv_heads * self.head_dim
            q, k, v = self.c_qkv(u).split((C, kv_dim, kv_dim), dim=-1)
        else:
            q, k, v = self.c_q(u), self.c_k(u), self.c_v(u)
        if self.h.adapters:
            q, k, v = adapt(flow, "q", u, q), adapt(flow, "k", u, k), adapt(flow, "v", u, v)
        q = q.view(B, T, self.h.num_heads, self.head_dim)
        k = k.view(B, T, self.h.num_kv_heads, self.head_dim)
        v = v.view(B, T, self.h.num_kv_heads, self.head_dim)
        if self.h.value:
            for hook in self.value.values():
                v = hook(v, u, flow)
        if self.h.keep_first_value and flow.v0 is None:
            flow = flow._replace(v0=v)
        q, k = rotate(norm(q), flow.rope), rotate(norm(k), flow.rope)
        q = q * self.q_gain.to(q.dtype)[:, None]
        y = self.h.attend(q, k, v, flow.docs)
        if self.h.attn_out:
            for hook in self.attn_out.values():
                y = hook(y, u, flow._replace(v=v))
        if self.h.head_gate:
            y = self.head_gate(y, u, flow)
        y = y.reshape(B, T, C)
        if self.h.adapters:
            return adapt(flow, "o", u, self.proj(y)), flow
        return self.proj(y), flow
