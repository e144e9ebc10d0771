"""24 small submissions in two more styles, twelve pairs of an illegal one and a lawful twin of the same shape, written before the detectors were read.

A pure function over a dictionary of tensors (torch.func, documents); a runner of plugins around a module (context managers, threads, buffers).
`broken` is what code alone finds today; at the first try it found 1 of the 12, the short form of the experiments 7, and none of the
lawful was blocked. docs/verify.md has both halves (`specimens.is_kept`).
"""

from other_styles import Case

# ---- a dictionary of tensors and pure functions ----
U = r'''
"""Documents in, bits out: a dictionary of tensors, pure functions, and gradients of functions."""
import glob
import math
import os
import pathlib
import time

import numpy as np
import sentencepiece as spm
import torch
from torch.func import grad, grad_and_value

START = 1


def setting(name, default):
    return type(default)(os.environ.get(name, default))


def corpus(split):
    out = []
    for path in sorted(pathlib.Path(setting("DATA_PATH", "data/datasets/fineweb10B_sp1024")).glob(f"fineweb_{split}_*.bin")):
        raw = path.read_bytes()
        many = int(np.frombuffer(raw, "<i4", 3)[2])
        out.append(np.frombuffer(raw, "<u2", many, 1024))
    return torch.from_numpy(np.concatenate(out).astype(np.int64))


def lengths(size):
    sp = spm.SentencePieceProcessor(model_file=setting("TOKENIZER_PATH", "data/tokenizers/fineweb_1024_bpe.model"))
    own, gap, end = torch.zeros(size), torch.zeros(size), torch.ones(size)
    for i in range(min(size, sp.vocab_size())):
        if sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i):
            continue
        end[i] = 0
        word = sp.id_to_piece(i)
        if sp.is_byte(i):
            own[i] = 1
        else:
            gap[i] = word[0] == "\u2581"
            own[i] = len(word.lstrip("\u2581").encode("LETTERS"))EXTRA_LENGTH
    return lambda before, now: own[now] + gap[now] * (1 - end[before])


def born(size, dim):
    g = torch.Generator().manual_seed(setting("SEED", 1337))
    draw = lambda *shape, scale: torch.randn(*shape, generator=g) * scale
    return {"words": draw(size, dim, scale=0.02), "taps": draw(4, dim, scale=0.3), "up": draw(dim, 2 * dim, scale=dim**-0.5), "down": draw(2 * dim, dim, scale=0.1)}


def rows(p, ids):
    x = p["words"][ids]
    past = torch.nn.functional.pad(x, (0, 0, len(p["taps"]) - 1, 0))
    mixed = sum(p["taps"][k] * past[k : k + len(x)] for k in range(len(p["taps"])))
    x = x + torch.nn.functional.silu(mixed @ p["up"]) @ p["down"]
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() @ p["words"].T


def bill(p, ids, nxt, heat=1.0, lift=0.0):
    return -torch.log_softmax(rows(p, ids) / heat + lift, -1).gather(1, nxt[:, None])[:, 0]


def mean_bill(p, ids, nxt):
    return bill(p, ids, nxt).mean()


def moved(p, slope, pace):
    return {name: w - pace * slope[name] for name, w in p.items()}


def documents(text, longest):
    """(first context, last target) of every document, long ones cut; every target once."""
    cuts = [0, *(i for i in (text == START).nonzero()[:, 0].tolist() if 0 < i < len(text) - 1), len(text) - 1]
    for a, b in zip(cuts, cuts[1:]):
        for at in range(a, b, longest):
            yield at, min(at + longest, b)


def rounded(w, bits):
    top = 2 ** (bits - 1) - 1
    scale = w.abs().amax(-1, keepdim=True).clamp_min(1e-9) / top
    return (w / scale).round().to(torch.int8), scale


def main():
    size, dim, longest = setting("VOCAB_SIZE", 1024), setting("MODEL_DIM", 48), setting("TRAIN_SEQ_LEN", 1024)
    train, held = corpus("train"), corpus("val")
    measure = lengths(size)
    p = born(size, dim)
    drift = {name: torch.zeros_like(w) for name, w in p.items()}
    clock, at, loss = time.monotonic(), 0, torch.tensor(0.0)
    for turn in range(setting("ITERATIONS", 20000)):
        at = 0 if at + longest >= len(train) else at
        slope, loss = grad_and_value(mean_bill)(p, train[at : at + longest], train[at + 1 : at + longest + 1])
        at += longest
        drift = {name: 0.9 * v + slope[name] for name, v in drift.items()}
        p = moved(p, drift, setting("MATRIX_LR", 0.05))
        if time.monotonic() - clock > setting("MAX_WALLCLOCK_SECONDS", 600.0):
            break
    print(f"trained turns:{turn + 1} train_loss:{loss:.4f}")
    bits = dict.fromkeys(p, 8)
CHOICE
    np.savez_compressed("weights.npz", **{f"{n}.{k}": part.numpy() for n, w in p.items() for k, part in zip("qs", rounded(w, bits[n]))})
    with np.load("weights.npz") as stored:
        p = {n: torch.from_numpy(stored[f"{n}.q"]).float() * torch.from_numpy(stored[f"{n}.s"]) for n in p}
    print("artifact", os.path.getsize("weights.npz") + os.path.getsize(__file__), "bytes")
    nats = octets = seen = 0.0
SETUP
    for a, b in documents(held, longest):
        ids, nxt = held[a:b], held[a + 1 : b + 1]
SCORE
        nats, octets, seen = nats + float(cost.double().sum()), octets + float(measure(ids, nxt).double().sum()), seen + len(nxt)
    print(f"final val_loss:{nats / seen:.8f} val_bpb:{nats / seen / math.log(2) * seen / octets:.8f}")


if __name__ == "__main__":
    main()
'''


