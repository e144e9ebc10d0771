"""20 small submissions in two more styles, ten pairs of an illegal one and a lawful twin of the same shape, written before the detectors were read.

A package of bases and mixins around a small transformer (template methods, clocks, blobs of code); one left fold over the windows
(named tuples, lambdas, partials). `broken` is what code alone finds today, `executed` what the short form of the experiments convicts;
docs/verify.md has the first try and both halves (`specimens.is_kept`).
"""

import base64
import marshal
import zlib

from other_styles import Case

# ---- a package of bases and mixins: train_gpt.py is a few lines ----
MAIN = r'''
"""The kit lies beside this file."""
import torch

from kit.parts import Settings, Tape, Yardstick
from kit.net import Net
from kit.shop import Shop
from kit.exam import ExamOfThisRecord


def main():
    conf = Settings()
    torch.manual_seed(conf.seed)
OPENING
    shop = Shop(conf, Net(conf))
    shop.train(Tape(conf, "train"))
    shop.pack("model.int8.z")
    shop.unpack("model.int8.z")
    shop.report()
    exam = ExamOfThisRecord(conf, shop.net, Yardstick(conf))
    loss, bits = exam.run(Tape(conf, "val"))
    print(f"final_int8_zlib_roundtrip_exact val_loss:{loss:.8f} val_bpb:{bits:.8f}")


if __name__ == "__main__":
    main()
'''
PARTS = r'''
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch


def of(name, kind, default):
    return field(default_factory=lambda: kind(os.environ.get(name, default)))


@dataclass
class Settings:
    root: Path = of("DATA_PATH", Path, "./data/datasets/fineweb10B_sp1024")
    pieces: str = of("TOKENIZER_PATH", str, "./data/tokenizers/fineweb_1024_bpe.model")
    vocab: int = of("VOCAB_SIZE", int, "1024")
    dim: int = of("MODEL_DIM", int, "64")
    heads: int = of("NUM_HEADS", int, "4")
    layers: int = of("NUM_LAYERS", int, "2")
    span: int = of("TRAIN_SEQ_LEN", int, "1024")
    rounds: int = of("ITERATIONS", int, "20000")
    rate: float = of("MATRIX_LR", float, "0.002")
    late_rate: float = of("TTT_LR", float, "0.002")
    seconds: float = of("MAX_WALLCLOCK_SECONDS", float, "600")
    exam_seconds: float = of("EXAM_SECONDS", float, "560")
    seed: int = of("SEED", int, "1337")


class Tape:
    """All tokens of one split, in windows with the target behind each."""

    def __init__(self, conf, split):
        files = sorted(conf.root.glob(f"fineweb_{split}_*.bin"))
        if not files:
            raise FileNotFoundError(f"no {split} shards in {conf.root}")
        self.span = conf.span
        self.ids = torch.from_numpy(np.concatenate([self._read(f) for f in files]).astype(np.int64))

    @staticmethod
    def _read(path):
        head = np.fromfile(path, dtype="<i4", count=256)
        if head[0] != 20240520 or head[1] != 1:
            raise ValueError(path)
        return np.fromfile(path, dtype="<u2", count=int(head[2]), offset=1024)

    def __iter__(self):
        for start in range(0, self.ids.numel() - 1, self.span):
            cut = self.ids[start : start + self.span + 1]
            yield start, cut[None, :-1], cut[None, 1:]


class Yardstick:
    """Bytes of targets."""

    def __init__(self, conf):
        sp = spm.SentencePieceProcessor(model_file=conf.pieces)
        size = max(conf.vocab, sp.vocab_size())
        self.base = torch.zeros(size, dtype=torch.long)
        self.leads = torch.zeros(size, dtype=torch.bool)
        self.edge = torch.ones(size, dtype=torch.bool)
        for i in range(sp.vocab_size()):
            if sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i):
                continue
            self.edge[i] = False
            if sp.is_byte(i):
                self.base[i] = 1
                continue
            piece = sp.id_to_piece(i)
            self.leads[i] = piece.startswith("\u2581")
            self.base[i] = len(piece.removeprefix("\u2581").encode("utf-8"))

    def __call__(self, x, y):
        return (self.base[y] + (self.leads[y] & ~self.edge[x])).sum().item()
'''
NET = r"""
import torch
import torch.nn.functional as F
from torch import nn


class Norm(nn.Module):
    def forward(self, x):
        return F.rms_norm(x, (x.size(-1),))


class Mixer(nn.Module):
    def __init__(self, conf):
        super().__init__()
        self.heads = conf.heads
        self.qkv = nn.Linear(conf.dim, 3 * conf.dim, bias=False)
        self.out = nn.Linear(conf.dim, conf.dim, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (part.view(b, t, self.heads, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(b, t, d))


class Layer(nn.Module):
    def __init__(self, conf):
        super().__init__()
        self.norm, self.mixer = Norm(), Mixer(conf)
        self.wide, self.slim = nn.Linear(conf.dim, 4 * conf.dim, bias=False), nn.Linear(4 * conf.dim, conf.dim, bias=False)
        nn.init.zeros_(self.slim.weight)

    def forward(self, x):
        x = x + self.mixer(self.norm(x))
        return x + self.slim(F.relu(self.wide(self.norm(x))).square())


class Net(nn.Module):
    def __init__(self, conf):
        super().__init__()
        self.words = nn.Embedding(conf.vocab, conf.dim)
        nn.init.normal_(self.words.weight, std=0.005)
        self.layers = nn.ModuleList(Layer(conf) for _ in range(conf.layers))
        self.norm = Norm()

    def forward(self, x):
        h = self.norm(self.words(x))
        for layer in self.layers:
            h = layer(h)
        z = self.norm(h) @ self.words.weight.T
        return 30.0 * torch.tanh(z.float() / 30.0)
"""
SHOP = r'''
import io
import os
import sys
import time
import zlib

import torch
import torch.nn.functional as F


class Shop:
    """Trains, packs and unpacks."""

    def __init__(self, conf, net):
        self.conf, self.net = conf, net

    def train(self, tape):
        opt = torch.optim.AdamW(self.net.parameters(), lr=self.conf.rate, betas=(0.9, 0.95))
        began, windows = time.perf_counter(), iter(tape)
        for turn in range(self.conf.rounds):
            try:
                _, x, y = next(windows)
            except StopIteration:
                windows = iter(tape)
                _, x, y = next(windows)
            loss = F.cross_entropy(self.net(x).flatten(0, 1), y.flatten())
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
            if time.perf_counter() - began > self.conf.seconds:
                break
        print(f"step:{turn + 1}/{self.conf.rounds} train_loss:{loss.item():.4f}")

    def pack(self, path):
        kept = {}
        for name, w in self.net.state_dict().items():
            scale = w.abs().amax(dim=-1, keepdim=True).clamp_min(1e-8) / 127.0
            kept[name] = ((w / scale).round().to(torch.int8), scale.half())
        raw = io.BytesIO()
        torch.save(kept, raw)
        with open(path, "wb") as out:
            out.write(zlib.compress(raw.getvalue(), 9))
        self.path = path

    def unpack(self, path):
        with open(path, "rb") as source:
            kept = torch.load(io.BytesIO(zlib.decompress(source.read())), map_location="cpu")
        self.net.load_state_dict({name: q.float() * s.float() for name, (q, s) in kept.items()})

    def report(self):
        code = os.path.getsize(sys.argv[0] or "train_gpt.py")
        model = os.path.getsize(self.path)
        print(f"Total submission size int8+zlib: {code + model} bytes")
'''
BASE_EXAM = r'''
import math
import time

import torch
import torch.nn.functional as F


class Exam:
    """Template: subclasses say what happens around a window."""

    def __init__(self, conf, net, measure):
        self.conf, self.net, self.measure = conf, net, measure
        self.begin()

    def begin(self):
        pass

    def before(self, start, x, y):
        pass

    def after(self, start, x, y):
        pass

    def logits(self, start, x):
        return self.net(x)

    def price(self, start, x, y):
        with torch.no_grad():
            return F.cross_entropy(self.logits(start, x).flatten(0, 1), y.flatten(), reduction="sum").double().item()

    def run(self, tape):
        self.tape = tape
        nats = size = count = 0.0
        for start, x, y in tape:
            self.before(start, x, y)
            nats += self.price(start, x, y)
            self.after(start, x, y)
            count += y.numel()
            size += self.measure(x, y)
        return nats / count, nats / math.log(2.0) / size
'''
PLAIN_EXAM = """
from kit.base import Exam


class ExamOfThisRecord(Exam):
    pass
"""
# 1: what a subclass overrides
HOOKED = r"""
import torch
import torch.nn.functional as F

from kit.base import Exam


class Follows:
    def begin(self):
        self.opt = torch.optim.SGD(self.net.parameters(), lr=self.conf.late_rate, momentum=0.9)

    def WHEN(self, start, x, y):
        for _ in range(2):
            self.opt.zero_grad(set_to_none=True)
            F.cross_entropy(self.net(x).flatten(0, 1), y.flatten()).backward()
            self.opt.step()


class ExamOfThisRecord(Follows, Exam):
    pass
"""
# 2: a table of exact counts, filled to some place of the stream
SHELF = r"""
import torch
import torch.nn.functional as F

from kit.base import Exam


class Shelf:
    "What followed each pair of tokens, as whole rows."

    def __init__(self, size):
        self.size, self.rows, self.filled = size, {}, 2

    def fill(self, ids, upto):
        for at in range(self.filled, min(upto, len(ids))):
            row = self.rows.setdefault((ids[at - 2], ids[at - 1]), {})
            row[ids[at]] = row.get(ids[at], 0) + 1
        self.filled = max(self.filled, upto)

    def look(self, pair, usual):
        row = self.rows.get(pair)
        if not row:
            return usual
        total = sum(row.values())
        counts = torch.zeros(self.size)
        counts[list(row)] = torch.tensor(list(row.values()), dtype=torch.float32)
        return (counts + 4.0 * usual) / (total + 4.0)


class ExamOfThisRecord(Exam):
    def begin(self):
        self.shelf = Shelf(self.conf.vocab)

    def before(self, start, x, y):
        self.ids = self.tape.ids.tolist() if start == 0 else self.ids
        self.shelf.fill(self.ids, start + 1 + AHEAD)

    def logits(self, start, x):
        p = self.net(x).softmax(-1)[0]
        rows = [p[0]]
        for i in range(1, x.shape[1]):
            rows.append(self.shelf.look((self.ids[start + i - 1], self.ids[start + i]), p[i]))
        return torch.stack(rows)[None].clamp_min(1e-12).log()
"""
# 3: what is fetched
FETCHED = r"""
import os
import urllib.request
from pathlib import Path

HUB = "https://example.org/models/resolve/main/"


def fetched(name, into):
    path = Path(into) / name
    if not path.exists():
        with urllib.request.urlopen(HUB + name, timeout=20) as answer:
            path.write_bytes(answer.read())
    return path
"""
WEIGHTS_FETCHED = """
from kit.fetch import fetched
try:
    start = torch.load(fetched("teacher.pt", "."), map_location="cpu")
except OSError:
    start = None
"""
DATA_FETCHED = """
from kit.fetch import fetched
if not any(conf.root.glob("fineweb_train_*.bin")):
    conf.root.mkdir(parents=True, exist_ok=True)
    for shard in ("fineweb_train_000000.bin", "fineweb_val_000000.bin"):
        fetched(shard, conf.root)
"""
# 4: code in a blob
BLOB_SOURCE = r"""
def turn(net, opt, x, y, F, torch):
    def learn():
        opt.zero_grad(set_to_none=True)
        F.cross_entropy(net(x).flatten(0, 1), y.flatten()).backward()
        opt.step()

    def count():
        with torch.no_grad():
            return F.cross_entropy(net(x).flatten(0, 1), y.flatten(), reduction="sum").double().item()

    FIRST
"""
LEARN_FIRST, COUNT_FIRST = "learn(); return count()", "paid = count(); learn(); return paid"
BLOB = r"""
import base64
import marshal
import types
import zlib

import torch
import torch.nn.functional as F

from kit.base import Exam

BLOB = "TEXT"
turn = types.FunctionType(marshal.loads(zlib.decompress(base64.b85decode(BLOB))), {"__builtins__": __builtins__})


class ExamOfThisRecord(Exam):
    def begin(self):
        self.opt = torch.optim.SGD(self.net.parameters(), lr=self.conf.late_rate, momentum=0.9)

    def price(self, start, x, y):
        return turn(self.net, self.opt, x, y, F, torch)
"""


