"""Composing whole files from the toy parts: same bits as the library, nothing unneeded, nothing lost, always the same text."""

import ast
import hashlib
import itertools
import random
import re
import signal
import subprocess
import sys

import pytest
import torch
from places import HELPERS
from toy_parts.entry import run

from golf.compose import compose, rescale, scalars
from golf.compose.composition import composition
from golf.compose.emit import RUFF, STYLE
from golf.compose.pack import minify, pack
from golf.errors import GolfError
from golf.files import toml
from golf.reading.unpack import unpack
from golf.recipe import load_recipe, smoke_recipe, smoke_sizes
from golf.recipe.namespace import namespace

GOLDEN = HELPERS / "toy_parts" / "golden.txt"
EVERYTHING = {
    "attn_out": ["xsa.XSA", "gate.Gate"],
    "block": "parallel.ParallelBlock",
    "embed": ["smear.smeared", "scaled_up"],
    "loop": 1,
    "softcap": 20.0,
    "query_gain": 1.5,
    "orthogonalize": "gram_ns",
    "row_norm": True,
    "wd": 0.1,
    "after_step": ["ema.EMA"],
}
SECTIONS = {
    "attn_out": "attention",
    "query_gain": "attention",
    "block": "model",
    "embed": "model",
    "loop": "model",
    "softcap": "model",
}


@pytest.fixture
def recipe(tmp_path):
    """recipe(attn_out=…) is the toy with these values."""

    def make(_techniques=None, **values):
        folder = tmp_path / "submissions" / "toy"
        folder.mkdir(parents=True, exist_ok=True)
        sections = {}
        for name, value in values.items():
            sections.setdefault(SECTIONS.get(name, "muon"), []).append(f"{name} = {toml(value)}\n")
        text = 'name = "toy"\ntitle = "a toy"\nentry = "toy_parts.entry:main"\n'
        text += "".join(f"[{section}]\n" + "".join(rows) for section, rows in sections.items())
        (folder / "recipe.toml").write_text(text, encoding="utf-8")
        for file, source in (_techniques or {}).items():
            (folder / "techniques").mkdir(exist_ok=True)
            (folder / "techniques" / file).write_text(source, encoding="utf-8")
        return load_recipe(folder)

    return make


def executed(text):
    names = {"__name__": "generated", "__file__": "train_gpt.py"}
    exec(compile(text, "train_gpt.py", "exec"), names)
    return names


def same_bits(text, made):
    losses, weights = executed(text)["run"]()
    wanted_losses, wanted = run(namespace(made))
    return (
        losses == wanted_losses
        and list(weights) == list(wanted)
        and all(torch.equal(weights[k], wanted[k]) for k in wanted)
    )


CHOICES = {
    "block": ["Block", "parallel.ParallelBlock"],
    "orthogonalize": ["newton_schulz", "gram_ns"],
    "attn_out": [[], ["xsa.XSA"], ["gate.Gate"], ["xsa.XSA", "gate.Gate"], ["gate.Gate", "xsa.XSA"]],
    "embed": [[], ["smear.smeared"], ["scaled_up", "smear.smeared"]],
    "after_step": [[], ["ema.EMA"]],
    "loop": [0, 1],
    "row_norm": [False, True],
    "wd": [0.0, 0.1],
}
COMBINATIONS = [dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values())]


def test_generated_equals_library_bit_for_bit(recipe):
    for values in COMBINATIONS[::61]:
        made = recipe(**values)
        assert same_bits(compose(made), made), values


def of_every_three() -> list[dict]:
    """Combinations that hold every three choices together: what one choice changes between two others is among them."""
    rng, seen, kept = random.Random(1), set(), []

    def threes(values: dict) -> set:
        return set(itertools.combinations(((name, str(value)) for name, value in values.items()), 3))

    wanted = len(set().union(*map(threes, COMBINATIONS)))
    while len(seen) < wanted:
        best = max(rng.sample(COMBINATIONS, 60), key=lambda values: len(threes(values) - seen))
        kept.append(best)
        seen |= threes(best)
    return kept


@pytest.mark.slow
def test_generated_equals_library_with_every_three_choices_together(recipe):
    for values in of_every_three():
        made = recipe(**values)
        assert same_bits(compose(made), made), values