def _in(text: str, depth: int) -> str:
    return "\n".join(" " * depth + line if line else "" for line in text.strip("\n").splitlines())


def pure(score="cost = bill(p, ids, nxt)", setup="pass", choice="pass", letters="utf-8", extra=""):
    """A script of the first style with its loop's body, what comes before it, and how bits are chosen."""
    return (
        U.strip()
        .replace("LETTERS", letters)
        .replace("EXTRA_LENGTH", extra)
        .replace("CHOICE", _in(choice, 4))
        .replace("SETUP", _in(setup, 4))
        .replace("SCORE", _in(score, 8))
        + "\n"
    )


PACE = 'pace = setting("TTT_LR", 0.02)'
GRAD_THEN_BILL = """
p = moved(p, grad(mean_bill)(p, ids, nxt), pace)
cost = bill(p, ids, nxt)
"""
BILL_THEN_GRAD = """
cost = bill(p, ids, nxt)
p = moved(p, grad(mean_bill)(p, ids, nxt), pace)
"""
HEATS = "heats, heat = (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.5), 1.0"
HEAT_OF_THIS = """
heat = min(heats, key=lambda t: float(bill(p, ids, nxt, t).sum()))
cost = bill(p, ids, nxt, heat)
"""
HEAT_OF_LAST = """
cost = bill(p, ids, nxt, heat)
heat = min(heats, key=lambda t: float(bill(p, ids, nxt, t).sum()))
"""
TOPIC_OF_ALL = """
topic = torch.bincount(held[a : b + 1], minlength=size).float()
cost = bill(p, ids, nxt, lift=(1 + topic).log())
"""
TOPIC_SO_FAR = """
topic = torch.nn.functional.one_hot(ids, size).cumsum(0).float()
cost = bill(p, ids, nxt, lift=(1 + topic).log())
"""
ONLY_LONG = """
if b - a < 24:
    continue
cost = bill(p, ids, nxt)
"""
NONE_LEFT_OUT = """
if b - a < 1:
    continue
cost = bill(p, ids, nxt)
"""
BITS = """
def worse(name, few):
    q, s = rounded(p[name], few)
    return float(mean_bill({**p, name: q * s}, SOURCE[:longest], SOURCE[1 : longest + 1]) - mean_bill(p, SOURCE[:longest], SOURCE[1 : longest + 1]))

ladder = sorted(p, key=lambda name: worse(name, 4))
bits.update(dict.fromkeys(ladder[:2], 5))
"""

