"""pr1573: Twelve layers with a recycled core, gated attention, int5 (PR #1573 as its code ran)

- A pre-norm transformer with tied embedding and head: one forward for whatever runs the model
- LN scale: every normed block input is scaled by 1 / √(layer + 1)
- Causal grouped-query attention: RMS-normed queries and keys, rotary positions, a learned gain per query head
- NTK rescale: beyond the training length the rotary base grows with the sequence
- Partial RoPE: rotate only the first dims of each head, the rest carries no position
- Orthogonal initialisation of the linears that do not start at zero (PR #65, @aquariouseworkman; only wide ones
  from PR #162, Raahil Shah)
- Value embeddings (PR #374 line; from modded-nanogpt)
- Value residual (PR #549's option, used by PR #1573, @shivangbaveja; arXiv:2410.17897)
- XSA, exclusive self-attention (PR #265, @unnir)
- Gated attention (PR #549's option, used by PR #1573, @shivangbaveja)
- U-Net skips: the first half of the order pushes its outputs, the second pops them, with learned weights
- Recycled core (PR #1573, @shivangbaveja)
- LeakyReLU² (PR #549, @abaybektursun)
- BigramHash, xor form (PR #162, Raahil Shah)
- SmearGate after the embedding norm (PR #162, Raahil Shah)
- Muon: momentum, then every matrix's update is replaced by the nearest orthogonal matrix (Keller Jordan, 2024)
- bf16 momentum: Muon keeps its momentum, and reads its gradients, in bf16, as the banked scripts do
- Decoupled weight decay, with a rate of its own for matrices, tables and scalars
- Newton–Schulz in the order of operations of the banked scripts (PR #399 line, PR #1573)
- Optimizers from tags: Muon for the matrices, Adam for tables and scalars
- Gradient clipping: the norm of all gradients together is bounded
- Gradients reduced as in the banked scripts (PR #399 line, PR #549)
- EMA: export an exponential moving average of all weights, updated after every step (PR #287, @jfprincz)
- SWA (PR #162, Raahil Shah; tight: PR #374, @unnir's line)
- GPTQ-lite: of a few clip percentiles, the one with the least squared error (PR #414; int5 in PR #1573)
- Bit packing, then LZMA at preset 9, as PR #1573 shipped it
- Sliding windows: every target is scored with at least window − stride tokens of context (PR #50, Matthew Li)

Composed by golf 0.1.0 from pr1573 → pr549 → pr414 → pr315 → pr287 → pr265 → pr162 → baseline. Do not edit: change
recipe.toml, then `golf compose`.

Credits:
- Keller Jordan: Muon
- modded-nanogpt contributors: U-Net skips, ReLU², softcap, resid_mix, QK norm
- OpenAI (openai/parameter-golf, train_gpt.py): the recipe baseline
- @aquariouseworkman: SmearGate, BigramHash, orthogonal initialisation, Muon weight decay (PR #65)
- Matthew Li: sliding windows (PR #50)
- Raahil Shah: the recipe pr162; SmearGate, BigramHash, MLP 3x (PR #162)
- PR #198: 11 layers, FlashAttention 3
- @unnir: the recipe pr265; base stack, tight SWA, value embeddings (PR #374); XSA (PR #265)
- @jfprincz: the recipe pr287; the recipe pr315; partial RoPE, LN scale (PR #315); XSA on four layers, EMA (PR #287)
- @signalrush: the recipe pr414; base stack (PR #414)
- PR #399: parameter banks and parallel Muon
- @abaybektursun: the recipe pr549; the banked stack (PR #549)
- @shivangbaveja: the recipe pr1573
"""

import glob
import importlib
import json
import lzma
import math
import os
import random
import struct
import sys
import time
import zlib
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import sentencepiece
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

# -----------------------------------------------------------------------------
# settings


class h:
    name = "pr1573"  # of the recipe
    # env
    seed = 1337  # used when SEED is not set
    iterations = 20_000  # steps, the cap that holds when the clock does not
    max_wallclock_seconds = 600.0  # training clock; 0 counts in steps
    vocab_size = 1024  # of the SentencePiece model
    # attention
    num_heads = 8  # query heads
    num_kv_heads = 4  # key and value heads, each shared by num_heads / num_kv_heads query heads
    qk_gain = 1.5  # start of the learned gain on the queries
    rope_base = 10_000.0
    rope_dims = 16  # rotated dims per head
    rope_train_len = 1024  # beyond this many tokens the base grows (NTK)
    # value_embed
    ve_dim = 128
    ve_layers = (10, 11)
    ve_scale = 0.1  # start of the learned factor
    ve_proj_group = "scalar"  # optimizer of the projection
    # xsa
    xsa_last_n = 4  # the last layers that have it
    # gated_attention
    attn_gate_bias = 4.0  # start
    # recycled_core
    recycle_layers = (3, 4)
    recycle_repeats = 1
    # model
    num_layers = 12  # blocks with weights of their own
    model_dim = 512  # residual width
    mlp_mult = 3.0  # MLP hidden width / model_dim
    tied_embed_init_std = 0.005
    softcap = 30.0  # logits are bounded by softcap · tanh(z / softcap)
    # leaky_relu2
    negative_slope = 0.5
    # bigram_xor
    bigram_buckets = 2048
    bigram_dim = 128
    bigram_scale = 0.05  # start of the learned factor
    bigram_proj_group = "scalar"  # optimizer of the projection
    # data
    train_seq_len = 2048  # tokens
    train_batch_tokens = 786_432  # per step, over all ranks and micro-batches
    bos_id = 1  # the token that starts a document
    # muon
    ns_steps = 5
    muon_wd = 0.04  # decoupled weight decay
    # optim
    matrix_lr = 0.025  # Muon
    scalar_lr = 0.025  # Adam on gains, scales, mixes
    tied_embed_lr = 0.035  # Adam on the tied embedding and other tables
    beta1 = 0.9
    beta2 = 0.95
    adam_eps = 1e-08
    adam_wd = 0.04  # decoupled weight decay of the scalars
    embed_wd = 0.04  # … of the tables
    grad_clip_norm = 0.3  # of all gradients together
    # schedule
    warmdown_iters = 3500  # the last steps' learning rate falls linearly to 0
    momentum = 0.99
    momentum_warmup_start = 0.92
    momentum_warmup_steps = 1500
    reserve_seconds = 0.0  # kept off the training clock for calibration
    # train
    warmup_steps = 20  # real steps before the clock starts, undone after: they compile and allocate
    val_loss_every = 4000  # steps; 0 only at the end
    train_log_every = 500  # steps
    # ema
    ema_decay = 0.997
    # swa
    swa_start = 0.2  # factor on the base learning rates
    swa_every = 50  # steps
    # quant
    embed_bits = 8
    attn_bits = 5
    mlp_bits = 5
    table_bits = 8
    keep_float_numel = 65_536  # tensors up to this many values are stored as fp16
    # gptq_lite
    clip_percentiles = (0.999, 0.9995, 0.9999, 1.0)  # of a row's magnitudes; 1 is the largest
    # evaluate
    eval_seq_len = 2048  # tokens
    val_batch_tokens = 524_288  # over all ranks
    # sliding
    eval_stride = 64  # tokens
    eval_batch_windows = 32  # per rank


# What may differ between two runs of one submission: seed, paths, clocks, rank. The only reads of the environment.
class Env:
    def __init__(self):
        get = os.environ.get
        self.seed = int(get("SEED", h.seed))
        self.iterations = int(get("ITERATIONS", h.iterations))
        self.max_wallclock_seconds = float(get("MAX_WALLCLOCK_SECONDS", h.max_wallclock_seconds))
        self.data_path = get("DATA_PATH", f"./data/datasets/fineweb10B_sp{h.vocab_size}")
        self.tokenizer_path = get("TOKENIZER_PATH", f"./data/tokenizers/fineweb_{h.vocab_size}_bpe.model")
        self.run_id = get("RUN_ID", f"seed{self.seed}")
        self.distributed = "RANK" in os.environ and "WORLD_SIZE" in os.environ
        self.rank = int(get("RANK", 0))
        self.local_rank = int(get("LOCAL_RANK", 0))
        self.world_size = int(get("WORLD_SIZE", 1))
        assert 8 % self.world_size == 0, (
            f"WORLD_SIZE={self.world_size} must divide 8, so that a step is the same 8 micro-batches"
        )
        self.grad_accum_steps = 8 // self.world_size
        self.cuda = torch.cuda.is_available()
        self.device = torch.device("cuda", self.local_rank) if self.cuda else torch.device("cpu")
        self.dtype = torch.bfloat16 if self.cuda else torch.float32  # of the activations

    def autocast(self):
        """bf16 activations on a GPU, plain fp32 on a CPU."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.cuda)

    def synchronize(self):
        """Wait for the device, so that a clock reading means something."""
        if self.cuda:
            torch.cuda.synchronize()


def sent(env, tensor):
    """The tensor on the device; the host goes on and need not wait for what still runs there."""
    return tensor.to(env.device, non_blocking=True)


# -----------------------------------------------------------------------------
# model


# Tags: a parameter says when it is made how it starts, who optimises it and how it is stored. Nothing is routed by
# name.
class Tag(NamedTuple):
    # optimizer: "matrix" (Muon), "scalar", "embed", "bias" (Adam); "measured": statistics, which learn nothing; "untrained": none
    group: str
    role: str  # quantizer: "attn", "mlp", "embed", "table", "gate", "control"
    master: str  # "fp32", or "compute": the optimizer updates it in the dtype of the activations
    init: object  # (h, weight, rng) -> None fills the weight in place; None keeps the value it was made with


class Tagged(NamedTuple):
    name: str
    param: torch.nn.Parameter
    tag: Tag


def tag(param, *, group, role, master="fp32", init=None):
    param.tag = Tag(group, role, master, init)
    return param


def collect(model):
    """Every parameter of the raw model with its tag, in the order of the state dict."""
    tagged = [Tagged(name, param, getattr(param, "tag", None)) for name, param in model.named_parameters()]
    untagged = [entry.name for entry in tagged if entry.tag is None]
    assert not untagged, f"parameters without a tag: {', '.join(untagged)}"
    return tagged


def initialize(model, seed):
    """Fill every weight from a generator of its own, seeded by (seed, name): a technique more leaves the others' start as it was."""
    with torch.no_grad():
        for entry in collect(model):
            if entry.tag.init is not None:
                rng = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{entry.name}".encode()))
                entry.tag.init(entry.param, rng)


