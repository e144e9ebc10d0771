"""pr1809: Gram Newton–Schulz, three-layer recurrence, parallel residuals, score-first TTT (after PR #1809)

- A pre-norm transformer with tied embedding and head: one forward for whatever runs the model
- LN scale: every normed block input is scaled by 1 / √(layer + 1)
- Causal grouped-query attention: RMS-normed queries and keys, rotary positions, a learned gain per query head
- NTK rescale: beyond the training length the rotary base grows with the sequence
- Partial RoPE: rotate only the first dims of each head, the rest carries no position
- QK gain: the learned gain on the queries starts above the baseline's 1.5
- Orthogonal initialisation of the linears that do not start at zero (PR #65, @aquariouseworkman; only wide ones
  from PR #162, Raahil Shah)
- XSA, exclusive self-attention (PR #265, @unnir)
- U-Net skips: the first half of the order pushes its outputs, the second pops them, with learned weights
- Skip gates: a learned sigmoid blends each U-Net skip with the stream instead of adding it
- Depth recurrence (PR #1394, Kevin Clark; three layers from PR #1493, @bigbag)
- LeakyReLU² (PR #549, @abaybektursun)
- Parallel residuals: from some layer on, attention and MLP read the same input (GPT-J; PR #1412, Robby Sneiderman)
- Shuffled sequences: windows of a rank's own shards in random order (PR #1394, Kevin Clark)
- Muon: momentum, then every matrix's update is replaced by the nearest orthogonal matrix (Keller Jordan, 2024)
- Decoupled weight decay, with a rate of its own for matrices, tables and scalars
- Gram Newton–Schulz (PR #1809, @PranavViswanath)
- MuonEq-R: normalise every row of Muon's update before it is orthogonalised (PR #1285, @dexhunter)
- Optimizers from tags: Muon for the matrices, Adam for tables and scalars
- Gradient clipping: the norm of all gradients together is bounded
- Warmdown over the last share of the training budget, down to a floor (PR #1218, Kevin Clark; the floor PR #1787,
  #1809)
- DDP around one compiled graph (`optimize_ddp = False`, PR #1218 and its line)
- EMA: export an exponential moving average of all weights, updated after every step (PR #287, @jfprincz)
- Calibration: what GPTQ must know of every matrix's inputs, H = Σ xᵀx
- GPTQ (Frantar et al., arXiv:2210.17323)
- brotli at quality 11 over byte planes, the coder of the records from PR #1089 to #1809
- Sliding windows: every target is scored with at least window − stride tokens of context (PR #50, Matthew Li)
- Score-first test-time training by SGD: score a chunk in sliding windows, then train every weight on it (PR #549)

Composed by golf 0.1.0 from pr1809 → pr1493 → pr1394 → pr1218 → pr549 → pr414 → pr315 → pr287 → pr265 → pr162 →
baseline. Do not edit: change recipe.toml, then `golf compose`.

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
- @abaybektursun: the recipe pr549; full GPTQ (PR #1019); LeakyReLU² (PR #549); score-first TTT (PR #549)
- @dexhunter: coprime loader (PR #1060); MuonEq-R, recurrence (PR #1285); QK gain, TTT (PR #1413)
- PR #1089: skip gates, brotli; almost-orthogonal-layer scaling (Turbo-Muon)
- Kevin Clark (@clarkkev): the recipe pr1218; 4x MLP, weight decay, skip gates (PR #1218); the recipe pr1394; base
  stack (PR #1394)
- Marko Sisovic: recurrence (PR #1204)
- Robby Sneiderman: parallel residuals (PR #1412)
- @bigbag: the recipe pr1493; base stack (PR #1493)
- You Jiacheng: the quintics (the PR calls them Polar Express)
- @PranavViswanath: the recipe pr1809
"""

import glob
import importlib
import json
import math
import os
import random
import struct
import sys
import time
import zlib
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import brotli
import numpy as np
import sentencepiece
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

# -----------------------------------------------------------------------------
# settings


