"""Folding one definition: what the recipe decides goes, what it does not decide stays as it was."""

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golf.compose.emit import formatted
from golf.compose.fold import fold
from golf.compose.settle import Values
from golf.errors import GolfError
from golf.recipe.catalogue import Catalogue
from golf.recipe.partfile import Definition, Knob, Part


def catalogue_of(knobs):
    """A catalogue whose only part declares `knobs`; a list is a chain, "@name" a slot."""
    names = sorted(
        {
            v[1:]
            for value in knobs.values()
            for v in (value if isinstance(value, list) else [value])
            if isinstance(v, str) and v[:1] == "@"
        }
    )
    definitions = {name: Definition("part", (name,), f"def {name}(): ...\n", 1, "def") for name in names}
    declared = {}
    for name, value in knobs.items():
        kind = (
            "Chain"
            if isinstance(value, list)
            else "Slot"
            if isinstance(value, str) and value[:1] in ("@", "")
            else type(value).__name__
        )
        declared[name] = Knob(name, kind, None, "", "part")
    part = Part(
        "part", "x.part", Path("x/part.py"), "", "", "", tuple(declared.values()), tuple(definitions.values()), (), ()
    )
    return Catalogue("x", {"part": part}, declared, definitions)


def folded(text, **knobs):
    catalogue = catalogue_of(knobs)
    plain = {
        n: tuple(v[1:] for v in value)
        if isinstance(value, list)
        else value.removeprefix("@")
        if isinstance(value, str)
        else value
        for n, value in knobs.items()
    }
    return fold(Definition("part", ("f",), text, 1, "def"), Values(catalogue, plain), "x/part.py")


def body(text, **knobs):
    """The statements of `def f(h): <text>` after folding, without the def line."""
    inner = "".join(f"    {line}\n" for line in text.splitlines())
    out = folded("def f(h):\n" + inner, **knobs)
    head, _, rest = out.partition("\n")
    assert head == "def f():"
    return "\n".join(line[4:] for line in rest.splitlines())