def test_the_composed_file_reads_like_the_golden_one(recipe):
    text = compose(recipe(**EVERYTHING))
    if "GOLF_UPDATE_GOLDEN" in __import__("os").environ:
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_the_text_does_not_depend_on_the_hash_seed_or_on_what_was_composed_before(recipe):
    made = recipe(**EVERYTHING)
    code = f"import sys; sys.path.insert(0, {str(GOLDEN.parents[1])!r}); from golf.recipe import load_recipe; from golf.compose import compose; import hashlib; print(hashlib.sha256(compose(load_recipe({str(made.path)!r})).encode()).hexdigest())"
    wanted = hashlib.sha256(compose(made).encode()).hexdigest()
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**__import__("os").environ, "PYTHONHASHSEED": seed},
        )
        assert done.stdout.strip() == wanted


def test_composing_formats_again_to_the_same_text_with_sorted_imports(recipe):
    text = compose(recipe(**EVERYTHING))
    for arguments in (("format", "--check", *STYLE), ("check", *STYLE, "--select", "F,E4,E7,E9,I,W")):
        done = subprocess.run(
            [*RUFF, *arguments, "--no-cache", "-"], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_only_dead_branches_used_disappears(recipe):
    text = compose(recipe())
    for gone in (
        "members",
        "EMA",
        "softcap",
        "never_called",
        "UNUSED",
        "class Knobs",
        "gram",
        "ns_steps: int",
        "self.h",
        "row_norm",
        "tanh",
    ):
        assert gone not in text
    assert "class h:" in text and "# Causal attention with hooks on its output." in text
    assert scalars(text) == {
        "num_heads": 2,
        "vocab_size": 13,
        "model_dim": 8,
        "num_layers": 2,
        "loop": 0,
        "ns_steps": 3,
        "lr": 0.05,
        "name": "toy",
        "steps": 3,
    }


def test_a_technique_at_a_point_leaves_the_rest_of_the_file_alone(recipe):
    plain, gated = compose(recipe()), compose(recipe(attn_out=["gate.Gate"]))
    added = [line for line in gated.splitlines() if line not in plain.splitlines()]
    without = {
        re.sub(r"(?<=\()layer(?=\))|, layer(?=\))", "", line) for line in gated.splitlines()
    }  # a parameter that the technique reads
    assert set(plain.splitlines()) - set(gated.splitlines()) - without == set()
    assert 10 < len(added) < 28


def test_comments_are_kept_and_origins_named(recipe):
    text = compose(recipe(attn_out=["xsa.XSA"]))
    for kept in (
        "# hooks see the heads' outputs",
        "# once, and again",
        "# u: (B, T, C)",
        "# Exclusive attention: take each head's own value direction out of its output (arXiv 0000.00000).",
        "#\n# Acts on the last `xsa_last_n` layers.\nclass XSA",
    ):
        assert kept in text


def test_the_twin_differs_inside_class_h_and_nowhere_else(recipe):
    made = recipe(**EVERYTHING)
    text = compose(made)
    twin = rescale(text, smoke_sizes(made))
    assert twin == compose(smoke_recipe(made)) and scalars(twin)["vocab_size"] == 7

    def outside(source):
        start = source.index("class h:")
        return source[:start], source[source.index("\n\n\n", start) :]

    assert outside(twin) == outside(text)
    changed = [(a, b) for a, b in zip(text.splitlines(), twin.splitlines(), strict=True) if a != b]
    assert len(changed) == 4 and all(a.split(" = ")[0] == b.split(" = ")[0] for a, b in changed)
    assert [a.partition("#")[2] for a, _ in changed] == [b.partition("#")[2] for _, b in changed]
    assert same_bits(twin, smoke_recipe(made))


def test_rescaling_a_minified_file_works_and_faults_are_clear(recipe):
    text = compose(recipe())
    small = rescale(minify(text), {"model_dim": 4, "absent": 3})
    assert scalars(small)["model_dim"] == 4 and len(executed(small)["run"]()[0]) == 3
    with pytest.raises(GolfError, match="`model_dim` is 8 and cannot become 'x'"):
        rescale(text, {"model_dim": "x"})
    with pytest.raises(GolfError, match="no `class h`"):
        rescale("x = 1\n", {})


@pytest.mark.slow
def test_the_packed_file_computes_the_same(recipe, tmp_path):
    made = recipe(**EVERYTHING)
    for dense in (False, True):
        path = tmp_path / "train_gpt.py"
        path.write_bytes(pack(compose(made), dense=dense))
        assert same_bits(unpack(path), made)
        done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
        losses = [f"{loss:.6f}" for loss in run(namespace(made))[0]]
        assert done.stdout == f"toy {losses} 11\n"


def test_every_statement_of_the_file_is_needed(recipe):
    """Delete each statement in turn: the file no longer parses, no longer runs, or gives other numbers."""
    text = compose(recipe(**EVERYTHING))
    wanted = executed(text)["run"]()
    lines = text.splitlines(keepends=True)
    survivors = [line for node, line in statements(text, lines) if survives(without(lines, node), wanted)]
    assert survivors == WAIVED


# what `run()` does not reach: the name in the log line, and the entry point that prints it
WAIVED = [
    '    name = "toy"',
    "def main():",
    "    losses, weights = run()",
    '    print(h.name, [f"{loss:.6f}" for loss in losses], len(weights))',
    'if __name__ == "__main__":',
    "    main()",
]


def statements(text, lines):
    for node in sorted(ast.walk(ast.parse(text)), key=lambda n: getattr(n, "lineno", 0)):
        if isinstance(node, ast.stmt) and not isinstance(node, ast.Import | ast.ImportFrom) and not is_docstring(node):
            yield node, lines[node.lineno - 1].rstrip("\n")


def is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def without(lines, node):
    indent = " " * node.col_offset
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return "".join([*lines[: first - 1], indent + "pass\n", *lines[node.end_lineno :]])


def survives(text, wanted):
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError()))
    signal.alarm(5)
    try:
        losses, weights = executed(text)["run"]()
        return (
            losses == wanted[0]
            and list(weights) == list(wanted[1])
            and all(torch.equal(weights[k], v) for k, v in wanted[1].items())
        )
    except Exception:
        return False
    finally:
        signal.alarm(0)