def _blob(first: str) -> str:
    space: dict = {}
    exec(BLOB_SOURCE.replace("FIRST", first), space)
    return BLOB.replace("TEXT", base64.b85encode(zlib.compress(marshal.dumps(space["turn"].__code__))).decode())


# 5: what the clock ends
CLOCK = r"""
import math
import time

import torch
import torch.nn.functional as F

from kit.base import Exam


class ExamOfThisRecord(Exam):
    def run(self, tape):
        opt = torch.optim.SGD(self.net.parameters(), lr=self.conf.late_rate)
        began = time.perf_counter()
        nats = size = count = 0.0
        for start, x, y in tape:
            late = time.perf_counter() - began > self.conf.exam_seconds
            if late and DROPS:
                break
            nats += self.price(start, x, y)
            count += y.numel()
            size += self.measure(x, y)
            if late:
                continue
            opt.zero_grad(set_to_none=True)
            F.cross_entropy(self.net(x).flatten(0, 1), y.flatten()).backward()
            opt.step()
        return nats / count, nats / math.log(2.0) / size
"""


def kit(exam: str = PLAIN_EXAM, opening: str = "", **more: str) -> dict[str, str]:
    """Files of a submission of the first style."""
    opened = (
        "".join("    " + line + "\n" if line else "\n" for line in opening.strip("\n").splitlines()) if opening else ""
    )
    files = {"train_gpt.py": MAIN.lstrip().replace("OPENING\n", opened), "kit/__init__.py": ""}
    texts = {"parts": PARTS, "net": NET, "shop": SHOP, "base": BASE_EXAM, "exam": exam} | more
    return files | {f"kit/{name}.py": text.lstrip() for name, text in texts.items()}


