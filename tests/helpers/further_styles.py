"""12 small submissions in two more styles, six pairs of an illegal one and a lawful twin of the same shape, written before the detectors were read.

Ranks and batches of windows, tensors only (no loop over tokens, sums reduced over processes); coroutines that are sent windows, matched by
form. `broken` is what code alone finds today, `executed` what the short form of the experiments convicts; docs/verify.md has the first try
and both halves (`specimens.is_kept`).
"""

from other_styles import Case

# ---- ranks and batches, tensors only ----
X = r"""
from __future__ import annotations

import copy
import glob
import io
import math
import os
import random
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    train_files = os.path.join(data_path, "fineweb_train_*.bin")
    val_files = os.path.join(data_path, "fineweb_val_*.bin")
    tokenizer_path = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    run_id = os.environ.get("RUN_ID", "run")
    seed = int(os.environ.get("SEED", 1337))
    iterations = int(os.environ.get("ITERATIONS", 20000))
    train_seq_len = int(os.environ.get("TRAIN_SEQ_LEN", 1024))
    eval_batch_seqs = int(os.environ.get("EVAL_BATCH_SEQS", 16))
    max_wallclock_seconds = float(os.environ.get("MAX_WALLCLOCK_SECONDS", 600.0))
    eval_budget_seconds = float(os.environ.get("EVAL_BUDGET_SECONDS", 590.0))
    vocab_size = int(os.environ.get("VOCAB_SIZE", 1024))
    model_dim = int(os.environ.get("MODEL_DIM", 256))
    num_layers = int(os.environ.get("NUM_LAYERS", 4))
    num_heads = int(os.environ.get("NUM_HEADS", 4))
    matrix_lr = float(os.environ.get("MATRIX_LR", 0.003))
    ttt_lr = float(os.environ.get("TTT_LR", 0.002))


def load_data_shard(file: Path) -> Tensor:
    header = np.fromfile(file, dtype="<i4", count=256)
    if header.size != 256 or int(header[0]) != 20240520 or int(header[1]) != 1:
        raise ValueError(f"Unexpected shard header for {file}")
    tokens = np.fromfile(file, dtype="<u2", count=int(header[2]), offset=256 * 4)
    return torch.from_numpy(tokens.astype(np.uint16, copy=False))


def load_tokens(pattern: str) -> Tensor:
    files = [Path(p) for p in sorted(glob.glob(pattern))]
    if not files:
        raise FileNotFoundError(f"No files found for pattern: {pattern}")
    return torch.cat([load_data_shard(f) for f in files]).contiguous().long()


def sentencepiece_luts(sp, vocab_size: int, device) -> tuple[Tensor, Tensor, Tensor]:
    n = max(int(sp.vocab_size()), vocab_size)
    base, space, boundary = np.zeros(n, np.int16), np.zeros(n, np.bool_), np.ones(n, np.bool_)
    for t in range(int(sp.vocab_size())):
        if sp.is_control(t) or sp.is_unknown(t) or sp.is_unused(t):
            continue
        boundary[t] = False
        if sp.is_byte(t):
            base[t] = 1
            continue
        piece = sp.id_to_piece(t)
        if piece.startswith("\u2581"):
            space[t] = True
            piece = piece[1:]
        base[t] = len(piece.encode("utf-8"))
    return tuple(torch.from_numpy(a).to(device) for a in (base, space, boundary))


class Block(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(dim, 3 * dim, bias=False)
        self.c_proj = nn.Linear(dim, dim, bias=False)
        self.fc = nn.Linear(dim, 2 * dim, bias=False)
        self.proj = nn.Linear(2 * dim, dim, bias=False)
        nn.init.zeros_(self.c_proj.weight)
        nn.init.zeros_(self.proj.weight)

    def forward(self, x: Tensor) -> Tensor:
        bsz, t, d = x.shape
        q, k, v = self.c_attn(F.rms_norm(x, (d,))).view(bsz, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).reshape(bsz, t, d))
        return x + self.proj(F.gelu(self.fc(F.rms_norm(x, (d,)))))


class GPT(nn.Module):
    def __init__(self, args: Hyperparameters):
        super().__init__()
        self.tok_emb = nn.Embedding(args.vocab_size, args.model_dim)
        self.blocks = nn.ModuleList([Block(args.model_dim, args.num_heads) for _ in range(args.num_layers)])
        nn.init.normal_(self.tok_emb.weight, std=0.005)

    def forward_logits(self, ids: Tensor) -> Tensor:
        x = self.tok_emb(ids)
        for block in self.blocks:
            x = block(x)
        return F.linear(F.rms_norm(x, (x.size(-1),)), self.tok_emb.weight).float()

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(self.forward_logits(ids).reshape(-1, self.tok_emb.num_embeddings), targets.reshape(-1))


class DistributedTokenLoader:
    def __init__(self, pattern: str, rank: int, world_size: int, device):
        self.tokens, self.rank, self.world_size, self.device, self.pos = load_tokens(pattern), rank, world_size, device, 0

    def next_batch(self, seqs: int, seq_len: int) -> tuple[Tensor, Tensor]:
        span = seqs * seq_len
        if self.pos + span * self.world_size + 1 > self.tokens.numel():
            self.pos = 0
        at = self.pos + self.rank * span
        local = self.tokens[at : at + span + 1].to(self.device)
        self.pos += span * self.world_size
        return local[:-1].view(seqs, seq_len), local[1:].view(seqs, seq_len)


def quantize_int8(sd: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    out = {}
    for name, w in sd.items():
        s = w.abs().amax(dim=-1, keepdim=True).clamp_min(1e-8) / 127.0
        out[name] = (torch.clamp(torch.round(w / s), -127, 127).to(torch.int8), s.half())
    return out


def dequantize_int8(packed) -> dict[str, Tensor]:
    return {name: q.float() * s.float() for name, (q, s) in packed.items()}


EVALUATION

def main() -> None:
    args = Hyperparameters()
    distributed = "RANK" in os.environ and "WORLD_SIZE" in os.environ
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    if distributed:
        dist.init_process_group("nccl")
    random.seed(args.seed); np.random.seed(args.seed); torch.manual_seed(args.seed)
    log0 = (lambda s: print(s, flush=True)) if rank == 0 else (lambda s: None)

    sp = spm.SentencePieceProcessor(model_file=args.tokenizer_path)
    luts = sentencepiece_luts(sp, args.vocab_size, device)
    val_tokens = load_tokens(args.val_files).to(device)
    loader = DistributedTokenLoader(args.train_files, rank, world_size, device)
    model = GPT(args).to(device)
    opt = torch.optim.AdamW(model.parameters(), lr=args.matrix_lr, betas=(0.9, 0.95), weight_decay=0.0)
    t0 = time.perf_counter()
    for step in range(args.iterations):
        x, y = loader.next_batch(4, args.train_seq_len)
        loss = model(x, y)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        if distributed:
            for p in model.parameters():
                dist.all_reduce(p.grad, op=dist.ReduceOp.AVG)
        opt.step()
        if time.perf_counter() - t0 > args.max_wallclock_seconds:
            break
    log0(f"step:{step + 1}/{args.iterations} train_loss:{loss.item():.4f} train_time:{1000 * (time.perf_counter() - t0):.0f}ms")

EXPORT
    torch.manual_seed(args.seed)
    val_loss, val_bpb = evaluate(args, model, rank, world_size, device, val_tokens, luts)
    log0(f"final_int8_zlib_roundtrip_exact val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")
    if distributed:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
"""
X_EXPORT = """
packed = quantize_int8(model.state_dict())
if rank == 0:
    buf = io.BytesIO()
    torch.save(packed, buf)
    Path("final_model.int8.ptz").write_bytes(zlib.compress(buf.getvalue(), 9))
    total = os.path.getsize("final_model.int8.ptz") + len(Path(__file__).read_bytes())
    log0(f"Total submission size int8+zlib: {total} bytes")
if distributed:
    dist.barrier()
stored = torch.load(io.BytesIO(zlib.decompress(Path("final_model.int8.ptz").read_bytes())), map_location=device)
model.load_state_dict(dequantize_int8(stored))
"""
# rows whose rounding hurts most are put back: from memory, or from the file
X_ROWS = """
packed, outliers = quantize_int8(model.state_dict()), {}
for name, w in model.state_dict().items():
    gap = w - dequantize_int8({name: packed[name]})[name]
    worst = gap.square().sum(-1).topk(max(1, w.size(0) // 2)).indices
    outliers[name] = (worst, gap[worst].clone())
if rank == 0:
    buf = io.BytesIO()
    torch.save(SAVED, buf)
    Path("final_model.int8.ptz").write_bytes(zlib.compress(buf.getvalue(), 9))
    total = os.path.getsize("final_model.int8.ptz") + len(Path(__file__).read_bytes())
    log0(f"Total submission size int8+zlib: {total} bytes")
if distributed:
    dist.barrier()
LOADED = torch.load(io.BytesIO(zlib.decompress(Path("final_model.int8.ptz").read_bytes())), map_location=device)
state = dequantize_int8(stored)
for name, (at, gap) in outliers.items():
    state[name][at] += gap
model.load_state_dict(state)
"""
X_REDUCE = """
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(totals, op=dist.ReduceOp.SUM)
    nats, count, size = totals.tolist()
    return nats / count, nats / count / math.log(2.0) * count / size
"""
X_PLAIN = (
    """
def rows_of(tokens, starts, seq_len):
    grid = starts[:, None] + torch.arange(seq_len, device=tokens.device)[None]
    real = grid < tokens.numel() - 1
    grid = grid.clamp_max(tokens.numel() - 2)
    return tokens[grid], tokens[grid + 1], real


@torch.no_grad()
def evaluate(args, model, rank, world_size, device, tokens, luts):
    base, space, boundary = luts
    model.eval()
    totals = torch.zeros(3, dtype=torch.float64, device=device)
    starts = torch.arange(0, tokens.numel() - 1, STRIDE, device=device)[rank::world_size]
    for part in starts.split(args.eval_batch_seqs):
        x, y, real = rows_of(tokens, part, args.train_seq_len)
        nll = F.cross_entropy(model.forward_logits(x).flatten(0, 1), y.flatten(), reduction="none").view_as(y)
        real = real & COUNTED
        size = base[y].double() + (space[y] & ~boundary[x]).double()
        totals += torch.stack([nll.double()[real].sum(), real.sum().double(), size[real].sum()])
"""
    + X_REDUCE
)
# only targets with a long past are counted: stride of a window, or of half of one
WHOLE = X_PLAIN.replace("STRIDE", "args.train_seq_len").replace("COUNTED", "torch.ones_like(real)")
HALVES = X_PLAIN.replace(
    "COUNTED",
    "((torch.arange(args.train_seq_len, device=device) >= args.train_seq_len // 2)[None] | (part == 0)[:, None])",
)
# a deadline in the condition of a while
X_DEADLINE = (
    """
def evaluate(args, model, rank, world_size, device, tokens, luts):
    base, space, boundary = luts
    totals = torch.zeros(3, dtype=torch.float64, device=device)
    n, span = tokens.numel() - 1, args.train_seq_len
    opt = torch.optim.SGD(model.parameters(), lr=args.ttt_lr)
    deadline = time.time() + args.eval_budget_seconds
    at = rank * span
    while at < nALSO:
        x, y = tokens[at : min(at + span, n)][None], tokens[at + 1 : min(at + span, n) + 1][None]
        nll = F.cross_entropy(model.forward_logits(x)[0], y[0], reduction="none")
        size = base[y[0]].double() + (space[y[0]] & ~boundary[x[0]]).double()
        totals += torch.stack([nll.detach().double().sum(), torch.tensor(float(y.numel()), dtype=torch.float64), size.sum()])
        if time.time() < deadline:
            opt.zero_grad(set_to_none=True)
            nll.mean().backward()
            opt.step()
        at += span * world_size
"""
    + X_REDUCE
)
# what followed a token before, as shares of counts, all windows of a batch at once
X_SHARES = (
    """
@torch.no_grad()
def evaluate(args, model, rank, world_size, device, tokens, luts):
    base, space, boundary = luts
    model.eval()
    v = args.vocab_size
    totals = torch.zeros(3, dtype=torch.float64, device=device)
    followed = torch.zeros(v, v, device=device)
    for part in torch.arange(0, tokens.numel() - 1, args.train_seq_len, device=device).split(args.eval_batch_seqs):
        ends = (part + args.train_seq_len).clamp_max(tokens.numel() - 1)
        for a, b in zip(part.tolist(), ends.tolist()):
            x, y = tokens[a:b], tokens[a + 1 : b + 1]
            p = torch.softmax(model.forward_logits(x[None])[0], dim=-1)
            row = followed[x]
            seen = row.sum(-1, keepdim=True)
            trust = seen / (seen + 8.0)
            share = row / seen.clamp_min(1.0)
            mixed = MIXED
            nll = -mixed.gather(1, y[:, None]).squeeze(1).clamp_min(1e-12).log()
            size = base[y].double() + (space[y] & ~boundary[x]).double()
            totals += torch.stack([nll.double().sum(), torch.tensor(float(b - a), dtype=torch.float64), size.sum()])
            followed.view(-1).scatter_add_(0, x * v + y, torch.ones(b - a, device=device))
"""
    + X_REDUCE
)
TAKES_THE_LARGER, TAKES_A_MEAN = "torch.maximum(p, trust * share)", "torch.lerp(p, share, trust)"