CASES = {
    "a branch taken": ("if h.a:\n    x = 1\nelse:\n    x = 2", {"a": True}, "x = 1"),
    "the other branch": ("if h.a:\n    x = 1\nelse:\n    x = 2", {"a": False}, "x = 2"),
    "no branch": ("if h.a:\n    x = 1", {"a": False}, "pass"),
    "an empty chain is false": ("if h.hooks:\n    x = 1\ny = 2", {"hooks": []}, "y = 2"),
    "the original test decides, not what takes its place": ("if h.hooks:\n    x = h.hooks", {"hooks": ["@A", "@B"]}, "x = (A, B)"),
    "an elif that is not taken": ("if i:\n    x = 1\nelif h.a:\n    x = 2\nelse:\n    x = 3", {"a": False}, "if i:\n    x = 1\nelse:\n    x = 3"),
    "an elif that is taken": ("if i:\n    x = 1\nelif h.a:\n    x = 2\n    y = 2\nelse:\n    x = 3", {"a": True}, "if i:\n    x = 1\nelse:\n    x = 2\n    y = 2"),
    "an if before an elif": ("if h.a:\n    x = 1\nelif i:\n    x = 2", {"a": False}, "if i:\n    x = 2"),
    "a last elif goes": ("if i:\n    x = 1\nelif h.a:\n    x = 2", {"a": False}, "if i:\n    x = 1"),
    "a conditional expression": ("return h.p if h.p else 7", {"p": 0}, "return 7"),
    "parentheses are carried": ("return a * (b if h.x else b + c)", {"x": False}, "return a * (b + c)"),
    "parentheses that nothing needs go": ("return a * (b if h.x else b + c)", {"x": True}, "return a * b"),
    "two rounds": ("return A if h.p >= 0 and i >= h.p else B", {"p": -1}, "return B"),
    "two rounds, open": ("return A if h.p >= 0 and i >= h.p else B", {"p": 2}, "return A if i >= h.p else B"),
    "and with a false left": ("return h.a and f(x)", {"a": 0}, "return h.a"),
    "and with a true left": ("return h.a and f(x)", {"a": 3}, "return f(x)"),
    "or with a true left": ("return h.a or f(x)", {"a": 3}, "return h.a"),
    "or with a false left": ("return (h.a or f(x) + 1) * 2", {"a": 0}, "return (f(x) + 1) * 2"),
    "parentheses of an operand go where a comparison is left": ("if i or (h.a and j > 1):\n    x = 1", {"a": True}, "if i or j > 1:\n    x = 1"),
    "parentheses of an operand stay around an or": ("if i and ((j or k) if h.a else k):\n    x = 1", {"a": True}, "if i and (j or k):\n    x = 1"),
    "not": ("if not h.a and i:\n    x = 1", {"a": False}, "if i:\n    x = 1"),
    "not of what is left": ("if not (h.a and i > 1):\n    x = 1", {"a": True}, "if not (i > 1):\n    x = 1"),
    "comments move to the first statement": ("# why\nif h.a:  # beside\n    # inside\n    x = 1", {"a": True}, "# why\n# beside\n# inside\nx = 1"),
    "comments of what goes go": ("x = 1\n# why\nif h.a:\n    y = 1\n# then\nz = 1", {"a": False}, "x = 1\n# then\nz = 1"),
    "statements after a settled return go": ("if h.a:\n    return 1\nx = 2\nreturn x", {"a": True}, "return 1"),
    "a settled continue": ("for i in x:\n    if h.a:\n        continue\n    y(i)", {"a": True}, "for i in x:\n    continue"),
    "a loop over an empty chain": ("for f in h.hooks:\n    x = f(x)\nreturn x", {"hooks": []}, "return x"),
    "a loop over a chain of one-liners": ("for f in h.hooks:\n    x = f(x)\nreturn x", {"hooks": ["@A", "@B"]}, "x = A(x)\nx = B(x)\nreturn x"),
    "a loop over one member": ("for f in h.hooks:\n    x = f(x)\n    x = x + 1", {"hooks": ["@A"]}, "x = A(x)\nx = x + 1"),
    "a long body over two members stays a loop": ("for f in h.hooks:\n    x = f(x)\n    y(x)", {"hooks": ["@A", "@B"]}, "for f in (A, B):\n    x = f(x)\n    y(x)"),
    "a loop variable that is read afterwards keeps its loop": ("for f in h.hooks:\n    x = f(x)\nreturn f", {"hooks": ["@A"]}, "for f in (A,):\n    x = f(x)\nreturn f"),
    "a loop with a break stays": ("for f in h.hooks:\n    break", {"hooks": ["@A"]}, "for f in (A,):\n    break"),
    "a loop variable caught by a lambda keeps its loop": ("for f in h.hooks:\n    x.append(lambda: f)", {"hooks": ["@A"]}, "for f in (A,):\n    x.append(lambda: f)"),
    "two loops with one variable": ("for f in h.a:\n    x = f(x)\nfor f in h.b:\n    x = f(x)", {"a": ["@A"], "b": ["@B"]}, "x = A(x)\nx = B(x)"),
    "a loop's names are not attributes": ("for f in h.hooks:\n    x = f(x.f, f=f)", {"hooks": ["@A"]}, "x = A(x.f, f=A)"),
    "a comprehension over a chain": ("return [T(h, i) for T in h.hooks]", {"hooks": ["@A", "@B"]}, "return [T(i) for T in (A, B)]"),
    "a slot": ("return h.act(h, x)", {"act": "@relu"}, "return relu(x)"),
    "a slot's attribute": ("return h.coder.name", {"coder": "@Zlib"}, "return Zlib.name"),
    "an empty slot": ("return None if h.act is None else h.act(x)", {"act": ""}, "return None"),
    "a scalar stays": ("return h.n * 2", {"n": 3}, "return h.n * 2"),
    "a range over a scalar stays": ("for i in range(h.n):\n    x(i)", {"n": 0}, "for i in range(h.n):\n    x(i)"),
    "arguments": ("return g(h, x, k=h.n) + g(x, h=h)", {"n": 1}, "return g(x, k=h.n) + g(x)"),
    "a magic comma goes": ("return g(\n    h,\n)", {}, "return g()"),
    "an assertion that holds": ("assert h.a % h.b == 0, 'no'\nreturn 1", {"a": 4, "b": 2}, "return 1"),
    "an assertion that is open": ("assert h.a == x, 'no'", {"a": 4}, "assert h.a == x, 'no'"),
    "a branch that goes is not looked at": ("if h.a:\n    assert h.a > 1, 'no'\n    x = 1", {"a": 0}, "pass"),
    "an if that is left empty goes": ("if i > 1:\n    if h.a:\n        x = 1\ny = 1", {"a": False}, "y = 1"),
    "an if with a call in its test stays": ("if i():\n    if h.a:\n        x = 1", {"a": False}, "if i():\n    pass"),
    "len and indices": ("if len(h.loop) == 3 and h.loop[0] < h.loop[2]:\n    x = 1", {"loop": (1, 2, 3)}, "x = 1"),
    "any over a comprehension": ("if any(i > 2 for i in h.loop):\n    x = 1", {"loop": (1, 2, 3)}, "x = 1"),
    "while stays": ("while h.a and x:\n    y()", {"a": 1}, "while x:\n    y()"),
    "a try keeps its blocks": ("try:\n    if h.a:\n        x = 1\nexcept E:\n    pass", {"a": True}, "try:\n    x = 1\nexcept E:\n    pass"),
    "a with keeps its block": ("with c:\n    if h.a:\n        x = 1\n    y = 2", {"a": False}, "with c:\n    y = 2"),
    "f-strings": ("return f'{h.n}{h.act.name}'", {"n": 1, "act": "@relu"}, "return f'{h.n}{relu.name}'"),
    "semicolons": ("assert h.a; x = 1", {"a": 1}, "x = 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_fold(case):
    text, knobs, wanted = CASES[case]
    assert body(text, **knobs) == wanted


def test_plumbing_goes_and_the_rest_of_the_signature_stays():
    text = "class A(B):\n    def __init__(self, h, layer):\n        super().__init__()\n        self.h = h\n        self.n = h.n\n\n    def forward(self, x):\n        return self.h.act(self.h, x) + self.h.n\n"
    out = folded(text, n=2, act="@relu")
    assert (
        out
        == "class A(B):\n    def __init__(self, layer):\n        super().__init__()\n        self.n = h.n\n\n    def forward(self, x):\n        return relu(x) + h.n\n"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f(h): return h.n\n", "def f(): return h.n\n"),
        ("def f(x, h): return x\n", "def f(x): return x\n"),
        ("def f(x, *, h): return x\n", "def f(x): return x\n"),
        ("def f(x, *, h, y=1): return x\n", "def f(x, *, y=1): return x\n"),
        ("def f(h, /, x): return x\n", "def f(x): return x\n"),
        ("def f(h, x, /): return x\n", "def f(x, /): return x\n"),
        ("def f(h, *args, **kwargs): return g(h, *args, **kwargs)\n", "def f(*args, **kwargs): return g(*args, **kwargs)\n"),
        ("def f(\n    h,\n):\n    return 1\n", "def f():\n    return 1\n"),
    ],
)  # fmt: skip
def test_signatures_stay_valid(before, after):
    assert formatted(folded(before, n=1)) == formatted(after)


def test_an_init_that_only_calls_its_parents_goes():
    text = "class A(B):\n    def __init__(self, h):\n        super().__init__()\n        self.h = h\n\n    def forward(self, x):\n        return x\n"
    assert formatted(folded(text)) == "class A(B):\n    def forward(self, x):\n        return x\n"


REFUSED = {
    "a list": "x = [h, 1]",
    "a tuple": "return x, h",
    "a dict": "x = {'h': h}",
    "a name": "g = h",
    "a return": "return h",
    "a star": "g(*h)",
    "another keyword": "g(config=h)",
    "a comprehension": "return [q(h, n) for h in x]",
    "a lambda": "return lambda h: h.n",
    "an attribute of another object": "x.h = h",
    "a comparison": "return h is None",
    "an f-string": "return f'{h}'",
}


@pytest.mark.parametrize("case", REFUSED)
def test_h_is_never_lost_silently(case):
    with pytest.raises(GolfError, match="would lose its `h`") as fault:
        folded(f"def f(h):\n    {REFUSED[case]}\n", n=1)
    assert "[rule 4]" in fault.value.hint and "x/part.py:" in fault.value.message


def test_a_false_assertion_is_an_error_with_its_sentence_and_line():
    text = "def f(h):\n    x = 1\n    assert h.dim % h.heads == 0, f'{h.heads} heads do not divide {h.dim} dims'\n"
    with pytest.raises(GolfError, match=r"3 heads do not divide 8 dims  \[x/part.py:3\]"):
        folded(text, dim=8, heads=3)


def test_an_assertion_alone_does_not_count_as_an_effect():
    catalogue = catalogue_of({"a": 1, "b": 1})
    values = Values(catalogue, {"a": 1, "b": 1})
    text = "def f(h):\n    assert h.a > 0\n    if h.b:\n        x = 1\n"
    fold(Definition("part", ("f",), text, 1, "def"), values, "x")
    assert (values.decided, set(values.consulted)) == ({"b"}, {"a", "b"})


def test_a_branch_that_the_twin_would_take_otherwise_stays():
    catalogue = catalogue_of({"every": 1000, "dim": 8})
    text = "def f(h, i):\n    if h.every and i % h.every == 0:\n        return h.dim\n    if h.dim > 2:\n        return 1\n    return 0\n"
    definition = Definition("part", ("f",), text, 1, "def")
    full, twin = {"every": 1000, "dim": 8}, {"every": 0, "dim": 4}
    wanted = "def f(i):\n    if h.every and i % h.every == 0:\n        return h.dim\n    return 1\n"
    assert fold(definition, Values(catalogue, full, twin), "x") == wanted
    assert fold(definition, Values(catalogue, twin, full), "x") == wanted
    assert "h.every and" not in fold(definition, Values(catalogue, full), "x")


def test_an_assertion_holds_for_the_values_that_are_composed():
    catalogue = catalogue_of({"dim": 8})
    definition = Definition("part", ("f",), "def f(h):\n    assert h.dim > 4, 'too small'\n    return 1\n", 1, "def")
    assert fold(definition, Values(catalogue, {"dim": 8}, {"dim": 2}), "x") == "def f():\n    return 1\n"
    with pytest.raises(GolfError, match="too small"):
        fold(definition, Values(catalogue, {"dim": 2}, {"dim": 8}), "x")


def test_an_unknown_knob_is_named_with_its_line():
    with pytest.raises(GolfError, match=r"no part has a knob `windw`  \[x/part.py:2\]") as fault:
        folded("def f(h):\n    return h.windw\n", window=1)
    assert "did you mean `window`?" in fault.value.hint


def test_a_condition_that_cannot_be_computed_is_no_traceback():
    with pytest.raises(GolfError, match=r"`h.loop\[3\] > 1` cannot be computed: tuple index out of range"):
        folded("def f(h):\n    if h.loop[3] > 1:\n        return 1\n", loop=(1, 2))


def test_a_generator_is_not_turned_into_a_function():
    with pytest.raises(GolfError, match="generator `f`"):
        folded("def f(h):\n    if h.a:\n        return\n    yield 1\n", a=True)


def test_a_local_of_the_chosen_name_is_refused():
    with pytest.raises(GolfError, match="`relu` is chosen by the recipe and also a local name"):
        folded("def f(h, relu):\n    return h.act(relu)\n", act="@relu")


def test_text_without_h_is_untouched():
    text = "def  f( x ) :  # odd\n    return [ x ]\n"
    assert folded(text) == text


# ---- the property: whatever the branches, the folded function does what the library's does

ATOMS = st.sampled_from(["h.a", "h.b", "not h.a", "h.n > 1", "h.n >= 0 and i >= h.n", "i % 2", "h.a and i", "h.b or i > 1", "i and h.b", "h.hooks", "len(h.hooks) == h.n"])  # fmt: skip
VALUES = st.one_of(
    ATOMS, st.builds("({} if {} else {})".format, ATOMS, ATOMS, ATOMS), st.builds("({} and {})".format, ATOMS, ATOMS), st.builds("({} or {})".format, ATOMS, ATOMS)
)  # fmt: skip


def indented(lines):
    return ["    " + line for line in lines]


@st.composite
def blocks(draw, depth=0):
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["say", "if", "elif", "for", "loop", "return"] if depth < 3 else ["say", "return"]))
        if kind == "say":
            lines.append(f"out.append(bool({draw(VALUES)}))")
        elif kind == "return":
            lines.append(f"if {draw(VALUES)}:")
            lines.append("    return out")
        elif kind == "for":
            lines += [
                "for f in h.hooks:",
                *indented(draw(st.sampled_from([["out.append(f(i))"], ["out.append(f(i))", "i = i + 1"]]))),
            ]
        elif kind == "loop":
            lines += ["for i in range(3):", *indented(draw(blocks(depth + 1)))]
        else:
            lines += [f"if {draw(VALUES)}:", *indented(draw(blocks(depth + 1)))]
            if kind == "elif":
                lines += [f"elif {draw(VALUES)}:", *indented(draw(blocks(depth + 1)))]
            if draw(st.booleans()):
                lines += ["else:", *indented(draw(blocks(depth + 1)))]
    return lines


@settings(max_examples=150, deadline=None)
@given(blocks(), st.booleans(), st.booleans(), st.integers(-1, 3), st.sampled_from([[], ["@one"], ["@one", "@two"]]))
@pytest.mark.slow
def test_folding_keeps_what_a_function_does(lines, a, b, n, hooks):
    text = "def f(h, i):\n    out = []\n" + "".join(f"    {line}\n" for line in lines) + "    return out\n"
    functions = {"one": lambda i: i + 1, "two": lambda i: -i}
    library, generated = dict(functions), dict(functions)
    exec(text, library)
    scalars = {"a": a, "b": b, "n": n}
    out = folded(text, hooks=hooks, **scalars)
    generated["h"] = SimpleNamespace(**scalars)
    exec(out, generated)
    h = SimpleNamespace(**scalars, hooks=tuple(functions[name[1:]] for name in hooks))
    for i in range(4):
        assert generated["f"](i) == library["f"](h, i)
    assert not [node for node in ast.walk(ast.parse(out)) if isinstance(node, ast.Attribute) and node.attr == "hooks"]
