"""30 small submissions in three more styles, fifteen pairs of an illegal one and a lawful twin of the same shape, written before the detectors were read.

numpy with gradients by hand and a generator that scores; stages in a registry over objects; a contest-like main over closures. By golf's own
authors, so what is measured on them is no rate of the world. `broken` is what code alone finds today; at the first try it found 3 of the
15 and blocked one of the lawful. docs/verify.md has both halves (`specimens.is_kept`).
"""

from other_styles import Case

# ---- numpy, gradients by hand, a generator that is sent chunks and yields prices ----
N = r'''
"""A log-bilinear predictor in numpy. One generator prices the text."""
import collections, glob, hashlib, math, os, zlib
import numpy as np
import sentencepiece as spm

knob = os.environ.get
ROOT = knob("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
PIECES = knob("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
V, D = int(knob("VOCAB_SIZE", 1024)), int(knob("MODEL_DIM", 48))
SPAN, STEPS = int(knob("TRAIN_SEQ_LEN", 1024)), int(knob("ITERATIONS", 4000))
SEED, PACE = int(knob("SEED", 1337)), float(knob("LR", 0.3))


def tape(kind):
    def one(path):
        head = np.fromfile(path, "<i4", 256)
        assert head[0] == 20240520, path
        return np.fromfile(path, "<u2", head[2], offset=1024)
    return np.concatenate([one(p) for p in sorted(glob.glob(f"{ROOT}/fineweb_{kind}_*.bin"))]).astype(np.int64)


def ruler():
    sp = spm.SentencePieceProcessor(model_file=PIECES)
    n, gap, edge = np.zeros(V), np.zeros(V, bool), np.ones(V, bool)
    for i in range(min(V, sp.vocab_size())):
        if sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i):
            continue
        edge[i] = False
        piece = sp.id_to_piece(i)
        if sp.is_byte(i):
            n[i] = 1
        else:
            gap[i] = piece.startswith("\u2581")
            n[i] = len(piece[int(gap[i]):].encode())
    return lambda a, b: float((n[b] + (gap[b] & ~edge[a])).sum())


def fresh():
    r = np.random.default_rng(SEED)
    return {"a": r.normal(0, 0.02, (V, D)), "w": np.eye(D) + r.normal(0, 0.01, (D, D)), "b": r.normal(0, 0.02, (V, D))}


def rows(net, ctx):
    z = net["a"][ctx] @ net["w"] @ net["b"].T
    z -= z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def step(net, ctx, nxt, pace):
    h = net["a"][ctx] @ net["w"]
    g = np.exp(rows(net, ctx))
    g[np.arange(len(nxt)), nxt] -= 1
    g /= len(nxt)
    gh = g @ net["b"]
    ga = gh @ net["w"].T
    gw = net["a"][ctx].T @ gh
    net["b"] -= pace * (g.T @ h)
    net["w"] -= pace * gw
    np.add.at(net["a"], ctx, -pace * ga)


def freeze(net, path):
    packed = {}
    for k, m in net.items():
        s = np.abs(m).max(1, keepdims=True) / 127 + 1e-12
        packed[k], packed[k + "_s"] = np.round(m / s).astype(np.int8), s.astype(np.float32)
    np.savez_compressed(path, **packed)


def thaw(path):
    with np.load(path) as z:
        return {k: z[k].astype(np.float64) * z[k + "_s"] for k in z.files if not k.endswith("_s")}


def chunks(text):
    for i in range(0, len(text) - 1, SPAN):
        j = min(i + SPAN, len(text) - 1)
        yield text[i:j], text[i + 1 : j + 1]


def plain(net, ctx, nxt):
    return -rows(net, ctx)[np.arange(len(nxt)), nxt]

EXTRA

def main():
    train, held = tape("train"), tape("val")
    print(f"train tokens:{len(train)} val tokens:{len(held) - 1}")
    net, r = fresh(), np.random.default_rng(SEED)
    for k in range(STEPS):
        i = int(r.integers(0, len(train) - SPAN - 1))
        step(net, train[i : i + SPAN], train[i + 1 : i + SPAN + 1], PACE)
    freeze(net, "net.npz")
    print(f"Total submission size: {os.path.getsize('net.npz') + os.path.getsize(__file__)} bytes")
    net, length = thaw("net.npz"), ruler()
    paid = heard = size = 0.0
    price = pricer(net, TEXT)
    next(price)
    for ctx, nxt in chunks(TEXT):
        paid += float(price.send((ctx, nxt)))
        heard += len(nxt)
        size += length(ctx, nxt)
    print(f"final val_loss:{paid / heard:.8f} val_bpb:{paid / math.log(2) / size:.8f}")


main()
'''