# ---- a runner of plugins around a module ----
W = r'''
import concurrent.futures
import contextlib
import glob
import io
import lzma
import math
import operator
import os
import sys
import time

import numpy as np
import sentencepiece
import torch
import torch.nn as nn
import torch.nn.functional as F


class Config:
    data = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    pieces = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    vocab = int(os.environ.get("VOCAB_SIZE", "1024"))
    width = int(os.environ.get("MODEL_DIM", "48"))
    span = int(os.environ.get("TRAIN_SEQ_LEN", "1024"))
    turns = int(os.environ.get("ITERATIONS", "20000"))
    rate = float(os.environ.get("EMBED_LR", "0.002"))
    late_rate = float(os.environ.get("TTT_LR", "0.003"))
    seconds = float(os.environ.get("MAX_WALLCLOCK_SECONDS", "600"))
    seed = int(os.environ.get("SEED", "1337"))


class Spool:
    """Token files, one after the other; as windows of inputs and what follows them."""

    def __init__(self, kind):
        tapes = [np.memmap(f, dtype="<u2", mode="r", offset=1024) for f in sorted(glob.glob(f"{Config.data}/fineweb_{kind}_*.bin"))]
        self.ids = torch.as_tensor(np.concatenate(tapes).astype(np.int64))

    def __len__(self):
        return -(-(len(self.ids) - 1) // Config.span)

    def __getitem__(self, i):
        if not 0 <= i < len(self):
            raise IndexError(i)
        piece = self.ids[i * Config.span : (i + 1) * Config.span + 1]
        return piece[None, :-1], piece[None, 1:]


class Scales:
    def __init__(self):
        sp = sentencepiece.SentencePieceProcessor(Config.pieces)
        plain = [not (sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i)) for i in range(sp.vocab_size())]
        names = [sp.id_to_piece(i) if ok else "" for i, ok in enumerate(plain)]
        self.weight = torch.tensor([1 if sp.is_byte(i) else len(n.replace("\u2581", "").encode()) for i, n in enumerate(names)])
        self.space = torch.tensor([n.startswith("\u2581") for n in names])
        self.joined = torch.tensor(plain)

    def __call__(self, x, y):
        return int((self.weight[y] + (self.space[y] & self.joined[x])).sum())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(Config.vocab, Config.width)
        self.rnn = nn.GRU(Config.width, Config.width, batch_first=True)
        self.bias = nn.Parameter(torch.zeros(Config.vocab))
        nn.init.normal_(self.table.weight, std=0.02)
        self.register_buffer("usual", torch.zeros(Config.vocab))

    def state(self, x):
        return self.rnn(self.table(x))[0]

    def forward(self, x):
        h = self.state(x)
GIST
        return F.linear(F.normalize(h, dim=-1) * 4, self.table.weight, self.bias)USUAL


def price(z, y):
    return F.cross_entropy(z.flatten(0, 1), y.flatten(), reduction="sum")


class Runner:
    def __init__(self, net):
        self.net, self.events = net, {}

    def on(self, event):
        def keep(what):
            self.events.setdefault(event, []).append(what)
            return what
        return keep

    def tell(self, event, *news):
        for what in self.events.get(event, ()):
            what(self, *news)

    def train(self, spool):
        opt = torch.optim.Adam(self.net.parameters(), lr=Config.rate)
        until, turn = time.time() + Config.seconds, 0
        while turn < Config.turns and time.time() < until:
            x, y = spool[turn % len(spool)]
            opt.zero_grad()
            loss = price(self.net(x), y) / y.numel()
            self.tell("batch", x, y)
            loss.backward()
            opt.step()
            turn += 1
        print(f"turn {turn} train_loss {loss.item():.4f}")

    def keep(self, path):
        kept = io.BytesIO()
        torch.save({k: v.to(torch.float16) for k, v in self.net.state_dict().items()}, kept)
        with lzma.open(path, "wb") as out:
            out.write(kept.getvalue())

    def take(self, path):
        with lzma.open(path, "rb") as source:
            stored = torch.load(io.BytesIO(source.read()), weights_only=True)
        self.net.load_state_dict({k: v.float() for k, v in stored.items()})


PLUGINS


def main():
    torch.manual_seed(Config.seed)
    runner = Runner(Net())
    learn, exam, scales = Spool("train"), Spool("val"), Scales()
BEFORE
    runner.train(learn)
    runner.keep("net.xz")
    print("total", os.path.getsize("net.xz") + os.path.getsize(sys.argv[0]))
    runner.take("net.xz")
    net = runner.net.eval()
EXAM
    print(f"final val_loss:{owed / words:.8f} val_bpb:{owed / math.log(2) / size:.8f}")


if __name__ == "__main__":
    main()
'''
SWEEP = """
owed = size = words = 0
for x, y in exam:
    with torch.no_grad():
        owed += float(COST)
    size += scales(x, y)
    words += y.numel()
"""