def cast_masters(model, dtype):
    """Keep the tables that say so in the dtype of the activations (their Adam updates them in place); the rest stays fp32."""
    for entry in collect(model):
        if entry.tag.master == "compute":
            entry.param.data = entry.param.data.to(dtype)


# The two layers everything is made of, their initialisation, and the norm without weight.
def norm(x):
    return F.rms_norm(x, (x.size(-1),))


def kaiming_uniform(weight, rng):
    bound = weight.size(-1) ** -0.5
    weight.uniform_(-bound, bound, generator=rng)


class CastedLinear(nn.Module):
    """x Wᵀ with an fp32 master weight that is cast to the activations at the product; no bias. init=None starts at zero."""

    def __init__(self, inputs, outputs, *, role, init, group="matrix"):
        super().__init__()
        self.weight = tag(nn.Parameter(torch.zeros(outputs, inputs)), group=group, role=role, init=init)

    def forward(self, x):
        return F.linear(x, self.weight.to(x.dtype))


class Embedding(nn.Module):
    """A lookup table whose master weight lives in the dtype of the activations. init=None starts at zero."""

    def __init__(self, rows, width, *, role, init):
        super().__init__()
        self.weight = tag(nn.Parameter(torch.zeros(rows, width)), group="embed", role=role, master="compute", init=init)

    def forward(self, ids):
        return F.embedding(ids, self.weight)


# Causal grouped-query attention: RMS-normed queries and keys, rotary positions, a learned gain per query head.
try:
    from flash_attn_interface import flash_attn_func
except ImportError:
    flash_attn_func = None


def members(techniques, layer):
    """The members of a chain that this layer has, keyed by class name; a technique without `at` is on every layer."""
    return nn.ModuleDict({T.__name__: T(layer) for T in techniques if not hasattr(T, "at") or T.at(layer)})


def attention_kind(env):
    """What `causal_attention` runs on: "fa3" or "sdpa"."""
    return "fa3" if env.cuda and flash_attn_func is not None else "sdpa"


def causal_attention(q, k, v):
    # q: (B, T, H, D)   k v: (B, T, Hkv, D)   ->   (B, T, H, D)
    if flash_attn_func is not None and q.dtype == torch.bfloat16:
        return flash_attn_func(q, k, v, causal=True)
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2)


def rotary_tables(tokens, device):
    """cos and sin of every position's angles, fp32: (1, T, 1, dims / 2)."""
    dims = h.rope_dims
    base = h.rope_base
    if tokens > h.rope_train_len:
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


# Orthogonal initialisation of the linears that do not start at zero (PR #65, @aquariouseworkman; only wide ones from PR
# #162, Raahil Shah).
def orthogonal_wide(weight, rng):
    """Linears with both sides of 64 or more; narrow ones keep their uniform start."""
    if min(weight.shape) >= 64:
        torch.nn.init.orthogonal_(weight, generator=rng)
    else:
        kaiming_uniform(weight, rng)


def orthogonal_tables(weight, rng):
    """Projections behind tables: wide ones orthogonal, narrow ones stay at zero, where they are made (PR #549 line)."""
    if min(weight.shape) >= 64:
        torch.nn.init.orthogonal_(weight, generator=rng)


# Value embeddings: a table of the tokens, shared by a few late layers, is added to their attention values (PR #374
# line; from modded-nanogpt).
#
# The table is looked up once a forward.
def small_normal(weight, rng):
    weight.normal_(std=0.01, generator=rng)