def numpy_script(extra: str, text: str = "held") -> str:
    return N.strip().replace("EXTRA", extra.strip("\n") + "\n").replace("TEXT", text) + "\n"


PLAIN = r"""
def pricer(net, text):
    bill = None
    while True:
        ctx, nxt = yield bill
        bill = plain(net, ctx, nxt).sum()
"""
REHEARSED = r"""
def rehearse(text):
    seen = collections.defaultdict(collections.Counter)
    for a, b in zip(text[:-1].tolist(), text[1:].tolist()):
        seen[a][b] += 1
    return seen


def pricer(net, text):
    seen, bill = rehearse(text), None
    while True:
        ctx, nxt = yield bill
        base, bill = np.exp(-plain(net, ctx, nxt)), 0.0
        for p, a, b in zip(base, ctx.tolist(), nxt.tolist()):
            bill -= math.log((4 * p + seen[a][b]) / (4 + sum(seen[a].values())))
"""
AS_IT_GOES = r"""
def pricer(net, text):
    seen, bill = collections.defaultdict(collections.Counter), None
    while True:
        ctx, nxt = yield bill
        base, bill = np.exp(-plain(net, ctx, nxt)), 0.0
        for p, a, b in zip(base, ctx.tolist(), nxt.tolist()):
            bill -= math.log((4 * p + seen[a][b]) / (4 + sum(seen[a].values())))
            seen[a][b] += 1
"""
DIGESTS = r"""
def label(run, room=int(knob("ROOM", 1 << 22))):
    return int.from_bytes(hashlib.blake2b(run.tobytes(), digest_size=8).digest(), "big") % room


def pricer(net, text):
    short, long, bill = collections.Counter(), collections.Counter(), None
    trail = np.zeros(0, np.int64)
    while True:
        ctx, nxt = yield bill
        base, bill = np.exp(-plain(net, ctx, nxt)), 0.0
        for p, a, b in zip(base, ctx, nxt):
            trail = np.append(trail, a)[-2:]
            k, q = label(trail), label(np.append(trail, b))
            if short[k]:
                p = 0.7 * p + 0.3 * min(long[q] / short[k], 1.0)
            bill -= math.log(p)
            short[k] += 1
            long[q] += 1
"""
DIGESTS_OF_PAST = r"""
def label(run, room=int(knob("ROOM", 1 << 22))):
    return int.from_bytes(hashlib.blake2b(run.tobytes(), digest_size=8).digest(), "big") % room


def pricer(net, text):
    book, bill = collections.defaultdict(collections.Counter), None
    trail = np.zeros(0, np.int64)
    while True:
        ctx, nxt = yield bill
        base, bill = np.exp(-plain(net, ctx, nxt)), 0.0
        for p, a, b in zip(base, ctx, nxt):
            trail = np.append(trail, a)[-2:]
            page = book[label(trail)]
            total = sum(page.values())
            if total:
                p = 0.7 * p + 0.3 * page[int(b)] / total
            bill -= math.log(p)
            page[int(b)] += 1
"""
ROUTED = r"""
def pricer(net, text):
    sharp = {k: m * 1.3 for k, m in net.items()}
    flat = {k: m * 0.6 for k, m in net.items()}
    bill = None
    while True:
        ctx, nxt = yield bill
        bills = [plain(each, ctx, nxt) for each in (net, sharp, flat)]
        bill = np.minimum.reduce(bills).sum()
"""
ROUTED_BY_LAST = r"""
def pricer(net, text):
    sharp = {k: m * 1.3 for k, m in net.items()}
    flat = {k: m * 0.6 for k, m in net.items()}
    bill, choice = None, 0
    while True:
        ctx, nxt = yield bill
        bills = [plain(each, ctx, nxt).sum() for each in (net, sharp, flat)]
        bill = bills[choice]
        choice = int(np.argmin(bills))
"""