class h:
    name = "pr1809"  # of the recipe
    # env
    seed = 1337  # used when SEED is not set
    iterations = 20_000  # steps, the cap that holds when the clock does not
    max_wallclock_seconds = 600.0  # training clock; 0 counts in steps
    vocab_size = 8192  # of the SentencePiece model
    # attention
    num_heads = 8  # query heads
    num_kv_heads = 4  # key and value heads, each shared by num_heads / num_kv_heads query heads
    qk_gain = 5.25  # start of the learned gain on the queries
    rope_base = 10_000.0
    rope_dims = 16  # rotated dims per head
    rope_train_len = 2048  # beyond this many tokens the base grows (NTK)
    # xsa
    xsa_last_n = 11  # the last layers that have it
    # loops
    loop_extra = 2  # passes over the segment beyond the first
    loop_first = 3  # first layer of the segment
    loop_last = 5  # its last layer
    # model
    num_layers = 11  # blocks with weights of their own
    model_dim = 512  # residual width
    mlp_mult = 4.0  # MLP hidden width / model_dim
    tied_embed_init_std = 0.005
    softcap = 30.0  # logits are bounded by softcap · tanh(z / softcap)
    # leaky_relu2
    negative_slope = 0.5
    # parallel_residual
    parallel_from = 7  # first layer that does
    # data
    train_seq_len = 2048  # tokens
    train_batch_tokens = 786_432  # per step, over all ranks and micro-batches
    bos_id = 1  # the token that starts a document
    # muon
    ns_steps = 4
    muon_wd = 0.095  # decoupled weight decay
    # optim
    matrix_lr = 0.022  # Muon
    scalar_lr = 0.02  # Adam on gains, scales, mixes
    tied_embed_lr = 0.03  # Adam on the tied embedding and other tables
    beta1 = 0.9
    beta2 = 0.95
    adam_eps = 1e-08
    adam_wd = 0.02  # decoupled weight decay of the scalars
    embed_wd = 0.085  # … of the tables
    grad_clip_norm = 0.3  # of all gradients together
    # schedule
    momentum = 0.99
    momentum_warmup_start = 0.92
    momentum_warmup_steps = 1500
    loop_from = 0.35  # share of the training budget from which the looped order runs
    reserve_seconds = 0.5  # kept off the training clock for calibration
    # train
    warmup_steps = 20  # real steps before the clock starts, undone after: they compile and allocate
    val_loss_every = 4000  # steps; 0 only at the end
    train_log_every = 500  # steps
    # warmdown_frac
    warmdown_frac = 0.72  # share of the budget
    min_lr = 0.1  # floor, as a factor on the base learning rates
    # ema
    ema_decay = 0.9965
    # calibrate
    calibration_batches = 64  # micro-batches a rank, of training text
    # gptq
    gptq_block = 128  # columns whose errors are passed on together
    gptq_damp = 0.01  # of the mean diagonal, added to the diagonal
    gptq_descending = True  # columns with the largest diagonal first
    # quant
    embed_bits = 8
    attn_bits = 6
    mlp_bits = 6
    embed_clip_sigmas = 20.0  # SDClip: the largest code stands for this many standard deviations of the row
    attn_clip_sigmas = 12.85
    mlp_clip_sigmas = 12.85
    keep_float_numel = 65_536  # tensors up to this many values are stored as fp16
    # evaluate
    eval_seq_len = 2048  # tokens
    val_batch_tokens = 524_288  # over all ranks
    # sliding
    eval_stride = 64  # tokens
    eval_batch_windows = 32  # per rank
    # ttt_sgd
    ttt_lr = 0.005  # of the first chunk
    ttt_momentum = 0.9
    ttt_epochs = 3  # passes over a chunk after it is scored
    ttt_chunk_tokens = 32_768
    ttt_batch_seqs = 32  # sequences of eval_seq_len a step, over all ranks
    ttt_grad_clip = 1.0  # norm of all gradients together


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

    def __init__(self, inputs, outputs, *, role, init):
        super().__init__()
        self.weight = tag(nn.Parameter(torch.zeros(outputs, inputs)), group="matrix", role=role, init=init)

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


