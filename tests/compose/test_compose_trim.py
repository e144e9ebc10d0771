"""Trim: what nothing in one composed file needs goes, what anything might need stays, and what is left computes the same."""

import ast

import pytest

from golf.compose.trim import trim


def trimmed(text: str, *open_names: str, values=None) -> str:
    """A module's definitions after trimming, with nothing shaken off; `main` is open."""
    lines = text.splitlines(keepends=True)
    nodes = [node for node in ast.parse(text).body if not isinstance(node, ast.Import | ast.ImportFrom)]
    first = [min([n.lineno, *(d.lineno for d in getattr(n, "decorator_list", []))]) - 1 for n in nodes]
    texts = {
        getattr(n, "name", None) or ast.unparse(n.targets[0]): "".join(lines[a : n.end_lineno])
        for n, a in zip(nodes, first, strict=True)
    }
    return "\n\n".join(trim(texts, frozenset({"main", *open_names}), values or {}).values())


CASES = {
    "a parameter that is never read": (
        "def f(a, b):\n    return -a\n\ndef main(x):\n    return f(x, x.y) + f(b=1, a=2)\n",
        "def f(a):\n    return -a\n\n\ndef main(x):\n    return f(x) + f(a=2)\n",
    ),
    "a default that every call leaves": (
        "def f(a, *, key=str):\n    return sorted(a, key=lambda x: key(x))\n\ndef main(x):\n    return f(x)\n",
        "def f(a):\n    return sorted(a, key=lambda x: str(x))\n\n\ndef main(x):\n    return f(x)\n",
    ),
    "a default that every call overrides": (
        "def f(a, b=0, c=1):\n    return a + b + c\n\ndef main(x):\n    return f(x, 2)\n",
        "def f(a, b):\n    return a + b + 1\n\n\ndef main(x):\n    return f(x, 2)\n",
    ),
    "a flag that every call gives alike settles a test": (
        "def f(a, loud):\n    if loud:\n        # said\n        return print(a)\n    elif a:\n        return 1\n    return 2\n\n"
        "def main(x):\n    return f(x, False)\n",
        "def f(a):\n    if a:\n        return 1\n    return 2\n\n\ndef main(x):\n    return f(x)\n",
    ),
    "what stands behind a return that is always reached": (
        "def f(a, on):\n    if on:\n        return +a  # yes\n    return -a\n\ndef main(x):\n    y = f(x, True)\n    return y\n",
        "def f(a):\n    return +a  # yes\n\n\ndef main(x):\n    return f(x)\n",
    ),
    "equal neighbours": (
        "def main(x):\n    if x == 1:\n        y = 0\n    elif x or x is None:\n        y = 0\n    else:\n        y = 1\n    return y\n",
        "def main(x):\n    if x == 1 or x or x is None:\n        y = 0\n    else:\n        y = 1\n    return y\n",
    ),
    "a loop over one": (
        "class A:\n    def __init__(self, n):\n        self.n = n\n\ndef main(x):\n    return {T.__name__: T(x) for T in (A,)}\n",
        'class A:\n    def __init__(self, n):\n        self.n = n\n\n\ndef main(x):\n    return {"A": A(x)}\n',
    ),
    "a dictionary of one": (
        'class A:\n    def __init__(self, n):\n        self.n = n\n\ndef end(all):\n    # last\n    all["A"].end()\n\n'
        'def main(x):\n    all = {"A": A(x)}\n    while x:\n        for one in all.values():\n            one.go(x)\n    end(all)\n',
        "class A:\n    def __init__(self, n):\n        self.n = n\n\n\ndef end(a):\n    # last\n    a.end()\n\n\n"
        "def main(x):\n    a = A(x)\n    while x:\n        a.go(x)\n    end(a)\n",
    ),
    "a pass over one": (
        "def main(x, on):\n    for loop in (False,):\n        # off\n        for i in x:\n            on(i, loop=loop)\n        on(loop)\n",
        "def main(x, on):\n    # off\n    for i in x:\n        on(i, loop=False)\n    on(False)\n",
    ),
    "an attribute that is always None": (
        "class A:\n    def __init__(self, n):\n        self.n = n\n        self.rest = None  # of others\n\ndef main(x):\n    return A(x).n\n",
        "class A:\n    def __init__(self, n):\n        self.n = n\n\n\ndef main(x):\n    return A(x).n\n",
    ),
    "a list of everything": (
        "def main(x):\n    return [y for y in x.all()]\n",
        "def main(x):\n    return list(x.all())\n",
    ),
    "a name for what is returned": (
        "def main(x):\n    y = (x\n         + 1)\n    return y\n",
        "def main(x):\n    return x + 1\n",
    ),
    "a local that only an argument read": (
        "def f(a, b):\n    return -a\n\ndef main(x):\n    y = x\n    return f(x, y)\n",
        "def f(a):\n    return -a\n\n\ndef main(x):\n    return f(x)\n",
    ),
    "a helper for chains with one chain": (
        "class A:\n    def at(x):\n        return x\n\ndef members(kinds, x):\n    return [T for T in kinds if not hasattr(T, 'at') or T.at(x)]\n\n"
        "def main(x):\n    return members((A,), x)\n",
        "class A:\n    def at(x):\n        return x\n\n\ndef members(x):\n    return [A] if A.at(x) else []\n\n\n"
        "def main(x):\n    return ([A] if A.at(x) else [])\n",
    ),
    "a member of every layer is not asked for its layers": (
        "from torch import nn\n\nclass A(nn.Module):\n    pass\n\ndef main(x):\n    return [T for T in (A,) if not hasattr(T, 'at') or T.at(x)]\n",
        "class A(nn.Module):\n    pass\n\ndef main(x):\n    return [A]\n",
    ),
    "a function that returns what it is given": (
        "def f(env, model):\n    return model\n\ndef main(x):\n    return 2 * f(x.env, x + 1) + f(x, x.y)\n",
        "def f(model):\n    return model\n\n\ndef main(x):\n    return 2 * (x + 1) + x.y\n",
    ),
    "a helper for chains with one member each": (
        "class A:\n    def at(x):\n        return x\n\nclass B:\n    def at(x):\n        return -x\n\n"
        "def members(kinds, x):\n    return dict({T.__name__: T(x) for T in kinds if not hasattr(T, 'at') or T.at(x)})\n\n"
        "def main(x):\n    return members((A,), x), members((B,), x)\n",
        "class A:\n    def at(x):\n        return x\n\nclass B:\n    def at(x):\n        return -x\n\n"
        "def members(kinds, x):\n    return dict({T.__name__: T(x) for T in kinds if not hasattr(T, 'at') or T.at(x)})\n\n"
        "def main(x):\n    return (dict({'A': A(x)} if A.at(x) else {}), dict({'B': B(x)} if B.at(x) else {}))\n",
    ),
    "a loop over the only module": (
        "class G:\n    def __init__(self, t):\n        self.a = nn.ModuleDict({'A': t})\n        self.b = nn.ModuleDict({'B': t} if t else {})\n"
        "    def run(self, x):\n        for hook in self.a.values():\n            x = hook(x)\n        for hook in self.b.values():\n            x = hook(x)\n"
        "        return x, {k: m(x) for k, m in self.a.items()}\n\ndef main(x):\n    return G(x)\n",
        "class G:\n    def __init__(self, t):\n        self.a = nn.ModuleDict({'A': t})\n        self.b = nn.ModuleDict({'B': t} if t else {})\n"
        "    def run(self, x):\n        x = self.a['A'](x)\n        if 'B' in self.b:\n            x = self.b['B'](x)\n"
        "        return x, {'A': self.a['A'](x)}\n\ndef main(x):\n    return G(x)\n",
    ),
    "a field that is always a dictionary": (
        "class F(NamedTuple):\n    a: int\n    found: object = None\n\ndef read(flow):\n    if flow.found is None:\n        return 0\n"
        "    return flow.found['k'] + flow.a\n\ndef main(x):\n    found = {'k': x}\n    return read(F(x, found=found))\n",
        "class F(NamedTuple):\n    a: int\n    found: object = None\n\ndef read(flow):\n    return flow.found['k'] + flow.a\n\n"
        "def main(x):\n    found = {'k': x}\n    return read(F(x, found=found))\n",
    ),
    "what no function reads that one function hands out": (
        "def one(w, role):\n    return w\n\ndef two(w, role):\n    return one(w, role) + 1\n\ndef choose(role):\n    if role == 'a':\n        return one, 8\n"
        "    if role == 'b':\n        return two, 6\n    return None, 16\n\ndef main(w, role):\n    f, bits = choose(role)\n    if f is None:\n        return bits\n"
        "    return f(w, role)\n",
        "def one(w):\n    return w\n\ndef two(w):\n    return one(w) + 1\n\ndef choose(role):\n    if role == 'a':\n        return one, 8\n"
        "    if role == 'b':\n        return two, 6\n    return None, 16\n\ndef main(w, role):\n    f, bits = choose(role)\n    if f is None:\n        return bits\n"
        "    return f(w)\n",
    ),
    "a method that every heir has of its own": (
        "class A:\n    def run(self):\n        return self.rest()\n    def rest(self):\n        return 1\n    def both(self):\n        return 2\n\n"
        "class B(A):\n    def run(self):\n        return self.both()\n\ndef main(x):\n    return B().run()\n",
        "class A:\n    def both(self):\n        return 2\n\nclass B(A):\n    def run(self):\n        return self.both()\n\ndef main(x):\n    return B().run()\n",
    ),
    "a local that is set to itself": (
        "def main(x, y):\n    for z in y:\n        x = x\n        z(x)\n",
        "def main(x, y):\n    for z in y:\n        z(x)\n",
    ),
    "a local that is one constant": (
        "def f(a):\n    b = None\n    return [a, b]\n\ndef main(x, on=True):\n    return f(x), on\n",
        "def f(a):\n    b = None\n    return [a, b]\n\ndef main(x, on=True):\n    return f(x), on\n",  # as its author wrote it
    ),
    "a class of elsewhere may have layers": (
        "from elsewhere import Base\n\nclass A(Base):\n    pass\n\ndef main(x):\n    return [T for T in (A,) if not hasattr(T, 'at') or T.at(x)]\n",
        "class A(Base):\n    pass\n\ndef main(x):\n    return [A] if not hasattr(A, 'at') or A.at(x) else []\n",
    ),
}