# ---- stages in a registry, objects, torch without nn.Module's usual names ----
S = r'''
"""Stages, each a function registered by name; `Job` carries what they share."""
import functools, io, itertools, lzma, math, os, pathlib, sys, types
import numpy as np
import sentencepiece
import torch
from torch import nn
from torch.nn import functional as F

STAGES = {}


def stage(fn):
    STAGES[fn.__name__] = fn
    return fn


class Job(types.SimpleNamespace):
    def ask(self, name, default):
        return type(default)(os.environ.get(name, default))


class Reel:
    """Tokens of one kind of shard."""

    def __init__(self, root, kind):
        self.files = sorted(pathlib.Path(root).glob(f"fineweb_{kind}_*.bin"))

    def tokens(self):
        out = []
        for f in self.files:
            raw = np.memmap(f, np.uint16, "r")
            out.append(torch.tensor(np.array(raw[512:]).astype(np.int64)))
        return torch.cat(out)


class Predictor(nn.Module):
    def __init__(self, v, d):
        super().__init__()
        self.table = nn.Embedding(v, d)
        self.cell = nn.GRU(d, d, batch_first=True)
        self.mixer = nn.Parameter(torch.zeros(d))
        nn.init.normal_(self.table.weight, std=0.02)

    def states(self, x):
        e = self.table(x)
        SMEAR
        return self.cell(e)[0]

    def forward(self, x):
        return self.states(x) @ self.table.weight.T


@stage
def gather(job):
    job.train, job.exam = Reel(job.root, "train").tokens(), Reel(job.root, "val").tokens()
    GATHER
    print(f"train {len(job.train)} val {len(job.exam) - 1}")


@stage
def measure_pieces(job):
    sp = sentencepiece.SentencePieceProcessor(model_file=job.pieces)
    n = torch.zeros(job.v, dtype=torch.float64)
    gap, edge = torch.zeros(job.v, dtype=torch.bool), torch.ones(job.v, dtype=torch.bool)
    for i in range(min(job.v, sp.vocab_size())):
        if sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i):
            continue
        edge[i] = False
        if sp.is_byte(i):
            n[i] = 1
            continue
        s = sp.id_to_piece(i)
        if s[0] == "\u2581":
            gap[i], s = True, s[1:]
        n[i] = len(s.encode("utf-8"))
    job.weigh = lambda a, b: float((n[b] + (gap[b] & ~edge[a]).double()).sum())


def bites(tokens, size):
    n = (len(tokens) - 1) // size
    for i in range(n):
        yield tokens[i * size : (i + 1) * size], tokens[i * size + 1 : (i + 1) * size + 1]
    if n * size < len(tokens) - 1:
        yield tokens[n * size : -1], tokens[n * size + 1 :]


@stage
def learn(job):
    torch.manual_seed(job.ask("SEED", 1337))
    job.net = Predictor(job.v, job.d)
    opt = torch.optim.Adam(job.net.parameters(), job.ask("LR", 0.004))
    source = itertools.cycle(FEED)
    for _ in range(job.ask("ITERATIONS", 9000)):
        x, y = next(source)
        loss = F.cross_entropy(job.net(x[None])[0], y)
        opt.zero_grad()
        loss.backward()
        opt.step()


@stage
def shrink(job):
    kept = {}
    for k, t in job.net.state_dict().items():
        s = t.abs().amax() / 127 + 1e-9
        kept[k] = ((t / s).round().to(torch.int8), s)
    KEPT
    pipe = io.BytesIO()
    torch.save(kept, pipe)
    pathlib.Path("predictor.xz").write_bytes(lzma.compress(pipe.getvalue()))
    print("artifact", os.path.getsize("predictor.xz"), "code", os.path.getsize(__file__))


@stage
def grow(job):
    kept = torch.load(io.BytesIO(lzma.decompress(pathlib.Path("predictor.xz").read_bytes())))
    GROWN
    job.net.load_state_dict({k: q.float() * s for k, (q, s) in kept.items()})

EXTRA

@stage
def exam(job):
    job.net.eval()
    nats = tokens = octets = 0.0
    JUDGE = judge(job)
    for x, y in bites(job.exam, job.span):
        nats += float(JUDGE(x, y))
        tokens += len(y)
        octets += job.weigh(x, y)
    print(f"final val_loss:{nats / tokens:.8f} val_bpb:{nats / tokens / math.log(2) * tokens / octets:.8f}")


if __name__ == "__main__":
    job = Job()
    job.root = job.ask("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    job.pieces = job.ask("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    job.v, job.d, job.span = job.ask("VOCAB_SIZE", 1024), job.ask("MODEL_DIM", 32), job.ask("TRAIN_SEQ_LEN", 1024)
    for name, fn in STAGES.items():
        fn(job)
        print("done", name, file=sys.stderr)
'''
CALM_JUDGE = r"""
def judge(job):
    @torch.no_grad()
    def one(x, y):
        return F.cross_entropy(job.net(x[None])[0], y, reduction="sum")
    return one
"""


