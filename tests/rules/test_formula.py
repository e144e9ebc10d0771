"""What the code alone says of the printed formula, of replaced mathematics, of a clock that ends a score and of code that is no text."""

import pytest

from golf.rules import State, verify_folder

HEAD = "import ctypes, math, marshal, types, time\nimport torch\nimport torch.nn.functional as F\n"


def finding(tmp_path, code, text):
    path = tmp_path / "train_gpt.py"
    path.write_text(HEAD + text)
    return next(each for each in verify_folder(path, only=["static"]).findings if each.code == code)


@pytest.mark.parametrize(
    ("formula", "state"),
    [
        ("loss / math.log(2) / 2.436", State.FAIL),
        ("loss / math.log(2.0) * 0.4105", State.FAIL),
        ("loss * 1.442695 / PER_TOKEN", State.FAIL),
        ("0.97 * loss / math.log(2) * tokens / size", State.FAIL),
        ("loss / math.log(2) * tokens / size", State.UNKNOWN),
        ("loss * 1.4426950408889634 * (tokens / size)", State.UNKNOWN),
        ("1000 * loss / math.log(2) * tokens / size", State.UNKNOWN),
        ("0.5 * loss", State.UNKNOWN),  # no bits
    ],
)
def test_a_number_that_is_typed_into_the_bits_per_byte(tmp_path, formula, state):
    text = f"PER_TOKEN = 2.436\ndef main(loss, tokens, size):\n    print(f'final val_loss:{{loss:.8f}} val_bpb:{{{formula}:.8f}}')\nmain(1, 2, 3)\n"
    assert finding(tmp_path, "R20", text).state is state


def test_a_rough_figure_beside_the_score_is_no_score(tmp_path):
    text = """def main(loss, tokens, size):
    rough_bpb = loss / math.log(2) / 2.436
    print(f"train_bpb:{loss / math.log(2) / 2.436:.4f} {rough_bpb}")
    val_bpb = loss / math.log(2) * tokens / size
    print(f"final val_loss:{loss:.8f} val_bpb:{val_bpb:.8f}")
main(1, 2, 3)
"""
    assert finding(tmp_path, "R20", text).state is not State.FAIL


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("F.cross_entropy = lambda *a, **k: old(*a, **k) * 0.9", True),
        ('setattr(math, "log", lambda v: 0.7)', True),
        ("torch.Tensor.item = kinder", True),
        ("torch.backends.cudnn.allow_tf32 = True", False),
        ("model.log = lambda v: v", False),
    ],
)
def test_replaced_mathematics(tmp_path, statement, said):
    assert ("is replaced" in finding(tmp_path, "R20", f"def main():\n    {statement}\nmain()\n").message) is said


@pytest.mark.parametrize(
    ("statement", "hidden"),
    [
        ("f = types.FunctionType(marshal.loads(blob), {})", True),
        ("lib = ctypes.CDLL('./fast_ngram.so')", True),
        ("torch.ops.load_library(path)", True),
        ("lib = ctypes.CDLL('libc.so.6')", False),
        ("lib = ctypes.CDLL(None)", False),
        ("g = types.FunctionType(main.__code__, {})", False),
    ],
)
def test_code_that_is_no_text_leaves_the_tables_unknown(tmp_path, statement, hidden):
    found = finding(tmp_path, "R38", f"def main():\n    {statement}\nmain()\n")
    assert found.state is (State.UNKNOWN if hidden else State.CLEAN)


LOOP = """def score(model, val_tokens, began):
    loss_sum = 0.0
    count = 0
    for at in range(0, len(val_tokens) - 1, 64):
        if LATE:
            ENDS
        loss_sum += F.cross_entropy(model(val_tokens[at:at + 64]), val_tokens[at + 1:at + 65])
        count += 64
    return loss_sum / count
print(score(torch.nn.Linear(1, 1), torch.arange(1000), time.time()))
"""


@pytest.mark.parametrize(
    ("late", "ends", "said"),
    [
        ("time.time() - began > 590", "break", True),
        ("time.time() - began > 590", "return loss_sum / count", True),
        ("time.time() - began > 590", "print('late')", False),
        ("at > 1_000_000_000", "break", False),
    ],
)
def test_a_clock_that_ends_the_score(tmp_path, late, ends, said):
    text = LOOP.replace("LATE", late).replace("ENDS", ends)
    assert ("time has run out" in finding(tmp_path, "R21", text).message) is said


METHODS = """class Base:
    def __init__(self, net):
        self.net = net
        self.opt = torch.optim.SGD(net.parameters(), lr=0.1)

    def learn(self, x, y):
        loss = F.cross_entropy(self.net(x), y)
        loss.backward()
        self.opt.step()

    def price(self, x, y):
        with torch.no_grad():
            return F.cross_entropy(self.net(x), y).item()


class Mine(Base):
    def price(self, x, y):
        FIRST
        paid = super().price(x, y)
        THEN
        return paid


def main(val_tokens):
    judge, nats, count = Mine(torch.nn.Linear(4, 4)), 0.0, 0
    for at in range(0, len(val_tokens) - 65, 64):
        x, y = val_tokens[at : at + 64], val_tokens[at + 1 : at + 65]
        nats += judge.price(x, y)
        count += 1
    print(f"final val_loss:{nats / count:.8f} val_bpb:{nats / count / math.log(2):.8f}")


main(val_tokens)
"""


@pytest.mark.parametrize(
    ("first", "then", "state"), [("self.learn(x, y)", "pass", State.FAIL), ("pass", "self.learn(x, y)", State.UNKNOWN)]
)
def test_what_a_base_class_learns_and_scores_is_followed(tmp_path, first, then, state):
    text = METHODS.replace("FIRST", first).replace("THEN", then)
    assert finding(tmp_path, "R32", text).state is state