# XSA, exclusive self-attention: take out of every head's output what lies along the token's own value (PR #265,
# @unnir).
#
# No parameters. Published effect: about −0.002 BPB on the last four layers. PR #1019 uses it on all.
class XSA(nn.Module):
    @staticmethod
    def at(layer):
        return layer >= h.num_layers - h.xsa_last_n

    def forward(self, y, u, flow):
        # y: (B, T, H, D)   flow.v: (B, T, Hkv, D)
        grouped = y.unflatten(2, (flow.v.size(2), -1))
        own = F.normalize(flow.v, dim=-1, eps=1e-12)[:, :, :, None]
        return (grouped - (grouped * own).sum(dim=-1, keepdim=True) * own).flatten(2, 3)


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
        self.attn_out = nn.ModuleDict({"XSA": XSA()} if XSA.at(layer) else {})

    def forward(self, u, flow):
        # u: (B, T, C), normed   ->   (B, T, C) and the flow
        B, T, C = u.shape
        q, k, v = self.c_q(u), self.c_k(u), self.c_v(u)
        q = q.view(B, T, h.num_heads, self.head_dim)
        k = k.view(B, T, h.num_kv_heads, self.head_dim)
        v = v.view(B, T, h.num_kv_heads, self.head_dim)
        q, k = rotate(norm(q), flow.rope), rotate(norm(k), flow.rope)
        q = q * self.q_gain.to(q.dtype)[:, None]
        y = causal_attention(q, k, v)
        if "XSA" in self.attn_out:
            y = self.attn_out["XSA"](y, u, flow._replace(v=v))
        y = y.reshape(B, T, C)
        return self.proj(y), flow


# U-Net skips: the first half of the order pushes its outputs, the second pops them, with learned weights.
def halves():
    """The first half of the layers, then the rest."""
    half = h.num_layers // 2
    return list(range(half)), list(range(half, h.num_layers))


# Depth recurrence: a segment of layers runs several times with the same weights (PR #1394, Kevin Clark; three layers
# from PR #1493, @bigbag).
#
# Two extra passes over layers 3 to 5 make 17 virtual layers of 11. Off until `loop_from` of the training budget is
# used, on in evaluation and calibration. Skips are sized for the looped order. Published effect: about −0.003 BPB (PR
# #1285).
def looped(loop):
    if not loop:
        return halves()
    extra = h.loop_extra
    segment = list(range(h.loop_first, h.loop_last + 1))
    layers = list(range(h.loop_first)) + (extra + 1) * segment + list(range(h.loop_last + 1, h.num_layers))
    half = len(layers) // 2
    return layers[:half], layers[half:]


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        encoder, decoder = looped(True)
        skips = min(len(encoder), len(decoder))
        self.skip_weights = tag(nn.Parameter(torch.ones(skips, h.model_dim)), group="scalar", role="control")
        self.skip_gates = tag(nn.Parameter(torch.zeros(skips, h.model_dim)), group="scalar", role="control")

    def merge(self, x, skip, row):
        skip = self.skip_weights[row].to(x.dtype) * skip
        return torch.lerp(skip, x, torch.sigmoid(self.skip_gates[row].to(x.dtype)))

    def forward(self, x, blocks, flow, loop):
        encoder, decoder = looped(loop)
        skips = []
        for layer in encoder:
            x, flow = blocks[layer](x, flow)
            skips.append(x)
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
    v: object = None  # (B, T, Hkv, D) values of this block, for attn_out hooks


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


# Parallel residuals: from some layer on, attention and MLP read the same input (GPT-J; PR #1412, Robby Sneiderman).
#
# No parameters. Published effect with a Hessian-aware clip: 1.0856 → 1.0835 BPB.
class ParallelBlock(Block):
    def forward(self, x, flow):
        x = self.mixed(x, flow)
        u = self.read(x)
        y, flow = self.attention_of(u, flow)
        return x + y + self.mlp_of(u), flow


def parallel_block(layer):
    """Sequential blocks first, parallel ones from `parallel_from`."""
    return ParallelBlock(layer) if layer >= h.parallel_from else Block(layer)


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok_emb = Embedding(h.vocab_size, h.model_dim, role="embed", init=tied_normal)
        self.blocks = nn.ModuleList(parallel_block(layer) for layer in range(h.num_layers))
        self.route = UNet()

    def forward(self, ids, targets=None, *, loop=True, head_at=None):
        """ids, targets: (B, T). Nats per position (B, T), or logits (B, T, V) without targets.

        loop: True for the looped order, False for the plain one.
        head_at: (B, S) columns of each row that the head reads, targets are theirs; all T without.
        """
        x = self.tok_emb(ids)
        x = norm(x)
        rope = rotary_tables(ids.size(1), ids.device)
        flow = Flow(x0=x, rope=rope)
        x = norm(self.route(x, self.blocks, flow, loop))
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