LIMITS = {
    "a loop over modules that may be more": "class G:\n    def __init__(self, t):\n        self.a = nn.ModuleDict({'A': t, 'B': t})\n"
    "    def run(self, x):\n        for hook in self.a.values():\n            x = hook(x)\n        return x\n\ndef main(x):\n    return G(x)\n",
    "a loop that leaves early": "class G:\n    def __init__(self, t):\n        self.a = nn.ModuleDict({'A': t})\n"
    "    def run(self, x):\n        for hook in self.a.values():\n            if x:\n                break\n            x = hook(x)\n        return x\n\ndef main(x):\n    return G(x)\n",
    "the last module is asked for after the loop": "class G:\n    def __init__(self, t):\n        self.a = nn.ModuleDict({'A': t})\n"
    "    def run(self, x):\n        for hook in self.a.values():\n            x = hook(x)\n        return hook\n\ndef main(x):\n    return G(x)\n",
    "modules that come later": "class G:\n    def __init__(self, t):\n        self.a = nn.ModuleDict({'A': t})\n        self.a = nn.ModuleDict({})\n"
    "    def run(self, x):\n        for hook in self.a.values():\n            x = hook(x)\n        return x\n\ndef main(x):\n    return G(x)\n",
    "modules that are added": "class G:\n    def __init__(self, t):\n        self.a = nn.ModuleDict({'A': t})\n        self.a['B'] = t\n"
    "    def run(self, x):\n        for hook in self.a.values():\n            x = hook(x)\n        return x\n\ndef main(x):\n    return G(x)\n",
    "a method that PyTorch may ask for": "class A(nn.Module):\n    def extra_repr(self):\n        return 1\n\nclass B(A):\n    def run(self):\n        return 2\n\n"
    "def main(x):\n    return B().run()\n",
    "what one of the functions reads": "def one(w, role):\n    return w\n\ndef two(w, role):\n    return w + role\n\ndef choose(x):\n    if x:\n        return one, 8\n"
    "    return two, 6\n\ndef main(w, role):\n    f, bits = choose(role)\n    return f(w, role) + bits\n",
    "functions that are handed on elsewhere": "def one(w, role):\n    return w\n\ndef choose(x):\n    if x:\n        return one, 8\n    return None, 6\n\n"
    "def main(w, role, use):\n    f, bits = choose(role)\n    use(one)\n    return f(w, role) + bits\n",
    "a chooser whose answer is handed on": "def one(w, role):\n    return w\n\ndef choose(x):\n    if x:\n        return one, 8\n    return None, 6\n\n"
    "def main(w, role, use):\n    f, bits = choose(role)\n    return use(f, w, role) + bits\n",
    "a method that a base's instance has": "class A:\n    def run(self):\n        return 1\n\nclass B(A):\n    def run(self):\n        return 2\n\n"
    "def main(x):\n    return A().run() + B().run()\n",
    "a method that an heir asks its base for": "class A:\n    def run(self):\n        return 1\n\nclass B(A):\n    def run(self):\n        return super().run() + 2\n\n"
    "def main(x):\n    return B().run()\n",
    "a field that is None at times": "class F(NamedTuple):\n    a: int\n    found: object = None\n\ndef read(flow):\n    if flow.found is None:\n        return 0\n"
    "    return flow.found['k'] + flow.a\n\ndef main(x):\n    found = {'k': x}\n    flow = F(x, found=found)\n    return read(flow) + read(flow._replace(found=None))\n",
}  # fmt: skip


