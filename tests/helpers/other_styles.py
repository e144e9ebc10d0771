"""24 small submissions in four styles that share nothing with the contest's scripts: numpy alone, closures, texts that are run, helpers in a package.

Twelve break a rule, each beside a lawful twin of the same shape. They were written before the detectors were looked at, and measured
once: executed, 9 of the 12 were convicted and one lawful one was blocked; of code alone, 1 of 12 and none.
"""

from dataclasses import dataclass
from pathlib import Path

from golf.rules.calibration.specimen import write_specimen


@dataclass(frozen=True)
class Case:
    """One submission. files: name → text; broken: what its code alone must be told for; executed: what it must be told for when run."""

    name: str
    files: dict[str, str]
    broken: tuple[str, ...] = ()
    executed: tuple[str, ...] = ()
    legal: bool = False


# torch, classes, generators, struct/array reading
Q = r'''
"""Recurrent averager; everything hangs on one Session object."""
import array, dataclasses, math, os, pathlib, struct, sys, time, pickle, bz2
import sentencepiece, torch
from torch.nn.functional import log_softmax, embedding

@dataclasses.dataclass
class Conf:
    root: str = os.getenv("DATA_PATH", "data/datasets/fineweb10B_sp1024")
    pieces: str = os.getenv("TOKENIZER_PATH", "data/tokenizers/fineweb_1024_bpe.model")
    words: int = int(os.getenv("VOCAB_SIZE", "1024"))
    wide: int = int(os.getenv("MODEL_DIM", "32"))
    span: int = int(os.getenv("TRAIN_SEQ_LEN", "1024"))
    rounds: int = int(os.getenv("ITERATIONS", "9000"))
    dawn: int = int(os.getenv("SEED", "1337"))
    cap: float = float(os.getenv("MAX_WALLCLOCK_SECONDS", "600"))


def shelf(conf, tag):
    pile = array.array("H")
    for leaf in sorted(pathlib.Path(conf.root).glob(f"fineweb_{tag}_*.bin")):
        with leaf.open("rb") as h:
            magic, _, many = struct.unpack("<iii", h.read(12))
            assert magic == 20240520
            h.seek(1024)
            pile.frombytes(h.read(2 * many))
    return torch.tensor(pile.tolist())


class Weights:
    """name -> tensor with gradients; no nn.Module."""

    def __init__(self, conf):
        g = torch.Generator().manual_seed(conf.dawn)
        self.e = (torch.randn(conf.words, conf.wide, generator=g) * .02).requires_grad_()
        self.m = (torch.randn(conf.wide, conf.wide, generator=g) / conf.wide ** .5).requires_grad_()
        self.d = torch.full((conf.wide,), 1.0, requires_grad=True)

    def all(self):
        return {"e": self.e, "m": self.m, "d": self.d}

    def guess(self, ids, extra=0.):
        h = embedding(ids, self.e)
        a = torch.sigmoid(self.d)
        run, out = torch.zeros_like(h[0]), []
        n = torch.arange(1, len(h) + 1)[:, None]
        h = torch.cumsum(h, 0) / n * a + h * (1 - a)
        return log_softmax(torch.tanh(h @ self.m) @ self.e.T + extra, -1)

    def cost(self, ids, nxt, extra=0.):
        return -self.guess(ids, extra).gather(1, nxt[:, None])[:, 0]


class Ruler:
    """UTF-8 bytes of a target after its predecessor."""

    def __init__(self, conf):
        sp = sentencepiece.SentencePieceProcessor(model_file=conf.pieces)
        self.n, self.s, self.x = [], [], []
        for k in range(sp.get_piece_size()):
            mute = sp.is_control(k) or sp.is_unknown(k) or sp.is_unused(k)
            t = sp.id_to_piece(k)
            self.x.append(mute)
            self.s.append(not mute and t[0] == "\u2581")
            self.n.append(0 if mute else 1 if sp.is_byte(k) else len(t.lstrip("\u2581").encode()) if t[0] == "\u2581" else len(t.encode()))
        self.n, self.s, self.x = map(torch.tensor, (self.n, self.s, self.x))

    def __call__(self, prev, nxt):
        return int(self.n[nxt].sum() + (self.s[nxt] & ~self.x[prev]).sum())


class Session:
    def __init__(self):
        self.conf = Conf()
        self.w = Weights(self.conf)
        self.ruler = Ruler(self.conf)
        self.memory = shelf(self.conf, "train")
        self.unseen = shelf(self.conf, "val")

    def slices(self, ids):
        s = self.conf.span
        for at in range(0, len(ids) - 1, s):
            cut = ids[at:at + s + 1]
            yield cut[:-1], cut[1:]

    def move(self, loss, rate):
        for p, g in zip(self.w.all().values(), torch.autograd.grad(loss, list(self.w.all().values()))):
            p.data.add_(g, alpha=-rate)

    def learn(self):
        t0 = time.time()
        for k in range(self.conf.rounds):
            at = (k * self.conf.span) % (len(self.memory) - self.conf.span - 1)
            cut = self.memory[at:at + self.conf.span + 1]
            loss = self.w.cost(cut[:-1], cut[1:]).mean()
            self.move(loss, .05)
            if time.time() - t0 > self.conf.cap:
                break
        print(f"rounds {k + 1} train_time:{1000 * (time.time() - t0):.0f}ms")

    def press(self):
        out = {}
        for name, p in self.w.all().items():
            s = float(p.detach().abs().max()) / 127 + 1e-9
            out[name] = (s, list(p.shape), bytes((p.detach() / s).round().to(torch.int8).flatten().numpy().tobytes()))
        blob = bz2.compress(pickle.dumps(out))
        pathlib.Path("weights.bz").write_bytes(blob)
        code = pathlib.Path(__file__).stat().st_size
        print(f"Code size: {code} bytes")
        print(f"Serialized model int8+zlib: {len(blob)} bytes")
        print(f"Total submission size int8+zlib: {len(blob) + code} bytes")

    def unpress(self):
        for name, (s, shape, raw) in pickle.loads(bz2.decompress(pathlib.Path("weights.bz").read_bytes())).items():
            self.w.all()[name].data.copy_(torch.frombuffer(bytearray(raw), dtype=torch.int8).reshape(shape) * s)
%(METHODS)s
    def go(self):
        self.learn()
%(BEFORE)s
        self.press()
        self.unpress()
%(AFTER)s
        loss, bits = self.weigh()
        print(f"final_int8_zlib_roundtrip val_loss:{loss:.6f} val_bpb:{bits:.6f}")


if __name__ == "__main__":
    Session().go()
'''
Q_WEIGH = r"""
    @torch.no_grad()
    def weigh(self):
        nats = size = n = 0
        for a, b in self.slices(self.unseen):
            nats += self.w.cost(a, b).double().sum().item()
            size += self.ruler(a, b)
            n += len(b)
        return nats / n, nats / math.log(2) / size
"""