def test_unread_keys_are_all_named(recipe):
    with pytest.raises(GolfError) as fault:
        compose(load_recipe(recipe().path, ["ema_decay=0.5", "gate_window=2"]))
    assert fault.value.message == "`ema_decay` of toy is read by nothing in the composed file (and `gate_window`)"
    assert fault.value.hint == "remove it, or choose the technique that reads it  [toy_parts/techniques/ema.py]"


def test_a_key_that_only_settles_a_branch_counts_as_read(recipe):
    assert "softcap" in composition(recipe(softcap=0.0)).read


def test_an_assertion_of_a_part_becomes_the_users_error(recipe):
    with pytest.raises(GolfError, match=r"3 heads do not divide 8 dims  \[toy_parts/attention.py:33\]"):
        compose(load_recipe(recipe().path, ["num_heads=3"]))


MINE = '''"""Mine: double the output."""

from torch import nn

from toy_parts.layers import norm


class Knobs:
    mine_scale: float = 2.0  # how much


class Mine(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        self.h = h

    def forward(self, y, u):
        return self.h.mine_scale * norm(y)
'''


def test_a_users_technique_is_composed_like_a_shipped_one(recipe):
    made = recipe({"mine.py": MINE}, attn_out=["user:mine.Mine", "gate.Gate"])
    text = compose(made)
    assert (
        "# Mine: double the output.\nclass Mine" in text
        and "- Mine: double the output\n" in text
        and "mine_scale = 2.0  # how much" in text
    )
    assert same_bits(text, made) and "(Mine, Gate)" in text


def test_a_users_technique_may_use_its_neighbour(recipe):
    other = MINE.replace("from toy_parts.layers import norm", "from .layer_of_mine import mine_norm").replace(
        "norm(y)", "mine_norm(y)"
    )
    made = recipe(
        {"mine.py": other, "layer_of_mine.py": "def mine_norm(x):\n    return x / 3\n"}, attn_out=["user:mine.Mine"]
    )
    assert same_bits(compose(made), made)


def test_a_users_technique_obeys_the_rules(recipe):
    made = recipe(
        {"mine.py": MINE.replace("return self.h.mine_scale", "return vars(self.h)")}, attn_out=["user:mine.Mine"]
    )
    with pytest.raises(GolfError, match=r"techniques/mine.py:\d+: .*vars.* \[rule [48]\]"):
        compose(made)


def test_a_users_technique_that_bears_a_shipped_name_is_refused(recipe):
    with pytest.raises(GolfError, match="two parts are called `gate`"):
        recipe({"gate.py": MINE}, attn_out=["user:gate.Mine"])