@pytest.mark.parametrize("case", LIMITS)
def test_what_a_rule_leaves_alone(case):
    assert formatted(trimmed(LIMITS[case])) == formatted(LIMITS[case])


def formatted(text: str) -> str:
    return ast.unparse(ast.parse(text))


@pytest.mark.parametrize("case", CASES)
def test_what_goes(case):
    before, after = CASES[case]
    assert formatted(trimmed(before)) == formatted(after)


DOCSTRINGS = {
    "its own line": (
        '"""What f does.\n\n    b: a flag. a: a number, 1.5 say.\n    """',
        '"""What f does.\n\n    a: a number, 1.5 say.\n    """',
    ),
    "the last sentence": ('"""What f does. b: a flag, 0.5 say."""', '"""What f does."""'),
    "all that is said": ('"""b: a flag."""', ""),
    "all of the second paragraph": (
        '"""What f does.\n\n    b: a flag\n    of two lines.\n    """',
        '"""What f does."""',
    ),
    "the first of its paragraph": (
        '"""What f does.\n\n    b: a flag.\n    a: more.\n    """',
        '"""What f does.\n\n    a: more.\n    """',
    ),
    "a slot": ('"""What f does: a slot for `block`. More of it."""', '"""What f does. More of it."""'),
    "a slot first": ('"""A slot for `block`: softmax of everything."""', '"""Softmax of everything."""'),
    "a slot alone": ('"""A slot for `block`."""', ""),
}


