"""What plays of whole small scripts show: which products are read back and by which route, what the loaded tensors decide, what adapts
by hand, and what a trained model's own input gives away."""

import math
from types import SimpleNamespace

import pytest
import torch

from golf.harness.box import Box, standing
from golf.harness.inside import flex
from golf.harness.inside.cpu import attention_varlen
from golf.harness.texts import uniform_text
from golf.harness.vocabulary import mixed
from golf.harness.whole import Way, Whole, Wish
from golf.rules.experiments.law import gain_of
from golf.rules.experiments.printed import printed_scores

pytestmark = pytest.mark.skipif(bool(standing().missing), reason=f"no walls here: {standing().missing}")

SCRIPT = """
import glob, io, math, os, zlib
import numpy as np, torch, torch.nn.functional as F

V, STEPS = int(os.environ["VOCAB_SIZE"]), int(os.environ.get("ITERATIONS", "3"))
load = lambda kind: torch.from_numpy(np.fromfile(glob.glob(os.environ["DATA_PATH"] + f"/fineweb_{kind}_*.bin")[0], "<u2", offset=1024).astype("i8"))

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Parameter(0.02 * torch.randn(V, 24))
        self.mix = torch.nn.Parameter(torch.eye(24) + 0.01 * torch.randn(24, 24))
    def nats(self, x, y):
        h = self.table[x]
        h = h + (SHIFT) @ self.mix
        return F.cross_entropy(h @ self.table.T, y)

torch.manual_seed(int(os.environ.get("SEED", "1")))
net, train, val = Net(), load("train"), load("val")
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for step in range(STEPS):
    x = train[step * 64 : step * 64 + 65]
    optimizer.zero_grad(); net.nats(x[:-1], x[1:]).backward(); optimizer.step()
raw = b"".join(p.detach().numpy().tobytes() for p in net.parameters())
buffer = io.BytesIO(); torch.save(net.state_dict(), buffer)
KEEP
READ
def by_hand(x, y):
    for parameter, gradient in zip(net.parameters(), torch.autograd.grad(net.nats(x, y), list(net.parameters()))):
        parameter.data -= 0.01 * gradient

nats = 0.0
for a in range(0, len(val) - 1, 128):
    x, y = val[a : a + 129][:-1], val[a + 1 : a + 129]
    FIRST
    with torch.no_grad():
        nats += float(net.nats(x, y)) * len(y)
    THEN
print(f"final val_loss:{nats / (len(val) - 1):.8f} val_bpb:1.0")
"""
WHOLE = {
    "SHIFT": "torch.cat([h[:1] * 0, h[:-1]])", "KEEP": "open('kept.bin', 'wb').write(zlib.compress(buffer.getvalue()))",
    "READ": "net.load_state_dict(torch.load(io.BytesIO(zlib.decompress(open('kept.bin', 'rb').read()))))", "FIRST": "", "THEN": "",
}  # fmt: skip
SHOWN_ONLY = (
    "other = Net(); other.load_state_dict(torch.load(io.BytesIO(zlib.decompress(open('kept.bin', 'rb').read()))))"
)
RAW = {
    "KEEP": "number = os.open('kept.raw', os.O_CREAT | os.O_WRONLY); os.write(number, raw); os.close(number)",
    "READ": """
number = os.open('kept.raw', os.O_RDONLY)
values = torch.from_numpy(np.frombuffer(os.read(number, len(raw)), np.float32).copy())
with torch.no_grad():
    for parameter, part in zip(net.parameters(), values.split([p.numel() for p in net.parameters()])):
        parameter.copy_(part.view_as(parameter))
""",
}
VOCABULARY = mixed(64)
TEXT, TRAIN = uniform_text(VOCABULARY, 2048, 3), uniform_text(VOCABULARY, 8000, 4)


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    with Box() as box:

        def one(changes, way=Way(), **wish):  # noqa: B008
            text = SCRIPT
            for name, part in {**WHOLE, **changes}.items():
                text = text.replace(name, part)
            script = tmp_path_factory.mktemp("script") / "train_gpt.py"
            script.write_text(text)
            whole = Whole(box, script, None, sources=(text,))
            whole.way = way
            played = whole.play(VOCABULARY, TRAIN.ids, TEXT.ids, Wish(**wish))
            assert played.ran, played.text[-800:]
            return played

        yield one