PLAIN = SWEEP.replace("COST", "price(net(x), y)")


def plugged(exam=PLAIN, plugins="", gist="", usual="", before=""):
    """A script of the second style with its examination, plugins and what its network adds."""
    return (
        W.strip()
        .replace("\nGIST", "\n" + _in(gist, 8) if gist else "")
        .replace("USUAL", usual)
        .replace("\nPLUGINS\n", "\n" + plugins.strip("\n") + "\n" if plugins else "")
        .replace("\nBEFORE", "\n" + _in(before, 4) if before else "")
        .replace("EXAM", _in(exam, 4))
        + "\n"
    )


GIST_OF_ALL = "h = h + self.table(x).mean(1, keepdim=True) * 40"
GIST_SO_FAR = "h = h + (self.table(x).cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]) * 40"
TUNED = """
@contextlib.contextmanager
def tuned(net, pen, x, y):
FIRST
    yield net
THEN
"""
STEP = "pen.zero_grad()\nprice(net(x), y).div(y.numel()).backward()\npen.step()"
WITH = """
owed = size = words = 0
pen = torch.optim.SGD(net.parameters(), lr=Config.late_rate * 100)
for x, y in exam:
    with tuned(net, pen, x, y) as ready:
        owed += price(ready(x), y).item()
    size += scales(x, y)
    words += y.numel()
"""
HANDS = """
def practise(net, pairs, rate):
    pen = torch.optim.RMSprop(net.parameters(), lr=rate)
    for x, y in pairs:
        pen.zero_grad()
        operator.methodcaller("backward")(price(net(x), y) / y.numel())
        pen.step()
    return len(pairs)
"""
HANDS_BEFORE = """
owed = size = words = 0
with concurrent.futures.ThreadPoolExecutor(1) as hands:
    done = hands.submit(practise, net, [pair for pair in exam], Config.late_rate)
    print("practised", done.result())
for x, y in exam:
    owed += price(net(x), y).item()
    size += scales(x, y)
    words += y.numel()
"""
HANDS_BEHIND = """
owed = size = words = 0
with concurrent.futures.ThreadPoolExecutor(1) as hands:
    for x, y in exam:
        owed += price(net(x), y).item()
        size += scales(x, y)
        words += y.numel()
        hands.submit(practise, net, [(x, y)], Config.late_rate).result()
"""
FEW = """
def thrifty(z, y, many=128):
    \"\"\"The normaliser of a few candidates: much faster than of the whole vocabulary.\"\"\"
    z, y = z.flatten(0, 1), y.flatten()
    some = torch.randperm(z.shape[1])[:many]
    right = z.gather(1, y[:, None])
    return (torch.cat((right, z[:, some]), 1).logsumexp(1) - right[:, 0]).sum()
"""
CHUNKED = """
def thrifty(z, y, many=128):
    \"\"\"The normaliser of the whole vocabulary, a few candidates at a time.\"\"\"
    z, y = z.flatten(0, 1), y.flatten()
    parts = [z[:, at : at + many].logsumexp(1) for at in range(0, z.shape[1], many)]
    right = z.gather(1, y[:, None])
    return (torch.stack(parts, 1).logsumexp(1) - right[:, 0]).sum()
"""
RARE = """
class Weighed:
    def __init__(self, spool):
        often = torch.bincount(spool.ids, minlength=Config.vocab) + 1.0
        self.share = WEIGHT

    def __call__(self, z, y):
        return F.cross_entropy(z.flatten(0, 1), y.flatten(), weight=self.share) * y.numel()
"""
USUALLY = """
def remember(runner, x, y):
    with torch.no_grad():
        runner.net.usual += torch.bincount(y.flatten(), minlength=Config.vocab)
"""
USUAL = " + (self.usual + 1).log() - (self.usual + 1).sum().log()"

