"""pr2014: PR #2014 as composed by golf: progressive context to 3,072, short chunks for short documents

- A pre-norm transformer with tied embedding and head: one forward for whatever runs the model
- LN scale: every normed block input is scaled by 1 / √(layer + 1)
- Causal grouped-query attention: RMS-normed queries and keys, rotary positions, a learned gain per query head
- Partial RoPE: rotate only the first dims of each head, the rest carries no position
- QK gain: the learned gain on the queries starts above the baseline's 1.5
- Orthogonal initialisation of the linears that do not start at zero (PR #65, @aquariouseworkman; only wide ones
  from PR #162, Raahil Shah)
- XSA, exclusive self-attention (PR #265, @unnir)
- Sparse attention gate: scale each head by a sigmoid of the block input's first channels (PR #1787, @nprime06)
- Attention within documents (FlashAttention's varlen; PR #1530, @samacqua)
- U-Net skips: the first half of the order pushes its outputs, the second pops them, with learned weights
- Skip gates: a learned sigmoid blends each U-Net skip with the stream instead of adding it
- Depth recurrence (PR #1394, Kevin Clark; three layers from PR #1493, @bigbag)
- LeakyReLU² (PR #549, @abaybektursun)
- Fused MLP: one kernel multiplies and squares, so the hidden values are written once (Triton; PR #1530, @samacqua)
- SmearGate that reads its input (PR #1667, @MarioPaerle; the BOS mask PR #1851, @aquariouseworkman)
- Two residual lanes (PR #1529 and PR #1530)
- Asymmetric logit cap at evaluation (PR #1923, @jorge-asenjo; in PR #1945, #1953, #2014, #2130 and #2135)
- Fused softcapped cross-entropy: logits are read once and no capped copy is kept (Triton; PR #1787, @nprime06)
- Side-car (PR #1729, @romeerp)
- Packed documents: a micro-batch is one row of text as it comes, document after document (PR #1530, @samacqua)
- Muon: momentum, then every matrix's update is replaced by the nearest orthogonal matrix (Keller Jordan, 2024)
- bf16 momentum: Muon keeps its momentum, and reads its gradients, in bf16, as the banked scripts do
- Decoupled weight decay, with a rate of its own for matrices, tables and scalars
- Polar Express (arXiv:2505.16932; ported in PR #1344, used from PR #1787, @nprime06)
- MuonEq-R: normalise every row of Muon's update before it is orthogonalised (PR #1285, @dexhunter)
- Optimizers from tags: Muon for the matrices, Adam for tables and scalars
- Gradient clipping: the norm of all gradients together is bounded
- Progressive context (PR #2014, @simonbissonnette)
- Gradients reduced as in the banked scripts (PR #399 line, PR #549)
- EMA: export an exponential moving average of all weights, updated after every step (PR #287, @jfprincz)
- Calibration: what GPTQ must know of every matrix's inputs, H = Σ xᵀx
- GPTQ (Frantar et al., arXiv:2210.17323)
- Rows scaled by their largest value: nothing is clipped, and one outlier makes its whole row coarse (PR #180)
- AWQ-lite (PR #1908, @romeerp; in PR #1945, @alertcat)
- LQER (arXiv:2402.02446; PR #1851)
- rANS with contexts
- Wider steps where the artifact is over the cap, and only there (golf)
- Phased test-time training: adapters per document, and SGD on the documents scored so far (PR #1610, @romeerp)

Composed by golf 0.1.0 from pr2014 → pr1953 → pr1945 → pr1855 → pr1851 → pr1787 → pr1736 → pr1626 → pr1610 → pr1530
→ pr1529 → pr1394 → pr1218 → pr549 → pr414 → pr315 → pr287 → pr265 → pr162 → baseline. Do not edit: change
recipe.toml, then `golf compose`.

Credits:
- Keller Jordan: Muon
- modded-nanogpt contributors: U-Net skips, ReLU², softcap, resid_mix, QK norm
- OpenAI (openai/parameter-golf, train_gpt.py): the recipe baseline
- @aquariouseworkman: SmearGate, BigramHash, orthogonal initialisation, Muon weight decay (PR #65); the recipe
  pr1851
- Matthew Li: sliding windows (PR #50)
- Raahil Shah: the recipe pr162; SmearGate, BigramHash, MLP 3x (PR #162)
- PR #198: 11 layers, FlashAttention 3
- @unnir: the recipe pr265; base stack, tight SWA, value embeddings (PR #374); XSA (PR #265)
- @jfprincz: the recipe pr287; the recipe pr315; partial RoPE, LN scale (PR #315); XSA on four layers, EMA (PR #287)
- @signalrush: the recipe pr414; base stack (PR #414)
- PR #399: parameter banks and parallel Muon; banks, parallel Muon
- @abaybektursun: the recipe pr549; full GPTQ (PR #1019); LeakyReLU² (PR #549)
- @dexhunter: coprime loader (PR #1060); MuonEq-R, recurrence (PR #1285); clips by kind, 7-bit embedding (PR #1586);
  the recipe pr1626; the recipe pr1736; smear gate, LQER (PR #1797)
- PR #1089: skip gates, brotli
- Kevin Clark (@clarkkev): the recipe pr1218; 4x MLP, weight decay, skip gates (PR #1218); the recipe pr1394
- Marko Sisovic: recurrence (PR #1204); lanes (PR #1204)
- @EthanYangTW: base stack, triple recurrence, banks (PR #1523)
- @resouer: hash embedding (PR #1460)
- @msisovic: the recipe pr1529; lanes (PR #1529)
- @samacqua: LoRA TTT (PR #77); the recipe pr1530; varlen attention, LoRA TTT (PR #1530)
- @romeerp: the recipe pr1610; CaseOps (PR #1729); AWQ-lite (PR #1908)
- @Omrigotlieb: Polar Express (PR #1344)
- @renqianluo: LoRA alpha 144, warm A, weight decay 1 (PR #1767)
- @nprime06: the recipe pr1787
- @MarioPaerle: smear gate (PR #1667)
- @codemath3000: the recipe pr1855
- @jorge-asenjo: asymmetric logit cap (PR #1923)
- @alertcat: the recipe pr1945
- @andrewbaggio1: the recipe pr1953
- @simonbissonnette: the recipe pr2014
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
import tempfile
import time
import zlib
from functools import partial
from itertools import accumulate
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

# -----------------------------------------------------------------------------
# settings


class h:
    name = "pr2014"  # of the recipe
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
    # xsa
    xsa_last_n = 11  # the last layers that have it
    # sparse_gate
    gate_window = 12  # channels that the gate reads
    gate_scale = 0.5
    # varlen
    bounds_multiple = 256  # bounds are padded to a multiple, so that one shape is compiled
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
    # smear_input
    smear_width = 12  # channels that the gate reads
    # lanes
    lanes_from = 8  # first layer with two lanes
    lane_keep = 1.1  # start of the factors on the lanes
    # data
    train_seq_len = 3072  # tokens
    train_batch_tokens = 786_432  # per step, over all ranks and micro-batches
    bos_id = 1  # the token that starts a document
    # muon
    ns_steps = 5
    muon_wd = 0.095  # decoupled weight decay
    # optim
    matrix_lr = 0.026  # Muon
    scalar_lr = 0.02  # Adam on gains, scales, mixes
    tied_embed_lr = 0.03  # Adam on the tied embedding and other tables
    beta1 = 0.9
    beta2 = 0.99
    adam_eps = 1e-08
    adam_wd = 0.02  # decoupled weight decay of the scalars
    embed_wd = 0.085  # … of the tables
    grad_clip_norm = 0.3  # of all gradients together
    # schedule
    momentum = 0.97
    momentum_warmup_start = 0.92
    momentum_warmup_steps = 1500
    loop_from = 0.35  # share of the training budget from which the looped order runs
    reserve_seconds = 4.0  # kept off the training clock for calibration
    # train
    warmup_steps = 20  # real steps before the clock starts, undone after: they compile and allocate
    val_loss_every = 0  # steps
    train_log_every = 500  # steps
    # warmdown_frac
    warmdown_frac = 0.85  # share of the budget
    min_lr = 0.1  # floor, as a factor on the base learning rates
    # growing_context
    context_tokens = (1024, 2048, 3072)  # stages' lengths
    context_until = (0.1, 0.7, 1.0)  # shares of the training budget up to which they hold
    context_warmup_steps = 32  # after a change
    # ema
    ema_decay = 0.9965
    # calibrate
    calibration_batches = 16  # micro-batches a rank, of training text
    # gptq
    gptq_block = 128  # columns whose errors are passed on together
    gptq_damp = 0.01  # of the mean diagonal, added to the diagonal
    gptq_descending = True  # columns with the largest diagonal first
    # quant
    embed_bits = 7
    attn_bits = 6
    mlp_bits = 6
    gate_bits = 8
    embed_clip_sigmas = 14.0  # SDClip: the largest code stands for this many standard deviations of the row
    attn_clip_sigmas = 13.0
    mlp_clip_sigmas = 11.5
    table_clip_sigmas = 20.0
    keep_float_numel = 65_536  # tensors up to this many values are stored as fp16
    fit_bytes = 16_000_000  # of artifact and code, where something makes them fit
    packed_code_bytes = 24_500  # the script counts as that at most: the one that ships is packed
    # awq_lite
    awq_bits = 8  # of the chosen groups
    awq_top_k = 1  # groups of all matrices together
    awq_group = 64  # columns
    # lqer
    lqer_rank = 4
    lqer_top_k = 3  # tensors, by the Frobenius norm of their error
    lqer_group = 64  # values of the right factor that share a scale
    lqer_factor_bits = 4
    # widen_to_fit
    spare_bytes = 500  # what is left free where steps had to be wider
    fit_rounds = 6  # at most so many times
    # evaluate
    eval_seq_len = 3072  # tokens
    val_batch_tokens = 524_288  # over all ranks
    # ttt_lora
    lora_targets = ("k", "o", "mlp", "head")
    lora_rank = 80
    lora_alpha = 144.0  # what an adapter adds is scaled by alpha / rank
    lora_lr = 7.5e-05  # of AdamW
    lora_beta1 = 0.0
    lora_beta2 = 0.99
    lora_wd = 0.5
    lora_chunk_tokens = 48  # scored, then learned from
    lora_chunk_limits = (256, 2000)  # shorter chunks for batches whose longest document has at most so many tokens
    lora_short_chunks = (8, 24)  # … and these chunks' tokens, one for each limit
    lora_batch_docs = 24  # documents side by side, of like length
    # ttt_sgd
    ttt_lr = 0.001  # of the first chunk
    ttt_momentum = 0.9
    ttt_epochs = 1  # passes over a chunk after it is scored
    ttt_chunk_tokens = 32_768
    ttt_batch_seqs = 32  # sequences of eval_seq_len a step, over all ranks
    ttt_grad_clip = 1.0  # norm of all gradients together
    # ttt_phased
    phased_docs = 2500  # the documents that every weight learns from
    phased_phases = 1  # in how many steps


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


# Sparse attention gate: scale each head by a sigmoid of the block input's first channels (PR #1787, @nprime06).
#
# Starts at ½ for every head; attn_scale takes up the slack. 96 parameters a layer, fp16. They are coded in 8 bits.
class SparseGate(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = tag(nn.Parameter(torch.zeros(h.num_heads, h.gate_window)), group="scalar", role="gate")

    def forward(self, y, u):
        # y: (B, T, H, D)   u: (B, T, C)
        gate = torch.sigmoid(h.gate_scale * F.linear(u[..., : h.gate_window], self.w.to(u.dtype)))
        return y * gate[..., None]


# Attention within documents: a token attends to its own document only (FlashAttention's varlen; PR #1530, @samacqua).
#
# FlashAttention 3 runs it where it is there, else PyTorch's own kernel on a GPU, else one masked product. Positions run
# on through a row: attention knows differences only. Published effect: about 0.001 nats a token. One-token look-backs
# outside attention still cross documents (R42).
try:
    from flash_attn_interface import flash_attn_varlen_func
except ImportError:
    flash_attn_varlen_func = None


try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:
    varlen_attn = None


def causal_words(version):
    """How a PyTorch's own kernel is asked for causal attention with shared heads."""
    if version < "2.11":
        return {"is_causal": True}
    return {"window_size": (-1, 0)} | ({"enable_gqa": True} if version >= "2.12" else {})


