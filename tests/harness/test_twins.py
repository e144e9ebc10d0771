"""What plays of whole small scripts show: which products are read back and by which route, what the loaded tensors decide, what adapts
by hand, and what a trained model's own input gives away."""

from types import SimpleNamespace

import pytest
import torch

from golf.harness.box import Box, standing
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
    assert [each.loss for each in printed_scores(played.last_twin)] != [loss_of(played)]


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


def test_a_kernel_gives_way_to_the_twin_that_a_script_has_for_the_cpu(play, tmp_path):
    assert play({"READ": KERNEL.replace("TENSOR", "False")}).ran, "defined and not launched"
    with pytest.raises(AssertionError, match="the Triton kernel kernel has no twin here"):
        play({"READ": KERNEL.replace("TENSOR", "net.table.is_cuda")})
    assert play({"READ": KERNEL.replace("TENSOR", "net.table.is_cuda")}, way=Way(is_cuda=False)).ran
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
