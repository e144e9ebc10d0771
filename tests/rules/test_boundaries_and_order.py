"""R42 and R23 by the code: look-backs over document starts and queues by length, in several styles, each beside a lawful look-alike."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from golf.reading.script import parse
from golf.rules.checks.static_mix import smear_boundary
from golf.rules.checks.static_recipe import boundary, one_order, order
from golf.rules.checks.static_ttt import reordering
from golf.rules.code import Code
from golf.rules.findings import State
from golf.rules.verify import verify_folder

ISOLATED = "def attend(q, k, v, cu_seqlens):\n    return flash(q, k, v, cu_seqlens)\nattend\n"


class Asked(SimpleNamespace):
    """What a detector asks of a subject."""

    def once(self, _, make):
        return make(self)


def subject_of(text):
    return Asked(code=Code([parse(Path("train_gpt.py"), text)]))


def smear(*lines, name="Smear", args="x"):
    body = "\n        ".join(lines)
    return f"{ISOLATED}class {name}(nn.Module):\n    def forward(self, {args}):\n        {body}\n{name}()\n"


OPEN = {
    "slices": smear("g = self.gate", "return torch.cat([x[:, :1], x[:, 1:] + g * x[:, :-1]], 1)"),
    "pad": smear("return x + self.g * F.pad(x, (0, 0, 1, -1))"),
    "pad and cut": smear("prev = F.pad(x, (0, 0, 1, 0))[:, :-1]", "return (1 - self.g) * x + self.g * prev"),
    "roll": smear("back = torch.roll(x, 1, dims=1)", "back[:, 0] = 0", "return x + back * self.g"),
    "method roll": smear("return x + self.g * x.roll(1, 1)"),
    "lerp": smear("shifted = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)", "return torch.lerp(x, shifted, self.g)", name="Blend"),
    "narrow": smear("prev = F.pad(x.narrow(1, 0, x.size(1) - 1), (0, 0, 1, 0))", "return x + self.g * prev", name="TokenShift"),
    "in place": smear("prev = x[:, :-1]", "x[:, 1:] += self.g * prev", "return x"),
    "ellipsis": smear("prev = F.pad(x[..., :-1, :], (0, 0, 1, 0))", "return x + self.g * prev"),
    "ids unused": smear("return x + self.g * F.pad(x, (0, 0, 1, -1))", args="x, ids"),
    "gate by the token": smear("g = torch.sigmoid(self.w(x[..., :12]))", "return x + g * F.pad(x, (0, 0, 1, -1))"),
}  # fmt: skip
MASKED = {
    "bos": smear("g = self.g * (ids != 1).unsqueeze(-1)", "return x + g * F.pad(x, (0, 0, 1, -1))", args="x, ids"),
    "bos of inputs": smear("live = (input_ids[:, 1:] != self.bos)[..., None]", "return torch.cat([x[:, :1], x[:, 1:] + self.g * live * x[:, :-1]], 1)", args="x, input_ids"),
    "where": smear("prev = x.roll(1, 1)", "prev = torch.where(first_of_doc[..., None], 0.0, prev)", "return x + self.g * prev", args="x, first_of_doc"),
    "same document": smear("same = (doc[:, 1:] == doc[:, :-1])[..., None]", "prev = x[:, :-1] * same", "return torch.cat([x[:, :1], x[:, 1:] + self.g * prev], 1)", args="x, doc"),
    "by steps": smear("starts = tokens == 1", "keep = 1.0 - starts.float()", "g = keep[..., None] * self.g", "return x + g * F.pad(x, (0, 0, 1, -1))", args="x, tokens"),
}  # fmt: skip
NONE = {
    "a loss": f"{ISOLATED}class Shift:\n    def loss(self, ids):\n        return F.cross_entropy(self.model(ids[:, :-1]), ids[:, 1:])\nShift()\n",
    "a hash": smear("return (36313 * t[:, 1:] ^ 27191 * t[:, :-1]) % 1023", args="t"),
    "rotary": smear("a, b = x[..., :32], x[..., 32:]", "return torch.cat([a * c + b * s, b * c - a * s], -1)", args="x, c, s", name="MixRotary"),
    "differences": smear("return (x[:, 1:] - x[:, :-1]).abs().mean()"),
    "residual": smear("return self.mix[0] * x + self.mix[1] * x0", args="x, x0"),
}  # fmt: skip


@pytest.mark.parametrize("name", OPEN)
def test_an_open_look_back_is_found_in_a_script_that_isolates_documents(name):
    (result,) = smear_boundary(subject_of(OPEN[name]))
    assert (result.state, result.strict) == (State.UNKNOWN, State.FAIL) and "looks one token back" in result.message


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_look_back_is_no_sign(name):
    (result,) = smear_boundary(subject_of(MASKED[name]))
    assert result.state is State.PASS and "masked" in result.message


@pytest.mark.parametrize("name", NONE)
def test_what_only_looks_like_a_look_back_is_none(name):
    (result,) = smear_boundary(subject_of(NONE[name]))
    assert result.state is State.PASS and "no one-token look-back" in result.message


def test_where_documents_are_not_isolated_an_open_look_back_is_as_in_march():
    (result,) = smear_boundary(subject_of(OPEN["pad"].replace("cu_seqlens", "mask")))
    assert (result.state, result.strict) == (State.PASS, State.UNKNOWN)


def evaluator(queue, learns="", before=""):
    body = "\n    ".join(queue)
    return (
        f"def eval_documents(model, val_tokens, starts, stops):\n    {before or 'total = 0.0'}\n    {body}\n    for doc in order:\n"
        f"        nll = loss_of(model, val_tokens[starts[doc]:stops[doc]])\n        {learns or 'pass'}\n    return nll\n"
        "eval_documents(model, val_tokens, starts, stops)\n"
    )


LEARNS = "nll.mean().backward(); optimizer.step()"
QUEUES = {
    "sorted": ["lengths = [b - a for a, b in zip(starts, stops)]", "order = sorted(range(len(starts)), key=lambda i: lengths[i])"],
    "argsort of a difference": ["order = torch.argsort(stops - starts, stable=True)"],
    "numpy": ["size = np.diff(bounds)", "order = np.argsort(-size)"],
    "in place": ["order = [(b - a, i) for i, (a, b) in enumerate(zip(starts, stops))]", "order.sort(reverse=True)"],
    "heap": ["order = heapq.nlargest(len(docs), docs, key=len)"],
}  # fmt: skip


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_by_length_is_contested_where_what_learns_goes_on(name):
    (result,) = reordering(subject_of(evaluator(QUEUES[name], LEARNS)))
    assert (result.state, result.strict) == (State.UNKNOWN, State.FAIL) and "by length" in result.message


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_decides_nothing_where_nothing_learns(name):
    (result,) = reordering(subject_of(evaluator(QUEUES[name])))
    assert result.state is State.CLEAN and result.strict is None and "decides nothing" in result.message


def test_a_queue_with_a_fresh_start_for_every_document_is_not_told_by_the_code():
    (result,) = reordering(subject_of(evaluator(QUEUES["sorted"], f"adapters.reset(); {LEARNS}")))
    assert (result.state, result.strict) == (State.UNKNOWN, None)


def test_an_order_by_loss_is_broken():
    (result,) = reordering(subject_of(evaluator(["order = sorted(docs, key=lambda d: first_loss[d])"])))
    assert result.state is State.FAIL


@pytest.mark.parametrize(
    "queue",
    [
        ["files = sorted(glob.glob('fineweb_val_*.bin'), key=len)", "order = range(len(starts))"],
        ["top = logits.topk(5).indices", "order = range(9)"],
        ["order = sorted(state_dict, key=len)"],
        ["order = range(len(starts))"],
    ],
)
def test_other_sorting_is_no_order_of_documents(queue):
    (result,) = reordering(subject_of(evaluator(queue, LEARNS)))
    assert result.state is State.PASS


def test_training_documents_may_be_sorted():
    text = "def make_train_batches(docs):\n    return sorted(docs, key=len)\nmake_train_batches(train_docs)\n"
    (result,) = reordering(subject_of(text))
    assert result.state is State.PASS


@pytest.mark.parametrize(
    ("recipe", "more", "told"),
    [
        ("pr2135", "", {boundary: "smear_bos_mask", order: "reports", one_order: "tilt"}),
        ("pr2135", "[smear_input]\nsmear_bos_mask = true\n", {order: "reports", one_order: "tilt"}),
        ("pr2135_legal", "", {}),
        ("pr1855", "", {order: "reports"}),
        ("pr1530", "[ttt_lora]\nlora_warm_a = true\n", {order: "lora_warm_a"}),
        ("pr1530", "[ttt_lora]\nlora_warm_a = false\n", {}),
        ("pr1809", "", {}),
        ("baseline", "", {}),
    ],
)
def test_what_a_recipe_knows_of_its_script_reaches_the_verdict(recipe, more, told, tmp_path):
    (tmp_path / "recipe.toml").write_text(f'name = "mine"\nextends = "{recipe}"\n{more}')
    subject = Asked(kind="script", path=tmp_path / "train_gpt.py", folder=tmp_path, claims=None)
    found = {check: list(check(subject)) for check in (boundary, order, one_order)}
    assert {
        check: results[0].message.rpartition("(")[2].split("`")[1] for check, results in found.items() if results
    } == told
    assert all(result.strict is State.FAIL for results in found.values() for result in results)


def test_a_recipe_that_cannot_be_read_says_nothing(tmp_path):
    (tmp_path / "recipe.toml").write_text("name = [")
    (tmp_path / "train_gpt.py").write_text("x = 1\n")
    verdict = verify_folder(tmp_path / "train_gpt.py", only=("static",))
    assert next(each for each in verdict.findings if each.code == "R42").strict is not State.FAIL