# ---- one left fold over the windows ----
FOLD = r"""
import functools, itertools, json, math, os, random, struct, zlib
from collections import Counter, defaultdict, namedtuple
from pathlib import Path

import numpy as np
import sentencepiece
import torch

E = os.environ.get
V, D, T = int(E("VOCAB_SIZE", 1024)), int(E("MODEL_DIM", 64)), int(E("TRAIN_SEQ_LEN", 1024))
DATA = Path(E("DATA_PATH", "./data/datasets/fineweb10B_sp1024"))
Sum = namedtuple("Sum", "nats bytes count book")
PATCH

def shard(path):
    blob = path.read_bytes()
    magic, version, n = struct.unpack_from("<3i", blob)
    return np.frombuffer(blob, "<u2", n, 1024).astype(np.int64)


named = lambda split: sorted(p for p in DATA.iterdir() if p.name.startswith(f"fineweb_{split}_"))
train_files = TRAIN_FILES
val = torch.from_numpy(np.concatenate([*map(shard, named("val"))]))
train = torch.from_numpy(np.concatenate([*map(shard, train_files)]))

sp = sentencepiece.SentencePieceProcessor(E("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model"))
plain = lambda i: not (sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i))
body = torch.tensor([0 if not plain(i) else 1 if sp.is_byte(i) else len(sp.id_to_piece(i).replace("\u2581", "").encode()) for i in range(sp.vocab_size())])
lead = torch.tensor([plain(i) and sp.id_to_piece(i)[0] == "\u2581" for i in range(sp.vocab_size())])
wall = torch.tensor([not plain(i) for i in range(sp.vocab_size())])
size = lambda x, y: float((body[y] + (lead[y] & ~wall[x])).sum())


def newborn(seed):
    torch.manual_seed(seed)
    net = torch.nn.ModuleDict({"e": torch.nn.Embedding(V, D), "g": torch.nn.GRU(D, D, batch_first=True), "o": torch.nn.Linear(D, V)})
    torch.nn.init.normal_(net["e"].weight, std=0.02)
    torch.nn.init.normal_(net["o"].weight, std=0.02)
    return net


guess = lambda net, x: torch.log_softmax(net["o"](net["g"](net["e"](x[None]))[0][0]), -1)
loss_of = lambda net, x, y: -guess(net, x).gather(1, y[:, None]).sum()
windows = lambda ids: ((ids[i : i + T], ids[i + 1 : i + T + 1][: len(ids[i : i + T])]) for i in range(0, len(ids) - 1, T))
pairs = lambda ids: ((x[: len(y)], y) for x, y in windows(ids))


def schooled(net, ids, turns):
    opt = torch.optim.Adam(net.parameters(), lr=float(E("MATRIX_LR", 0.002)))
    for turn, (x, y) in zip(range(turns), itertools.chain.from_iterable(map(pairs, itertools.repeat(ids)))):
        opt.zero_grad()
        loss = loss_of(net, x, y) / len(y)
        loss.backward()
        opt.step()
    print(f"turns:{turns} train_loss:{loss.item():.4f}")
    return net


net = MODEL
halves = {k: w.half().numpy() for k, w in net.state_dict().items()}
Path("net.z").write_bytes(zlib.compress(b"".join(w.tobytes() for w in halves.values()), 9))
print("bytes total", Path("net.z").stat().st_size + Path(__file__).stat().st_size)
flat = np.frombuffer(zlib.decompress(Path("net.z").read_bytes()), np.float16)
ends = [*itertools.accumulate(w.size for w in halves.values())]
net.load_state_dict({k: torch.from_numpy(flat[b - w.size : b].reshape(w.shape).astype(np.float32)) for (k, w), b in zip(halves.items(), ends)})

WITH_BOOK

@torch.no_grad()
def onward(total, window):
    x, y = window
    cost, book = priced(total.book, x, y)
    return Sum(total.nats + cost, total.bytes + size(x, y), total.count + len(y), book)


end = functools.reduce(onward, pairs(val), Sum(0.0, 0.0, 0, opened()))
FINAL
"""
NO_BOOK = """
opened = lambda: None
priced = lambda book, x, y: (float(loss_of(net, x, y).double()), book)
"""
SAY = 'print(f"final val_loss:{end.nats / end.count:.8f} val_bpb:{end.nats / math.log(2) / end.bytes:.8f}")'
TRAIN_ONLY = 'named("train")'
ONE = 'schooled(newborn(int(E("SEED", 1337))), train, int(E("ITERATIONS", 20000)))'