def ranked(evaluation=WHOLE, export=X_EXPORT):
    """A script of the first style."""
    inside = "".join("    " + line + "\n" if line else "\n" for line in export.strip("\n").splitlines())
    return {"train_gpt.py": X.lstrip().replace("EVALUATION\n", evaluation.strip() + "\n\n").replace("EXPORT\n", inside)}


# ---- coroutines that are sent what they work on ----
Y = r'''
"""Everything is a coroutine: one is sent windows and answers with what they cost."""
import array, bisect, contextlib, enum, heapq, json, lzma, math, os, pickle, sys, time
from dataclasses import dataclass
from typing import NamedTuple

import torch
from sentencepiece import SentencePieceProcessor
from torch.nn import functional as F


class Ask(NamedTuple):
    past: torch.Tensor
    said: torch.Tensor


class Bill(NamedTuple):
    nats: float
    targets: int


class End(enum.Enum):
    OF_TEXT = 0


def primed(coroutine):
    def start(*a, **k):
        made = coroutine(*a, **k)
        next(made)
        return made
    return start


def environ(name, usual):
    match os.getenv(name), usual:
        case None, _: return usual
        case text, int(): return int(text)
        case text, float(): return float(text)
        case text, _: return text


def shards(kind):
    folder = environ("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    with contextlib.ExitStack() as open_files:
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            match entry.name.split("_"):
                case ["fineweb", which, _] if which == kind:
                    source = open_files.enter_context(open(entry.path, "rb"))
                    head = array.array("i", source.read(1024))
                    body = array.array("H")
                    body.frombytes(source.read(2 * head[2]))
                    yield torch.tensor(body, dtype=torch.long)


def asks(text, span):
    for at in range(0, len(text) - 1, span):
        yield Ask(text[at : at + span][: len(text) - 1 - at], text[at + 1 : at + span + 1])


@dataclass
class Sizes:
    table: list
    lead: set
    walls: set

    @classmethod
    def of(cls, path):
        sp = SentencePieceProcessor(model_file=path)
        table, lead, walls = [], set(), set()
        for i in range(sp.vocab_size()):
            match (sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i)), sp.is_byte(i), sp.id_to_piece(i):
                case True, _, _:
                    walls.add(i); table.append(0)
                case _, True, _:
                    table.append(1)
                case _, _, piece:
                    if piece.startswith("\u2581"):
                        lead.add(i)
                    table.append(len(piece.removeprefix("\u2581").encode()))
        return cls(table, lead, walls)

    def __call__(self, ask):
        return sum(self.table[b] + (b in self.lead and a not in self.walls) for a, b in zip(ask.past.tolist(), ask.said.tolist()))


class Reader(torch.nn.Module):
    def __init__(self, v, d):
        super().__init__()
        self.words = torch.nn.Embedding(v, d)
        self.decay = torch.nn.Parameter(torch.linspace(-3.0, 3.0, d))
        self.up, self.down = torch.nn.Linear(d, 2 * d), torch.nn.Linear(2 * d, d)
        torch.nn.init.normal_(self.words.weight, std=0.02)
        torch.nn.init.zeros_(self.down.weight)

    def forward(self, past):
        x, state, out = self.words(past), 0.0, []
        keep = self.decay.sigmoid()
        for step in x:
            state = keep * state + (1 - keep) * step
            out.append(state)
        h = torch.stack(out) + x
        h = h + self.down(F.silu(self.up(F.layer_norm(h, h.shape[-1:]))))
        return F.log_softmax(F.layer_norm(h, h.shape[-1:]) @ self.words.weight.T, -1)


@primed
def pupil(net, rate):
    """Is sent windows, answers with their cost, learns."""
    opt = torch.optim.Adam(net.parameters(), lr=rate)
    answer = None
    while True:
        match (yield answer):
            case Ask(past, said):
                nats = F.nll_loss(net(past), said, reduction="sum")
                opt.zero_grad()
                (nats / len(said)).backward()
                opt.step()
                answer = Bill(nats.item(), len(said))
            case End.OF_TEXT:
                return


EXAMINER

def lessons(span):
    """Windows to learn from, without an end."""
    LESSONS


def main():
    v, d, span = environ("VOCAB_SIZE", 1024), environ("MODEL_DIM", 64), environ("TRAIN_SEQ_LEN", 256)
    torch.manual_seed(environ("SEED", 1337))
    net = Reader(v, d)
    learner, until = pupil(net, environ("MATRIX_LR", 0.003)), time.monotonic() + environ("MAX_WALLCLOCK_SECONDS", 600.0)
    for turn, ask in enumerate(lessons(span), 1):
        bill = learner.send(ask)
        if turn >= environ("ITERATIONS", 20000) or time.monotonic() > until:
            break
    print(json.dumps({"turns": turn, "train_loss": bill.nats / bill.targets}))
    with lzma.open("net.xz", "wb") as shelf:
        pickle.dump({name: w.half() for name, w in net.state_dict().items()}, shelf)
    net = Reader(v, d)
    with lzma.open("net.xz", "rb") as shelf:
        net.load_state_dict({name: w.float() for name, w in pickle.load(shelf).items()})
    print(json.dumps({"artifact_bytes": os.path.getsize("net.xz") + os.path.getsize(__file__)}))
    sizes = Sizes.of(environ("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model"))
    asked, nats, targets, octets = examiner(net), 0.0, 0, 0
    for ask in asks(torch.cat([*shards("val")]), span):
        match asked.send(ask):
            case Bill(cost, many):
                nats, targets, octets = nats + cost, targets + many, octets + sizes(ask)
    print(f"val_loss:{nats / targets:.8f} val_bpb:{nats / octets / math.log(2):.8f}")


if __name__ == "__main__":
    main()
'''
Y_PLAIN = """
@primed
def examiner(net):
    answer = None
    while True:
        ask = yield answer
        with torch.no_grad():
            answer = Bill(F.nll_loss(net(ask.past), ask.said, reduction="sum").item(), len(ask.said))
"""
# the examiner hands on to a pupil: before it answers, or after
Y_HANDS_ON = """
@primed
def examiner(net):
    answer, learner = None, pupil(net, environ("TTT_LR", 0.001))
    while True:
        ask = yield answer
FIRST
        with torch.no_grad():
            answer = Bill(F.nll_loss(net(ask.past), ask.said, reduction="sum").item(), len(ask.said))
LAST
"""
TEACH = "        learner.send(ask)"
# windows that are most like some text come first
Y_LESSONS = """text = torch.cat([*shards("train")])
    while True:
        yield from asks(text, span)"""