VARLEN_WORDS = causal_words(torch.__version__)


def varlen_attention(q, k, v, docs):
    # q: (B, T, H, D)   k v: (B, T, Hkv, D)   docs: Documents of B · T tokens, or None for rows whole   ->   (B, T, H, D)
    if docs is None:
        return causal_attention(q, k, v)
    flat, longest = [x.flatten(0, 1) for x in (q, k, v)], docs.longest
    if flash_attn_varlen_func is not None and q.dtype == torch.bfloat16:
        return flash_attn_varlen_func(*flat, docs.bounds, docs.bounds, longest, longest, causal=True).view(q.shape)
    if varlen_attn is not None and q.is_cuda:
        return varlen_attn(*flat, docs.bounds, docs.bounds, longest, longest, **VARLEN_WORDS).view(q.shape)
    B, T = q.shape[:2]
    document = torch.searchsorted(docs.bounds, torch.arange(B * T, device=q.device, dtype=torch.int32), right=True)
    document = document.view(B, 1, T)  # a row starts a document, so that each row has a mask of its own
    mask = (document.mT == document).tril()[:, None]
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True).transpose(1, 2)


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
        self.head_gate = SparseGate()

    def forward(self, u, flow):
        # u: (B, T, C), normed   ->   (B, T, C) and the flow
        B, T, C = u.shape
        q, k, v = self.c_q(u), self.c_k(u), self.c_v(u)
        q, k, v = adapt(flow, "q", u, q), adapt(flow, "k", u, k), adapt(flow, "v", u, v)
        q = q.view(B, T, h.num_heads, self.head_dim)
        k = k.view(B, T, h.num_kv_heads, self.head_dim)
        v = v.view(B, T, h.num_kv_heads, self.head_dim)
        q, k = rotate(norm(q), flow.rope), rotate(norm(k), flow.rope)
        q = q * self.q_gain.to(q.dtype)[:, None]
        y = varlen_attention(q, k, v, flow.docs)
        if "XSA" in self.attn_out:
            y = self.attn_out["XSA"](y, u, flow._replace(v=v))
        y = self.head_gate(y, u)
        y = y.reshape(B, T, C)
        return adapt(flow, "o", u, self.proj(y)), flow


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
            x, flow = blocks[layer](x, flow.onward())
            skips.append(x)
        return self.run_decoder(x, flow, blocks, decoder, skips)[0]

    def run_decoder(self, x, flow, blocks, decoder, skips):
        for row, layer in enumerate(decoder):
            if skips:
                x = self.merge(x, skips.pop(), row)
            x, flow = blocks[layer](x, flow.onward())
        return x, flow


# A pre-norm transformer with tied embedding and head: one forward for whatever runs the model.
#
# Embedding → norm → blocks in the order of the route → norm → tied head → softcap.
class Flow(NamedTuple):
    """What travels with the residual stream and is the same for every block, or the block's own values for its hooks."""

    docs: object  # document boundaries for masked attention, or None
    x0: torch.Tensor  # (B, T, C) the normed embedding
    rope: tuple  # cos, sin
    lora: object  # adapters of test-time training, (name, layer, input, output) -> change of the output, or None
    v: object = None  # (B, T, Hkv, D) values of this block, for attn_out hooks
    layer: int = -1  # how many blocks ran before this one

    def onward(self):
        return self._replace(layer=self.layer + 1)


def tied_normal(weight, rng):
    weight.normal_(std=h.tied_embed_init_std, generator=rng)


# Triton where it is there: the guarded import, and what kernels are declared with.
#
# A kernel is chosen by a slot and runs on CUDA only; every slot has a plain twin with the same meaning, which a CPU
# takes. Kernels read block sizes as globals (`constant`) and everything else as plain arguments: no annotation has to
# survive packing.
try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None
    tl = None


def jit(kernel):
    """A Triton kernel, compiled at its first launch; without Triton a function that nobody calls."""
    return kernel if triton is None else triton.jit(kernel)


def constant(value):
    """A number that kernels know when they are compiled."""
    return value if tl is None else tl.constexpr(value)


# LeakyReLU²: square the MLP's hidden values, with a slope on the negative side before the square (PR #549,
# @abaybektursun).
#
# Never negative and not monotone. Published effect: −0.0021 BPB after TTT, −0.003 in the ablation of PR #549.
def leaky_relu2(z):
    return F.leaky_relu(z, h.negative_slope).square()


# Fused MLP: one kernel multiplies and squares, so the hidden values are written once (Triton; PR #1530, @samacqua).
#
# Forward: pre = u Wupᵀ summed in fp32 and rounded to the activations' dtype, post = φ(pre) from the rounded value, both
# stored. Backward: dpre = (g Wdown) ⊙ φ'(pre) in one kernel again; the other products are plain ones. φ is
# `leaky_relu2`. While the weights train only: evaluation, calibration and adapters take the plain MLP. Not measured
# here on 8×H100.
TILE_ROWS = constant(128)  # of the hidden values, and its columns; the inputs of a step; row tiles that share columns
TILE_COLUMNS = constant(256)
TILE_INPUTS = constant(64)
TILE_GROUP = constant(8)


@jit
def tile_place(rows, columns):
    """Which tile this program computes: a few rows of tiles after each other, so that their columns stay in the cache."""
    tiles = tl.cdiv(columns, TILE_COLUMNS)
    group = tl.program_id(0) // (TILE_GROUP * tiles)
    inside = tl.program_id(0) % (TILE_GROUP * tiles)
    height = tl.minimum(tl.cdiv(rows, TILE_ROWS) - group * TILE_GROUP, TILE_GROUP)
    row = (group * TILE_GROUP + inside % height) * TILE_ROWS + tl.arange(0, TILE_ROWS)
    return row, inside // height * TILE_COLUMNS + tl.arange(0, TILE_COLUMNS)


@jit
def tile_product(a, b, row, column, rows, columns, inputs, b_input_stride, b_column_stride):
    """a (rows, inputs), contiguous, times b[input, column] by its strides, fp32."""
    total = tl.zeros((TILE_ROWS, TILE_COLUMNS), tl.float32)
    k = tl.arange(0, TILE_INPUTS)
    a_at = a + row.to(tl.int64)[:, None] * inputs + k[None, :]
    b_at = b + k[:, None] * b_input_stride + column[None, :] * b_column_stride
    for begin in range(0, inputs, TILE_INPUTS):
        known = k < inputs - begin
        left = tl.load(a_at, mask=(row < rows)[:, None] & known[None, :], other=0.0)
        right = tl.load(b_at, mask=known[:, None] & (column < columns)[None, :], other=0.0)
        total = tl.dot(left, right, total)
        a_at += TILE_INPUTS
        b_at += TILE_INPUTS * b_input_stride
    return total


@jit
def mlp_up_kernel(u, up, pre, post, slope, rows, columns, inputs):
    slope = tl.cast(slope, tl.float32)  # a compiled model hands numbers over as fp64
    row, column = tile_place(rows, columns)
    z = tile_product(u, up, row, column, rows, columns, inputs, 1, inputs).to(pre.dtype.element_ty)
    at = row.to(tl.int64)[:, None] * columns + column[None, :]
    inside = (row < rows)[:, None] & (column < columns)[None, :]
    tl.store(pre + at, z, mask=inside)
    z = z.to(tl.float32)
    z = tl.where(z > 0, z, slope * z)
    tl.store(post + at, (z * z).to(post.dtype.element_ty), mask=inside)


@jit
def mlp_down_kernel(g, down, pre, dpre, slope, rows, columns, inputs):
    slope = tl.cast(slope, tl.float32)
    row, column = tile_place(rows, columns)
    dpost = tile_product(g, down, row, column, rows, columns, inputs, columns, 1)
    at = row.to(tl.int64)[:, None] * columns + column[None, :]
    inside = (row < rows)[:, None] & (column < columns)[None, :]
    z = tl.load(pre + at, mask=inside, other=0.0).to(tl.float32)
    dpost *= tl.where(z > 0, 2 * z, 2 * slope * slope * z)
    tl.store(dpre + at, dpost.to(dpre.dtype.element_ty), mask=inside)