def loss_of(played):
    return printed_scores(played.text)[-1].loss


def gain(played):
    return gain_of(printed_scores(played.text)[-1], TEXT, 1, targets=TEXT.targets).nats


@pytest.mark.parametrize("changes", [{}, RAW], ids=["open", "os.open"])
def test_a_twin_reads_garbage_where_the_run_reads_its_product(play, changes):
    played = play(changes, twin="garbage")
    assert played.unread == () and played.happened("read back")
    assert played.last_twin is not None
    assert not [each for each in printed_scores(played.last_twin) if math.isfinite(each.loss)]


def test_a_twin_whose_garbage_decides_nothing_prints_the_same_score(play):
    """What a twin prints counts only where it went on: one that died at the fork would prove that everything decides."""
    only_read = play({"READ": "len(open('kept.bin', 'rb').read())"}, twin="garbage")
    assert [each.loss for each in printed_scores(only_read.last_twin)] == [loss_of(only_read)]


def test_what_is_laid_for_a_script_hangs_on_what_it_reads(play):
    counts = "np.fromfile(os.environ['DATA_PATH'] + '/fineweb_val_bytes_000000.bin', '<u2', offset=1024)"
    shown = play({"KEEP": f"open('sum.txt', 'w').write(str(int({counts}.sum())))", "READ": ""})
    assert str(TEXT.text_bytes) in shown.text.split()
    assert (
        "side-car"
        in play({"READ": "print('no side-car' if len(glob.glob(os.environ['DATA_PATH'] + '/*')) == 2 else '')"}).text
    )


KERNEL = """
import triton, triton.language as tl
from torch.nn.attention.varlen import varlen_attn
SIZE = tl.constexpr(8)
@triton.jit
def kernel(x): tl.store(x, tl.load(x))
if TENSOR: kernel[(SIZE.value,)](net.table)
"""


def test_a_kernel_runs_by_its_own_text_or_gives_way_to_the_twin_that_a_script_has_for_the_cpu(play, tmp_path):
    assert play({"READ": KERNEL.replace("TENSOR", "False")}).ran, "defined and not launched"
    assert play({"READ": KERNEL.replace("TENSOR", "net.table.is_cuda")}).ran
    unknown = KERNEL.replace("tl.load(x)", "tl.warp_shuffle(x)").replace("TENSOR", "net.table.is_cuda")
    with pytest.raises(AssertionError, match="the Triton kernel kernel has no twin here"):
        play({"READ": unknown})
    assert play({"READ": unknown}, way=Way(is_cuda=False)).ran
    ways = Whole.ways(SimpleNamespace(texts=["x.half() if x.is_cuda else x"]))
    assert ways == [Way(), Way(half=True), Way(is_cuda=False)]


@pytest.mark.parametrize("causal", [{"causal": True}, {"is_causal": True}, {"window_size": (-1, 0)}])
def test_attention_over_documents_is_attention_of_each(causal):
    torch.manual_seed(0)
    q, k, v = torch.randn(10, 4, 8), torch.randn(10, 2, 8), torch.randn(10, 2, 8)
    found = attention_varlen(q, k, v, torch.tensor([0, 4, 10]), torch.tensor([0, 4, 10]), 6, 6, **causal)
    k, v = k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)
    for a, b in ((0, 4), (4, 10)):
        scores = torch.einsum("qhd,khd->hqk", q[a:b], k[a:b]) / 8**0.5
        weights = scores.masked_fill(torch.ones(b - a, b - a).triu(1).bool(), float("-inf")).softmax(-1)
        torch.testing.assert_close(found[a:b], torch.einsum("hqk,khd->qhd", weights, v[a:b]))


def test_what_nothing_read_is_told_by_its_time_of_access(play):
    assert play({"READ": ""}).unread == ("kept.bin",)
    native = "open('kept.bin', 'rb')"
    assert play({"READ": WHOLE["READ"].replace(native, "io.FileIO('kept.bin')")}).unread == (), "by a route of no name"