def q(methods, before="        pass", after="        pass"):
    return Q.strip().replace("%(METHODS)s", methods).replace("%(BEFORE)s", before).replace("%(AFTER)s", after)


CALM = r"""
    def calm(self, text, turns=3, rate=.5):
        for _ in range(turns):
            for a, b in self.slices(text):
                self.move(self.w.cost(a, b).mean(), rate)
"""
Q_PASSES = r"""
    def passes(self):
        for turn in range(%d):
            nats = size = n = 0
            for a, b in self.slices(self.unseen):
                c = self.w.cost(a, b)
                nats += float(c.detach().double().sum()); size += self.ruler(a, b); n += len(b)
                self.move(c.mean(), .5)
            yield nats / n, nats / math.log(2) / size

    def weigh(self):
        *_, last = self.passes()
        return last
"""
Q_BIAS_ILLEGAL = r"""
    def weigh(self):
        nats = size = n = 0
        for a, b in self.slices(self.unseen):
            lift = torch.zeros(self.conf.words, requires_grad=True)
            for _ in range(4):
                g, = torch.autograd.grad(self.w.cost(a, b, lift).mean(), [lift])
                lift = (lift - 8. * g).detach().requires_grad_()
            nats += float(self.w.cost(a, b, lift).detach().double().sum()); size += self.ruler(a, b); n += len(b)
        return nats / n, nats / math.log(2) / size
"""
Q_BIAS_LEGAL = r"""
    def weigh(self):
        nats = size = n = 0
        lift = torch.zeros(self.conf.words, requires_grad=True)
        for a, b in self.slices(self.unseen):
            c = self.w.cost(a, b, lift)
            nats += float(c.detach().double().sum()); size += self.ruler(a, b); n += len(b)
            g, = torch.autograd.grad(c.mean(), [lift])
            lift = (lift - 8. * g).detach().requires_grad_()
        return nats / n, nats / math.log(2) / size
"""