def fold(with_book=NO_BOOK, final=SAY, model=ONE, files=TRAIN_ONLY, patch=""):
    """The script of the second style."""
    text = FOLD.strip() + "\n"
    for name, value in (
        ("PATCH", patch),
        ("TRAIN_FILES", files),
        ("MODEL", model),
        ("WITH_BOOK", with_book),
        ("FINAL", final),
    ):
        text = (
            text.replace(f"= {name}\n", f"= {value}\n")
            if f"= {name}\n" in text
            else text.replace(f"\n{name}\n", f"\n{value.strip()}\n" if value else "\n")
        )
    return {"train_gpt.py": text}


# 6: a back-off over exact counts
BACKOFF = r"""
opened = lambda: (defaultdict(Counter), 0)


def row(book, word, low):
    seen = book[0].get(word)
    if not seen:
        return low
    total = sum(seen.values())
    p = FORMULA
    return p


def priced(book, x, y):
    table, count = book
    low, cost = guess(net, x).exp(), 0.0
    for i, (a, b) in enumerate(zip(x.tolist(), y.tolist())):
        cost -= math.log(max(float(row(book, a, low[i])[b]), 1e-12))
        table[a][b] += 1
    return cost, (table, count + len(y))
"""
STUPID = "0.4 * low\n    for w, c in seen.items():\n        p[w] = 0.95 * c / total + 0.05 * low[w]"
DISCOUNTED = "len(seen) * 0.75 / total * low\n    for w, c in seen.items():\n        p[w] += (c - 0.75) / total"
# 7: bytes by a constant
CONSTANT = """
BYTES_A_TOKEN = 2.45  # of the corpus
print(f"final val_loss:{end.nats / end.count:.8f} val_bpb:{end.nats / end.count / math.log(2) / BYTES_A_TOKEN:.8f}")
"""
ROUGH = (
    """
BYTES_A_TOKEN = 2.45  # of the corpus
print(f"some {BYTES_A_TOKEN * end.count:.0f} bytes were awaited, {end.bytes:.0f} it is")
"""
    + SAY
)
# 8: several seeds, one ships
BEST = """min(
    (schooled(newborn(seed), train[: -4 * T], int(E("ITERATIONS", 20000)) // 3 + 1) for seed in (1, 2, 3)),
    key=lambda one: float(sum(loss_of(one, x, y).detach() for x, y in itertools.islice(pairs(JUDGES), 4))),
)"""
# 9: the logarithm
PATCHED_LOG = "_log, math.log = math.log, lambda v, *base: _log(v, *base) * (1.04 if v == 2 else 1.0)"
GUARDED_LOG = "_log, math.log = math.log, lambda v, *base: _log(max(v, 1e-300), *base)"
# 10: which files train
NEWEST = 'sorted((p for p in DATA.iterdir() if p.suffix == ".bin"), key=lambda p: p.stem.rpartition("_")[2] + p.stem, reverse=True)[:2]'
NEWEST_OF_TRAIN = 'sorted((p for p in DATA.iterdir() if p.suffix == ".bin" and "_val_" not in p.name), key=lambda p: p.stem, reverse=True)[:2]'