# Shuffled sequences: windows of a rank's own shards in random order (PR #1394, Kevin Clark).
#
# Rank r reads shards r, r + world, …; its order is drawn from a generator seeded by the rank, so the run's seed changes
# nothing. A rank without a shard of its own is an error.
class ShuffledSequences:
    def __init__(self, env):
        self.env = env
        self.shards = [load_shard(path) for path in shard_paths(env, "train")[env.rank :: env.world_size]]
        assert self.shards, f"rank {env.rank} of {env.world_size} has no shard: this loader needs one a rank"
        self.rng = np.random.Generator(np.random.PCG64(env.rank))
        self.starts = [[] for _ in self.shards]
        for i in range(len(self.shards)):
            self.reset(i)

    def reset(self, i):
        """Draw the shard's phase and the order of its windows; they are taken from the end."""
        seq_len, tokens = h.train_seq_len, len(self.shards[i])
        last_phase = min(seq_len - 1, max(0, tokens - seq_len - 1))
        phase = int(self.rng.integers(last_phase + 1)) if last_phase else 0
        order = self.rng.permutation((tokens - 1 - phase) // seq_len)
        self.starts[i] = (phase + order * seq_len).tolist()

    def next_batch(self):
        """ids, targets: (sequences, T) of this rank's micro-batch."""
        seq_len = h.train_seq_len
        rows = []
        for _ in range(h.train_batch_tokens // 8 // seq_len):
            left = np.array([len(starts) for starts in self.starts], dtype=np.float64)
            if not left.any():
                for i in range(len(self.shards)):
                    self.reset(i)
                left = np.array([len(starts) for starts in self.starts], dtype=np.float64)
            i = int(self.rng.choice(len(self.shards), p=left / left.sum()))
            start = self.starts[i].pop()
            rows.append(self.shards[i][start : start + seq_len + 1].astype(np.int64))
        windows = np.stack(rows)
        return torch.from_numpy(windows[:, :-1]), torch.from_numpy(windows[:, 1:])


# -----------------------------------------------------------------------------
# optimizer


# Muon: momentum, then every matrix's update is replaced by the nearest orthogonal matrix (Keller Jordan, 2024).
def bf16_product(a, b):
    """a @ b in bf16, summed in fp32 and rounded once; PyTorch's own takes ten times as long on a CPU."""
    return a @ b if a.is_cuda or a.dtype != torch.bfloat16 else (a.float() @ b.float()).bfloat16()


# Gram Newton–Schulz: for long matrices iterate on the small Gram matrix instead of the matrix (PR #1809,
# @PranavViswanath).
#
# The quintics are You Jiacheng's, the last `steps` of five, behind an almost-orthogonal-layer scaling of the rows
# (Turbo-Muon, PR #1089) that replaces the first; PR #1809 calls them Polar Express, its code says otherwise. Exact
# algebra equals the standard iteration; 28 % fewer operations on 512 × 2048, 10 % on 256 × 512. Restarted at the third
# step for bf16.
YOU_QUINTICS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


def gram_ns(g, steps):
    """g: (rows, cols) of any dtype; bf16 inside."""
    x = g.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    quintics = YOU_QUINTICS[-steps:]
    x = on_gram(x, quintics) if x.size(1) >= 1.5 * x.size(0) else on_matrix(x, quintics)
    return x.T if tall else x


def aol_scale(gram):
    """Row factors that bring the spectral norm below 1."""
    return gram.abs().sum(dim=1).clamp_min(1e-7).rsqrt()


def on_matrix(x, quintics):
    for i, (a, b, c) in enumerate(quintics):
        gram = bf16_product(x, x.T)
        if i == 0:
            s = aol_scale(gram)
            x = s[:, None] * x
            gram = s[:, None] * gram * s[None, :]
        x = a * x + bf16_product(b * gram + bf16_product(c * gram, gram), x)
    return x


def on_gram(x, quintics):
    identity = torch.eye(x.size(0), dtype=x.dtype, device=x.device)
    gram, q = bf16_product(x, x.T), identity
    for i, (a, b, c) in enumerate(quintics):
        if i == 2:
            x = bf16_product(q, x)
            gram = bf16_product(x, x.T)
        if i == 0:
            s = aol_scale(gram)
            x = s[:, None] * x
            gram = s[:, None] * gram * s[None, :]
        z = b * gram + c * bf16_product(gram, gram)
        q = a * identity + z if i in (0, 2) else a * q + bf16_product(z, q)
        if i + 1 < len(quintics) and i != 1:
            y = bf16_product(z, gram) + a * gram
            gram = bf16_product(z, y) + a * y
    return bf16_product(q, x)


# MuonEq-R: normalise every row of Muon's update before it is orthogonalised (PR #1285, @dexhunter).
#
# Published effect: about −0.001 BPB.
def row_norm(g):
    return g / g.norm(dim=-1, keepdim=True).clamp_min(1e-7)


class Muon(torch.optim.Optimizer):
    """Rank r of `world_size` orthogonalises every world_size-th matrix; one all-reduce hands the updates to everybody."""

    def __init__(self, params, lr, env):
        super().__init__([{"params": params}], {"lr": lr, "base_lr": lr, "momentum": 0.0})
        self.env = env
        self.orthogonalize = torch.compile(gram_ns) if env.cuda else gram_ns

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
        if "momentum" not in self.state[p]:
            self.state[p]["momentum"] = torch.zeros_like(g)
        buffer = self.state[p]["momentum"]
        buffer.mul_(momentum).add_(g)
        g = g.add(buffer, alpha=momentum)
        g = row_norm(g)
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

    def progress(self):
        """How much of the training budget is used, from 0 to 1."""
        if self.cap_seconds > 0:
            return min(self.elapsed_seconds / self.cap_seconds, 1.0)
        return min(self.step / self.env.iterations, 1.0)


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


def ddp(env, model):
    """Averages the gradients over the ranks while the last micro-batch runs backward."""
    if not env.distributed:
        return model
    return DistributedDataParallel(model, device_ids=[env.local_rank] if env.cuda else None)


# Warmdown over the last share of the training budget, down to a floor (PR #1218, Kevin Clark; the floor PR #1787,
# #1809).
#
# A floor above 0 needs an average at the end: the raw weights of PR #1809 are 0.007 BPB worse than their EMA.
def warmdown_by_fraction(clock):
    return max(min((1 - clock.progress()) / h.warmdown_frac, 1.0), h.min_lr)


def take_step(env, model, loader, optimizers, clock, loop=True):
    """One optimizer step over 8 micro-batches, all ranks together. Returns this rank's mean loss, nats per token."""
    loss_sum = torch.zeros((), device=env.device)
    for micro in range(env.grad_accum_steps):
        ids, targets = loader.next_batch()
        ids, targets = sent(env, ids), sent(env, targets)
        if env.distributed:
            model.require_backward_grad_sync = micro == env.grad_accum_steps - 1
        with env.autocast():
            loss = model(ids, targets, loop=loop).mean()
        loss_sum += loss.detach()
        (loss / env.grad_accum_steps).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), h.grad_clip_norm)
    clock.lr_factor, momentum = warmdown_by_fraction(clock), momentum_warmup(clock)
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
    loader, clock = ShuffledSequences(env), Clock(env, 0.0)
    for i in range(h.warmup_steps):
        take_step(env, trained, loader, optimizers, clock)
        log(f"warmup_step:{i + 1}/{h.warmup_steps}")
    for i in range(h.warmup_steps):
        take_step(env, trained, loader, optimizers, clock, loop=False)
        log(f"loop_warmup_step:{i + 1}/{h.warmup_steps}")
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