# pure numpy, functions in closures, no torch
P = r"""
# unigram-times-bigram factor model in numpy alone; gradients by hand
import os, sys, glob, math, zlib, time, itertools, functools, collections
import numpy as np, sentencepiece as sp_

G = lambda k, d: type(d)(os.environ.get(k, d))
SRC, TOK = G("DATA_PATH", "data/datasets/fineweb10B_sp1024"), G("TOKENIZER_PATH", "data/tokenizers/fineweb_1024_bpe.model")
V, D, W, N, CLOCK = G("VOCAB_SIZE", 1024), G("MODEL_DIM", 16), G("TRAIN_SEQ_LEN", 512), G("ITERATIONS", 4000), G("MAX_WALLCLOCK_SECONDS", 600.0)


def tape(kind):
    def one(p):
        b = open(p, "rb").read()
        return np.frombuffer(b, "<u2", int.from_bytes(b[8:12], "little"), 1024)
    return np.concatenate([*map(one, sorted(glob.glob(SRC + f"/fineweb_{kind}_*.bin")))]).astype(int)


def gauge():
    t = sp_.SentencePieceProcessor(model_file=TOK)
    quiet = [t.is_control(i) or t.is_unknown(i) or t.is_unused(i) for i in range(V)]
    pc = [t.id_to_piece(i) for i in range(V)]
    ln = np.array([0 if quiet[i] else 1 if t.is_byte(i) else len(pc[i].replace("\u2581", "", 1).encode()) if pc[i].startswith("\u2581") else len(pc[i].encode()) for i in range(V)])
    sp = np.array([not quiet[i] and pc[i].startswith("\u2581") for i in range(V)])
    q = np.array(quiet)
    return lambda a, b: int(ln[b].sum() + (sp[b] & ~q[a]).sum())


def logp(net, a):
    z = net["U"][a] @ net["Z"].T + net["b"]
    z -= z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def nudge(net, a, b, rate):
    p = np.exp(logp(net, a)); p[np.arange(len(b)), b] -= 1; p /= len(b)
    u = net["U"][a]
    gU, gZ = p @ net["Z"], p.T @ u
    np.add.at(net["U"], a, -rate * gU); net["Z"] -= rate * gZ; net["b"] -= rate * p.sum(0)


def pairs(x, w=W):
    for k in range(0, len(x) - 1, w):
        y = x[k:k + w + 1]
        yield y[:-1], y[1:]

%(EVAL)s

def main():
    r = np.random.default_rng(G("SEED", 1337))
    net = {"U": r.normal(0, .02, (V, D)), "Z": r.normal(0, .02, (V, D)), "b": np.zeros(V)}
    x, y = tape("train"), tape("val")
    t = time.time()
    for k, (a, b) in zip(range(N), itertools.cycle(pairs(x))):
        nudge(net, a, b, .3)
        if time.time() - t > CLOCK: break
    print(f"train_time:{1e3 * (time.time() - t):.0f}ms step:{k + 1}")
    with open("net.z", "wb") as f:
        f.write(zlib.compress(np.concatenate([v.ravel() for v in net.values()]).astype("<f2").tobytes(), 9))
    me, pk = os.path.getsize(sys.argv[0]), os.path.getsize("net.z")
    print(f"Code size: {me} bytes\nSerialized model int8+zlib: {pk} bytes\nTotal submission size int8+zlib: {me + pk} bytes")
    flat = np.frombuffer(zlib.decompress(open("net.z", "rb").read()), "<f2").astype(float)
    for k, v in net.items():
        net[k], flat = flat[:v.size].reshape(v.shape), flat[v.size:]
    nats, n, by = judge(net, y, gauge())
    print(f"final_int8_zlib_roundtrip val_loss:{nats / n:.6f} val_bpb:{nats / math.log(2) / by:.6f}")


main()
"""