def test_disturbed_tensors_change_the_score_where_they_decide_it(play):
    assert loss_of(play({}, twin="disturbed")) != loss_of(play({}))
    only_shown = play({"READ": SHOWN_ONLY}, twin="disturbed")
    assert only_shown.happened("disturbed") and loss_of(only_shown) == loss_of(play({"READ": SHOWN_ONLY}))


def test_what_adapts_by_hand_is_sped_up(play):
    adapts = {"FIRST": "for _ in range(3): by_hand(x, y)"}
    plain, fast = play(adapts), play(adapts, late_rate=1000.0)
    assert fast.happened("late optimizer") and gain(fast) > gain(plain) + 5.0
    assert gain(play({"THEN": "by_hand(x, y)"}, late_rate=1000.0)) < 5.0, "score first gains nothing at any rate"


def test_a_trained_model_shows_what_its_own_input_gives_away(play):
    """A shift by one in the wrong direction is worth nothing untrained, and all that there is after a hundred steps."""
    sees = {"SHIFT": "torch.cat([h[1:], h[:1] * 0])"}
    trained = {"train_rate": 1.0, "extra": {"ITERATIONS": "100"}}
    assert gain(play(sees)) < 20.0 < 200.0 < gain(play(sees, **trained))
    assert gain(play({}, **trained)) <= 0.5


FUNCTIONAL = """def by_hand(x, y):
    from torch.func import grad
    from torch.utils.checkpoint import checkpoint
    checkpoint(net.nats, x, y, use_reentrant=False).backward()
    slope = grad(lambda table: F.cross_entropy(table[x] @ table.T, y))(net.table.detach())
    print("slope", float(slope.abs().sum()) > 0)
"""


def test_gradients_of_functions_and_checkpoints_run_without_a_compiler(play):
    assert "slope True" in play({"def by_hand(x, y):\n": FUNCTIONAL, "FIRST": "by_hand(x, y)"}).text


def test_parameters_in_no_optimizer_are_told_and_those_moved_by_hand_are_not(play):
    some = {"Adam(net.parameters()": "Adam([net.table]"}
    assert play(some).happened("unowned") == [{"event": "unowned", "names": ["mix"]}]
    moved = {"optimizer.step()": "optimizer.step(); net.mix.data -= 0.1 * net.mix.grad"}
    assert not play({**some, **moved}).happened("unowned") and not play({}).happened("unowned")
    frozen = {"optimizer = ": "net.mix.requires_grad_(False); optimizer = "}
    assert not play({**some, **frozen}).happened("unowned"), "what is frozen asks for no gradient"


def test_a_twin_goes_on_alone_with_the_artifact_in_an_empty_folder(play):
    played = play({}, twin="alone")
    assert [each.loss for each in printed_scores(played.last_twin)] == [loss_of(played)], played.twin_text
    assert played.happened("alone")
    beside = "open('beside.txt', 'w').write('1'); " + WHOLE["KEEP"]
    absolute = (
        "assert open(os.path.abspath('beside.txt')).read(); assert open('beside.txt', 'rb').read(); " + WHOLE["READ"]
    )
    leans = play({"KEEP": beside, "READ": WHOLE["READ"] + "; assert os.path.exists('beside.txt')"}, twin="alone")
    assert not printed_scores(leans.last_twin), "what lies beside is not there"
    assert loss_of(play({"KEEP": beside, "READ": absolute}, twin="alone"))


LOGS = {
    "KEEP": "os.makedirs('logs'); " + WHOLE["KEEP"],
    "READ": WHOLE["READ"] + "; open('logs/run.txt', 'a').write('read'); assert not os.listdir('logs')[1:]",
}
TWO = {
    "KEEP": "torch.save(net.state_dict(), 'raw.pt'); " + WHOLE["KEEP"],
    "READ": "torch.load('raw.pt'); " + WHOLE["READ"],
}


def test_a_twin_that_has_moved_finds_the_folder_of_its_log(play):
    assert loss_of(played := play(LOGS, twin="alone")) == printed_scores(played.last_twin)[-1].loss


def test_a_twin_is_of_one_product_and_so_is_what_was_kept(play):
    played = play(TWO, twin="alone", product="kept.bin", keep=True)
    assert [each["path"].rpartition("/")[2] for each in played.happened("alone")] == ["kept.bin"]
    swapped = play(TWO, kept=True, product="kept.bin")
    assert [each["path"].rpartition("/")[2] for each in swapped.happened("read another's")] == ["kept.bin"]