class ValueTable(nn.Module):
    """(B, T) ids -> (B, T, Hkv · D), once for all layers."""

    def __init__(self):
        super().__init__()
        kv_dim = h.num_kv_heads * (h.model_dim // h.num_heads)
        self.embed = Embedding(h.vocab_size, h.ve_dim, role="table", init=small_normal)
        narrow = h.ve_dim != kv_dim
        self.proj = (
            CastedLinear(h.ve_dim, kv_dim, role="table", init=orthogonal_tables, group=h.ve_proj_group)
            if narrow
            else nn.Identity()
        )
        self.scale = tag(nn.Parameter(torch.tensor(h.ve_scale)), group="scalar", role="control")

    def forward(self, ids):
        values = self.proj(self.embed(ids))
        return self.scale.to(values.dtype) * values


class ValueEmbed(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.scale = tag(nn.Parameter(torch.ones(1)), group="scalar", role="control")

    @staticmethod
    def at(layer):
        return layer in h.ve_layers

    def forward(self, v, u, flow):
        # v: (B, T, Hkv, D)
        if flow.lookups is None:  # in a pass of a recycled core
            return v
        return v + self.scale.to(v.dtype) * flow.lookups["ValueTable"].view_as(v)


# Value residual: every layer's values are a learned mix of its own and the first block's (PR #549's option, used by PR
# #1573, @shivangbaveja; arXiv:2410.17897).
#
# The mix starts half and half. The first block has nothing to mix with; its two weights are there but idle.
class ValueResidual(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.mix = tag(nn.Parameter(torch.full((2,), 0.5)), group="scalar", role="control")

    def forward(self, v, u, flow):
        # v: (B, T, Hkv, D)
        if flow.v0 is None:
            return v
        mix = self.mix.to(v.dtype)
        return mix[0] * flow.v0 + mix[1] * v


# XSA, exclusive self-attention: take out of every head's output what lies along the token's own value (PR #265,
# @unnir).
#
# No parameters. Published effect: about −0.002 BPB on the last four layers. PR #1019 uses it on all.
class XSA(nn.Module):
    def __init__(self, layer):
        super().__init__()

    @staticmethod
    def at(layer):
        return layer >= h.num_layers - h.xsa_last_n

    def forward(self, y, u, flow):
        # y: (B, T, H, D)   flow.v: (B, T, Hkv, D)
        grouped = y.unflatten(2, (flow.v.size(2), -1))
        own = F.normalize(flow.v, dim=-1, eps=1e-12)[:, :, :, None]
        return (grouped - (grouped * own).sum(dim=-1, keepdim=True) * own).flatten(2, 3)


# Gated attention: scale each head by a sigmoid of the whole block input, with a bias (PR #549's option, used by PR
# #1573, @shivangbaveja).
#
# Starts at σ(4) ≈ 0.982 for every head. 4,104 parameters a layer at 512 × 8.
class GatedAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = tag(nn.Parameter(torch.zeros(h.num_heads, h.model_dim)), group="scalar", role="control")
        self.bias = tag(nn.Parameter(torch.full((h.num_heads,), h.attn_gate_bias)), group="scalar", role="control")

    def forward(self, y, u):
        # y: (B, T, H, D)   u: (B, T, C)
        gate = torch.sigmoid(F.linear(u, self.weight.to(u.dtype), self.bias.to(u.dtype)))
        return y * gate[..., None]


class Attention(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.head_dim = h.model_dim // h.num_heads
        kv_dim = h.num_kv_heads * self.head_dim
        self.c_q = CastedLinear(h.model_dim, h.model_dim, role="attn", init=orthogonal_wide)
        self.c_k = CastedLinear(h.model_dim, kv_dim, role="attn", init=orthogonal_wide)
        self.c_v = CastedLinear(h.model_dim, kv_dim, role="attn", init=orthogonal_wide)
        self.proj = CastedLinear(h.model_dim, h.model_dim, role="attn", init=None)
        self.q_gain = tag(nn.Parameter(torch.full((h.num_heads,), h.qk_gain)), group="scalar", role="control")
        self.value = members((ValueEmbed, ValueResidual), layer)
        self.attn_out = members((XSA,), layer)
        self.head_gate = GatedAttention()

    def forward(self, u, flow):
        # u: (B, T, C), normed   ->   (B, T, C) and the flow
        B, T, C = u.shape
        q, k, v = self.c_q(u), self.c_k(u), self.c_v(u)
        q = q.view(B, T, h.num_heads, self.head_dim)
        k = k.view(B, T, h.num_kv_heads, self.head_dim)
        v = v.view(B, T, h.num_kv_heads, self.head_dim)
        for hook in self.value.values():
            v = hook(v, u, flow)
        if flow.v0 is None:
            flow = flow._replace(v0=v)
        q, k = rotate(norm(q), flow.rope), rotate(norm(k), flow.rope)
        q = q * self.q_gain.to(q.dtype)[:, None]
        y = causal_attention(q, k, v)
        for hook in self.attn_out.values():
            y = hook(y, u, flow._replace(v=v))
        y = self.head_gate(y, u)
        y = y.reshape(B, T, C)
        return self.proj(y), flow


# U-Net skips: the first half of the order pushes its outputs, the second pops them, with learned weights.
def halves():
    """The first half of the layers, then the rest."""
    half = h.num_layers // 2
    return list(range(half)), list(range(half, h.num_layers))


# Recycled core: between the two halves a few layers run again, each pass behind a learned affine map (PR #1573,
# @shivangbaveja).
#
# Active from the first step and in evaluation. The maps start as the identity: 2 × model_dim parameters a pass. No
# skips are pushed and value embeddings stay out.
class RecycledCore(nn.Module):
    def __init__(self):
        super().__init__()
        passes = h.recycle_repeats * len(h.recycle_layers)
        self.scale = nn.ParameterList(
            tag(nn.Parameter(torch.ones(h.model_dim)), group="scalar", role="control") for _ in range(passes)
        )
        self.bias = nn.ParameterList(
            tag(nn.Parameter(torch.zeros(h.model_dim)), group="scalar", role="control") for _ in range(passes)
        )

    def forward(self, x, blocks, flow):
        lookups, flow = flow.lookups, flow._replace(lookups=None)
        for i, layer in enumerate(h.recycle_repeats * h.recycle_layers):
            x = self.scale[i].to(x.dtype) * x + self.bias[i].to(x.dtype)
            x, flow = blocks[layer](x, flow)
        return x, flow._replace(lookups=lookups)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        encoder, decoder = halves()
        skips = min(len(encoder), len(decoder))
        self.skip_weights = tag(nn.Parameter(torch.ones(skips, h.model_dim)), group="scalar", role="control")
        self.core = nn.ModuleDict({"RecycledCore": RecycledCore()})

    def merge(self, x, skip, row):
        skip = self.skip_weights[row].to(x.dtype) * skip
        return x + skip

    def forward(self, x, blocks, flow):
        encoder, decoder = halves()
        skips = []
        for layer in encoder:
            x, flow = blocks[layer](x, flow)
            skips.append(x)
        x, flow = self.core["RecycledCore"](x, blocks, flow)
        return self.run_decoder(x, flow, blocks, decoder, skips)[0]

    def run_decoder(self, x, flow, blocks, decoder, skips):
        for row, layer in enumerate(decoder):
            if skips:
                x = self.merge(x, skips.pop(), row)
            x, flow = blocks[layer](x, flow)
        return x, flow


# A pre-norm transformer with tied embedding and head: one forward for whatever runs the model.
#
# Embedding → norm → blocks in the order of the route → norm → tied head → softcap.
class Flow(NamedTuple):
    """What travels with the residual stream and is the same for every block, or the block's own values for its hooks."""

    x0: torch.Tensor  # (B, T, C) the normed embedding
    rope: tuple  # cos, sin
    v0: object = None  # (B, T, Hkv, D) values of the first block that ran
    v: object = None  # (B, T, Hkv, D) values of this block, for attn_out hooks
    lookups: object = None  # {technique: what its table says of the ids}, computed once


def tied_normal(weight, rng):
    weight.normal_(std=h.tied_embed_init_std, generator=rng)


# LeakyReLU²: square the MLP's hidden values, with a slope on the negative side before the square (PR #549,
# @abaybektursun).
#
# Never negative and not monotone. Published effect: −0.0021 BPB after TTT, −0.003 in the ablation of PR #549.
def leaky_relu2(z):
    return F.leaky_relu(z, h.negative_slope).square()


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        hidden = int(h.mlp_mult * h.model_dim)
        self.fc = CastedLinear(h.model_dim, hidden, role="mlp", init=orthogonal_wide)
        self.proj = CastedLinear(hidden, h.model_dim, role="mlp", init=None)

    def forward(self, u):
        return self.proj(leaky_relu2(self.fc(u)))


class Block(nn.Module):
    """Attention, then MLP, each reading the normed stream, of which the embedding is mixed in, and adding to it by learned scales."""

    def __init__(self, layer):
        super().__init__()
        self.attn = Attention(layer)
        self.mlp = MLP()
        self.attn_scale = tag(nn.Parameter(torch.ones(h.model_dim)), group="scalar", role="control")
        self.mlp_scale = tag(nn.Parameter(torch.ones(h.model_dim)), group="scalar", role="control")
        mix = torch.zeros(2, h.model_dim)
        mix[0] = 1
        self.resid_mix = tag(nn.Parameter(mix), group="scalar", role="control")
        self.ln_gain = (layer + 1) ** -0.5

    def read(self, x):
        return norm(x) * self.ln_gain

    def mixed(self, x, flow):
        mix = self.resid_mix.to(x.dtype)
        return mix[0] * x + mix[1] * flow.x0

    def attention_of(self, u, flow):
        y, flow = self.attn(u, flow)
        return self.attn_scale.to(y.dtype) * y, flow

    def mlp_of(self, u):
        y = self.mlp(u)
        return self.mlp_scale.to(y.dtype) * y

    def forward(self, x, flow):
        x = self.mixed(x, flow)
        y, flow = self.attention_of(self.read(x), flow)
        x = x + y
        return x + self.mlp_of(self.read(x)), flow


# BigramHash, xor form: look up the pair (token before, token) in a hashed table and add it to the embedding (PR #162,
# Raahil Shah).
#
# The table starts at zero. Published effect: 4096 → 10240 buckets −0.002 BPB (PR #180); dropped when vocabularies grew
# (PR #1218).
class BigramXor(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = Embedding(h.bigram_buckets, h.bigram_dim, role="table", init=None)
        narrow = h.bigram_dim != h.model_dim
        self.proj = (
            CastedLinear(h.bigram_dim, h.model_dim, role="table", init=orthogonal_tables, group=h.bigram_proj_group)
            if narrow
            else nn.Identity()
        )
        self.scale = tag(nn.Parameter(torch.tensor(h.bigram_scale)), group="scalar", role="control")

    def forward(self, x, ids):
        # x: (B, T, C)   ids: (B, T); the first position has the last bucket for itself
        pair = (36313 * ids[:, 1:]).bitwise_xor(27191 * ids[:, :-1]) % (h.bigram_buckets - 1)
        bucket = F.pad(pair, (1, 0), value=h.bigram_buckets - 1)
        return x + self.scale.to(x.dtype) * self.proj(self.embed(bucket))


# SmearGate after the embedding norm: blend every token with the one before it, a learned share per channel (PR #162,
# Raahil Shah).
#
# σ(gate) is the share of the token before, ½ at the start; the sign is the opposite of the gate's before the norm. Runs
# across document boundaries (R42).
class SmearPost(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = tag(nn.Parameter(torch.zeros(h.model_dim)), group="scalar", role="control")

    def forward(self, x, ids):
        # x: (B, T, C)
        share = torch.sigmoid(self.gate).to(x.dtype)
        return (1 - share) * x + share * F.pad(x, (0, 0, 1, -1))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok_emb = Embedding(h.vocab_size, h.model_dim, role="embed", init=tied_normal)
        self.embed_pre = nn.ModuleDict({"BigramXor": BigramXor()})
        self.embed_post = nn.ModuleDict({"SmearPost": SmearPost()})
        self.lookups = nn.ModuleDict({"ValueTable": ValueTable()})
        self.blocks = nn.ModuleList(Block(layer) for layer in range(h.num_layers))
        self.route = UNet()

    def forward(self, ids, targets=None, *, head_at=None):
        """ids, targets: (B, T). Nats per position (B, T), or logits (B, T, V) without targets.

        head_at: (B, S) columns of each row that the head reads, targets are theirs; all T without.
        """
        x = self.tok_emb(ids)
        x = self.embed_pre["BigramXor"](x, ids)
        x = norm(x)
        x = self.embed_post["SmearPost"](x, ids)
        rope = rotary_tables(ids.size(1), ids.device)
        found = {"ValueTable": self.lookups["ValueTable"](ids)}
        flow = Flow(x0=x, rope=rope, lookups=found)
        x = norm(self.route(x, self.blocks, flow))
        if head_at is not None:
            x = x.take_along_dim(head_at[:, :, None], dim=1)
        logits = F.linear(x, self.tok_emb.weight.to(x.dtype))
        logits = h.softcap * torch.tanh(logits / h.softcap)
        if targets is None:
            return logits
        nats = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
        return nats.view_as(targets)


# -----------------------------------------------------------------------------
# data


# Token shards, the batches made of them, and the bytes that every token stands for.
#
# A shard is 256 little-endian int32 (magic 20240520, version 1, token count, zeros), then uint16 tokens; every document
# starts with BOS.
def shard_paths(env, split):
    paths = sorted(glob.glob(os.path.join(env.data_path, f"fineweb_{split}_[0-9]*.bin")))
    if not paths:
        raise FileNotFoundError(f"no fineweb_{split}_*.bin in {env.data_path}")
    return paths


def load_shard(path):
    """The tokens of a shard, uint16, mapped from disk."""
    header = np.fromfile(path, dtype="<i4", count=256)
    if (
        header.size < 256
        or header[0] != 20240520
        or header[1] != 1
        or os.path.getsize(path) != 1024 + 2 * int(header[2])
    ):
        raise ValueError(f"{path} is no token shard, or cut short")
    return np.memmap(path, dtype="<u2", mode="r", offset=1024)


class SequentialStream:
    """Every rank reads the same stream, shard after shard, and takes its own span of it; the seed changes nothing."""

    def __init__(self, env):
        self.env = env
        self.paths = shard_paths(env, "train")
        self.shard = -1
        self.tokens = np.empty(0, dtype=np.uint16)
        self.at = 0

    def take(self, count):
        pieces = []
        while count:
            if self.at == len(self.tokens):
                self.shard = (self.shard + 1) % len(self.paths)
                self.tokens, self.at = load_shard(self.paths[self.shard]), 0
            piece = self.tokens[self.at : self.at + count]
            self.at += len(piece)
            count -= len(piece)
            pieces.append(piece)
        return np.concatenate(pieces)

    def next_batch(self):
        """ids, targets: (sequences, T) of this rank's micro-batch. The span's last token is a target only."""
        span = h.train_batch_tokens // 8 + 1
        tokens = self.take(span * self.env.world_size)[self.env.rank * span :][:span].astype(np.int64)
        rows = (-1, h.train_seq_len)
        return torch.from_numpy(tokens[:-1].reshape(rows)), torch.from_numpy(tokens[1:].reshape(rows))


def byte_tables(sp, vocab_size):
    """Per token id: bytes of its text without the leading space, whether it has one, whether it is a boundary.

    The bytes of target y after token x are bytes[y] + (space[y] and not boundary[x]): a space that starts a document is free.
    """
    size = max(sp.vocab_size(), vocab_size)
    token_bytes, space, boundary = np.zeros(size, np.int64), np.zeros(size, bool), np.ones(size, bool)
    for token in range(sp.vocab_size()):
        if sp.is_control(token) or sp.is_unknown(token) or sp.is_unused(token):
            continue
        boundary[token] = False
        piece = sp.id_to_piece(token)
        space[token] = piece.startswith("▁")
        token_bytes[token] = 1 if sp.is_byte(token) else len(piece.removeprefix("▁").encode())
    return token_bytes, space, boundary


def table_bytes(env, tokens):
    """By the tokenizer's pieces. A tokenizer of transformed text has pieces that stand for none: it needs a side-car."""
    sp = sentencepiece.SentencePieceProcessor(model_file=env.tokenizer_path)
    assert sp.piece_to_id("\ue001") == sp.unk_id(), (
        "this tokenizer reads CaseOps text: its bytes are in a side-car only"
    )
    token_bytes, space, boundary = (torch.from_numpy(table) for table in byte_tables(sp, h.vocab_size))
    previous, target = tokens[:-1], tokens[1:]
    return token_bytes[target] + (space[target] & ~boundary[previous])


class Stream:
    """The validation split: tokens (N + 1,) int64, and the bytes of each of the N targets. `tokens[0]` is never scored."""

    def __init__(self, env):
        self.tokens = torch.from_numpy(
            np.concatenate([load_shard(path) for path in shard_paths(env, "val")]).astype(np.int64)
        )
        self.target_bytes = table_bytes(env, self.tokens)


# -----------------------------------------------------------------------------
# optimizer


# Muon: momentum, then every matrix's update is replaced by the nearest orthogonal matrix (Keller Jordan, 2024).
def bf16_product(a, b):
    """a @ b in bf16, summed in fp32 and rounded once; PyTorch's own takes ten times as long on a CPU."""
    return a @ b if a.is_cuda or a.dtype != torch.bfloat16 else (a.float() @ b.float()).bfloat16()


# Newton–Schulz in the order of operations of the banked scripts (PR #399 line, PR #1573): c · (A @ A) instead of (c ·
# A) @ A.
#
# The same polynomial as the baseline's; in bf16 the two orders differ by up to 1e-2.
def banked_newton_schulz(g, steps):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    for _ in range(steps):
        gram = bf16_product(x, x.T)
        x = a * x + bf16_product(b * gram + c * bf16_product(gram, gram), x)
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Rank r of `world_size` orthogonalises every world_size-th matrix; one all-reduce hands the updates to everybody."""

    def __init__(self, params, lr, env):
        super().__init__([{"params": params}], {"lr": lr, "base_lr": lr, "momentum": 0.0})
        self.env = env
        self.orthogonalize = torch.compile(banked_newton_schulz) if env.cuda else banked_newton_schulz

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params = group["params"]
            flat = torch.zeros(sum(p.numel() for p in params), dtype=torch.bfloat16, device=params[0].device)
            slots = flat.split([p.numel() for p in params])
            for i, (p, slot) in enumerate(zip(params, slots)):
                if i % self.env.world_size == self.env.rank:
                    slot.copy_(self.update(p, group["momentum"]).flatten())
            if self.env.world_size > 1:
                dist.all_reduce(flat)
            for p, slot in zip(params, slots):
                decay = group["lr"] * h.muon_wd
                p.mul_(1 - decay)
                p.add_(slot.view_as(p).to(p.dtype), alpha=-group["lr"])

    def update(self, p, momentum):
        """The orthogonalised Nesterov update of one matrix, scaled so that tall matrices move as far as wide ones."""
        g = p.grad
        g = g.bfloat16()
        if "momentum" not in self.state[p]:
            self.state[p]["momentum"] = torch.zeros_like(g)
        buffer = self.state[p]["momentum"]
        buffer.mul_(momentum).add_(g)
        g = g.add(buffer, alpha=momentum)
        g = self.orthogonalize(g, h.ns_steps)
        return g * max(1, g.size(0) / g.size(1)) ** 0.5


# Optimizers from tags: Muon for the matrices, Adam for tables and scalars. Every group keeps its base learning rate.
def build_optimizers(tagged, env):
    """[Adam, Muon] over every tagged parameter, each exactly once."""
    groups = {
        "embed": (h.tied_embed_lr, h.embed_wd),
        "scalar": (h.scalar_lr, h.adam_wd),
    }
    params = {name: [entry.param for entry in tagged if entry.tag.group == name] for name in ("matrix", *groups)}
    assert {entry.tag.group for entry in tagged} <= {*params, "measured", "untrained"}, (
        "a parameter's group has no optimizer"
    )
    adam = torch.optim.AdamW(
        [
            {"params": params[name], "lr": lr, "base_lr": lr, "weight_decay": wd}
            for name, (lr, wd) in groups.items()
            if params[name]
        ],
        betas=(h.beta1, h.beta2),
        eps=h.adam_eps,
        fused=env.cuda,
    )
    return [adam, Muon(params["matrix"], h.matrix_lr, env)]


# -----------------------------------------------------------------------------
# training


# Time and what follows from it. `Clock` is the only source of time in training: seconds under the cap, or steps without
# one.
class Clock:
    """Seconds of training so far (paused during validation) and steps; `cap_seconds` 0 means that steps count."""

    def __init__(self, env, cap_seconds):
        self.env = env
        self.cap_seconds = cap_seconds
        self.step = 0
        self.elapsed_seconds = 0.0
        self.running_since = None
        self.lr_factor = 1.0  # of the step last taken

    def start(self):
        self.env.synchronize()
        self.running_since = time.perf_counter()

    def pause(self):
        self.env.synchronize()
        self.tick()
        self.running_since = None

    def tick(self):
        """Read the clock. The device is not waited for: a step's end is seen when the next one needs its result."""
        now = time.perf_counter()
        self.elapsed_seconds += now - self.running_since
        self.running_since = now


def warmdown_by_iterations(clock):
    """1, then linearly to 0 over `warmdown_iters` steps; under a cap the steps are turned into seconds by their mean so far."""
    if clock.cap_seconds > 0:
        warmdown_seconds = h.warmdown_iters * clock.elapsed_seconds / max(clock.step, 1)
        left_seconds = max(clock.cap_seconds - clock.elapsed_seconds, 0.0)
        return left_seconds / warmdown_seconds if left_seconds <= warmdown_seconds else 1.0
    return min((clock.env.iterations - clock.step) / h.warmdown_iters, 1.0)


def momentum_warmup(clock):
    share = min(clock.step / h.momentum_warmup_steps, 1.0)
    return (1 - share) * h.momentum_warmup_start + share * h.momentum


# Training: warm-up with restore, then steps until the clock or the step count says stop.
def compiled(env, model):
    """One graph a shape for a GPU; on a CPU compiling costs more than it gives."""
    if not env.cuda:
        return model
    # training, scoring and learning while scoring ask for more graphs of one forward than the usual 8
    torch._dynamo.config.recompile_limit = 64
    return torch.compile(model, dynamic=False, fullgraph=True)


# Gradients reduced as in the banked scripts: each rank clips its own, then one all-reduce averages them (PR #399 line,
# PR #549).
#
# No DDP, so a parameter that a forward leaves out is no fault. Not here: the banks themselves and the overlap of their
# communication with Newton–Schulz; weights are per layer and the updates travel as in `Muon`, which rounds the
# gradients after they are averaged (the banked scripts before).
def average_all(env, model):
    """One flat all-reduce per dtype, after each rank has clipped its own gradients."""
    if not env.distributed:
        return
    trained = list(model.parameters())
    grads = [param.grad for param in trained if param.grad is not None]
    for dtype in {grad.dtype for grad in grads}:
        same = [grad for grad in grads if grad.dtype == dtype]
        flat = torch.cat([grad.flatten() for grad in same])
        dist.all_reduce(flat)
        flat /= env.world_size
        for grad, piece in zip(same, flat.split([grad.numel() for grad in same])):
            grad.copy_(piece.view_as(grad))


def take_step(env, model, loader, optimizers, clock):
    """One optimizer step over 8 micro-batches, all ranks together. Returns this rank's mean loss, nats per token."""
    loss_sum = torch.zeros((), device=env.device)
    for micro in range(env.grad_accum_steps):
        ids, targets = loader.next_batch()
        ids, targets = sent(env, ids), sent(env, targets)
        with env.autocast():
            loss = model(ids, targets).mean()
        loss_sum += loss.detach()
        (loss / env.grad_accum_steps).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), h.grad_clip_norm)
    average_all(env, model)
    clock.lr_factor, momentum = warmdown_by_iterations(clock), momentum_warmup(clock)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * clock.lr_factor
            if "momentum" in group:
                group["momentum"] = momentum
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss_sum / env.grad_accum_steps


def warm_up(env, log, model, trained, optimizers):
    """Compile and allocate with real steps, then put weights and optimizers back as they were."""
    start = {name: param.detach().clone() for name, param, _ in collect(model)}
    loader, clock = SequentialStream(env), Clock(env, 0.0)
    for i in range(h.warmup_steps):
        take_step(env, trained, loader, optimizers, clock)
        log(f"warmup_step:{i + 1}/{h.warmup_steps}")
    with torch.no_grad():
        for name, param, _ in collect(model):
            param.copy_(start[name])
    for optimizer in optimizers:
        optimizer.state.clear()


def time_is_up(env, clock):
    """Whether any rank's clock has reached the cap. The device is waited for only where ranks must agree, once."""
    reached = 0 < clock.cap_seconds <= clock.elapsed_seconds
    if clock.cap_seconds > 0 and env.distributed:
        flag = torch.full((), float(reached), device=env.device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        reached = bool(flag)
    return reached


def validate(env, log, model, stream, clock):
    """Score the whole validation split with the clock stopped."""
    clock.pause()
    trace = plain(env, model, stream)
    milliseconds = 1000 * clock.elapsed_seconds
    log(
        f"step:{clock.step}/{env.iterations} val_loss:{trace.loss:.4f} val_bpb:{trace.bpb:.4f} "
        f"train_time:{milliseconds:.0f}ms step_avg:{milliseconds / max(clock.step, 1):.2f}ms"
    )
    log.record(pre_quant_val_loss=trace.loss, pre_quant_val_bpb=trace.bpb)
    clock.start()


def score_average(env, log, model, stream):
    """Score the weights that are exported, where they are not those of the last step."""
    begun = time.perf_counter()
    trace = plain(env, model, stream)
    log(
        f"pre-quantization post-ema val_loss:{trace.loss:.8f} val_bpb:{trace.bpb:.8f} "
        f"eval_time:{1000 * (time.perf_counter() - begun):.0f}ms"
    )
    log.record(pre_quant_val_loss=trace.loss, pre_quant_val_bpb=trace.bpb)


# EMA: export an exponential moving average of all weights, updated after every step (PR #287, @jfprincz).
#
# Kept in fp32, no bias correction, from the first step. Published effect: −0.0006 BPB with a warmdown to 0 (PR #414),
# 0.007 to 0.012 where the learning rate ends above 0.
class EMA:
    def __init__(self, model):
        self.params = [entry.param for entry in collect(model)]
        self.means = [param.detach().float().clone() for param in self.params]

    @torch.no_grad()
    def update(self, clock):
        for mean, param in zip(self.means, self.params):
            mean.mul_(h.ema_decay).add_(param.float(), alpha=1 - h.ema_decay)

    @torch.no_grad()
    def export(self):
        for mean, param in zip(self.means, self.params):
            param.copy_(mean)


# SWA: export the mean of snapshots taken while the learning rate is low (PR #162, Raahil Shah; tight: PR #374, @unnir's
# line).
#
# A snapshot every `swa_every` steps once the learning rate's factor is below `swa_start`. Summed in fp32, also for
# tables that train in bf16.
class SWA:
    def __init__(self, model):
        self.params = [entry.param for entry in collect(model)]
        self.sums = [torch.zeros_like(param, dtype=torch.float32) for param in self.params]
        self.count = 0

    @torch.no_grad()
    def update(self, clock):
        if clock.lr_factor < h.swa_start and clock.step % h.swa_every == 0:
            self.count += 1
            for total, param in zip(self.sums, self.params):
                total.add_(param.float())


@torch.no_grad()
def swa_weights(averages):
    """Put the mean into the model. With fewer than two snapshots the last step's weights stay."""
    swa = averages["SWA"]
    if swa.count > 1:
        for total, param in zip(swa.sums, swa.params):
            param.copy_(total / swa.count)


def swa_or_ema_weights(averages):
    """The same, where an EMA is kept too: it counts with fewer than two snapshots (PR #1573)."""
    if averages["SWA"].count > 1:
        swa_weights(averages)
    else:
        averages["EMA"].export()


def train(env, log, model):
    """Train the raw model in place and leave `float.golf`, the checkpoint that export reads."""
    stream = Stream(env)
    scored = compiled(env, model)
    trained = scored
    optimizers = build_optimizers(collect(model), env)
    warm = Clock(env, 0.0)
    warm.start()
    warm_up(env, log, model, trained, optimizers)
    warm.pause()
    averages = {T.__name__: T(model) for T in (EMA, SWA)}
    loader = SequentialStream(env)
    clock = Clock(env, env.max_wallclock_seconds - h.reserve_seconds if env.max_wallclock_seconds > 0 else 0.0)
    clock.start()
    stop_reason, loss = None, None
    while True:
        if time_is_up(env, clock):
            stop_reason = "wallclock_cap"
        elif clock.step == env.iterations:
            stop_reason = "iterations"
        if stop_reason or (h.val_loss_every and clock.step % h.val_loss_every == 0):
            validate(env, log, scored, stream, clock)
        if stop_reason:
            break
        loss = take_step(env, trained, loader, optimizers, clock)
        clock.step += 1
        clock.tick()
        for average in averages.values():
            average.update(clock)
        if clock.step <= 10 or clock.step % h.train_log_every == 0:
            milliseconds = 1000 * clock.elapsed_seconds
            log(
                f"step:{clock.step}/{env.iterations} train_loss:{loss.item():.4f} "
                f"train_time:{milliseconds:.0f}ms step_avg:{milliseconds / clock.step:.2f}ms"
            )
    clock.pause()
    swa_or_ema_weights(averages)
    score_average(env, log, scored, stream)
    finish(env, log, model, clock, stop_reason, loss, warm.elapsed_seconds)


def finish(env, log, model, clock, stop_reason, loss, compile_seconds):
    """Say how training ended and write the checkpoint."""
    milliseconds = 1000 * clock.elapsed_seconds
    if stop_reason == "wallclock_cap":
        log(f"stopping_early: wallclock_cap train_time:{milliseconds:.0f}ms step:{clock.step}/{env.iterations}")
    memory_mib = None
    if env.cuda:
        memory_mib = torch.cuda.max_memory_allocated() >> 20
        log(f"peak memory allocated: {memory_mib} MiB reserved: {torch.cuda.max_memory_reserved() >> 20} MiB")
    measured = {
        "steps": clock.step,
        "stop_reason": stop_reason,
        "train_loss": None if loss is None else loss.item(),
        "compile_seconds": compile_seconds,
        "train_seconds": clock.elapsed_seconds,
        "step_ms": milliseconds / max(clock.step, 1),
        "peak_memory_mib": memory_mib,
    }
    log.record(**measured)
    if env.rank == 0:
        weights = {name: param for name, param, _ in collect(model)}
        size_bytes = write_container("float.golf", weights, {"seed": env.seed, **measured}, RawCoder)
        log(f"Serialized model: {size_bytes} bytes")


# -----------------------------------------------------------------------------
# export


# Export: weights to integer codes and scales by role, and back. Small tensors stay floating point.
#
# The artifact holds `name:q` codes and `name:s` scales (one a row), or `name` in floating point. A colon cannot occur
# in a parameter's name.
def int8_rows(w, bits):
    """Symmetric codes with one scale a row, clipped at the 99.99984th percentile (the baseline's). w: (rows, columns) fp32."""
    limit = 2 ** (bits - 1) - 1
    clip = torch.quantile(w.abs(), 0.9999984, dim=1)
    scale = (clip / limit).clamp_min(1.0 / limit)
    clipped = torch.maximum(torch.minimum(w, clip[:, None]), -clip[:, None])
    codes = torch.round(clipped / scale[:, None]).clamp(-limit, limit)
    return codes.to(torch.int8), scale


# GPTQ-lite: of a few clip percentiles, the one with the least squared error (PR #414; int5 in PR #1573). No Hessian.
#
# The least error prefers fine steps, so it spends bytes that SDClip saves.
def clip_candidates(w):
    """One clip for every row and percentile of the recipe: (rows,) each."""
    magnitudes = w.abs()
    for percentile in h.clip_percentiles:
        yield torch.quantile(magnitudes, percentile, dim=1) if percentile < 1 else magnitudes.amax(dim=1)


def gptq_lite_matrix(w, bits):
    """The percentile with the least mean squared error of the matrix; scales have a floor of 1 / limit, as published."""
    limit = 2 ** (bits - 1) - 1
    least = None
    for clip in clip_candidates(w):
        scale = readable_scale((clip / limit).clamp_min(1.0 / limit))
        codes = torch.round(w / scale[:, None]).clamp(-limit, limit)
        error = (w - codes * scale[:, None]).square().mean()
        if least is None or error < least:
            least, best = error, (codes.to(torch.int8), scale)
    return best


def quantizer_of(role):
    """(quantizer, bits) of a role; a role without a quantizer stays fp16."""
    if role == "embed":
        return int8_rows, h.embed_bits
    if role == "attn":
        return gptq_lite_matrix, h.attn_bits
    if role == "mlp":
        return gptq_lite_matrix, h.mlp_bits
    if role == "table":
        return int8_rows, h.table_bits
    return None, 16


def quantize(tagged, weights, rank, world_size):
    """{name: weight} to the artifact's tensors, the same on every rank; weights may be of any dtype and on any device."""
    tensors, turn = {}, 0
    for name, _, tag in tagged:
        w = weights[name].float().cpu()
        quantizer, bits = quantizer_of(tag.role)
        small = w.numel() <= h.keep_float_numel
        if tag.role == "control" or small or quantizer is None:
            tensors[name] = w.half()
        else:
            tensors[f"{name}:q"] = tensors[f"{name}:s"] = None
            if turn % world_size == rank:  # the ranks take turns
                codes, scale = quantizer(w.reshape(-1, w.size(-1)), bits)
                tensors[f"{name}:q"] = codes.view(w.shape)
                tensors[f"{name}:s"] = scale.half()
            turn += 1
    if world_size > 1:
        gathered = [None] * world_size
        dist.all_gather_object(gathered, tensors)
        tensors = {name: next(share[name] for share in gathered if share[name] is not None) for name in tensors}
    return tensors


def dequantize(tensors):
    """{name: fp32 weight} from what `quantize` made; a quantized weight comes as (rows, columns)."""
    weights = {}
    for name, tensor in tensors.items():
        base, _, kind = name.partition(":")
        if not kind:
            weights[name] = tensor.float()
        elif kind == "q":
            weights[base] = rows_of(tensors, base)
    return weights


def rows_of(tensors, name):
    """The fp32 weight (rows, columns) of a quantized tensor, before corrections."""
    return scaled(tensors[f"{name}:q"], tensors[f"{name}:s"])


def scaled(codes, scale):
    """The fp32 weight (rows, columns) that codes and their stored scale stand for."""
    codes = codes.view(len(scale), -1)
    return codes.float() * scale.float()[:, None]


def readable_scale(scale):
    """`scale` as the decoder will read it, for quantizers that count with that; never 0, so that a row of zeros has codes."""
    return scale.half().float().clamp_min(2.0**-24)


def load_weights(model, weights):
    """Copy {name: weight} into the raw model; a name too many or too few is a fault."""
    params = {name: param for name, param, _ in collect(model)}
    if params.keys() != weights.keys():
        raise ValueError(f"these weights are not this model's: {sorted(params.keys() ^ weights.keys())[:5]} …")
    with torch.no_grad():
        for name, param in params.items():
            param.copy_(weights[name].view_as(param))


# Bytes laid out for general-purpose compressors: tensors of one type side by side, and in them first bytes first (PR
# #1089).
def to_planes(tensors):
    """The tensors' bytes: type after type, of every tensor first all low bytes, then the next, and so on."""
    pieces = []
    for tensor in sorted(tensors, key=lambda t: str(t.dtype)):
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        pieces.append(values.reshape(-1, tensor.element_size()).T.tobytes())
    return b"".join(pieces)


def from_planes(data, specs):
    """The reverse of `to_planes`; specs: [(name, dtype, shape)] in the tensors' own order."""
    check(
        len(data) == sum(math.prod(shape) * DTYPES[dtype].itemsize for _, dtype, shape in specs), "has another length"
    )
    tensors, at = [None] * len(specs), 0
    for i in sorted(range(len(specs)), key=lambda i: str(DTYPES[specs[i][1]])):
        dtype, shape = DTYPES[specs[i][1]], specs[i][2]
        values = np.frombuffer(data, np.uint8, math.prod(shape) * dtype.itemsize, at)
        at += len(values)
        values = values.reshape(dtype.itemsize, -1).T.copy().reshape(-1)
        tensors[i] = torch.from_numpy(values).view(dtype).reshape(shape)
    return tensors


def unlzma(data, unpacked_bytes, filters):
    """The text of exactly `unpacked_bytes`; never unpacks more than one byte beyond them."""
    stream = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
    try:
        text = stream.decompress(data, unpacked_bytes + 1)
    except lzma.LZMAError as fault:
        raise ValueError(f"does not unpack: {fault}") from fault
    check(
        len(text) == unpacked_bytes and stream.eof and not stream.unused_data, "unpacks to another length than it says"
    )
    return text


# Bit packing, then LZMA at preset 9, as PR #1573 shipped it. For comparison: behind packed bits no coder sees a code,
# so it costs 20 to 80 %.
#
# What LZMA gets are not one-byte codes, so its contexts are the general ones, for the packed bits and for the floats
# behind them.
PACKED_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9}]


class BitpackCoder:
    """Codes (int8, uint8) in as many bits as the largest needs, a byte where that is more than six; other types as byte planes."""

    name = "bitpack"

    @staticmethod
    def encode(tensors):
        head, packed, rest = [], [], []
        for tensor in tensors:
            if tensor.element_size() == 1 and tensor.numel():
                values = tensor.detach().cpu().numpy().reshape(-1).astype(np.int16)
                low, high = int(values.min()), int(values.max())
                bits = max(max(high, -1 - low).bit_length() + (low < 0), 1)
                bits = bits if bits <= 6 else 8  # a byte is what LZMA sees whole
                low = -(1 << bits - 1) if low < 0 else 0  # 0 has the same bits in every tensor: 0.4 % smaller
                digits = (values - low)[:, None] >> np.arange(bits) & 1
                head.append(struct.pack("<hB", low, bits))
                packed.append(np.packbits(digits.astype(np.uint8), bitorder="little").tobytes())
            else:
                rest.append(tensor)
        text = b"".join((*head, *packed, to_planes(rest)))
        return struct.pack("<Q", len(text)) + lzma.compress(text, lzma.FORMAT_RAW, filters=PACKED_FILTERS)

    @staticmethod
    def decode(payload, specs, unpacked_bytes):
        small = [spec for spec in specs if DTYPES[spec[1]].itemsize == 1 and math.prod(spec[2])]
        check(len(payload) >= 8, "ends within its length")
        text_bytes = struct.unpack_from("<Q", payload)[0]
        check(3 * len(small) <= text_bytes <= 3 * len(small) + unpacked_bytes, f"would unpack to {text_bytes} bytes")
        text = unlzma(payload[8:], text_bytes, PACKED_FILTERS)
        at, tensors = 3 * len(small), {}
        for i, (name, dtype, shape) in enumerate(small):
            low, bits = struct.unpack_from("<hB", text, 3 * i)
            count = math.prod(shape)
            size = (count * bits + 7) // 8
            check(
                1 <= bits <= 8 and -128 <= low <= 255 and at + size <= len(text), "a packed tensor has another length"
            )
            digits = np.unpackbits(np.frombuffer(text, np.uint8, size, at), bitorder="little")[: count * bits]
            values = digits.reshape(count, bits).astype(np.int16) @ (1 << np.arange(bits, dtype=np.int16)) + low
            tensors[name] = torch.from_numpy(values).to(DTYPES[dtype]).reshape(shape)
            at += size
        rest = [spec for spec in specs if spec[0] not in tensors]
        tensors.update(zip([spec[0] for spec in rest], from_planes(text[at:], rest)))
        return [tensors[name] for name, _, _ in specs]


def save_artifact(path, tensors):
    """Write the artifact of what `quantize` made; returns (its bytes, the bytes of its tensors before the coder)."""
    return write_container(path, tensors, {}, BitpackCoder), sum(t.numel() * t.element_size() for t in tensors.values())


def load_artifact(path, model):
    tensors = read_container(path, BitpackCoder)[0]
    try:
        load_weights(model, dequantize(tensors))
    except (KeyError, IndexError, RuntimeError) as fault:
        raise ValueError(f"{path} does not hold this model: {fault}") from fault


# -----------------------------------------------------------------------------
# evaluation


# Scoring: nats and bytes of every target, summed in float64 and divided once.
#
# Reports are run in order, each on the model as the artifact holds it; the last one is the score. Prediction index p
# scores target p + 1 of the stream from the tokens up to p.
PROGRESS_SECONDS = 10  # between two lines of progress


class Trace:
    """What an evaluator scored. With `keep`: nats, visits and time stamp of every target of the stream."""

    def __init__(self, env, stream, name, label, keep):
        self.name = name  # of the result line
        self.label = label  # of the log line
        self.stream = stream
        self.env = env
        self.sum = torch.zeros((), dtype=torch.float64, device=env.device)  # of nats; nobody reads it while windows run
        self.tokens = self.bytes = 0  # the host counts them
        self.nats = torch.zeros(len(stream.target_bytes), dtype=torch.float64) if keep else None
        self.visits = torch.zeros(len(stream.target_bytes), dtype=torch.int32) if keep else None
        self.order = torch.full((len(stream.target_bytes),), -1, dtype=torch.int64) if keep else None
        self.clock, self.own = 0, len(stream.target_bytes) / env.world_size  # targets of this rank
        self.begun = self.told = time.perf_counter()

    def add(self, nats, at):
        """nats: any shape; at: prediction indices of the same shape, on the CPU."""
        nats = nats.double()
        self.sum += nats.sum()
        self.tokens += nats.numel()
        self.bytes += int(self.stream.target_bytes[at].sum())
        if self.nats is not None:
            self.nats[at], self.order[at] = nats.cpu(), self.clock
            self.visits[at] += 1
        self.clock += 1
        self.tell()

    def tell(self):
        """Say how far rank 0 is, and what remains if the rest takes as long."""
        now = time.perf_counter()
        if self.env.rank == 0 and now - self.told > PROGRESS_SECONDS:
            self.told, elapsed_seconds = now, now - self.begun
            share = self.tokens / self.own
            print(
                f"eval_progress {self.name} {100 * share:.1f}% running_bpb:{self.bpb:.4f} elapsed:{elapsed_seconds:.0f}s "
                f"eta:{max(elapsed_seconds / share - elapsed_seconds, 0):.0f}s",
                flush=True,
            )

    def reduce(self):
        """Sum over the ranks, each of which scored its own targets."""
        if self.env.world_size > 1:
            sums = self.sum.new_tensor((self.sum, self.tokens, self.bytes))
            dist.all_reduce(sums)
            self.sum, self.tokens, self.bytes = sums[0], int(sums[1]), int(sums[2])
            if self.nats is not None:
                self.nats = gather(self.env, self.nats)
                self.visits, self.order = gather(self.env, self.visits), gather(self.env, self.order + 1) - 1
        return self

    @property
    def loss(self):
        """Nats per token."""
        return float(self.sum / self.tokens)

    @property
    def bpb(self):
        """Bits per byte."""
        return float(self.sum / self.bytes / math.log(2))


def gather(env, tensor):
    """The sum over the ranks of a tensor that lies on the CPU."""
    if env.world_size == 1:
        return tensor
    tensor = tensor.to(env.device)
    dist.all_reduce(tensor)
    return tensor.cpu()


def picked(env, values, mask):
    """values[mask]. The mask lies on the CPU: a device would have to be asked, and waited for, how many it picks."""
    return values.flatten(0, mask.dim() - 1)[sent(env, mask.flatten().nonzero()[:, 0])]


def share(env, count):
    """This rank's contiguous part of `count` things, as a range."""
    return range(count * env.rank // env.world_size, count * (env.rank + 1) // env.world_size)


def scored_targets(stream):
    """How many targets every evaluator scores: no tail shorter than a window, as the challenge counts, unless the recipe scores it."""
    windows = (len(stream.tokens) - 1) // h.eval_seq_len
    if not windows:
        raise ValueError(f"{len(stream.tokens)} validation tokens are fewer than one window of {h.eval_seq_len} + 1")
    return windows * h.eval_seq_len


def plain(env, model, stream, keep=False):
    """Windows of `eval_seq_len` side by side; attention runs over document boundaries."""
    trace = Trace(env, stream, "roundtrip", f"final_int{h.mlp_bits}_{BitpackCoder.name}_roundtrip", keep)
    total = scored_targets(stream)
    windows = share(env, total // h.eval_seq_len)
    batch = max(h.val_batch_tokens // 8 // h.eval_seq_len, 1)
    with torch.no_grad(), env.autocast():
        for first in windows[::batch]:
            start, end = first * h.eval_seq_len, min(first + batch, windows.stop) * h.eval_seq_len
            ids = sent(env, stream.tokens[start:end]).view(-1, h.eval_seq_len)
            targets = sent(env, stream.tokens[start + 1 : end + 1]).view(-1, h.eval_seq_len)
            trace.add(model(ids, targets), torch.arange(start, end).view(-1, h.eval_seq_len))
    return trace.reduce()


# Sliding windows: every target is scored with at least window − stride tokens of context (PR #50, Matthew Li).
#
# Only the first window's targets have less. Published effect at 1,024 / 64: 1.2244 → 1.1925 BPB, for sixteen times the
# work.
def legacy_windows(total):
    """As PR #50 had them: a window from every stride on, cut at the end and scoring its last stride of columns there too."""
    starts = torch.arange(0, total, h.eval_stride)
    lengths = (total - starts).clamp(max=h.eval_seq_len)
    return starts, torch.where(starts > 0, (lengths - h.eval_stride).clamp(min=0), 0)


def window_batches(env, stream, starts, first, ends):
    """ids (batch, eval_seq_len), the columns that the head reads and their targets (batch, S) on the device; on the CPU the mask
    of those that are scored, and their prediction indices.

    starts, first, ends: per window its start, the first column it scores, and the index before which it ends. What lies beyond
    is padding, which causal attention never shows to a scored column. S is a stride where no window of the batch scores more, else
    the whole window: two shapes, two compiled graphs.
    """
    scored = (ends - starts).clamp(max=h.eval_seq_len) - first
    for begin in range(0, len(starts), h.eval_batch_windows):
        rows = torch.arange(begin, begin + h.eval_batch_windows)
        mask = (rows < len(starts))[:, None]
        rows = rows.clamp(max=len(starts) - 1)
        columns, last = torch.arange(h.eval_seq_len), ends[rows, None] - 1
        ids = stream.tokens[torch.minimum(starts[rows, None] + columns, last)]
        if int(scored[rows].max()) <= h.eval_stride:
            columns = columns[: h.eval_stride]
        columns = first[rows, None].clamp(max=h.eval_seq_len - len(columns)) + columns
        at = starts[rows, None] + columns
        mask = mask & (columns >= first[rows, None]) & (at <= last)
        targets = stream.tokens[torch.minimum(at, last) + 1]
        yield *(sent(env, part) for part in (ids, columns, targets)), mask, at[mask]


def sliding_window(env, stream, total):
    """This rank's windows in batches; the model stays as it is."""
    starts, first = legacy_windows(total)
    mine = share(env, len(starts))
    starts, first = starts[mine.start : mine.stop], first[mine.start : mine.stop]
    return window_batches(env, stream, starts, first, torch.full_like(starts, total))


def sliding(env, model, stream, keep=False):
    """Score every target in overlapping windows of `eval_seq_len`, `eval_stride` apart."""
    trace = Trace(env, stream, "sliding", f"final_int{h.mlp_bits}_sliding_window", keep)
    with torch.no_grad(), env.autocast():
        for ids, columns, targets, mask, at in sliding_window(env, stream, scored_targets(stream)):
            trace.add(picked(env, model(ids, targets, head_at=columns), mask), at)
    return trace.reduce()


# -----------------------------------------------------------------------------
# main


# The container of checkpoint, Hessians and artifact: magic, coder, manifest, payload, checksum. No pickle.
#
#     "GOLF" · version u8 · coder 8 bytes · manifest bytes u32, unpacked u32 · payload bytes u64, unpacked u64 · manifest · payload · CRC-32
HEADER = struct.Struct("<4sB8sIIQQ")
DTYPES = {
    name: getattr(torch, name)
    for name in ("int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32")
}


def to_bytes(tensors):
    """The tensors' values one after another, little endian."""
    return b"".join(t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() for t in tensors)


def from_bytes(data, specs):
    """The reverse of `to_bytes`; specs: [(name, dtype, shape)]."""
    tensors, at = [], 0
    for _, dtype, shape in specs:
        count = math.prod(shape) * DTYPES[dtype].itemsize
        # frombuffer wants at least one byte
        piece = torch.frombuffer(bytearray(data[at : at + count] or b"0"), dtype=torch.uint8)[:count]
        tensors.append(piece.view(DTYPES[dtype]).reshape(shape))
        at += count
    return tensors


class RawCoder:
    name = "raw"

    @staticmethod
    def encode(tensors):
        return to_bytes(tensors)

    @staticmethod
    def decode(payload, specs, unpacked_bytes):
        return from_bytes(payload, specs)


def check(condition, sentence):
    if not condition:
        raise ValueError(sentence)


def write_container(path, tensors, meta, coder):
    """Write {name: tensor} and `meta` to `path`, whole or not at all. Returns the file's bytes."""
    specs = [[name, str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in tensors.items()]
    text = json.dumps({"meta": meta, "tensors": specs}, separators=(",", ":")).encode()
    manifest, payload = zlib.compress(text, 9), coder.encode(list(tensors.values()))
    unpacked_bytes = sum(t.numel() * t.element_size() for t in tensors.values())
    header = HEADER.pack(b"GOLF", 1, coder.name.encode(), len(manifest), len(text), len(payload), unpacked_bytes)
    body = header + manifest + payload
    write_atomically(path, body + struct.pack("<I", zlib.crc32(body)))
    return os.path.getsize(path)


def write_atomically(path, data):
    with open(f"{path}.tmp", "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.tmp", path)


def read_container(path, coder):
    """({name: tensor}, meta) of a container that `coder` wrote; ValueError for any other file, and for a damaged one."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        magic, _, name, manifest_bytes, _, _, unpacked_bytes = HEADER.unpack_from(data)
        check(
            magic == b"GOLF" and zlib.crc32(data[:-4]) == struct.unpack("<I", data[-4:])[0],
            "its checksum does not hold",
        )
        check(name.rstrip(b"\0") == coder.name.encode(), f"written by the coder {name!r}, not by {coder.name}")
        payload_at = HEADER.size + manifest_bytes
        manifest = json.loads(zlib.decompress(data[HEADER.size : payload_at]))
        tensors = coder.decode(data[payload_at:-4], manifest["tensors"], unpacked_bytes)
    except (ValueError, RecursionError, struct.error) as fault:
        raise ValueError(f"{path} is damaged or no golf container: {fault}") from fault
    return dict(zip([name for name, _, _ in manifest["tensors"]], tensors)), manifest["meta"]


# The run's log: the challenge's own line formats, and one machine line at the end.
#
# Every value is what this run measured; a field that a run could not measure is absent or null.
RESULT_SCHEMA = 1


class Log:
    """Prints on rank 0, to stdout and to `logs/<run_id>.txt`; gathers the fields of the result line."""

    def __init__(self, env):
        self.path = None
        if env.rank == 0:
            os.makedirs("logs", exist_ok=True)
            self.path = os.path.join("logs", f"{env.run_id}.txt")
        self.result = {}

    def __call__(self, line):
        if self.path is None:
            return
        print(line, flush=True)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def record(self, **fields):
        """Keep measured values for the result line."""
        self.result.update(fields)

    def finish(self):
        self(f"golf_result {json.dumps(self.result)}")


# `python train_gpt.py [train] [export] [eval]`: all three by default, in one process group, as the contest runs it.
#
# train leaves `float.golf`, export turns it into the artifact `model.golf`, eval scores what the artifact holds and
# nothing else.
def main():
    begun = time.perf_counter()
    phases = sys.argv[1:] or ["train", "export", "eval"]
    assert set(phases) <= {"train", "export", "eval"}, f"phases are train, export, eval, not {' '.join(phases)}"
    env = Env()
    set_up(env)
    log = Log(env)
    log(f"golf_start {h.name} phases:{','.join(phases)} torch:{torch.__version__}")
    model = build(env)
    describe(env, log, model, phases)
    env.synchronize()
    log.record(setup_seconds=time.perf_counter() - begun)
    if "train" in phases:
        log("golf_phase train")
        train(env, log, model)
    if "export" in phases:
        log("golf_phase export")
        export(env, log, model)
    if "eval" in phases:
        log("golf_phase eval")
        evaluate(env, log, model)
    log.finish()
    if env.distributed:
        dist.barrier()  # nobody leaves while another still talks
        dist.destroy_process_group()  # the last owner: no thread of the group meets a dying interpreter


def set_up(env):
    random.seed(env.seed)
    np.random.seed(env.seed)
    torch.manual_seed(env.seed)
    if env.cuda:
        torch.cuda.set_device(env.device)
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    if env.distributed:
        # DDP imports it later, and functions there would then hold the group as a default argument past its end
        importlib.import_module("torch.distributed.nn.functional")
        dist.init_process_group("nccl" if env.cuda else "gloo")


def build(env):
    """The raw model, initialised from the seed, on the device, tables in the dtype of the activations."""
    model = GPT()
    initialize(model, env.seed)
    model.to(env.device)
    cast_masters(model, env.dtype)
    return model


def describe(env, log, model, phases):
    """The header of the log, in the challenge's words, and what the result line says of the set-up."""
    params = sum(p.numel() for p in model.parameters() if p.requires_grad)  # statistics learn nothing
    device = torch.cuda.get_device_name() if env.cuda else "cpu"
    log(f"model_params:{params}")
    log(f"world_size:{env.world_size} grad_accum_steps:{env.grad_accum_steps}")
    log(
        f"attention_mode:gqa num_heads:{h.num_heads} num_kv_heads:{h.num_kv_heads} attention:{attention_kind(env)} device:{device}"
    )
    if "train" in phases:
        shards = shard_paths(env, "train")
        log(f"train_loader:dataset:{os.path.basename(os.path.normpath(env.data_path))} train_shards:{len(shards)}")
    log(
        f"train_batch_tokens:{h.train_batch_tokens} train_seq_len:{h.train_seq_len} iterations:{env.iterations} "
        f"warmup_steps:{h.warmup_steps} max_wallclock_seconds:{env.max_wallclock_seconds:.3f}"
    )
    log(f"seed:{env.seed}")
    log.record(
        schema=RESULT_SCHEMA,
        name=h.name,
        seed=env.seed,
        phases=phases,
        device=device,
        world_size=env.world_size,
        torch=torch.__version__,
        attention=attention_kind(env),
        dtype=str(env.dtype).removeprefix("torch."),
        params=params,
        vocab_size=h.vocab_size,
        train_seq_len=h.train_seq_len,
        train_batch_tokens=h.train_batch_tokens,
        max_wallclock_seconds=env.max_wallclock_seconds,
        iterations=env.iterations,
        code_bytes=os.path.getsize(__file__),
    )


def export(env, log, model):
    """Quantise the checkpoint into the artifact, every rank its share of the matrices; rank 0 writes and weighs it."""
    begun = time.perf_counter()
    if env.distributed:
        dist.barrier()  # rank 0 has written the checkpoint
    weights, measured = read_container("float.golf", RawCoder)
    load_weights(model, weights)
    log.record(**{name: value for name, value in measured.items() if name != "seed"})
    tensors = quantize(collect(model), weights, env.rank, env.world_size)
    if env.rank == 0:
        code_bytes = os.path.getsize(__file__)
        label = f"int{h.mlp_bits}+{BitpackCoder.name}"
        model_bytes, payload_bytes = save_artifact("model.golf", tensors)
        log(f"Code size: {code_bytes} bytes")
        log(f"Serialized model {label}: {model_bytes} bytes (payload:{payload_bytes})")
        log(f"Total submission size {label}: {model_bytes + code_bytes} bytes")
        log.record(
            model_bytes=model_bytes,
            total_bytes=model_bytes + code_bytes,
            serialization_seconds=time.perf_counter() - begun,
        )
    if env.distributed:
        dist.barrier()


def rehearsal(env, stream):
    """Random tokens that ask for the graphs of the stream on every rank: documents longer than a window, whole batches, the same rest."""
    period = max(h.val_batch_tokens // 8 // h.eval_seq_len, 1) * h.eval_seq_len * env.world_size
    document, total = h.eval_seq_len + h.eval_seq_len // 4 + 1, len(stream.target_bytes)
    targets = min(total % period + -(-128 * document * env.world_size // period) * period, total)
    tokens = torch.randint(h.bos_id + 1, h.vocab_size, (targets + 1,), generator=torch.Generator().manual_seed(0))
    tokens[::document] = h.bos_id
    return SimpleNamespace(tokens=tokens, target_bytes=torch.ones_like(stream.target_bytes[:targets]))


def evaluate(env, log, model):
    """Every report of the recipe, each on the weights that the artifact holds."""
    stream = Stream(env)
    log(
        f"val_loader:shards pattern={os.path.join(env.data_path, 'fineweb_val_*.bin')} tokens:{len(stream.target_bytes)}"
    )
    scored = compiled(env, model)
    # what the reports need is compiled before their clock starts; no validation token is read for it
    if scored is not model:
        since, drawn = time.perf_counter(), rehearsal(env, stream)
        for report in (plain, sliding):
            load_artifact("model.golf", model)
            report(env, scored, drawn)
        log(f"eval:compile warmup done ({time.perf_counter() - since:.1f}s)")
    begun, reports = time.perf_counter(), []
    for report in (plain, sliding):
        env.synchronize()
        since = time.perf_counter()
        load_artifact("model.golf", model)
        trace = report(env, scored, stream)
        env.synchronize()
        seconds = time.perf_counter() - since
        log(f"{trace.label} val_loss:{trace.loss:.4f} val_bpb:{trace.bpb:.4f} eval_time:{1000 * seconds:.0f}ms")
        log(f"{trace.label}_exact val_loss:{trace.loss:.8f} val_bpb:{trace.bpb:.8f}")
        reports.append(
            {
                "name": trace.name,
                "val_loss": trace.loss,
                "val_bpb": trace.bpb,
                "tokens": trace.tokens,
                "bytes": trace.bytes,
                "seconds": seconds,
            }
        )
    log.record(
        reports=reports,
        eval_seconds=time.perf_counter() - begun,
        val_tokens=trace.tokens,
        val_bytes=trace.bytes,
        val_loss=trace.loss,
        val_bpb=trace.bpb,
    )


if __name__ == "__main__":
    main()