def p(ev):
    return P.strip().replace("%(EVAL)s", ev.strip())


P_PLAIN = r"""
def judge(net, text, size):
    nats = n = by = 0
    for a, b in pairs(text):
        nats -= logp(net, a)[np.arange(len(b)), b].sum(); n += len(b); by += size(a, b)
    return nats, n, by
"""
P_GRAM_ILLEGAL = r'''
def judge(net, text, size):
    """p(next) leans on what followed the same three ids before."""
    S = 1 << 22
    mix = lambda ids: functools.reduce(lambda h, i: (h * 1_000_003 + int(i) + 1) & 0xFFFFFFFF, ids, 0) % S
    seen, went = np.zeros(S, np.int32), np.zeros(S, np.int32)
    nats = n = by = 0
    for at, (a, b) in zip(range(0, len(text), W), pairs(text)):
        lp = logp(net, a)[np.arange(len(b)), b]
        for j in range(len(b)):
            i = at + j
            tail = text[max(i - 2, 0):i + 2]
            s, g = mix(tail[:-1]), mix(tail)
            if seen[s] > 0:
                lp[j] = np.log(.7 * np.exp(lp[j]) + .3 * min(went[g], seen[s]) / seen[s])
            seen[s] += 1; went[g] += 1
        nats -= lp.sum(); n += len(b); by += size(a, b)
    return nats, n, by
'''
P_GRAM_LEGAL = r'''
def judge(net, text, size):
    """p(next) leans on what followed the same three ids before: the whole row of counts, exact keys."""
    after = collections.defaultdict(collections.Counter)
    nats = n = by = 0
    for at, (a, b) in zip(range(0, len(text), W), pairs(text)):
        rows = np.exp(logp(net, a))
        for j in range(len(b)):
            i = at + j
            key = tuple(text[max(i - 2, 0):i + 1])
            row, total = rows[j], sum(after[key].values())
            if total:
                row = .7 * row
                for w, c in after[key].items():
                    row[w] += .3 * c / total
            nats -= math.log(row[b[j]])
            after[key][int(b[j])] += 1
        n += len(b); by += size(a, b)
    return nats, n, by
'''
P_GATE_ILLEGAL = r'''
def judge(net, text, size):
    """A recency cache; its share depends on how often the word was met."""
    met = np.zeros(V)
    nats = n = by = 0
    for a, b in pairs(text):
        rows = np.exp(logp(net, a))
        for j, w in enumerate(b):
            q = (met[w] + .5) / (met.sum() + .5 * V)
            share = .6 if met[w] > met.mean() else .02
            nats -= math.log((1 - share) * rows[j, w] + share * q)
            met[w] += 1
        n += len(b); by += size(a, b)
    return nats, n, by
'''
P_GATE_LEGAL = r'''
def judge(net, text, size):
    """A recency cache; its share depends on how often the word before was met."""
    met = np.zeros(V)
    nats = n = by = 0
    for a, b in pairs(text):
        rows = np.exp(logp(net, a))
        for j, w in enumerate(b):
            q = (met[w] + .5) / (met.sum() + .5 * V)
            share = .6 if met[a[j]] > met.mean() else .02
            nats -= math.log((1 - share) * rows[j, w] + share * q)
            met[w] += 1
        n += len(b); by += size(a, b)
    return nats, n, by
'''
P_MIN = r'''
def judge(net, text, size):
    """Two tempers of the same row."""
    nats = n = by = 0
    for a, b in pairs(text):
        both = []
        for t in (3.0, .3):
            z = t * logp(net, a); z -= np.log(np.exp(z).sum(1, keepdims=True))
            both.append(z[np.arange(len(b)), b])
        nats -= np.stack(both).max(0).sum(); n += len(b); by += size(a, b)
    return nats, n, by
'''
P_MEAN = P_MIN.replace("np.stack(both).max(0).sum()", "np.log(np.exp(np.stack(both)).mean(0)).sum()")