@pytest.mark.parametrize("case", DOCSTRINGS)
def test_a_docstring_speaks_of_what_is_there(case):
    before, after = DOCSTRINGS[case]
    text = trimmed(f"def f(a, b):\n    {before}\n    return a\n\ndef main(x):\n    return f(x, 1)\n")
    assert text.startswith(f"def f(a):\n    {after}\n    return a\n" if after else "def f(a):\n    return a\n")


def test_comments_stay_with_what_stays():
    text = trimmed("def f(a, b):\n    # why a\n    return a  # and this\n\ndef main(x):\n    return f(x, 1)\n")
    assert "# why a" in text and "# and this" in text


STAYS = {
    "a dictionary of one that more is put into": 'def main(x):\n    all = {"a": x.y}\n    all["b"] = x\n    return all["a"]\n',
    "a dictionary of one that goes out of sight": 'def main(x):\n    all = {"a": x.y}\n    x.put(all)\n    return all["a"]\n',
    "a dictionary of one whose key is a name already": (
        'def main(x, a):\n    all = {"a": x.y}\n    return all["a"] + a\n'
    ),
    "a dictionary of one that is made twice": 'def main(x):\n    all = {"a": x.y}\n    all = {"a": x}\n    return all["a"]\n',
    "a function that is handed on": "def f(a, b):\n    return a\n\ndef main(x):\n    g = f\n    return g(x, 1)\n",
    "a function that others call": "def build(a, b=None):\n    return a\n\ndef main(x):\n    return build(x)\n",
    "an argument with an effect": "def f(a, b):\n    return a\n\ndef main(x):\n    return f(x, x.pop())\n",
    "a starred call": "def f(a, b):\n    return a\n\ndef main(x):\n    return f(*x)\n",
    "a method of a name that other objects have": (
        "class A:\n    def update(self, a):\n        return 1\n\ndef main(x):\n    x.update(1)\n    return A().update(2)\n"
    ),
    "a hook of a base outside": (
        "class A(nn.Module):\n    def forward(self, x, flow):\n        return x\n\ndef main(m, x):\n    m.a = [A()]\n    return m.a[0](x, 1)\n"
    ),
    "a local that nothing ever read, which is the part's fault": "def main(x):\n    y = x\n    return 2\n",
    "the value of an `or`": "def main(x):\n    return x or None\n",
    "a pass that may end early": "def main(x):\n    for y in (x,):\n        if y.done():\n            break\n        y.go()\n",
    "a pass whose name lives on": "def main(x):\n    for y in (x,):\n        y.go()\n    return y\n",
    "an attribute that is None at first": (
        "class A:\n    def __init__(self):\n        self.n = None\n\ndef main(x):\n    a = A()\n    a.n = x\n    return a\n"
    ),
    "a name that is read before it is returned": "def main(x):\n    y = x\n    y.go()\n    return y\n",
    "a local that hides a function": "def f(a, b):\n    return a + b\n\ndef main(x, f):\n    return f(x, None)\n",
    "a tuple that is read by place": (
        "class T(NamedTuple):\n    a: int\n    b: int\n\ndef main(x):\n    t = T(x, 1)\n    a, b = t\n    return a\n"
    ),
    "a tuple that goes out of sight": (
        "class T(NamedTuple):\n    a: int\n    b: int\n\ndef main(x):\n    x.put(T(x, 1))\n    return x.t.a\n"
    ),
}