def mlp_tiles(rows, columns):
    return (-(-rows // TILE_ROWS.value) * -(-columns // TILE_COLUMNS.value),)


class FusedMLP(torch.autograd.Function):
    """u (N, C), up (hidden, C), down (C, hidden), all of one dtype -> (N, C)."""

    @staticmethod
    def forward(ctx, u, up, down, slope):
        u = u.contiguous()
        pre = u.new_empty(len(u), len(up))
        post = torch.empty_like(pre)
        shape = (len(u), len(up), u.size(1))
        mlp_up_kernel[mlp_tiles(*shape[:2])](u, up, pre, post, slope, *shape, num_warps=8, num_stages=4)
        ctx.save_for_backward(u, up, down, pre, post)
        ctx.slope = slope
        return post @ down.mT

    @staticmethod
    def backward(ctx, g):
        u, up, down, pre, post = ctx.saved_tensors
        g = g.contiguous()
        dpre = torch.empty_like(pre)
        shape = (*pre.shape, g.size(1))
        mlp_down_kernel[mlp_tiles(*shape[:2])](g, down, pre, dpre, ctx.slope, *shape, num_warps=8, num_stages=3)
        return dpre @ up, dpre.mT @ u, g.mT @ post, None


def fused_mlp(u, up, down):
    """u (B, T, C), up (hidden, C), down (C, hidden) -> (B, T, C)."""
    if u.is_cuda:
        y = FusedMLP.apply(u.flatten(0, 1).bfloat16(), up.bfloat16(), down.bfloat16(), h.negative_slope)
        return y.view_as(u)
    return F.linear(leaky_relu2(F.linear(u, up)), down)


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        hidden = int(h.mlp_mult * h.model_dim)
        self.fc = CastedLinear(h.model_dim, hidden, role="mlp", init=orthogonal_wide)
        self.proj = CastedLinear(hidden, h.model_dim, role="mlp", init=None)

    def forward(self, u):
        if torch.is_grad_enabled() and self.fc.weight.requires_grad:
            return fused_mlp(u, self.fc.weight.to(u.dtype), self.proj.weight.to(u.dtype))
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

    def mlp_of(self, u, flow):
        y = self.mlp(u)
        y = adapt(flow, "mlp", u, y)
        return self.mlp_scale.to(y.dtype) * y

    def forward(self, x, flow):
        x = self.mixed(x, flow)
        y, flow = self.attention_of(self.read(x), flow)
        x = x + y
        return x + self.mlp_of(self.read(x), flow), flow


# SmearGate that reads its input: add a share of the token before, decided by the token's first channels (PR #1667,
# @MarioPaerle; the BOS mask PR #1851, @aquariouseworkman).
#
# The identity at the start (λ = 0). Without a mask on the gate it runs across document boundaries, as in PR #1667,
# #2130 and #2135 (R42). In PR #1667 no optimizer has its 13 parameters, so that it stays the identity; their gradients
# add up untouched and count in the norm that the others are clipped by.
class SmearInput(nn.Module):
    def __init__(self):
        super().__init__()
        group = "scalar"
        self.w = tag(nn.Parameter(torch.zeros(1, h.smear_width)), group=group, role="control")
        self.strength = tag(nn.Parameter(torch.zeros(1)), group=group, role="control")

    def forward(self, x, ids):
        # x: (B, T, C)
        gate = self.strength.to(x.dtype) * torch.sigmoid(F.linear(x[..., : h.smear_width], self.w.to(x.dtype)))
        gate = gate * (ids != h.bos_id).unsqueeze(-1)
        return x + gate * F.pad(x, (0, 0, 1, -1))


# Two residual lanes: from some layer on attention writes from one lane and the MLP from another, and each adds to both
# (PR #1529 and PR #1530).
#
# #1529 by @msisovic, #1530 by @samacqua. Both lanes start as the stream; attention reads the first (mixed with x0), the
# MLP the second, and each block rescales the lanes and adds both outputs to both by learned scalars: six a layer, for
# all layers. Their mean is what the head reads. `Lanes` (#1530) merges the skip of the first such layer into the first
# lane alone. Later skips go into the first lane in both.
class Lanes(UNet):
    def __init__(self):
        super().__init__()
        self.lane_keep = tag(
            nn.Parameter(torch.full((h.num_layers, 2), h.lane_keep)), group="scalar", role="control"
        )  # (layer, lane)
        self.lane_add = tag(
            nn.Parameter(torch.ones(h.num_layers, 2, 2)), group="scalar", role="control"
        )  # (layer, attention or MLP, lane)

    def part(self, x, skips, row):
        """The two lanes at the first layer that has them."""
        return self.merge(x, skips.pop(), row) if skips else x, x

    def run_decoder(self, x, flow, blocks, decoder, skips):
        first = decoder.index(h.lanes_from)
        x, flow = super().run_decoder(x, flow, blocks, decoder[:first], skips)
        one, two = self.part(x, skips, first)
        for row, layer in enumerate(decoder[first:], first):
            if row > first and skips:
                one = self.merge(one, skips.pop(), row)
            block, flow = blocks[layer], flow.onward()
            keep, add = self.lane_keep[layer].to(x.dtype), self.lane_add[layer].to(x.dtype)
            y, flow = block.attention_of(block.read(block.mixed(one, flow)), flow)
            z = block.mlp_of(block.read(two), flow)
            one, two = keep[0] * one + add[0, 0] * y + add[1, 0] * z, keep[1] * two + add[0, 1] * y + add[1, 1] * z
        return (one + two) / 2, flow


# Asymmetric logit cap at evaluation: a learned bound for positive logits and one for negative (PR #1923, @jorge-asenjo;
# in PR #1945, #1953, #2014, #2130 and #2135).
#
# It does nothing: both bounds start at the constant of training, the training loss does not read them, no optimizer has
# them, and test-time adapters train with the model frozen. Two parameters and two stored values, kept so that the rows
# have theirs.
class AsymmetricCap(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = tag(nn.Parameter(torch.tensor(h.softcap)), group="untrained", role="control")
        self.down = tag(nn.Parameter(torch.tensor(h.softcap)), group="untrained", role="control")

    def forward(self, z):
        bound = torch.where(z > 0, self.up.to(z.dtype), self.down.to(z.dtype))
        return bound * torch.tanh(z / bound)


# Fused softcapped cross-entropy: logits are read once and no capped copy is kept (Triton; PR #1787, @nprime06).
#
# With s = σ(2x / c): z = 2c·s, nats = logsumexp(z) − z_y, dx = g · (softmax(z) − 1_y) · 4 s (1 − s). z is c·tanh(x / c)
# + c, so the nats are those of the plain form, in fp32 from the logits as they are. While the weights train only.
NATS_BLOCK = constant(1024)  # columns at a time


@jit
def capped_nats_kernel(logits, targets, nats, logsums, softcap, columns):
    softcap = tl.cast(softcap, tl.float32)  # a compiled model hands numbers over as fp64
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, NATS_BLOCK)
    top = -float("inf")
    total = 0.0
    for begin in range(0, columns, NATS_BLOCK):
        inside = begin + column < columns
        x = tl.load(logits + row * columns + begin + column, mask=inside, other=0.0).to(tl.float32)
        z = tl.where(inside, 2 * softcap * tl.sigmoid(2 * x / softcap), -float("inf"))
        higher = tl.maximum(top, tl.max(z, 0))
        total = total * tl.exp(top - higher) + tl.sum(tl.exp(z - higher), 0)
        top = higher
    logsum = top + tl.log(total)
    target = tl.load(targets + row)
    y = tl.load(logits + row * columns + target).to(tl.float32)
    tl.store(logsums + row, logsum)
    tl.store(nats + row, logsum - 2 * softcap * tl.sigmoid(2 * y / softcap))


@jit
def capped_grad_kernel(logits, targets, logsums, grads, out, softcap, columns):
    softcap = tl.cast(softcap, tl.float32)
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * NATS_BLOCK + tl.arange(0, NATS_BLOCK)
    inside = column < columns
    x = tl.load(logits + row * columns + column, mask=inside, other=0.0).to(tl.float32)
    s = tl.sigmoid(2 * x / softcap)
    p = tl.exp(2 * softcap * s - tl.load(logsums + row))
    p = tl.where(column == tl.load(targets + row), p - 1, p)
    dx = tl.load(grads + row) * p * 4 * s * (1 - s)
    tl.store(out + row * columns + column, dx.to(out.dtype.element_ty), mask=inside)


class FusedNats(torch.autograd.Function):
    """logits (N, V) before the softcap, targets (N,) -> nats (N,) fp32."""

    @staticmethod
    def forward(ctx, logits, targets, softcap):
        logits = logits.contiguous()
        nats = logits.new_empty(len(logits), dtype=torch.float32)
        logsums = torch.empty_like(nats)
        capped_nats_kernel[(len(logits),)](logits, targets, nats, logsums, softcap, logits.size(1), num_warps=4)
        ctx.save_for_backward(logits, targets, logsums)
        ctx.softcap = softcap
        return nats

    @staticmethod
    def backward(ctx, grads):
        logits, targets, logsums = ctx.saved_tensors
        out = torch.empty_like(logits)
        grid = (len(logits), -(-logits.size(1) // NATS_BLOCK.value))
        capped_grad_kernel[grid](
            logits, targets, logsums, grads.contiguous(), out, ctx.softcap, logits.size(1), num_warps=4
        )
        return out, None, None


def fused_cross_entropy(logits, targets):
    """Logits (B, T, V) before the softcap, targets (B, T) -> nats (B, T)."""
    if logits.is_cuda:
        nats = FusedNats.apply(logits.flatten(0, 1), targets.flatten(), h.softcap)
    else:
        logits = h.softcap * torch.tanh(logits / h.softcap)
        nats = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
    return nats.view_as(targets)


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok_emb = Embedding(h.vocab_size, h.model_dim, role="embed", init=tied_normal)
        self.embed_pre = nn.ModuleDict({"SmearInput": SmearInput()})
        self.blocks = nn.ModuleList(Block(layer) for layer in range(h.num_layers))
        self.route = Lanes()
        self.eval_cap = AsymmetricCap()

    def forward(self, ids, targets=None, *, docs=None, loop=True, lora=None):
        """ids, targets: (B, T). Nats per position (B, T), or logits (B, T, V) without targets.

        docs: bounds for attention. loop: True for the looped order, False for the plain one.
        """
        x = self.tok_emb(ids)
        x = self.embed_pre["SmearInput"](x, ids)
        x = norm(x)
        rope = rotary_tables(ids.size(1), ids.device)
        flow = Flow(docs, x0=x, rope=rope, lora=lora)
        x = norm(self.route(x, self.blocks, flow, loop))
        logits = F.linear(x, self.tok_emb.weight.to(x.dtype))
        logits = adapt(flow, "head", x, logits)
        if targets is not None and torch.is_grad_enabled() and self.tok_emb.weight.requires_grad:
            return fused_cross_entropy(logits, targets)
        if targets is None or lora is not None:
            logits = self.eval_cap(logits)
        else:
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


# Side-car: the bytes of every token are read from a file beside the validation shards, as CaseOps needs (PR #1729,
# @romeerp).
#
# CaseOps writes words in lower case with markers for their capitals: lossless, but a marker stands for no byte of the
# text and a piece does not say how many. The file has the shards' format, one count a token. Without it nothing is
# scored.
def side_car_bytes(env, tokens):
    """What `fineweb_val_bytes_*.bin` say of every token but the first."""
    counts = np.concatenate([load_shard(path) for path in shard_paths(env, "val_bytes")]).astype(np.int64)
    if len(counts) != len(tokens):
        raise ValueError(
            f"{len(counts)} counts in fineweb_val_bytes_*.bin for {len(tokens)} tokens: not of these shards"
        )
    return torch.from_numpy(counts[1:])


class Stream:
    """The validation split: tokens (N + 1,) int64, and the bytes of each of the N targets. `tokens[0]` is never scored."""

    def __init__(self, env):
        self.tokens = torch.from_numpy(
            np.concatenate([load_shard(path) for path in shard_paths(env, "val")]).astype(np.int64)
        )
        self.target_bytes = side_car_bytes(env, self.tokens)


# Packed documents: a micro-batch is one row of text as it comes, document after document (PR #1530, @samacqua).
#
# Every rank reads the same shards in order, from a shard's first BOS on, and takes its own span; what is left of a
# shard that is too short for all ranks' next spans is dropped. Attention keeps the documents apart by `documents`;
# every token is a target, the next document's BOS too. The seed changes nothing.
class PackedDocuments:
    def __init__(self, env):
        self.env = env
        self.paths = shard_paths(env, "train")
        self.shard, self.at, self.tokens = -1, 0, ()

    def next_batch(self):
        """ids, targets: (1, tokens) of this rank's micro-batch. The span's last token is a target only."""
        span = h.train_batch_tokens // 8 + 1
        for _ in self.paths:
            if self.at + span * self.env.world_size <= len(self.tokens):
                break
            self.shard = (self.shard + 1) % len(self.paths)
            self.tokens = load_shard(self.paths[self.shard])
            starts = np.flatnonzero(self.tokens == h.bos_id)
            self.at = int(starts[0]) if len(starts) else len(self.tokens)
        if self.at + span * self.env.world_size > len(self.tokens):
            raise ValueError(
                f"no training shard holds {span * self.env.world_size} tokens after its first document's start"
            )
        tokens = self.tokens[self.at + self.env.rank * span :][:span].astype(np.int64)
        self.at += span * self.env.world_size
        return torch.from_numpy(tokens[None, :-1]), torch.from_numpy(tokens[None, 1:])


# -----------------------------------------------------------------------------
# optimizer


# Muon: momentum, then every matrix's update is replaced by the nearest orthogonal matrix (Keller Jordan, 2024).
def bf16_product(a, b):
    """a @ b in bf16, summed in fp32 and rounded once; PyTorch's own takes ten times as long on a CPU."""
    return a @ b if a.is_cuda or a.dtype != torch.bfloat16 else (a.float() @ b.float()).bfloat16()


# Polar Express: Newton–Schulz with a quintic of its own for each step (arXiv:2505.16932; ported in PR #1344, used from
# PR #1787, @nprime06).
#
# The published table was made for g / 1.02‖g‖; the ports leave the 1.02 out, and so does this. Fewer than five steps
# take the first. Products in the order of the banked scripts. The one isolated ablation (PR #1831) found it no better
# than five fixed steps.
def polar_express(g, steps):
    table = (
        (8.156554524902461, -22.48329292557795, 15.878769915207462),
        (4.042929935166739, -2.808917465908714, 0.5000178451051316),
        (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
        (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
        (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
    )
    x = g.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    for a, b, c in table[:steps]:
        gram = bf16_product(x, x.T)
        x = a * x + bf16_product(b * gram + c * bf16_product(gram, gram), x)
    return x.T if tall else x


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
        self.orthogonalize = torch.compile(polar_express) if env.cuda else polar_express

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
        self.context = None  # where documents are cut at a growing length: the length and the step it came with

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


class Documents(NamedTuple):
    bounds: torch.Tensor  # (n,) int32 starts in the flattened batch, then its length, as often as padding needs it
    longest: int  # no document is longer

    def there(self, env):
        """The same on the device: counted by the host, which need not wait for how many there are."""
        return self._replace(bounds=sent(env, self.bounds))


def bounds_of(ids, longest, most=None):
    """Documents of ids (B, T): a start at every row and BOS, and every `longest` tokens from a document's start.

    most: what kernels are told is the longest, where documents are cut shorter for a while.
    """
    flat = ids.flatten()
    place = torch.arange(len(flat), device=ids.device)
    start = (flat == h.bos_id) | (place % ids.size(1) == 0)
    since = place - torch.where(start, place, 0).cummax(0).values
    starts = torch.nonzero(since % longest == 0).flatten()
    bounds = F.pad(starts, (0, h.bounds_multiple - len(starts) % h.bounds_multiple), value=len(flat)).int()
    return Documents(bounds, most or longest)


def varlen(env, model, stream, keep=False):
    """The stream in rows of many windows' tokens, attention within documents; needs `varlen_attention`."""
    trace = Trace(env, stream, "roundtrip_varlen", f"final_int{h.mlp_bits}_varlen_roundtrip", keep)
    total = scored_targets(stream)
    windows = share(env, total // h.eval_seq_len)
    batch = max(h.val_batch_tokens // 8 // h.eval_seq_len, 1)
    with torch.no_grad(), env.autocast():
        for first in windows[::batch]:
            start, end = first * h.eval_seq_len, min(first + batch, windows.stop) * h.eval_seq_len
            if end == total // h.eval_seq_len * h.eval_seq_len:
                end = total
            ids, targets = stream.tokens[start:end][None], stream.tokens[start + 1 : end + 1][None]
            docs = bounds_of(ids, h.eval_seq_len).there(env)
            trace.add(model(sent(env, ids), sent(env, targets), docs=docs), torch.arange(start, end)[None])
    return trace.reduce()


# Warmdown over the last share of the training budget, down to a floor (PR #1218, Kevin Clark; the floor PR #1787,
# #1809).
#
# A floor above 0 needs an average at the end: the raw weights of PR #1809 are 0.007 BPB worse than their EMA.
def warmdown_by_fraction(clock):
    return max(min((1 - clock.progress()) / h.warmdown_frac, 1.0), h.min_lr)


# Progressive context: documents are cut short at first and longer as training goes on (PR #2014, @simonbissonnette).
#
# Tokens a step and positions stay; only the length at which attention cuts a document grows, up to `train_seq_len`.
# After each change the learning rates rise again from almost 0. Part of PR #2014, which drops the two batches that its
# loader has fetched ahead at a change; here none are. Never ablated alone.
def context_length(clock):
    """Tokens at which a step cuts documents."""
    for tokens, until in zip(h.context_tokens, h.context_until):
        if clock.progress() <= until:
            return tokens
    return h.context_tokens[-1]


def growing_bounds(ids, clock):
    tokens = context_length(clock)
    if clock.context is None:
        clock.context = tokens, -h.context_warmup_steps  # training starts at its full rate
    if clock.context[0] != tokens:
        clock.context = tokens, clock.step
    return bounds_of(ids, tokens, h.train_seq_len)


def warmdown_after_changes(clock):
    """The fractional warmdown, times the rise after the last change of the context."""
    factor = warmdown_by_fraction(clock)
    if clock.context is None:
        return factor
    return factor * min((clock.step - clock.context[1] + 1) / h.context_warmup_steps, 1.0)


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
    trained = [param for param in model.parameters() if param.tag.group != "untrained"]
    grads = [param.grad for param in trained if param.grad is not None]
    for dtype in {grad.dtype for grad in grads}:
        same = [grad for grad in grads if grad.dtype == dtype]
        flat = torch.cat([grad.flatten() for grad in same])
        dist.all_reduce(flat)
        flat /= env.world_size
        for grad, piece in zip(same, flat.split([grad.numel() for grad in same])):
            grad.copy_(piece.view_as(grad))


def take_step(env, model, loader, optimizers, clock, loop=True):
    """One optimizer step over 8 micro-batches, all ranks together. Returns this rank's mean loss, nats per token."""
    loss_sum = torch.zeros((), device=env.device)
    for micro in range(env.grad_accum_steps):
        ids, targets = loader.next_batch()
        docs = growing_bounds(ids, clock).there(env)
        ids, targets = sent(env, ids), sent(env, targets)
        with env.autocast():
            loss = model(ids, targets, docs=docs, loop=loop).mean()
        loss_sum += loss.detach()
        (loss / env.grad_accum_steps).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), h.grad_clip_norm)
    average_all(env, model)
    clock.lr_factor, momentum = warmdown_after_changes(clock), momentum_warmup(clock)
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
    loader, clock = PackedDocuments(env), Clock(env, 0.0)
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
    trace = varlen(env, model, stream)
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
    trace = varlen(env, model, stream)
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


def ema_weights(ema):
    """Put the average into the model."""
    ema.export()


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


def from_training_rows(env, log, model):
    """Calibrate on shuffled rows of train_seq_len tokens, across documents, where training packs documents (PR #1530)."""
    rows = ShuffledSequences(env)
    from_training_text(env, log, model, rows)


class InputGram:
    """Σ xᵀx of the vectors that pass a hook: (width, width), fp32."""

    def __init__(self, width, device):
        self.total = torch.zeros(width, width, device=device)
        self.rows = torch.zeros((), device=device)

    def add(self, x):
        x = x.detach().float().flatten(0, -2)
        self.total.addmm_(x.T, x)
        self.rows += len(x)

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
            dist.all_reduce(gram.rows)
        dist.all_reduce(count)
    if env.rank == 0:
        hessians = {name: gram.total / count for name, gram in grams.items()}
        hessians |= {f"{name}:rows": gram.rows / count for name, gram in grams.items()}
        write_container("hessians.golf", hessians, {"seed": env.seed, "batches": int(count)}, RawCoder)
    env.synchronize()
    seconds = time.perf_counter() - begun
    log(f"GPTQ:collected {len(grams)} Hessians in {seconds:.1f}s")
    log.record(calibration_seconds=seconds)


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
    ema = EMA(model)
    loader = PackedDocuments(env)
    clock = Clock(env, env.max_wallclock_seconds - h.reserve_seconds if env.max_wallclock_seconds > 0 else 0.0)
    clock.start()
    stop_reason, loss = None, None
    loop = False
    while True:
        if time_is_up(env, clock):
            stop_reason = "wallclock_cap"
        elif clock.step == env.iterations:
            stop_reason = "iterations"
        if stop_reason or h.val_loss_every:
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
    from_training_rows(env, log, model)
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
    sigmas |= {"table": h.table_clip_sigmas, "gate": h.table_clip_sigmas}
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


# Rows scaled by their largest value: nothing is clipped, and one outlier makes its whole row coarse (PR #180).
def amax_rows(w, hessian, bits, role):
    limit = 2 ** (bits - 1) - 1
    scale = readable_scale(w.abs().amax(dim=1) / limit)
    return torch.round(w / scale[:, None]).clamp(-limit, limit).to(torch.int8), scale


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
    if role == "gate":
        return amax_rows, h.gate_bits
    return None, 16


# AWQ-lite: the columns that matter most get 8 bits inside GPTQ, in groups of 64 (PR #1908, @romeerp; in PR #1945,
# @alertcat).
#
# A group's weight is the sum over its columns of the inputs' root mean square times the mean |w|; the heaviest of all
# matrices win. In every log that is one group of the tied embedding. Published effect: about −0.0003 BPB (PR #1908 on
# PR #1855).
class AWQLite:
    @staticmethod
    def choose(tagged, weights, hessians):
        """{name: first columns of its chosen groups, int16}."""
        scores = []
        for name, _, tag in tagged:
            if name in hessians and quantizer_of(tag.role)[1] < h.awq_bits:
                strength = (hessians[name].diag() / hessians[f"{name}:rows"]).sqrt()
                weight = strength * weights[name].float().cpu().abs().mean(dim=0)
                groups = weight[: len(weight) // h.awq_group * h.awq_group].view(-1, h.awq_group).sum(dim=1)
                scores += [(-float(score), name, i * h.awq_group) for i, score in enumerate(groups)]
        chosen = {}
        for _, name, start in sorted(scores)[: h.awq_top_k]:
            chosen[name] = [*chosen.get(name, ()), start]
        return {name: torch.tensor(sorted(starts), dtype=torch.int16) for name, starts in chosen.items()}

    @staticmethod
    def code(w, hessian, bits, role, starts):
        """(int8 codes, scale, scale of the chosen groups' columns) of w (rows, columns): GPTQ with SDClip scales."""
        wide = wide_columns(w.size(1), starts)
        scale = sdclip_scale(w, bits, role)
        wide_scale = sdclip_scale(w, h.awq_bits, role)
        steps = torch.where(wide, wide_scale[:, None], scale[:, None])
        limits = torch.where(wide, 2 ** (h.awq_bits - 1) - 1, int(2 ** (bits - 1) - 1))
        codes = gptq(w, hessian, steps, lambda column, at: torch.round(column).clamp(-limits[at], limits[at]))
        return codes.to(torch.int8), scale, wide_scale

    @staticmethod
    def rescale(rows, codes, starts, scale):
        """The chosen groups' columns of `rows`, in place, as their own scale (rows,) reads them."""
        wide = wide_columns(rows.size(1), starts)
        rows[:, wide] = codes.view(rows.shape)[:, wide].float() * scale.float()[:, None]


def wide_columns(columns, starts):
    """Which columns lie in the groups that begin at `starts`."""
    place = torch.arange(columns)[:, None] - starts.long()
    return ((place >= 0) & (place < h.awq_group)).any(dim=1)


# LQER: add back a low-rank part of the quantization error of the few tensors that lost most (arXiv:2402.02446; PR
# #1851).
#
# Asymmetric as published: the left factor in 2 bits with one scale, the right one in 4 bits by groups of 64. Rank 4 of
# three tensors: −0.0005 to −0.0009 BPB for 40 to 50 KB; rank 6 of four was the best of the sweep in PR #1935.
class LQER:
    @staticmethod
    def add(tensors, weights):
        """Put the coded factors of the largest errors beside the codes: `name:a`, `name:b` and their scales."""
        errors = {}
        for name in tensors:
            base, _, kind = name.partition(":")
            if kind == "q":
                rows = rows_of(tensors, base)
                errors[base] = weights[base].float().cpu().view_as(rows) - rows
        for base in sorted(errors, key=lambda base: -errors[base].norm())[: h.lqer_top_k]:
            u, s, v = torch.linalg.svd(errors[base], full_matrices=False)
            left, right = u[:, : h.lqer_rank] * s[: h.lqer_rank], v[: h.lqer_rank].contiguous()
            if right.numel() % h.lqer_group == 0:
                left, right = grid(left, left.numel(), -2, 1), grid(right, h.lqer_group, -8, 7)
            else:
                limit = 2 ** (h.lqer_factor_bits - 1) - 1
                left, right = grid(left, left.size(1), -limit, limit), grid(right, right.size(1), -limit, limit)
            tensors[f"{base}:a"], tensors[f"{base}:as"] = left
            tensors[f"{base}:b"], tensors[f"{base}:bs"] = right

    @staticmethod
    def apply(tensors, weights):
        for name in tensors:
            base, _, kind = name.partition(":")
            if kind == "a":
                left = values_of(tensors[name], tensors[f"{base}:as"])
                weights[base] = weights[base] + left @ values_of(tensors[f"{base}:b"], tensors[f"{base}:bs"])


def grid(factor, group, low, high):
    """(int8 codes, fp16 scales): every `group` values in a row share a scale, which takes their largest to the range's middle end."""
    groups = factor.reshape(-1, group)
    scale = (groups.abs().amax(dim=1) / ((high - low) / 2)).half()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    codes = torch.round(groups / scale.float()[:, None]).clamp(low, high).to(torch.int8)
    return codes.view(factor.shape), scale


def values_of(codes, scale):
    return (codes.view(len(scale), -1).float() * scale.float()[:, None]).view(codes.shape)


def quantize(tagged, weights, hessians, rank, world_size, fewer_bits=0.0):
    """{name: weight} to the artifact's tensors, the same on every rank; weights may be of any dtype and on any device.

    fewer_bits: a real number, by which every step is wider where the artifact would not fit.
    """
    tensors, turn = {}, 0
    wide = AWQLite.choose(tagged, weights, hessians)
    for name, _, tag in tagged:
        w = weights[name].float().cpu()
        quantizer, bits = quantizer_of(tag.role)
        small = w.numel() <= h.keep_float_numel
        small = small and tag.role != "gate"
        if tag.role != "gate":
            bits = bits - fewer_bits
        if tag.role == "control" or small or quantizer is None:
            tensors[name] = w.half()
        else:
            tensors[f"{name}:q"] = tensors[f"{name}:s"] = None
            if name in wide:
                tensors[f"{name}:g"], tensors[f"{name}:gs"] = wide[name], None
            if turn % world_size == rank:  # the ranks take turns
                if name in wide:
                    codes, scale, wide_scale = AWQLite.code(w, hessians[name], bits, tag.role, wide[name])
                    tensors[f"{name}:gs"] = wide_scale.half()
                else:
                    codes, scale = quantizer(w.reshape(-1, w.size(-1)), hessians.get(name), bits, tag.role)
                tensors[f"{name}:q"] = codes.view(w.shape)
                tensors[f"{name}:s"] = scale.half()
            turn += 1
    if world_size > 1:
        gathered = [None] * world_size
        dist.all_gather_object(gathered, tensors)
        tensors = {name: next(share[name] for share in gathered if share[name] is not None) for name in tensors}
    LQER.add(tensors, weights)
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
    LQER.apply(tensors, weights)
    return weights


def rows_of(tensors, name):
    """The fp32 weight (rows, columns) of a quantized tensor, before corrections."""
    rows = scaled(tensors[f"{name}:q"], tensors[f"{name}:s"])
    if f"{name}:g" in tensors:
        AWQLite.rescale(rows, tensors[f"{name}:q"], tensors[f"{name}:g"], tensors[f"{name}:gs"])
    return rows


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


# LZMA2 without a header and tuned to one-byte codes: no literal, position or pair context (PR #549's coder, 1.4 %
# smaller).
#
# Bytes that are no codes want the contexts back: bit-packed ones grow by 3 to 5 % without them.
LZMA_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 0, "pb": 0}]


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


# rANS: an entropy coder for integer codes, within 0.1 % of the entropy of each tensor's code frequencies (Duda,
# arXiv:1311.2540).
#
# Up to 512 states of 32 bits take turns, one code each, so that numpy does the work: the public records' brotli stays
# 1.4 % above the entropy. Frequencies are 14 bits, one table a tensor, stored in a byte each (four bits of mantissa:
# 0.003 % of the codes); whatever is no matrix of one-byte codes goes through LZMA.
TABLE_BITS = 14
LOWEST_STATE = 1 << 16  # states live in [2¹⁶, 2³²) and move 16 bits at a time
# 0, then 1 to 2¹⁴, sixteen an octave where there are so many
COARSE = np.append(0, (16 + np.arange(225) % 16 << np.arange(225) // 16) >> 4)
MIN_CODES = 2048  # a smaller tensor does not pay for its table
REST_FILTERS = [{**LZMA_FILTERS[0], "dict_size": 1 << 22}]  # as small a text needs no 700 MB to compress
RANS_HEADER = struct.Struct("<II")  # bytes of the head, the same packed


def to_coarse(counts):
    """Counts (tables, symbols) as a byte each: which of COARSE is nearest to its share of 2¹⁴; 0 for what does not occur."""
    share = counts * (1 << TABLE_BITS) / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.where(counts > 0, np.searchsorted((COARSE[1:-1] + COARSE[2:]) / 2, share) + 1, 0).astype(np.uint8)


def frequencies(coarse):
    """Frequencies (tables, symbols) that add up to 2¹⁴, of what `to_coarse` made: what occurs has at least 1."""
    found = COARSE[coarse]
    freq = found * (1 << TABLE_BITS) // np.maximum(found.sum(axis=1, keepdims=True), 1)
    freq = np.maximum(freq, coarse > 0)
    freq[np.arange(len(freq)), freq.argmax(axis=1)] += (1 << TABLE_BITS) - freq.sum(axis=1)
    return freq


def starts_of(freq):
    """(frequencies, first slots) (tables, symbols) as an encoder looks them up for every code: two bytes each."""
    return freq.astype(np.uint16), (np.cumsum(freq, axis=-1) - freq).astype(np.uint16)


class SlotTable:
    """For each of the 2¹⁴ slots of each table: its symbol, the symbol's frequency, the slot's place among the symbol's own."""

    def __init__(self, freq, lowest, dtype):
        first = np.cumsum(freq, axis=1) - freq
        symbols = np.repeat(np.tile(np.arange(freq.shape[1]), len(freq)), freq.ravel())
        table = np.repeat(np.arange(len(freq)), freq.sum(axis=1))
        self.symbol = (symbols + lowest).astype(dtype)
        self.freq = freq[table, symbols].astype(np.uint64)
        self.place = np.tile(np.arange(1 << TABLE_BITS), len(freq)).astype(np.uint64) - first[table, symbols].astype(
            np.uint64
        )


class StateReader:
    """The decoder's states; every call of `take` gives the next code of each of the first `lanes`."""

    def __init__(self, data, lanes):
        """data: `lanes` states of 4 bytes, then words of 2."""
        check(len(data) >= 4 * lanes and len(data) % 2 == 0, "ends early")
        self.states = np.frombuffer(data, "<u4", lanes).astype(np.uint64)
        self.words = np.frombuffer(data, "<u2", -1, 4 * lanes).astype(np.uint64)
        self.at = 0
        check(bool((self.states >= LOWEST_STATE).all()), "has numbers out of range")

    def take(self, table, lanes, start=0):
        """start: the first slot of every lane's table, where a table holds several."""
        states = self.states[:lanes]
        slot = (states & ((1 << TABLE_BITS) - 1)).astype(np.intp) + start
        states = table.freq[slot] * (states >> TABLE_BITS) + table.place[slot]
        low = np.flatnonzero(states < LOWEST_STATE)
        check(self.at + len(low) <= len(self.words), "ends early")
        states[low] = states[low] << 16 | self.words[self.at : self.at + len(low)]
        self.at += len(low)
        self.states[:lanes] = states
        return table.symbol[slot]

    def finish(self):
        done = self.at == len(self.words) and bool((self.states == LOWEST_STATE).all())
        check(done, "has numbers out of range")


def write_states(turns, lanes):
    """(states, words) of the turns [((frequencies, first slots), tables, codes)] of up to `lanes` codes each, in the reader's order."""
    states, words = np.full(lanes, LOWEST_STATE, dtype=np.uint64), []
    for starts, tables, codes in reversed(turns):
        freq, first = (of_all[tables, codes].astype(np.uint64) for of_all in starts)
        x = states[: len(freq)]
        full = x >= freq << (32 - TABLE_BITS)
        words.append((x[full] & 0xFFFF).astype("<u2"))
        x = np.where(full, x >> 16, x)
        states[: len(freq)] = (x // freq << TABLE_BITS) + x % freq + first
    return states.astype("<u4"), np.concatenate([np.empty(0, "<u2"), *reversed(words)])


def lanes_for(codes):
    """States for so many codes: each costs 2 bytes, each turn costs time."""
    return min(max(codes // 32768, 8), 512)


def is_coded(spec):
    return DTYPES[spec[1]].itemsize == 1 and math.prod(spec[2]) >= MIN_CODES


def symbols_of(tensor):
    """(codes from the lowest on, lowest code, their counts), flat."""
    codes = tensor.detach().cpu().numpy().reshape(-1)
    lowest = int(codes.min())
    codes = (codes.astype(np.int16) - lowest).astype(np.uint8)
    return codes, lowest, np.bincount(codes)


def write_payload(head, rest, turns, lanes):
    states, words = write_states(turns, lanes)
    text = head + to_planes(rest)
    packed = lzma.compress(text, lzma.FORMAT_RAW, filters=REST_FILTERS)
    return RANS_HEADER.pack(len(text), len(packed)) + packed + states.tobytes() + words.tobytes()


def read_payload(payload, most_bytes):
    """(head and rest, states and words) of a payload whose head and rest are at most `most_bytes`."""
    check(len(payload) >= RANS_HEADER.size, "ends early")
    text_bytes, packed_bytes = RANS_HEADER.unpack_from(payload)
    check(text_bytes <= most_bytes, "has numbers out of range")
    states_at = RANS_HEADER.size + packed_bytes
    return unlzma(payload[RANS_HEADER.size : states_at], text_bytes, REST_FILTERS), payload[states_at:]


def write_table(lowest, coarse):
    """A table for the head: lowest symbol, symbols, then the frequencies (tables, symbols), a byte each."""
    return struct.pack("<hH", lowest, coarse.shape[1]) + coarse.tobytes()


def read_table(text, at, tables, dtype):
    """(SlotTable, where the next one starts)."""
    check(len(text) >= at + 4, "ends early")
    lowest, symbols = struct.unpack_from("<hH", text, at)
    end = at + 4 + tables * symbols
    check(0 < symbols <= 256 and len(text) >= end, "ends early")
    check(
        torch.iinfo(dtype).min <= lowest and lowest + symbols - 1 <= torch.iinfo(dtype).max, "has numbers out of range"
    )
    coarse = np.frombuffer(text, np.uint8, tables * symbols, at + 4).reshape(tables, symbols)
    check(int(coarse.max()) < len(COARSE), "has numbers out of range")
    freq = frequencies(coarse)
    check(bool((freq >= 0).all()), "has numbers out of range")
    return SlotTable(freq, lowest, str(dtype).removeprefix("torch.")), end


def static_group(tensors, lanes):
    """(head, turns) of tensors with one table each."""
    head, turns = b"", []
    for tensor in tensors:
        codes, lowest, counts = symbols_of(tensor)
        coarse = to_coarse(counts[None])
        head += write_table(lowest, coarse)
        starts = starts_of(frequencies(coarse))
        turns += [(starts, 0, codes[i : i + lanes]) for i in range(0, len(codes), lanes)]
    return head, turns


def read_static_group(text, at, reader, specs):
    """({name: tensor}, where the next group starts) of such tensors."""
    tensors, lanes = {}, len(reader.states)
    for name, dtype, shape in specs:
        table, at = read_table(text, at, 1, DTYPES[dtype])
        codes = np.empty(math.prod(shape), table.symbol.dtype)
        for i in range(0, len(codes), lanes):
            codes[i : i + lanes] = reader.take(table, min(lanes, len(codes) - i))
        tensors[name] = torch.from_numpy(codes).reshape(shape)
    return tensors, at


# rANS with contexts: each code's table is chosen by how large, and how far from zero, the codes of its row and column
# have been so far.
#
# Columns of `mlp.proj` and rows of the embedding differ in scale, and many lines have a mean, which the frequencies of
# a whole tensor cannot know. Matrices are walked along diagonals, so that a turn never reads two codes of one row or
# column. A group of matrices of one shape shares its tables. How far a line is trusted is taken from how much lines
# really differ (empirical Bayes), and of tables there are as many as pay for themselves.
SIZES, DRIFTS = 16, 8  # contexts by size and by mean: at most so many
MOST_TRUST = 20
GROUP_HEAD = struct.Struct(
    "<6B2f"
)  # contexts by size and by mean; trust in lines along and across, of both; how far both spread


class Walk:
    """The way through matrices (count, lanes, steps): at turn t, lane j is at (t + j) mod steps. Sums of magnitudes and of codes so far.

    means (count, 1): mean magnitude of each matrix; unit: of all matrices that share the tables. trust: log2 of how many average codes a line counts as having had before its first:
    along a lane and across, of magnitudes and of codes. sizes, drifts: thresholds between contexts.
    """

    def __init__(self, means, unit, lanes, steps, trust, sizes, drifts):
        self.means, self.unit, self.sizes, self.drifts = means, unit, sizes, drifts
        along, across = np.ldexp(1.0, [trust[::2], trust[1::2]])[..., None, None] + 0 * means
        # sums of magnitudes and of codes, and how many of each; the lines across turn with the walk
        self.along = np.stack([along[0] * means, 0 * means, *along]) + np.zeros(lanes)
        self.across = np.stack([across[0] * means, 0 * means, *across]) + np.zeros(steps)

    def contexts(self):
        """The context of each of this turn's codes: (count, lanes). Only + × ÷: the same bits on every machine."""
        now = self.across[..., : self.along.shape[2]]
        size, drift = self.along[:2] / self.along[2:]
        across_size, across_drift = now[:2] / now[2:]
        sizes = np.searchsorted(self.sizes, size * across_size / (self.means * self.unit))
        return sizes * (len(self.drifts) + 1) + np.searchsorted(self.drifts, (drift + across_drift) / self.unit)

    def learn(self, codes):
        """This turn's codes, and on to the next."""
        codes = codes * 1.0
        one = np.ones(codes.shape)
        seen = np.stack([np.abs(codes), codes, one, one])
        self.along += seen
        self.across[..., : codes.shape[1]] += seen
        self.across = np.roll(self.across, -1, 2)


def groups_of(specs):
    """{(dtype, shape): [positions]} of the coded tensors; under None those that are no matrices of more than 16 lines."""
    groups = {}
    for i, (_, dtype, shape) in enumerate(specs):
        matrix = len(shape) == 2 and min(shape) > 16
        groups.setdefault((dtype, tuple(shape)) if matrix else None, []).append(i)
    return groups


def lanes_of(specs):
    """Enough states for the shorter side of every matrix."""
    return max(
        [lanes_for(sum(math.prod(spec[2]) for spec in specs)), *(min(spec[2]) for spec in specs if len(spec[2]) == 2)]
    )


def batches_of(members, shape, lanes):
    """Matrices walked at once: as many as there are states for."""
    together = max(lanes // min(shape), 1)
    return [members[i : i + together] for i in range(0, len(members), together)]


def diagonals(lanes, steps):
    """(steps, lanes): where lane j is at turn t."""
    return (np.arange(steps)[:, None] + np.arange(lanes)) % steps


def walked(matrices):
    """Codes (count, lanes, steps) in the order of the walk: (turn, count, lane)."""
    lanes, steps = matrices.shape[1:]
    return matrices[:, np.arange(lanes), diagonals(lanes, steps)].transpose(1, 0, 2)


def edges(sizes, drifts, *spreads):
    """Thresholds between contexts: to two deviations around the mean size 1, and around the mean 0."""
    return [
        middle + (np.arange(1, contexts) * 4 / contexts - 2) * float(spread)
        for middle, contexts, spread in zip((1, 0), (sizes, drifts), spreads)
    ]


def differences(matrices, means, axis):
    """(how much the means of lines differ, log2 of the codes that a line's mean is worth): a variance over matrices' mean magnitudes."""
    within = between = 0.0
    for matrix, mean in zip(matrices, means):
        spread = matrix.var(axis).mean() / mean**2
        within += spread / len(means)
        between += (matrix.mean(axis).var() / mean**2 - spread / matrix.shape[axis]) / len(means)
    between = max(between, within / (1 << MOST_TRUST), 1e-12)  # equal codes differ in nothing
    return between, round(math.log2(max(within / between, 1)))


def context_group(tensors, lanes):
    """(head, turns) of matrices of one shape."""
    matrices = [t.detach().cpu().numpy() for t in tensors]
    matrices = [m.T if m.shape[0] > m.shape[1] else m for m in matrices]  # a lane for each line of the short side
    lowest = min(int(m.min()) for m in matrices)
    signed = [m.astype(np.float32) for m in matrices]
    means = np.array([max(np.abs(m).mean(), 1e-3) for m in signed], "<f4")
    exact = means.astype(np.float64)
    trust, spreads = [], []
    for of in ([np.abs(m) for m in signed], signed):
        between, known = zip(*(differences(of, exact, axis) for axis in (1, 0)))
        trust += known
        apart = exact.var() / exact.mean() ** 2 if of is not signed else 0  # a step of its own for each matrix
        spreads.append(np.float32((sum(between) + apart) ** 0.5))
    walks = []
    for batch in batches_of(np.arange(len(matrices)), matrices[0].shape, lanes):
        codes = walked(np.stack([matrices[i] for i in batch]))
        walk = Walk(
            exact[batch, None], exact.mean(), codes.shape[2], len(codes), trust, *edges(SIZES, DRIFTS, *spreads)
        )
        found = []
        for turn in codes:
            found.append(walk.contexts().astype(np.uint8))
            walk.learn(turn)
        walks.append(((codes.astype(np.int16) - lowest).astype(np.uint8), np.stack(found)))
    symbols = max(int(codes.max()) for codes, _ in walks) + 1
    counts = sum(
        np.bincount((found * np.int32(symbols) + codes).ravel(), minlength=SIZES * DRIFTS * symbols)
        for codes, found in walks
    ).reshape(SIZES, DRIFTS, symbols)
    ways = [merged(counts, sizes, drifts) for sizes in (16, 8, 4, 2, 1) for drifts in (8, 4, 2, 1)]
    _, sizes, drifts, coarse = min(ways, key=lambda way: way[0])
    head = GROUP_HEAD.pack(sizes, drifts, *trust, *spreads) + means.tobytes()
    context = np.add.outer(np.arange(SIZES) * sizes // SIZES * drifts, np.arange(DRIFTS) * drifts // DRIFTS).ravel()
    starts = [table[context] for table in starts_of(frequencies(coarse))]
    turns = [(starts, at.ravel(), turn.ravel()) for codes, found in walks for turn, at in zip(codes, found)]
    return head + write_table(lowest, coarse), turns


def merged(counts, sizes, drifts):
    """(bytes of codes and tables, contexts by size, by mean, coarse frequencies) with so many contexts of those that were counted."""
    counts = counts.reshape(sizes, SIZES // sizes, drifts, DRIFTS // drifts, -1).sum((1, 3)).reshape(sizes * drifts, -1)
    coarse = to_coarse(counts)
    return cost_bytes(counts, coarse), sizes, drifts, coarse


def cost_bytes(counts, coarse):
    """Bytes of codes counted so, and of their tables: LZMA makes those of about three quarters of what occurs."""
    bits = (counts * (TABLE_BITS - np.log2(np.maximum(frequencies(coarse), 1)))).sum()
    return float(bits) / 8 + 0.75 * float((coarse > 0).sum())


class ContextRansCoder:
    name = "ransctx"

    @staticmethod
    def encode(tensors):
        specs = [("", str(t.dtype).removeprefix("torch."), list(t.shape)) for t in tensors]
        coded = [t for t, spec in zip(tensors, specs) if is_coded(spec)]
        rest = [t for t, spec in zip(tensors, specs) if not is_coded(spec)]
        coded_specs = [spec for spec in specs if is_coded(spec)]
        lanes, head, turns = lanes_of(coded_specs), b"", []
        for key, positions in groups_of(coded_specs).items():
            group = context_group if key else static_group
            text, more = group([coded[i] for i in positions], lanes)
            head, turns = head + text, turns + more
        return write_payload(head, rest, turns, lanes)

    @staticmethod
    def decode(payload, specs, unpacked_bytes):
        coded = [spec for spec in specs if is_coded(spec)]
        text, states = read_payload(payload, unpacked_bytes + (len(coded) + 1) * (SIZES * DRIFTS + 1) * 260)
        reader, at, tensors = StateReader(states, lanes_of(coded)), 0, {}
        for key, positions in groups_of(coded).items():
            read = read_group if key else read_static_group
            more, at = read(text, at, reader, [coded[i] for i in positions])
            tensors.update(more)
        reader.finish()
        rest = [spec for spec in specs if not is_coded(spec)]
        tensors.update(zip([spec[0] for spec in rest], from_planes(text[at:], rest)))
        return [tensors[name] for name, _, _ in specs]


def read_group(text, at, reader, specs):
    """({name: tensor}, where the next group starts) of matrices of one shape."""
    check(len(text) >= at + GROUP_HEAD.size, "ends early")
    sizes, drifts, *trust, size_spread, drift_spread = GROUP_HEAD.unpack_from(text, at)
    at += GROUP_HEAD.size
    means = np.frombuffer(text, "<f4", len(specs), at).astype(np.float64)
    known = 0 < sizes <= SIZES and 0 < drifts <= DRIFTS and max(trust) <= MOST_TRUST
    numbers = np.array([*means, size_spread, drift_spread])
    check(known and bool(((0 < numbers) & (numbers < 1e6)).all()), "has numbers out of range")
    _, dtype, shape = specs[0]
    table, at = read_table(text, at + 4 * len(specs), sizes * drifts, DTYPES[dtype])
    lanes, steps = min(shape), max(shape)
    tensors = {}
    for batch in batches_of(np.arange(len(specs)), shape, len(reader.states)):
        walk = Walk(
            means[list(batch), None],
            means.mean(),
            lanes,
            steps,
            trust,
            *edges(sizes, drifts, size_spread, drift_spread),
        )
        codes = np.empty((steps, len(batch), lanes), dtype=table.symbol.dtype)
        for turn in codes:
            context = walk.contexts().ravel()
            turn[:] = reader.take(table, len(context), context << TABLE_BITS).reshape(turn.shape)
            walk.learn(turn)
        matrices = np.empty((len(batch), lanes, steps), dtype=codes.dtype)
        matrices[:, np.arange(lanes), diagonals(lanes, steps)] = codes.transpose(1, 0, 2)
        for i, matrix in zip(batch, matrices):
            tensors[specs[i][0]] = torch.from_numpy(matrix.T.copy() if shape[0] > shape[1] else matrix)
    return tensors, at


def save_artifact(path, tensors):
    """Write the artifact of what `quantize` made; returns (its bytes, the bytes of its tensors before the coder)."""
    return write_container(path, tensors, {}, ContextRansCoder), sum(
        t.numel() * t.element_size() for t in tensors.values()
    )


def bytes_over(tensors):
    """Bytes of the packed model and the code over `fit_bytes`, negative below it."""
    with tempfile.TemporaryDirectory() as folder:
        model_bytes = save_artifact(os.path.join(folder, "model.golf"), tensors)[0]
    return model_bytes + min(os.path.getsize(__file__), h.packed_code_bytes) - h.fit_bytes


def load_artifact(path, model):
    tensors = read_container(path, ContextRansCoder)[0]
    try:
        load_weights(model, dequantize(tensors))
    except (KeyError, IndexError, RuntimeError) as fault:
        raise ValueError(f"{path} does not hold this model: {fault}") from fault


# Wider steps where the artifact is over the cap, and only there (golf): all matrices are quantized once more, from the
# same weights and Hessians, until code and model fit.
#
# What an entropy coder saves on trained weights is known when they are packed, not before: a run whose prediction
# reaches over the cap is paid for before anybody knows. A step wider by 2^b costs b bits a code less, so the bytes over
# tell the step, and the second look shows whether they were told right. An artifact that fits is left as it is, to the
# bit.
def widen_to_fit(env, log, tagged, weights, hessians, tensors):
    """The tensors as they are, or in wider steps. All ranks call it."""
    codes = sum(tensors[f"{name}:q"].numel() for name in weights if f"{name}:q" in tensors)
    fewer_bits = 0.0
    for _ in range(h.fit_rounds):
        over_bytes = torch.tensor(bytes_over(tensors) if env.rank == 0 else 0, device=env.device)
        if env.distributed:
            dist.broadcast(over_bytes, 0)
        if over_bytes <= 0:
            break
        fewer_bits += 8 * float(over_bytes + h.spare_bytes) / codes
        log(f"artifact over the cap by {over_bytes} bytes: quantized again in steps wider by {2**fewer_bits - 1:.3%}")
        tensors = quantize(tagged, weights, hessians, env.rank, env.world_size, fewer_bits)
    return tensors


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
    return len(stream.tokens) - 1


def documents(stream, total):
    """First prediction index of every document, and the index before which it ends."""
    starts = torch.nonzero(stream.tokens[:total] == h.bos_id).flatten()
    if len(starts) == 0 or starts[0] > 0:
        starts = torch.cat((starts.new_zeros(1), starts))
    return starts, torch.cat((starts[1:], starts.new_tensor([total])))


# Test-time training of low-rank adapters, every document its own (PR #77 and PR #1530, @samacqua).
#
# A document is scored chunk by chunk; the gradient of a chunk's own scores then moves its adapters before the next
# chunk, so a score never depends on what it scores. All documents start from the same adapters (B = 0), which makes the
# result independent of their order and batching (R23); the public scripts draw A anew for each. Windows end where a
# whole chunk would, not at the document's end: nothing looks ahead. The last one reaches back from the end, as in the
# public scripts. Published effect: about −0.003 BPB (#1530); alpha 144, warm A and decay 1 another −0.0004 (PR #1767,
# @renqianluo); no adapters on queries and values, longer windows −0.0006 (PR #1953, @andrewbaggio1); short chunks for
# short documents (PR #2014, @simonbissonnette).
class Shapes:
    """Stands in for the adapters once, to learn which matrices the model has: {(name, layer): (inputs, outputs)}."""

    def __init__(self):
        self.found = {}

    def __call__(self, name, layer, u, y):
        self.found[name, layer] = u.size(-1), y.size(-1)
        return 0.0


class Adapters:
    """A (documents, rank, inputs) and B (documents, outputs, rank) of every matrix that is adapted."""

    def __init__(self, env, model):
        shapes = Shapes()
        with torch.no_grad(), env.autocast(), torch.compiler.set_stance("force_eager"):
            model(torch.zeros((1, 8), dtype=torch.int64, device=env.device), lora=shapes)
        rng = torch.Generator().manual_seed(0)
        self.start, self.pairs, self.warm = {}, {}, False
        for (name, layer), (inputs, outputs) in shapes.found.items():
            if name in h.lora_targets:
                bound, rows = inputs**-0.5, h.lora_batch_docs
                start = sent(env, torch.empty(h.lora_rank, inputs).uniform_(-bound, bound, generator=rng))
                a = start.expand(rows, -1, -1).clone().requires_grad_()
                b = torch.zeros(rows, outputs, h.lora_rank, device=env.device).requires_grad_()
                self.start[name, layer], self.pairs[name, layer] = start, (a, b)
        self.params = [param for pair in self.pairs.values() for param in pair]

    def __call__(self, name, layer, u, y):
        if (name, layer) not in self.pairs:
            return 0.0
        a, b = self.pairs[name, layer]
        return h.lora_alpha / h.lora_rank * (u @ a.mT.to(u.dtype)) @ b.mT.to(u.dtype)

    @torch.no_grad()
    def reset(self, docs):
        """As before any document, for a batch of `docs` documents. Returns an optimizer that has seen nothing."""
        whole = docs == h.lora_batch_docs
        for key, (a, b) in self.pairs.items():
            if not (self.warm and whole):
                a.copy_(self.start[key].expand_as(a))
            b.zero_()
        self.warm = whole
        return torch.optim.AdamW(
            self.params,
            lr=h.lora_lr,
            betas=(h.lora_beta1, h.lora_beta2),
            eps=1e-10,
            weight_decay=h.lora_wd,
        )


def document_queue(stream):
    """Batches of documents (first prediction indices, lengths): cut from the shortest up, the longest first.

    Documents of a batch take about as many chunks; what is left over are the longest. Inside a batch the shortest come first.
    """
    starts, ends = documents(stream, scored_targets(stream))
    order = torch.argsort(ends - starts, stable=True)
    batches = list(zip(starts[order].split(h.lora_batch_docs), (ends - starts)[order].split(h.lora_batch_docs)))
    return sorted(batches, key=lambda batch: -int(batch[1][-1]))


def own_targets(env, queue):
    """Targets of this rank's batches, which documents of unlike length do not share out evenly."""
    return max(sum(int(lengths.sum()) for _, lengths in queue[env.rank :: env.world_size]), 1)


def adapt_documents(env, model, stream, trace, adapters, starts, lengths):
    """Score a batch of documents chunk by chunk; after each, one step of their adapters on its gradient."""
    optimizer = adapters.reset(len(starts))
    spare = h.lora_batch_docs - len(starts)
    starts = torch.cat((starts, starts.new_zeros(spare)))[:, None]
    lengths = torch.cat((lengths, lengths.new_zeros(spare)))[:, None]
    size = h.lora_chunk_tokens
    if h.lora_chunk_limits:
        size = short_chunk(int(lengths.max()) + 1)
    chunks = -(-int(lengths.max()) // size)
    for chunk in range(chunks):
        ids, targets, mask, at = chunk_batch(stream, starts, lengths, chunk, size)
        ids, targets, scored = sent(env, ids), sent(env, targets), sent(env, mask)
        with env.autocast():
            nats = model(ids, targets, lora=adapters)
            scores = nats.detach()
        trace.add(picked(env, scores, mask), at[mask])
        goes_on = sent(env, lengths[:, 0] > (chunk + 1) * size)
        if chunk < chunks - 1:
            optimizer.zero_grad(set_to_none=True)
            ((nats * scored).sum(1) / scored.sum(1).clamp(min=1) * goes_on).sum().backward()
            optimizer.step()


def short_chunk(longest):
    """Tokens of a chunk where the longest document of the batch has `longest`, its BOS among them."""
    for limit, size in sorted(zip(h.lora_chunk_limits, h.lora_short_chunks)):
        if longest <= limit:
            return size
    return h.lora_chunk_tokens


def chunk_batch(stream, starts, lengths, chunk, size):
    """ids, targets, mask of the chunk's columns, prediction indices (documents, T); T grows in four steps to eval_seq_len."""
    ends = torch.full_like(lengths, (chunk + 1) * size)
    ends = torch.minimum(ends, lengths)
    begins = (ends - h.eval_seq_len).clamp(min=0)
    step = max(h.eval_seq_len // 4, 1)
    columns = begins + torch.arange(min(-(-int((ends - begins).max()) // step) * step, h.eval_seq_len))
    mask = (columns >= chunk * size) & (columns < ends) & (columns < lengths)
    at = starts + torch.minimum(columns, (lengths - 1).clamp(min=0))
    return stream.tokens[at], stream.tokens[at + 1], mask, at


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
                    ids, targets = ids.view(1, -1), targets.view(1, -1)
                    docs = bounds_of(ids, length).there(env)
                    loss = model(sent(env, ids), sent(env, targets), docs=docs).sum() / (batch * length)
                loss.backward()
            if env.world_size > 1:
                for param in params:
                    if param.grad is None:
                        param.grad = torch.zeros_like(param)
                    dist.all_reduce(param.grad)
            torch.nn.utils.clip_grad_norm_(params, h.ttt_grad_clip)
            optimizer.step()


# Phased test-time training: adapters per document, and SGD on the documents scored so far (PR #1610, @romeerp).
#
# In several phases: PR #1626, @dexhunter. The queue runs from the longest documents to the shortest. After each of the
# first boundaries every weight is trained on the documents scored up to there, the shortest of them first, by SGD in
# chunks; documents after it are scored by what that left. Accepted, contested: the order is not the stream's (R23), so
# nothing may be added that follows the stream's (R47). Boundaries are counted in batches, not by who is first, so ranks
# do not change the result. Published effect on PR #1530: −0.00056 BPB in one phase (#1610), −0.0008 more in three.
def ttt_phased(env, model, stream, keep=False):
    """Adapters per document, on weights that learn from the longest documents once these are scored."""
    trace = Trace(env, stream, "ttt_phased", "quantized_ttt_phased", keep)
    queue, params, done = document_queue(stream), trainable(model), 0
    trace.own = own_targets(env, queue)
    scored = list(accumulate(len(starts) for starts, _ in queue))  # documents, after each batch
    boundaries = [h.phased_docs * (phase + 1) // h.phased_phases for phase in range(h.phased_phases)]
    for boundary in [*boundaries, None]:
        end = len(queue)
        if boundary is not None:  # looked at after each batch, so that every phase has one of its own
            end = min(max(sum(count < boundary for count in scored), done) + 1, end)
        adapters = Adapters(env, model)
        model.requires_grad_(False)
        for number in range(done, end):
            if number % env.world_size == env.rank:
                adapt_documents(env, model, stream, trace, adapters, *queue[number])
        model.requires_grad_(True)
        done = max(done, end)
        if boundary is not None and done < len(queue):
            learn_documents(env, model, stream, params, queue[:done], boundary)
    return trace.reduce()


def learn_documents(env, model, stream, params, batches, count):
    """SGD over the `count` shortest documents of the batches, each with its next BOS, in chunks; the last chunk is left out."""
    starts, lengths = (torch.cat(parts[::-1])[:count].tolist() for parts in zip(*batches))
    tokens = torch.cat([stream.tokens[start : start + length + 1] for start, length in zip(starts, lengths)])
    optimizer = torch.optim.SGD(params, lr=h.ttt_lr, momentum=h.ttt_momentum)
    chunks = math.ceil((len(tokens) - 1) / h.ttt_chunk_tokens)
    for chunk in range(chunks - 1):
        learn_chunk(env, model, tokens, params, optimizer, chunk, chunks)
    optimizer.zero_grad(set_to_none=True)


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
    tensors = widen_to_fit(env, log, collect(model), weights, hessians, tensors)
    if env.rank == 0:
        code_bytes = os.path.getsize(__file__)
        label = f"int{h.mlp_bits}+{ContextRansCoder.name}"
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
        for report in (varlen, ttt_phased):
            load_artifact("model.golf", model)
            report(env, scored, drawn)
        log(f"eval:compile warmup done ({time.perf_counter() - since:.1f}s)")
    begun, reports = time.perf_counter(), []
    for report in (varlen, ttt_phased):
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