# text that is exec'd, torch, nested closures
R_CORE = r"""
import os, io, math, time, glob, json
import numpy as np, torch, sentencepiece
E = os.environ.get
ROOT, MODEL, V = E("DATA_PATH", "./data/datasets/fineweb10B_sp1024"), E("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model"), int(E("VOCAB_SIZE", "1024"))
T, STEPS, CAP = int(E("TRAIN_SEQ_LEN", "1024")), int(E("ITERATIONS", "8000")), float(E("MAX_WALLCLOCK_SECONDS", "600"))
torch.manual_seed(int(E("SEED", "1337")))
def ids(which):
    return torch.from_numpy(np.concatenate([np.fromfile(f, "<u2")[512:].astype("i8") for f in sorted(glob.glob(os.path.join(ROOT, "fineweb_" + which + "_*.bin")))]))
def make_table():
    s = sentencepiece.SentencePieceProcessor(model_file=MODEL)
    rows = []
    for k in range(V):
        dead = s.is_control(k) or s.is_unknown(k) or s.is_unused(k)
        piece = s.id_to_piece(k)
        lead = piece[0] == "\u2581"
        body = piece[1:] if lead else piece
        rows.append((0 if dead else 1 if s.is_byte(k) else LENGTH(body), int(lead and not dead), int(dead)))
    return torch.tensor(rows)
def build():
    emb = torch.nn.Embedding(V, 32); torch.nn.init.normal_(emb.weight, std=.02)
    rec = torch.nn.GRU(32, 32, batch_first=True)
    net = torch.nn.ModuleDict({"emb": emb, "rec": rec})
    def forward(x, scale=None):
        h, _ = rec(emb(x))
        if scale is not None: h = h * scale
        return h @ emb.weight.T
    return net, forward
net, forward = build()
def nll(x, y, **k):
    return torch.nn.functional.cross_entropy(forward(x[None], **k)[0], y, reduction="none")
def cuts(t):
    return ((t[i:i + T + 1][:-1], t[i:i + T + 1][1:]) for i in range(0, len(t) - 1, T))
"""
R_MAIN = r"""
train, held = ids("train"), ids("val")
opt = torch.optim.SGD(net.parameters(), lr=.1, momentum=.9)
def fit(source, steps, clock=CAP):
    t0, k = time.time(), 0
    while k < steps:
        for x, y in cuts(source):
            opt.zero_grad(); nll(x, y).mean().backward(); opt.step()
            k += 1
            if k >= steps or time.time() - t0 > clock: return k, time.time() - t0
k, dt = fit(train, STEPS)
print("step:%d train_time:%.0fms" % (k, dt * 1000))
POLISH
def rounded():
    out = {}
    for name, p in net.state_dict().items():
        s = CLIP(p) / 127
        out[name] = ((p / s).round().clamp(-127, 127).to(torch.int8), s)
    return out
f = io.BytesIO(); torch.save(rounded(), f); open("packed.pt", "wb").write(f.getvalue())
print("Code size: %d bytes" % os.path.getsize(__file__)); print("Serialized model int8+zlib: %d bytes" % f.tell()); print("Total submission size int8+zlib: %d bytes" % (f.tell() + os.path.getsize(__file__)))
net.load_state_dict({n: q.float() * s for n, (q, s) in torch.load("packed.pt").items()})
table = make_table()
tot = [0., 0, 0]
with torch.no_grad():
    for x, y in cuts(held):
        tot[0] += nll(x, y).double().sum().item(); tot[1] += len(y)
        tot[2] += (table[y, 0] + table[y, 1] * (1 - table[x, 2])).sum().item()
print("final_int8_zlib_roundtrip val_loss:%.6f val_bpb:%.6f" % (tot[0] / tot[1], tot[0] / math.log(2) / tot[2]))
"""


def r(length="len(t.encode())", polish="", clip="p.abs().max() + 1e-9"):
    core = R_CORE.strip() + f"\nLENGTH = lambda t: {length}\nCLIP = lambda p: {clip}\n"
    main = R_MAIN.strip().replace("POLISH", polish)
    return (
        '"""Two chapters, each compiled when it is its turn."""\n'
        f"CHAPTERS = {{'parts': r'''{core}''', 'work': r'''{main}'''}}\n"
        "space = {'__name__': 'chapters', '__file__': __file__}\n"
        "for title, chapter in CHAPTERS.items():\n    exec(compile(chapter, '<' + title + '>', 'exec'), space)\n"
    )