# DDP around one compiled graph: Dynamo does not cut it at DDP's buckets (`optimize_ddp = False`, PR #1218 and its
# line).
#
# Dynamo cuts it there so that averaging overlaps with the backward; whole, it compiles once and fuses across the cuts.
def ddp_one_graph(env, model):
    if env.cuda:  # nothing is compiled on a CPU, where only loading the compiler would take seconds
        torch._dynamo.config.optimize_ddp = False
    return ddp(env, model)


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


def ema_weights(ema):
    """Put the average into the model."""
    ema.export()


# Calibration: what GPTQ must know of every matrix's inputs, H = Σ xᵀx.
#
# Collected between training and export on the weights to be exported; training text only inside the training clock,
# which `reserve_seconds` must leave room in. All ranks' inputs are added up (the public scripts used one rank's).
# Validation text never enters.
def from_training_text(env, log, model, loader):
    """Calibrate on the batches that training would have seen next (the public scripts go back to the first ones)."""
    begun = time.perf_counter()
    collect_hessians(
        env, log, model, (loader.next_batch()[0].to(env.device) for _ in range(h.calibration_batches)), begun
    )


class InputGram:
    """Σ xᵀx of the vectors that pass a hook: (width, width), fp32."""

    def __init__(self, width, device):
        self.total = torch.zeros(width, width, device=device)

    def add(self, x):
        x = x.detach().float().flatten(0, -2)
        self.total.addmm_(x.T, x)

    def before(self, module, inputs):
        self.add(inputs[0])

    def after(self, module, inputs, output):
        self.add(norm(output))