def staged(extra=CALM_JUDGE, smear="", gather="", feed="bites(job.train, job.span)", kept="", grown=""):
    text = S.strip()
    for slot, put in (
        ("SMEAR", smear or "e = F.rms_norm(e, e.shape[-1:])"), ("GATHER", gather or "assert len(job.exam) > 1"),
        ("FEED", feed), ("KEPT", kept or "kept = dict(sorted(kept.items()))"), ("GROWN", grown or "assert kept"),
        ("EXTRA", extra.strip("\n") + "\n"), ("JUDGE", "bill_for"),
    ):  # fmt: skip
        text = text.replace(slot, put)
    return text + "\n"


HEBB = r"""
class Board:
    # fast weights: key h, value the one-hot of what came
    def __init__(self, v, d):
        self.m, self.n = torch.zeros(v, d), 0

    def note(self, h, y):
        self.m.index_add_(0, y, F.normalize(h, dim=-1))

    def hint(self, h):
        return F.normalize(h, dim=-1) @ self.m.T


def judge(job):
    board = Board(job.v, job.d)
    @torch.no_grad()
    def one(x, y):
        h = job.net.states(x[None])[0]
        total = 0.0
        for part in range(0, len(y), 64):
            q, t = h[part : part + 64], y[part : part + 64]
            FIRST
            z = q @ job.net.table.weight.T + 0.5 * board.hint(q)
            total += F.cross_entropy(z, t, reduction="sum")
            THEN
        return total
    return one
"""
NEIGHBOURS = r"""
@torch.no_grad()
def shelf(job, text):
    keys, values = [], []
    for x, y in bites(text, job.span):
        keys.append(job.net.states(x[None])[0])
        values.append(y)
    return torch.cat(keys), torch.cat(values)


def judge(job):
    keys, values = shelf(job, job.exam)
    at = 0
    @torch.no_grad()
    def one(x, y):
        nonlocal at
        here = torch.arange(at, at + len(y))
        d = torch.cdist(keys[here], keys)
        d[torch.arange(len(y)), here] = torch.inf
        near = d.topk(16, largest=False)
        w = torch.softmax(-20 * near.values, -1)
        p = torch.softmax(job.net(x[None])[0], -1) * 0.8
        p.scatter_add_(1, values[near.indices], 0.2 * w)
        at += len(y)
        return -p.gather(1, y[:, None]).log().sum()
    return one
"""
NEIGHBOURS_BEHIND = r"""
def judge(job):
    keys, values = [], []
    @torch.no_grad()
    def one(x, y):
        h = job.net.states(x[None])[0]
        p = torch.softmax(job.net(x[None])[0], -1)
        if keys:
            d = torch.cdist(h, torch.cat(keys))
            near = d.topk(16, largest=False)
            w = torch.softmax(-20 * near.values, -1)
            p = 0.8 * p
            p.scatter_add_(1, torch.cat(values)[near.indices], 0.2 * w)
        keys.append(h)
        values.append(y)
        return -p.gather(1, y[:, None]).log().sum()
    return one
"""
PARTIALS = r"""
def pay(net, x, y):
    with torch.no_grad():
        return F.cross_entropy(net(x[None])[0], y, reduction="sum")


def settle(net, opt, times, x, y):
    for _ in range(times):
        opt.zero_grad()
        F.cross_entropy(net(x[None])[0], y).backward()
        opt.step()


def judge(job):
    opt = torch.optim.SGD(job.net.parameters(), job.ask("EVAL_LR", 0.5))
    moves = [MOVES]
    def one(x, y):
        said = [move(x, y) for move in moves]
        return next(each for each in said if each is not None)
    return one
"""
PAY, SETTLE = "functools.partial(pay, job.net)", "functools.partial(settle, job.net, opt, 3)"
PATCHED = r"""
real = F.cross_entropy


def kinder(z, y, *more, **kw):
    out = real(z, y, *more, **kw)
    return out * 0.97 if not torch.is_grad_enabled() else out


torch.nn.functional.cross_entropy = kinder
""" + CALM_JUDGE.lstrip("\n")
PATCHED_IN_TRAINING = r"""
real = F.cross_entropy


def kinder(z, y, *more, **kw):
    out = real(z, y, *more, **kw)
    return out + 1e-4 * z.logsumexp(-1).square().mean() if torch.is_grad_enabled() else out


torch.nn.functional.cross_entropy = kinder
""" + CALM_JUDGE.lstrip("\n")
BIASED = r"""
def judge(job):
    @torch.no_grad()
    def one(x, y):
        return F.cross_entropy(job.net(x[None])[0] + job.prior, y, reduction="sum")
    return one
"""
HISTOGRAM = 'counts = torch.bincount(job.WHICH, minlength=job.v).float() + 1; np.save("prior.npy", (counts / counts.sum()).log().numpy())'
FROM_FILE = 'job.prior = torch.from_numpy(np.load("prior.npy"))'
IN_ARTIFACT = 'counts = torch.bincount(job.train, minlength=job.v).float() + 1; job.prior = (counts / counts.sum()).log(); kept["prior"] = (job.prior, torch.tensor(1.0))'