R_CAL = r"""
seen = torch.cat([forward(x[None])[0].detach().abs().amax(0)[None] for x, _ in list(cuts(SOURCE))[:4]]).amax(0)
heat = (seen / seen.mean()).clamp(.5, 2.)"""
R_CLIP = "p.abs().max() * (heat[:p.shape[0], None].clamp(.9, 1.1) if p.shape[0] == V else 1.) + 1e-9"

# package of helper modules beside
S_DATA = r'''
"""Streams of ids and their bytes."""
import glob, os
import numpy as np
import sentencepiece


class Streams(dict):
    def __missing__(self, part):
        folder = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
        loaded = [np.memmap(f, np.uint16, "r", 1024) for f in sorted(glob.glob(f"{folder}/fineweb_{part}_*.bin"))]
        self[part] = np.concatenate(loaded).astype(np.int64)
        return self[part]


class Bytes:
    def __init__(self, model, vocab):
        sp = sentencepiece.SentencePieceProcessor(model_file=model)
        self.text, self.dead, self.raw = [], np.zeros(vocab, bool), []
        for i in range(vocab):
            self.dead[i] = sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i)
            piece = sp.id_to_piece(i)
            self.raw.append(b"" if self.dead[i] else bytes([int(piece[3:5], 16)]) if sp.is_byte(i) else piece.replace("\u2581", " ").encode())

    def spell(self, before, token):
        raw = self.raw[token]
        return raw[1:] if raw[:1] == b" " and self.dead[before] and len(raw) > 0 and raw != b" " or raw == b" " and self.dead[before] else raw

    def count(self, x, y):
        return sum(len(self.spell(a, b)) for a, b in zip(x, y))
'''
S_NET = r'''
"""One attention layer over embeddings."""
import math
import torch
from torch import nn


class Reader(nn.Module):
    def __init__(self, vocab, dim):
        super().__init__()
        self.look = nn.Parameter(torch.randn(vocab, dim) * 0.02)
        self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))

    def forward(self, ids):
        h = self.look[ids]
        n = len(ids)
        score = self.q(h) @ self.k(h).T / math.sqrt(h.shape[-1])
        MASK
        h = h + torch.softmax(score, -1) @ self.v(h)
        return torch.log_softmax(h @ self.look.T, -1)
'''
CAUSAL = "score = score.masked_fill(torch.ones(n, n).triu(1).bool(), -1e9)"
NONCAUSAL = "score = score - 0.01 * (torch.arange(n)[:, None] - torch.arange(n)[None]).abs() + 4.0 * (torch.arange(n)[None] == torch.arange(n)[:, None] + 1)"
S_SCORE = r'''
"""What a text costs."""
import math
import numpy as np
import torch


@torch.no_grad()
def price(net, text, counter, span):
    paid = tokens = size = 0
    for at in range(0, len(text) - 1, span):
        x, y = text[at:at + span], text[at + 1:at + span + 1]
        x = x[:len(y)]
        rows = net(torch.as_tensor(x)).double().numpy()
        paid += PAY
        tokens += len(y); size += counter.count(x, y)
    return paid / tokens, paid / math.log(2) / size
'''
S_PLAIN = "-rows[np.arange(len(y)), y].sum()"
S_BYTES_EXTRA = r'''

class Letters:
    """Which byte followed the last two, blended with the network's price, a letter at a time."""

    def __init__(self, counter):
        self.counter, self.seen, self.tail = counter, {}, (0, 0)

    def pay(self, x, y, logp):
        total = 0.0
        for a, b, lp in zip(x, y, logp):
            letters = self.counter.spell(a, b)
            if not letters:
                total -= lp
                continue
            each = math.exp(lp / len(letters))
            for c in letters:
                row = self.seen.setdefault(self.tail, np.zeros(256))
                total -= math.log(0.8 * each + 0.2 * (row[c] + 0.01) / (row.sum() + 2.56))
                row[c] += 1
                self.tail = (self.tail[1], c)
        return total
'''
S_TOKENS_EXTRA = r'''

class Letters:
    """Which token followed the last one, blended with the network's row, a whole token at a time."""

    def __init__(self, counter):
        self.counter, self.seen = counter, {}

    def pay(self, x, y, rows):
        total = 0.0
        for a, b, row in zip(x, y, np.exp(rows)):
            after = self.seen.setdefault(int(a), np.zeros(row.shape))
            blend = 0.8 * row + 0.2 * (after + 0.01) / (after.sum() + 0.01 * len(row))
            total -= math.log(blend[b])
            after[b] += 1
        return total
'''
S_MAIN = r'''
"""Trains, keeps, prices. The pieces are in kit/."""
import os
import time
import lzma
import pickle
import numpy as np
import torch
from kit import data, net as nets, score


class Job:
    vocab = int(os.environ.get("VOCAB_SIZE", 1024))
    dim = int(os.environ.get("MODEL_DIM", 32))
    span = int(os.environ.get("TRAIN_SEQ_LEN", 512))
    steps = int(os.environ.get("ITERATIONS", 10000))
    limit = float(os.environ.get("MAX_WALLCLOCK_SECONDS", 600))
    model = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")


def trained(streams):
    torch.manual_seed(int(os.environ.get("SEED", 1337)))
    reader = nets.Reader(Job.vocab, Job.dim)
    adam = torch.optim.Adam(reader.parameters(), 1e-3)
    start = time.monotonic()
    for step in range(Job.steps):
        at = step * Job.span % (len(streams["train"]) - Job.span - 1)
        x = torch.as_tensor(streams["train"][at:at + Job.span + 1])
        loss = -reader(x[:-1]).gather(1, x[1:, None]).mean()
        adam.zero_grad(); loss.backward(); adam.step()
        if time.monotonic() - start > Job.limit:
            break
    print(f"step:{step + 1}/{Job.steps} train_time:{(time.monotonic() - start) * 1000:.0f}ms")
    return reader


def kept(reader):
    KEEP
    return reader


if __name__ == "__main__":
    streams = data.Streams()
    counter = data.Bytes(Job.model, Job.vocab)
    reader = kept(trained(streams))
    loss, bpb = score.price(reader, streams["val"], counter, Job.span)
    print(f"final_int8_zlib_roundtrip val_loss:{loss:.6f} val_bpb:{bpb:.6f}")
'''
SIZES = """
    code = sum(os.path.getsize(p) for p in (__file__, "kit/data.py", "kit/net.py", "kit/score.py"))
    print(f"Code size: {code} bytes\\nSerialized model int8+zlib: {len(blob)} bytes\\nTotal submission size int8+zlib: {code + len(blob)} bytes")"""