def watch(env, model):
    """({parameter: InputGram}, hooks) of every matrix large enough for codes; a tied embedding sees what its head reads."""
    grams = {"tok_emb.weight": InputGram(h.model_dim, env.device)}
    hooks = [model.route.register_forward_hook(grams["tok_emb.weight"].after)]
    for name, module in model.named_modules():
        if isinstance(module, CastedLinear) and module.weight.numel() > h.keep_float_numel:
            gram = grams[f"{name}.weight"] = InputGram(module.weight.size(1), env.device)
            hooks.append(module.register_forward_pre_hook(gram.before))
    return grams, hooks


@torch.no_grad()
def collect_hessians(env, log, model, batches, begun):
    """Run the batches of ids through the raw model; rank 0 writes {parameter: H per batch} to `hessians.golf`, fp32."""
    grams, hooks = watch(env, model)
    count = torch.zeros((), device=env.device)
    with env.autocast():
        for ids in batches:
            model(ids)
            count += 1
    for hook in hooks:
        hook.remove()
    if env.world_size > 1:
        for gram in grams.values():
            dist.all_reduce(gram.total)
        dist.all_reduce(count)
    if env.rank == 0:
        hessians = {name: gram.total / count for name, gram in grams.items()}
        write_container("hessians.golf", hessians, {"seed": env.seed, "batches": int(count)}, RawCoder)
    env.synchronize()
    seconds = time.perf_counter() - begun
    log(f"GPTQ:collected {len(grams)} Hessians in {seconds:.1f}s")
    log.record(calibration_seconds=seconds)


def train(env, log, model):
    """Train the raw model in place and leave `float.golf`, the checkpoint that export reads."""
    stream = Stream(env)
    scored = compiled(env, model)
    trained = ddp_one_graph(env, scored)
    optimizers = build_optimizers(collect(model), env)
    warm = Clock(env, 0.0)
    warm.start()
    warm_up(env, log, model, trained, optimizers)
    warm.pause()
    ema = EMA(model)
    loader = ShuffledSequences(env)
    clock = Clock(env, env.max_wallclock_seconds - h.reserve_seconds if env.max_wallclock_seconds > 0 else 0.0)
    clock.start()
    stop_reason, loss = None, None
    loop = False
    while True:
        if time_is_up(env, clock):
            stop_reason = "wallclock_cap"
        elif clock.step == env.iterations:
            stop_reason = "iterations"
        if stop_reason or (h.val_loss_every and clock.step % h.val_loss_every == 0):
            validate(env, log, partial(scored, loop=loop), stream, clock)  # as the last step ran
        if stop_reason:
            break
        loop = clock.progress() >= h.loop_from
        loss = take_step(env, trained, loader, optimizers, clock, loop=loop)
        clock.step += 1
        clock.tick()
        ema.update(clock)
        if clock.step <= 10 or clock.step % h.train_log_every == 0:
            milliseconds = 1000 * clock.elapsed_seconds
            log(
                f"step:{clock.step}/{env.iterations} train_loss:{loss.item():.4f} "
                f"train_time:{milliseconds:.0f}ms step_avg:{milliseconds / clock.step:.2f}ms"
            )
    clock.pause()
    ema_weights(ema)
    score_average(env, log, scored, stream)
    from_training_text(env, log, model, loader)
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


def sdclip_scale(w, bits, role):
    """SDClip, k standard deviations over the largest code: (rows,) fp32 as the decoder will read it."""
    sigmas = {"attn": h.attn_clip_sigmas, "mlp": h.mlp_clip_sigmas}
    scale = sigmas.get(role, h.embed_clip_sigmas) * w.std(dim=1) / (2 ** (bits - 1) - 1)
    return readable_scale(scale.clamp_min(1e-10))