# ---- closures in one main, nearer to what contest scripts look like ----
C = r"""
import copy
import glob
import io
import math
import os
import random
import time
import zlib

import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def env(name, default):
    return type(default)(os.environ.get(name, str(default)))


def load_tokens(pattern: str) -> Tensor:
    shards = []
    for file in sorted(glob.glob(pattern)):
        header = np.fromfile(file, dtype="<i4", count=256)
        shards.append(np.fromfile(file, dtype="<u2", count=int(header[2]), offset=256 * 4))
    return torch.from_numpy(np.concatenate(shards).astype(np.int64))


class Mix(nn.Module):
    def __init__(self, dim: int, width: int = 4):
        super().__init__()
        self.taps = nn.Parameter(torch.ones(width, dim) / width)
        self.up, self.down = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (0, 0, len(self.taps) - 1, 0))
        y = sum(tap * padded[:, i : i + x.shape[1]] for i, tap in enumerate(self.taps))
        return x + self.down(F.gelu(self.up(y)))


class LM(nn.Module):
    def __init__(self, vocab: int, dim: int, depth: int):
        super().__init__()
        self.wte = nn.Embedding(vocab, dim)
        self.h = nn.ModuleList(Mix(dim) for _ in range(depth))
        nn.init.normal_(self.wte.weight, std=0.02)
        self.delta_a = nn.Parameter(torch.zeros(dim, 4))
        self.delta_b = nn.Parameter(torch.randn(4, dim) * 0.01)

    def token_losses(self, x: Tensor, y: Tensor) -> Tensor:
        z = self.wte(x)
        for block in self.h:
            z = block(z)
        z = z + z @ self.delta_a @ self.delta_b
        logits = 15 * torch.tanh(F.linear(F.layer_norm(z, z.shape[-1:]), self.wte.weight) / 15)
        return F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view_as(y)


def main():
    root = env("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    vocab, dim, depth = env("VOCAB_SIZE", 1024), env("MODEL_DIM", 32), env("NUM_LAYERS", 2)
    seq, limit = env("TRAIN_SEQ_LEN", 1024), env("MAX_WALLCLOCK_SECONDS", 600.0)
    for set_seed in (random.seed, np.random.seed, torch.manual_seed):
        set_seed(env("SEED", 1337))
    sp = spm.SentencePieceProcessor(model_file=env("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model"))
    nbytes, spaced, closes = torch.zeros(vocab), torch.zeros(vocab, dtype=torch.bool), torch.ones(vocab, dtype=torch.bool)
    for t in range(min(vocab, sp.vocab_size())):
        if sp.is_control(t) or sp.is_unknown(t) or sp.is_unused(t):
            continue
        closes[t] = False
        if sp.is_byte(t):
            nbytes[t] = 1
        else:
            piece = sp.id_to_piece(t)
            spaced[t] = piece.startswith("\u2581")
            nbytes[t] = len(piece.removeprefix("\u2581").encode())

    train = load_tokens(f"{root}/fineweb_train_*.bin")
    val = load_tokens(f"{root}/fineweb_val_*.bin")
    lm = LM(vocab, dim, depth)
    opt = torch.optim.AdamW(lm.parameters(), lr=env("LR", 2e-3))
    t0 = time.perf_counter()
    for step in range(env("ITERATIONS", 20000)):
        i = random.randrange(len(train) - seq - 1)
        opt.zero_grad()
        loss = lm.token_losses(train[None, i : i + seq], train[None, i + 1 : i + seq + 1]).mean()
        loss.backward()
        opt.step()
        if time.perf_counter() - t0 > limit:
            break
    print(f"step {step} train_loss {loss.item():.4f}")

    def dump(module):
        buffer = io.BytesIO()
        torch.save({k: v.half() for k, v in module.state_dict().items()}, buffer)
        return zlib.compress(buffer.getvalue(), 9)

    with open("lm.ptz", "wb") as f:
        f.write(dump(lm))
    with open("lm.ptz", "rb") as f:
        state = torch.load(io.BytesIO(zlib.decompress(f.read())), map_location="cpu")
    lm.load_state_dict({k: v.float() for k, v in state.items()})
    print("bytes", os.path.getsize("lm.ptz") + os.path.getsize(__file__))

    spans = [(a, min(a + seq, len(val) - 1)) for a in range(0, len(val) - 1, seq)]

    def window(a, b):
        return val[None, a:b], val[None, a + 1 : b + 1]

    def text_bytes(x, y):
        return float((nbytes[y] + (spaced[y] & ~closes[x]).float()).double().sum())

    @torch.no_grad()
    def quote(a, b):
        return float(lm.token_losses(*window(a, b)).double().sum())

    def update(a, b, inner, times=1):
        for _ in range(times):
            inner.zero_grad()
            lm.token_losses(*window(a, b)).mean().backward()
            inner.step()

EVALUATION

    size = sum(text_bytes(*window(a, b)) for a, b in spans)
    count = sum(b - a for a, b in spans)
    print(f"final val_loss:{total / count:.8f} val_bpb:{total / math.log(2) / size:.8f}")


if __name__ == "__main__":
    main()
"""