@pytest.mark.parametrize("case", STAYS)
def test_what_stays(case):
    assert formatted(trimmed(STAYS[case], "build")) == formatted(STAYS[case])


FLOW = """class Flow(NamedTuple):
    x0: object
    docs: object
    layer: int = -1

    def onward(self):
        return self._replace(layer=self.layer + 1)

def block(x, flow):
    return attend(x, flow.docs) + flow.x0, flow

def attend(x, docs):
    return x if docs is None else docs

def main(x, docs=None):
    flow = Flow(x, None)
    x, flow = block(x, flow.onward())
    return x
"""


def test_fields_that_nothing_reads_or_that_are_always_none_go_with_what_they_decide():
    text = formatted(trimmed(FLOW))
    assert "docs: object" not in text and "layer" not in text and "onward" not in text and "is None" not in text
    assert "def attend(x):\n    return x\n" in text and "flow = Flow(x)" in text


TAGS = """class Tag(NamedTuple):
    group: str

def tag(param, *, group):
    param.tag = Tag(group)
    return param

class Linear:
    def __init__(self, *, group="matrix"):
        self.weight = tag(self, group=group)

def has_group(tagged, group):
    return any(entry.tag.group == group for entry in tagged)

def main(model):
    made = Linear(), tag(model, group="scalar"), tag(model, group=h.kind)
    if has_group(model.all, "bias"):
        model.train()
    if has_group(model.all, "head"):
        model.eval()
    return made
"""


def test_a_group_that_no_tag_names_is_not_asked_for_and_a_knobs_value_counts():
    text = formatted(trimmed(TAGS, values={"kind": ("embed", "scalar")}))
    assert "model.train()" not in text and "model.eval()" not in text
    for values in ({"kind": ("embed", "bias")}, {"kind": (1, 2)}, {}):  # the small twin's value, one that is not known
        assert "if has_group(model.all, 'bias'):" in formatted(trimmed(TAGS, values=values))