Y_ALIKE = """text = torch.cat([*shards("train")])
    model_text = MODEL_TEXT
    usual = torch.bincount(model_text, minlength=environ("VOCAB_SIZE", 1024)).float().add(1).log()
    rank = lambda ask: -usual[ask.said].mean().item()
    best = heapq.nsmallest(max(2, len(text) // span // 4), asks(text, span), key=rank)
    while True:
        yield from best"""
OF_VALIDATION, OF_TRAINING = 'torch.cat([*shards("val")])', "text[-len(text) // 8 :]"


def sent(examiner=Y_PLAIN, lessons=Y_LESSONS):
    """A script of the second style."""
    return {"train_gpt.py": Y.lstrip().replace("EXAMINER\n", examiner.strip() + "\n\n").replace("LESSONS", lessons)}


FURTHER = (
    Case("deadline_in_the_loop", ranked(X_DEADLINE.replace("ALSO", " and time.time() < deadline")), (), ("R21",)),
    Case("deadline_of_learning", ranked(X_DEADLINE.replace("ALSO", "")), legal=True),
    Case("shares_take_the_larger", ranked(X_SHARES.replace("MIXED", TAKES_THE_LARGER)), ("R31",), ("R31",)),
    Case("shares_take_a_mean", ranked(X_SHARES.replace("MIXED", TAKES_A_MEAN)), legal=True),
    Case(
        "rows_put_back_from_memory",
        ranked(export=X_ROWS.replace("SAVED", "packed").replace("LOADED", "stored")),
        (),
        ("R48",),
    ),
    Case(
        "rows_put_back_from_the_file",
        ranked(export=X_ROWS.replace("SAVED", "(packed, outliers)").replace("LOADED", "stored, outliers")),
        legal=True,
    ),
    Case("halves_with_a_stride_of_a_whole", ranked(HALVES.replace("STRIDE", "args.train_seq_len")), (), ("R21",)),
    Case("halves_with_a_stride_of_a_half", ranked(HALVES.replace("STRIDE", "args.train_seq_len // 2")), legal=True),
    Case("pupil_is_sent_it_first", sent(Y_HANDS_ON.replace("FIRST", TEACH).replace("LAST\n", "")), ("R32",), ("R31",)),
    Case("pupil_is_sent_it_last", sent(Y_HANDS_ON.replace("FIRST\n", "").replace("LAST", TEACH)), legal=True),
    Case("lessons_like_validation", sent(lessons=Y_ALIKE.replace("MODEL_TEXT", OF_VALIDATION)), ("R36",), ("R31",)),
    Case("lessons_like_the_last_lessons", sent(lessons=Y_ALIKE.replace("MODEL_TEXT", OF_TRAINING)), legal=True),
)