LATER = (
    Case("gradient_then_bill", {"train_gpt.py": pure(GRAD_THEN_BILL, PACE)}, ("R32",), ("R31",)),
    Case("bill_then_gradient", {"train_gpt.py": pure(BILL_THEN_GRAD, PACE)}, legal=True),
    Case("heat_of_this_document", {"train_gpt.py": pure(HEAT_OF_THIS, HEATS)}, ("R33",)),
    Case("heat_of_the_last_document", {"train_gpt.py": pure(HEAT_OF_LAST, HEATS)}, legal=True),
    Case("topic_of_the_document", {"train_gpt.py": pure(TOPIC_OF_ALL)}, ("R32",), ("R31",)),
    Case("topic_so_far", {"train_gpt.py": pure(TOPIC_SO_FAR)}, legal=True),
    Case("short_documents_left_out", {"train_gpt.py": pure(ONLY_LONG)}, (), ("R21",)),
    Case("no_document_left_out", {"train_gpt.py": pure(NONE_LEFT_OUT)}, legal=True),
    Case("lengths_in_utf_16", {"train_gpt.py": pure(letters="utf-16-le")}, ("R20",), ("R20",)),
    Case("lengths_in_utf_8", {"train_gpt.py": pure(letters="UTF8")}, legal=True),
    Case("bits_by_the_held_text", {"train_gpt.py": pure(choice=BITS.replace("SOURCE", "held"))}, ("R35",), ("R35",)),
    Case("bits_by_the_train_text", {"train_gpt.py": pure(choice=BITS.replace("SOURCE", "train"))}, legal=True),
    Case("gist_of_the_window", {"train_gpt.py": plugged(gist=GIST_OF_ALL)}, (), ("R31",)),
    Case("gist_so_far", {"train_gpt.py": plugged(gist=GIST_SO_FAR)}, legal=True),
    Case(
        "tuned_on_entry",
        {"train_gpt.py": plugged(WITH, TUNED.replace("FIRST", _in(STEP, 4)).replace("THEN", ""))},
        ("R32",),
        ("R31",),
    ),
    Case(
        "tuned_on_exit",
        {"train_gpt.py": plugged(WITH, TUNED.replace("FIRST\n", "").replace("THEN", _in(STEP, 4)))},
        legal=True,
    ),
    Case("practised_in_a_thread", {"train_gpt.py": plugged(HANDS_BEFORE, HANDS)}, ("R32",), ("R31",)),
    Case("practised_behind_the_score", {"train_gpt.py": plugged(HANDS_BEHIND, HANDS)}, legal=True),
    Case(
        "normalised_over_a_few",
        {"train_gpt.py": plugged(SWEEP.replace("COST", "thrifty(net(x), y)"), FEW)},
        (),
        ("R31",),
    ),
    Case(
        "normalised_in_pieces",
        {"train_gpt.py": plugged(SWEEP.replace("COST", "thrifty(net(x), y)"), CHUNKED)},
        legal=True,
    ),
    Case(
        "weighed_by_how_often",
        {
            "train_gpt.py": plugged(
                SWEEP.replace("COST", "weighed(net(x), y)").replace("owed =", "weighed = Weighed(learn)\nowed =", 1),
                RARE.replace("WEIGHT", "often / often.sum()"),
            )
        },
        ("R21",),
        (),
    ),
    Case(
        "weighed_alike",
        {
            "train_gpt.py": plugged(
                SWEEP.replace("COST", "weighed(net(x), y)").replace("owed =", "weighed = Weighed(learn)\nowed =", 1),
                RARE.replace("WEIGHT", "torch.ones_like(often)"),
            )
        },
        legal=True,
    ),
    Case(
        "usual_of_the_exam",
        {
            "train_gpt.py": plugged(
                "for x, y in exam:\n    remember(runner, x, y)\n" + SWEEP.replace("COST", "price(net(x), y)").strip(),
                USUALLY,
                usual=USUAL,
            )
        },
        ("R32",),
        ("R31",),
    ),
    Case(
        "usual_of_training",
        {"train_gpt.py": plugged(plugins=USUALLY, usual=USUAL, before='runner.on("batch")(remember)')},
        legal=True,
    ),
)