CAUSAL = torch.ones(12, 12).tril().bool()
DOCS = torch.tensor([0] * 5 + [1] * 7)


def dense(q, k, v, allowed, bias=0.0):
    scores = (q @ k.transpose(-1, -2) / 8**0.5 + bias).masked_fill(~allowed, float("-inf"))
    return scores.softmax(-1) @ v


@pytest.mark.parametrize(
    ("mod", "allowed"),
    [
        (lambda b, h, q, kv: q >= kv, CAUSAL),
        (lambda b, h, q, kv: (q >= kv) & (DOCS[q] == DOCS[kv]), CAUSAL & (DOCS[:, None] == DOCS)),
        (flex.and_masks(lambda b, h, q, kv: q >= kv, lambda b, h, q, kv: q - kv < 3), CAUSAL & ~CAUSAL.tril(-3)),
        (
            flex.or_masks(lambda b, h, q, kv: q == kv, lambda b, h, q, kv: kv == 0),
            torch.eye(12).bool() | (torch.arange(12) == 0),
        ),
    ],
    ids=["causal", "documents", "window", "sink"],
)
def test_flexible_attention_is_attention_under_its_mask(mod, allowed):
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 4, 12, 8), torch.randn(2, 2, 12, 8), torch.randn(2, 2, 12, 8)
    mask = flex.create_block_mask(mod, None, None, 12, 12, device="cpu")
    found = flex.flex_attention(q, k, v, block_mask=mask, enable_gqa=True)
    torch.testing.assert_close(found, dense(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1), allowed))


def test_flexible_attention_changes_scores_and_takes_masks_by_blocks():
    torch.manual_seed(1)
    q, k, v = torch.randn(1, 2, 12, 8), torch.randn(1, 2, 12, 8), torch.randn(1, 2, 12, 8)
    slope = torch.tensor([0.5, 0.25])
    found = flex.flex_attention(q, k, v, score_mod=lambda s, b, h, i, j: s + slope[h] * (j - i))
    bias = slope[:, None, None] * (torch.arange(12)[None, :] - torch.arange(12)[:, None])
    torch.testing.assert_close(found, dense(q, k, v, torch.ones(12, 12).bool(), bias))
    # blocks of four: the own block by the mask, the one before in full
    counts, full = torch.ones(1, 1, 3, dtype=torch.int32), torch.tensor([[[0, 1, 1]]])
    own, before = (
        torch.tensor([[[[0, 1, 2], [1, 0, 2], [2, 0, 1]]]]),
        torch.tensor([[[[0, 1, 2], [0, 1, 2], [1, 0, 2]]]]),
    )
    mask = flex.BlockMask.from_kv_blocks(counts, own, full, before, BLOCK_SIZE=4, mask_mod=lambda b, h, q, kv: q >= kv)
    block = torch.arange(12) // 4
    allowed = CAUSAL & (block[:, None] - block <= 1)
    assert mask.dense[0, 0].equal(allowed)
    torch.testing.assert_close(flex.flex_attention(q, k, v, block_mask=mask), dense(q, k, v, allowed))
    nothing = flex.create_block_mask(lambda b, h, q, kv: (q > 0) & (q >= kv), 1, 1, 12, 12)
    assert flex.flex_attention(q, k, v, block_mask=nothing)[:, :, 0].eq(0).all(), "a query that may look at nothing"


FLEXIBLE = """
from torch.nn.attention.flex_attention import flex_attention, create_block_mask
flex = torch.compile(flex_attention, dynamic=False)
mask = create_block_mask(lambda b, h, q, kv: q >= kv, B=None, H=None, Q_LEN=16, KV_LEN=16, device="cuda", _compile=True)
print("flexible", tuple(flex(*[torch.randn(1, 2, 16, 8) for _ in range(3)], block_mask=mask).shape))
"""


def test_a_script_with_flexible_attention_runs(play):
    assert "flexible (1, 2, 16, 8)" in play({"READ": WHOLE["READ"] + FLEXIBLE}).text