# GPTQ: round column after column and let the columns still to come make up for each error, weighted by the Hessian of
# the layer's inputs (Frantar et al., arXiv:2210.17323).
#
# Blocks of columns as in the paper; a Hessian that rounding left indefinite is damped until it is not.
def gptq(w, hessian, scale, nearest):
    """Levels (rows, columns) of w in steps of `scale`, (rows,) or (rows, columns). hessian: Σ xᵀx.

    nearest: a column in steps, and its number, -> its levels.
    """
    order, u, dead = error_feedback(hessian)
    scale = scale.view(len(w), -1).expand_as(w)[:, order]
    w = w.masked_fill(dead, 0.0)[:, order]
    levels = torch.empty_like(w)
    for start in range(0, w.size(1), h.gptq_block):
        block, feed = w[:, start : start + h.gptq_block], u[start : start + h.gptq_block]
        errors = torch.empty_like(block)
        for i in range(block.size(1)):
            column = start + i
            levels[:, column] = nearest(block[:, i] / scale[:, column], order[column])
            errors[:, i] = (block[:, i] - levels[:, column] * scale[:, column]) / feed[i, column]
            block[:, i:] -= torch.outer(errors[:, i], feed[i, column : start + block.size(1)])
        w[:, start + block.size(1) :] -= errors @ feed[:, start + block.size(1) :]
    return levels[:, order.argsort()]


def error_feedback(hessian):
    """(order of the columns, upper factor u of the inverse = uᵀu in that order, columns that no input ever reaches)."""
    assert hessian.isfinite().all(), "a Hessian holds inf or nan: the training has diverged"
    hessian = hessian.clone()
    diagonal = hessian.diagonal()
    dead = diagonal == 0
    diagonal[dead] = 1
    diagonal += h.gptq_damp * diagonal.mean()
    order = torch.argsort(diagonal, descending=h.gptq_descending, stable=True)
    hessian = hessian[order][:, order]
    lower, failed = torch.linalg.cholesky_ex(hessian)
    while failed:  # rounding can leave a Hessian of few inputs indefinite: damp it until it is not
        hessian.diagonal().mul_(1.1)
        lower, failed = torch.linalg.cholesky_ex(hessian)
    return order, torch.linalg.cholesky(torch.cholesky_inverse(lower), upper=True), dead


def gptq_sdclip(w, hessian, bits, role):
    """SDClip scales; a tensor without a Hessian is rounded to nearest, which is what GPTQ does with an even one."""
    limit = int(2 ** (bits - 1) - 1)
    scale = sdclip_scale(w, bits, role)
    return coded(w, hessian, scale, -limit, limit), scale


def coded(w, hessian, scale, low, high):
    """int8 codes in [low, high]."""
    if hessian is None:
        return torch.round(w / scale[:, None]).clamp(low, high).to(torch.int8)
    return gptq(w, hessian, scale, lambda column, at: torch.round(column).clamp(low, high)).to(torch.int8)


# Export: weights to integer codes and scales by role, and back. Small tensors stay floating point.
#
# The artifact holds `name:q` codes and `name:s` scales (one a row), or `name` in floating point. A colon cannot occur
# in a parameter's name.
def quantizer_of(role):
    """(quantizer, bits) of a role; a role without a quantizer stays fp16."""
    if role == "embed":
        return gptq_sdclip, h.embed_bits
    if role == "attn":
        return gptq_sdclip, h.attn_bits
    if role == "mlp":
        return gptq_sdclip, h.mlp_bits
    return None, 16


def quantize(tagged, weights, hessians, rank, world_size):
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
                codes, scale = quantizer(w.reshape(-1, w.size(-1)), hessians.get(name), bits, tag.role)
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


# brotli at quality 11 over byte planes, the coder of the records from PR #1089 to #1809: about 1.4 % above the entropy.
class BrotliCoder:
    name = "brotli"

    @staticmethod
    def encode(tensors):
        return brotli.compress(to_planes(tensors), quality=11, lgwin=24)

    @staticmethod
    def decode(payload, specs, unpacked_bytes):
        stream = brotli.Decompressor()
        try:
            text = stream.process(payload, output_buffer_limit=unpacked_bytes + 1)
        except brotli.error as fault:
            raise ValueError(f"does not unpack: {fault}") from fault
        check(len(text) == unpacked_bytes and stream.is_finished(), "unpacks to another length than it says")
        return from_planes(text, specs)


def save_artifact(path, tensors):
    """Write the artifact of what `quantize` made; returns (its bytes, the bytes of its tensors before the coder)."""
    return write_container(path, tensors, {}, BrotliCoder), sum(t.numel() * t.element_size() for t in tensors.values())