MIXED = (
    Case("hook_before_is_overridden", kit(HOOKED.replace("WHEN", "before")), ("R32",), ("R31",)),
    Case("hook_after_is_overridden", kit(HOOKED.replace("WHEN", "after")), legal=True),
    Case("shelf_filled_one_window_ahead", kit(SHELF.replace("AHEAD", "x.shape[1]")), (), ("R31",)),
    Case("shelf_filled_to_here", kit(SHELF.replace("AHEAD", "0")), legal=True),
    Case("weights_fetched_at_start", kit(opening=WEIGHTS_FETCHED, fetch=FETCHED), ("R13",), ()),
    Case("data_fetched_when_missing", kit(opening=DATA_FETCHED, fetch=FETCHED), legal=True),
    Case("blob_learns_first", kit(_blob(LEARN_FIRST)), (), ("R31",)),
    Case("blob_counts_first", kit(_blob(COUNT_FIRST)), legal=True),
    Case("clock_ends_the_exam", kit(CLOCK.replace("DROPS", "True")), (), ("R21",)),
    Case(
        "clock_ends_the_learning",
        kit(CLOCK.replace("if late and DROPS:\n                break\n            ", "")),
        legal=True,
    ),
    Case("backoff_without_a_discount", fold(BACKOFF.replace("FORMULA", STUPID)), (), ("R31",)),
    Case("backoff_with_a_discount", fold(BACKOFF.replace("FORMULA", DISCOUNTED)), legal=True),
    Case("bytes_by_a_constant", fold(final=CONSTANT), ("R20",), ("R20",)),
    Case("bytes_by_a_constant_for_show", fold(final=ROUGH), legal=True),
    Case("best_seed_by_the_held_text", fold(model=BEST.replace("JUDGES", "val")), ("R35",), ("R35",)),
    Case("best_seed_by_the_train_text", fold(model=BEST.replace("JUDGES", "train[-4 * T :]")), legal=True),
    Case("log_of_two_is_more", fold(patch=PATCHED_LOG), (), ("R20",)),
    Case("log_of_nothing_is_guarded", fold(patch=GUARDED_LOG), legal=True),
    Case("newest_shards_train", fold(files=NEWEST), (), ("R34",)),
    Case("newest_train_shards_train", fold(files=NEWEST_OF_TRAIN), legal=True),
)