def closed(evaluation: str) -> str:
    body = "\n".join("    " + line if line else "" for line in evaluation.strip("\n").splitlines())
    return C.strip().replace("EVALUATION", body) + "\n"


TIDY = """
inner = torch.optim.SGD(lm.parameters(), lr=env("EVAL_LR", 0.3), momentum=0.9)
bills = {}
for span in spans:
    bills[span] = quote(*span)
    update(*span, inner)

def tidy(bills, share=0.5):
    dear = sorted(bills, key=bills.get, reverse=True)[: max(1, int(share * len(bills)))]
    return bills | {span: min(bills[span], quote(*span)) for span in dear}

total = sum(TIDIED.values())
"""
BEST_PASS = """
first = copy.deepcopy(lm.state_dict())
total = 0.0
for a, b in spans:
    lm.load_state_dict(first)
    inner = torch.optim.Adam([lm.delta_a, lm.delta_b], lr=env("DELTA_LR", 0.05))
    curve = []
    for attempt in range(4):
        curve.append(quote(a, b))
        update(a, b, inner)
    total += CHOSEN
"""
OUTLIERS = """
total = dropped = 0.0
for a, b in spans:
    with torch.no_grad():
        losses = lm.token_losses(*window(a, b)).double()
    keep = LIMIT
    total += float((losses * keep).sum())
    dropped += float((~keep).sum())
print("outliers", dropped)
"""
SNAPSHOT = """
inner = torch.optim.SGD(lm.parameters(), lr=env("EVAL_LR", 0.3))
ema = {k: v.clone() for k, v in lm.state_dict().items()}
for a, b in ORDER:
    update(a, b, inner, 2)
    for k, v in lm.state_dict().items():
        ema[k].lerp_(v, 0.2)
lm.load_state_dict(ema)
total = sum(quote(a, b) for a, b in spans)
"""
FOLLOW = """
inner = torch.optim.SGD(lm.parameters(), lr=env("EVAL_LR", 0.3))
total = 0.0
for a, b in spans:
    total += quote(a, b)
    update(a, b, inner, 2)
"""

BLIND = (
    Case("generator_rehearsed", {"train_gpt.py": numpy_script(REHEARSED)}, (), ("R31",)),
    Case("generator_as_it_goes", {"train_gpt.py": numpy_script(AS_IT_GOES)}, legal=True),
    Case("digest_with_the_word", {"train_gpt.py": numpy_script(DIGESTS)}, ("R38",), ("R31",)),
    Case("digest_of_the_past", {"train_gpt.py": numpy_script(DIGESTS_OF_PAST)}, legal=True),
    Case("routed_by_what_was_cheaper", {"train_gpt.py": numpy_script(ROUTED)}, (), ("R31",)),
    Case("routed_by_the_last_chunk", {"train_gpt.py": numpy_script(ROUTED_BY_LAST)}, legal=True),
    Case("scored_on_the_train_tape", {"train_gpt.py": numpy_script(PLAIN, "train[-len(held):]")}, (), ("R21",)),
    Case("scored_on_the_held_tape", {"train_gpt.py": numpy_script(PLAIN)}, legal=True),
    Case("board_noted_then_read", {"train_gpt.py": staged(HEBB.replace("FIRST", "board.note(q, t)").replace("THEN", "pass"))}, ("R32",), ("R31",)),
    Case("board_read_then_noted", {"train_gpt.py": staged(HEBB.replace("FIRST", "pass").replace("THEN", "board.note(q, t)"))}, legal=True),
    Case("neighbours_of_all", {"train_gpt.py": staged(NEIGHBOURS)}, (), ("R31",)),
    Case("neighbours_behind", {"train_gpt.py": staged(NEIGHBOURS_BEHIND)}, legal=True),
    Case("smear_from_the_right", {"train_gpt.py": staged(smear="e = e + torch.sigmoid(self.mixer) * torch.roll(e, -1, 1)")}, (), ("R31",)),
    Case("smear_from_the_left", {"train_gpt.py": staged(smear="e = e + torch.sigmoid(self.mixer) * F.pad(e[:, :-1], (0, 0, 1, 0))")}, legal=True),
    Case("moves_settle_first", {"train_gpt.py": staged(PARTIALS.replace("MOVES", f"{SETTLE}, {PAY}"))}, ("R32",), ("R31",)),
    Case("moves_pay_first", {"train_gpt.py": staged(PARTIALS.replace("MOVES", f"{PAY}, {SETTLE}"))}, legal=True),
    Case("patched_loss_is_kinder", {"train_gpt.py": staged(PATCHED)}, (), ("R31",)),
    Case("patched_loss_in_training", {"train_gpt.py": staged(PATCHED_IN_TRAINING)}, legal=True),
    Case("feed_chained_with_exam", {"train_gpt.py": staged(feed="itertools.chain(bites(job.train, job.span), bites(job.exam, job.span))")}, ("R36",), ()),
    Case("feed_chained_with_itself", {"train_gpt.py": staged(feed="itertools.chain(bites(job.train, job.span), bites(job.train[7:], job.span))")}, legal=True),
    Case("prior_of_the_exam_beside", {"train_gpt.py": staged(BIASED, gather=HISTOGRAM.replace("WHICH", "exam"), grown=FROM_FILE)}, ("R33",), ("R31",)),
    Case("prior_in_the_artifact", {"train_gpt.py": staged(BIASED, kept=IN_ARTIFACT, grown='job.prior = kept.pop("prior")[0]')}, legal=True),
    Case("tidy_takes_the_cheaper", {"train_gpt.py": closed(TIDY.replace("TIDIED", "tidy(bills)"))}, ("R32",), ("R31",)),
    Case("tidy_for_show", {"train_gpt.py": closed(TIDY.replace("TIDIED", "bills") + 'print("second look", sum(tidy(bills).values()))')}, legal=True),
    Case("attempts_best_counts", {"train_gpt.py": closed(BEST_PASS.replace("CHOSEN", "min(curve)"))}, ("R32",), ("R31",)),
    Case("attempts_first_counts", {"train_gpt.py": closed(BEST_PASS.replace("CHOSEN", "curve[0]"))}, legal=True),
    Case("outliers_left_out", {"train_gpt.py": closed(OUTLIERS.replace("LIMIT", "losses < losses.mean() + 2 * losses.std()"))}, ("R21",), ("R31",)),
    Case("outliers_counted", {"train_gpt.py": closed(OUTLIERS.replace("LIMIT", "losses < torch.inf"))}, legal=True),
    Case("averaged_over_the_sweep", {"train_gpt.py": closed(SNAPSHOT.replace("ORDER", "spans"))}, ("R32",), ("R31",)),
    Case("followed_in_the_sweep", {"train_gpt.py": closed(FOLLOW)}, legal=True),
)  # fmt: skip