def load_artifact(path, model):
    tensors = read_container(path, BrotliCoder)[0]
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
    trace = Trace(env, stream, "roundtrip", f"final_int{h.mlp_bits}_{BrotliCoder.name}_roundtrip", keep)
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
def full_windows(total):
    """Starts of the windows and the first column that each scores; every target exactly once (PR #1394's rule)."""
    context = h.eval_seq_len - h.eval_stride
    starts = torch.arange(0, total - context, h.eval_stride)
    return starts, torch.where(starts > 0, context, 0)


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
    starts, first = full_windows(total)
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


# Score-first test-time training by SGD: score a chunk in sliding windows, then train every weight on it (PR #549).
#
# By @abaybektursun; in PR #1413 by @dexhunter, in PR #1493 by @bigbag. A chunk's scores come from weights that saw
# earlier chunks only; the last chunk is never trained on. The learning rate falls as a cosine over the chunks; momentum
# is kept throughout. Published effect: −0.0025 BPB on sliding windows (#549), −0.0021 (#1493).
def ttt_window(env, model, stream, total):
    """This rank's windows in batches, chunk by chunk; who has scored a chunk's finds the model trained on it before the next."""
    yield from learning_windows(env, model, stream, total, trainable(model))
    model.requires_grad_(True)


def learning_windows(env, model, stream, total, params):
    starts, first = full_windows(total)
    chunks = math.ceil(total / h.ttt_chunk_tokens)
    chunk_of = ((starts + first) // h.ttt_chunk_tokens).clamp(max=chunks - 1)
    optimizer = torch.optim.SGD(params, lr=h.ttt_lr, momentum=h.ttt_momentum)
    for chunk in range(chunks):
        mine = torch.nonzero(chunk_of == chunk).flatten()
        part = share(env, len(mine))
        mine = mine[part.start : part.stop]
        yield from window_batches(env, stream, starts[mine], first[mine], torch.full_like(mine, total))
        if chunk < chunks - 1:
            learn_chunk(env, model, stream.tokens, params, optimizer, chunk, chunks)
    optimizer.zero_grad(set_to_none=True)


def ttt_sgd(env, model, stream, keep=False):
    """Sliding windows over a model that learns from each chunk once it is scored."""
    trace = Trace(env, stream, "ttt_sgd", "legal_ttt", keep)
    for ids, columns, targets, mask, at in ttt_window(env, model, stream, scored_targets(stream)):
        with torch.no_grad(), env.autocast():
            trace.add(picked(env, model(ids, targets, head_at=columns), mask), at)
    return trace.reduce()


def trainable(model):
    return [param for param in model.parameters() if param.requires_grad]


def learn_chunk(env, model, tokens, params, optimizer, chunk, chunks):
    """Train on the chunk's own tokens, in sequences side by side; all ranks take the steps that one would take."""
    for group in optimizer.param_groups:
        group["lr"] = h.ttt_lr * 0.5 * (1 + math.cos(math.pi * chunk / max(chunks - 1, 1)))
    start, length = chunk * h.ttt_chunk_tokens, h.eval_seq_len
    sequences = min(h.ttt_chunk_tokens, len(tokens) - 1 - start) // length
    for _ in range(h.ttt_epochs):
        for begin in range(0, sequences, h.ttt_batch_seqs):
            batch = min(h.ttt_batch_seqs, sequences - begin)
            mine = share(env, batch)
            optimizer.zero_grad(set_to_none=True)
            if mine:
                a, b = start + (begin + mine.start) * length, start + (begin + mine.stop) * length
                ids, targets = tokens[a:b].view(-1, length), tokens[a + 1 : b + 1].view(-1, length)
                with env.autocast():
                    loss = model(sent(env, ids), sent(env, targets)).sum() / (batch * length)
                loss.backward()
            if env.world_size > 1:
                for param in params:
                    if param.grad is None:
                        param.grad = torch.zeros_like(param)
                    dist.all_reduce(param.grad)
            torch.nn.utils.clip_grad_norm_(params, h.ttt_grad_clip)
            optimizer.step()


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
    hessians = read_container("hessians.golf", RawCoder)[0]
    tensors = quantize(collect(model), weights, hessians, env.rank, env.world_size)
    if env.rank == 0:
        code_bytes = os.path.getsize(__file__)
        label = f"int{h.mlp_bits}+{BrotliCoder.name}"
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
        for report in (plain, sliding, ttt_sgd):
            load_artifact("model.golf", model)
            report(env, scored, drawn)
        log(f"eval:compile warmup done ({time.perf_counter() - since:.1f}s)")
    begun, reports = time.perf_counter(), []
    for report in (plain, sliding, ttt_sgd):
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