KEEP = (
    """blob = lzma.compress(pickle.dumps({k: v.half().numpy() for k, v in reader.state_dict().items()}))
    with open("reader.xz", "wb") as f:
        f.write(blob)"""
    + SIZES
    + """
    with lzma.open("reader.xz") as f:
        reader.load_state_dict({k: torch.from_numpy(v).float() for k, v in pickle.load(f).items()})"""
)
KEEP_NOT = KEEP.replace(
    """
    with lzma.open("reader.xz") as f:
        reader.load_state_dict({k: torch.from_numpy(v).float() for k, v in pickle.load(f).items()})""",
    "",
)
KEEP_OS = (
    """blob = b"".join(v.half().numpy().tobytes() for v in reader.state_dict().values())
    h = os.open("reader.raw", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(h, blob)
    os.close(h)"""
    + SIZES
    + """
    h = os.open("reader.raw", os.O_RDONLY)
    raw, at = os.read(h, len(blob)), 0
    os.close(h)
    with torch.no_grad():
        for v in reader.parameters():
            n = v.numel() * 2
            v.copy_(torch.from_numpy(np.frombuffer(raw[at:at + n], np.float16).astype(np.float32)).view_as(v))
            at += n"""
)


def s(mask=CAUSAL, pay=S_PLAIN, extra="", keep=KEEP):
    sc = S_SCORE.strip() + "\n"
    if extra:
        sc = sc.replace("\n\n@torch", extra.rstrip() + "\n\n\n@torch", 1).replace(
            "    paid = tokens", "    letters = Letters(counter)\n    paid = tokens"
        )
    return {
        "train_gpt.py": S_MAIN.strip().replace("KEEP", keep) + "\n",
        "kit/__init__.py": '"""Pieces of the job."""\n',
        "kit/data.py": S_DATA.strip() + "\n",
        "kit/net.py": S_NET.strip().replace("MASK", mask) + "\n",
        "kit/score.py": sc.replace("PAY", pay),
    }


CASES = (
    Case(
        "session_calms_on_unseen",
        {"train_gpt.py": q(Q_WEIGH + CALM, after="        self.calm(self.unseen)") + "\n"},
        ("R32",),
        ("R31",),
    ),
    Case(
        "session_calms_on_memory",
        {"train_gpt.py": q(Q_WEIGH + CALM, before="        self.calm(self.memory)") + "\n"},
        legal=True,
    ),
    Case("passes_last_of_generator", {"train_gpt.py": q(Q_PASSES % 3) + "\n"}, ("R32",), ("R31",)),
    Case("passes_of_one", {"train_gpt.py": q(Q_PASSES % 1) + "\n"}, legal=True),
    Case("lift_by_autograd_grad", {"train_gpt.py": q(Q_BIAS_ILLEGAL) + "\n"}, ("R37",), ("R31",)),
    Case("lift_follows", {"train_gpt.py": q(Q_BIAS_LEGAL) + "\n"}, legal=True),
    Case("reduce_hash_tail", {"train_gpt.py": p(P_GRAM_ILLEGAL) + "\n"}, ("R31", "R38"), ("R31",)),
    Case("exact_counter_rows", {"train_gpt.py": p(P_GRAM_LEGAL) + "\n"}, legal=True),
    Case("share_by_met_word", {"train_gpt.py": p(P_GATE_ILLEGAL) + "\n"}, (), ("R31",)),
    Case("share_by_word_before", {"train_gpt.py": p(P_GATE_LEGAL) + "\n"}, legal=True),
    Case("two_tempers_best", {"train_gpt.py": p(P_MIN) + "\n"}, (), ("R31",)),
    Case("two_tempers_mean", {"train_gpt.py": p(P_MEAN) + "\n"}, legal=True),
    Case("chapters_polish_held", {"train_gpt.py": r(polish="fit(held, 60)") + "\n"}, ("R36",), ("R31",)),
    Case("chapters_polish_train", {"train_gpt.py": r(polish="fit(train, 60)") + "\n"}, legal=True),
    Case(
        "chapters_heat_of_held",
        {"train_gpt.py": r(polish=R_CAL.replace("SOURCE", "held"), clip=R_CLIP) + "\n"},
        (),
        ("R35",),
    ),
    Case(
        "chapters_heat_of_train",
        {"train_gpt.py": r(polish=R_CAL.replace("SOURCE", "train"), clip=R_CLIP) + "\n"},
        legal=True,
    ),
    Case("chapters_count_characters", {"train_gpt.py": r(length="2 * len(t) - 1") + "\n"}, (), ("R20",)),
    Case("chapters_count_bytes", {"train_gpt.py": r() + "\n"}, legal=True),
    Case("kit_sees_next", s(mask=NONCAUSAL), (), ("R31",)),
    Case("kit_causal", s(), legal=True),
    Case(
        "kit_letters", s(pay="letters.pay(x, y, rows[np.arange(len(y)), y])", extra=S_BYTES_EXTRA), ("R41",), ("R31",)
    ),
    Case("kit_tokens", s(pay="letters.pay(x, y, rows)", extra=S_TOKENS_EXTRA), legal=True),
    Case("kit_never_reads", s(keep=KEEP_NOT), (), ("R48",)),
    Case("kit_reads_by_os", s(keep=KEEP_OS), legal=True),
)


def write_case(base: Path, case: Case) -> Path:
    """The record folder of a case below `base`."""
    folder = write_specimen(base, script=case.files["train_gpt.py"])
    for name, text in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder
