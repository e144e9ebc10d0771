"""The ten rules: each fault is found with its number, place and fix, and the parts that ship have none."""

import inspect
import re
from pathlib import Path

import pytest

from golf.compose.lint import lint
from golf.compose.shake import CALLED_BY_BASE
from golf.recipe.catalogue import load_catalogue

HEAD = '"""A part."""\n\nimport functools\n\nimport torch\n\nfrom {p}.base import helper, plain\n\n\nclass Knobs:\n    flag: bool = False\n    other: bool = True\n    size: "0 <= int <= 9" = 3\n    hooks: Chain = ()\n\n\n'
BASE = '"""Base."""\n\n\ndef helper(h, x):\n    return x\n\n\ndef plain(x):\n    return x\n\n\nclass Thing:\n    def __init__(self, h):\n        self.h = h\n'


@pytest.fixture
def package(tmp_path, monkeypatch):
    """package(source) is the findings of a package whose part `part.py` holds it; `{p}` in it is the package's name."""
    count = iter(range(100))
    monkeypatch.syspath_prepend(tmp_path)

    def make(source, **others):
        name = f"lint_{tmp_path.name}_{next(count)}"
        folder = tmp_path / name
        (folder / "techniques").mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        for stem, text in {"base": BASE, "part": source, **others}.items():
            (folder / f"{stem}.py").write_text(text.replace("{p}", name))
        return lint(load_catalogue(name))

    return make


F = "def f(h, x):\n    "
FAULTS = {
    1: {
        "a call at the top": "print(1)\n",
        "a loop at the top": "for i in range(3):\n    pass\n",
        "a setting at the top": "torch.backends.cudnn.benchmark = True\n",
        "an if at the top": "if torch.cuda.is_available():\n    X = 1\n",
        "a try that is no import": "try:\n    X = 1\nexcept ImportError:\n    X = None\n",
    },
    2: {
        "a module": "import {p}.base\n",
        "a renamed name": "from {p}.base import helper as g\n",
        "a star": "from {p}.base import *\n",
        "inside a function": "def f():\n    from {p}.base import helper\n    return helper\n",
        "the outside of parts": "from golf.recipe import Recipe\n",
        "a package that is not there": "import pandas\n",
        "the future": "from __future__ import annotations\n",
        "a relative import": "from .base import helper\n",
    },
    3: {
        "a builtin": "def sum(x):\n    return x\n",
        "an import's name": "def functools(x):\n    return x\n",
    },
    4: {
        "a comprehension": "def f(hs):\n    return [helper(h, n) for h in hs for n in (1, 2)]\n",
        "partial": F + "return functools.partial(helper, h)\n",
        "a builtin's argument": F + "return print(h)\n",
        "a list": F + "return [h]\n",
        "a dict": F + "return {'h': h}\n",
        "another name": F + "g = h\n    return g\n",
        "another attribute": "class A:\n    def __init__(self, h):\n        self.config = h\n",
        "a lambda": F + "return lambda h: h.size\n",
        "a default": "def f(x, h=None):\n    return x\n",
        "a star": "def f(*h):\n    return 1\n",
        "an assignment": F + "h = x\n    return h\n",
        "a with": "def f(x):\n    with x as h:\n        return h\n",
        "an except": "def f(x):\n    try:\n        return 1\n    except ValueError as h:\n        return h\n",
        "a function called h": "def h(x):\n    return x\n",
        "an unknown knob": F + "return h.sise\n",
        "a knob that is set": F + "h.size = 3\n",
        "another object's": F + "return x.h.size\n",
        "a function without h": F + "return plain(h)\n",
        "torch's function": F + "return torch.relu(h)\n",
        "a method that no part has": F + "return x.append(h)\n",
        "a star in a call": F + "return helper(*h)\n",
        "another keyword": F + "return helper(x, config=h)\n",
        "vars": F + "return vars(h)\n",
        "getattr": F + "return getattr(h, 'size')\n",
    },
    5: {
        "a flag on the instance": "class A:\n    def __init__(self, h):\n        self.flag = h.flag\n\n    def forward(self, x):\n        if self.flag:\n            return x\n        return -x\n",
        "the recipe last": F + "if x and h.flag:\n        return x\n    return 1\n",
    },
    6: {"a and not b": F + "if h.flag and not h.other:\n        return x\n    return 1\n"},
    7: {"a second forward": "class A:\n    def forward(self, x):\n        return x\n\n    def forward_ttt(self, x):\n        return x\n"},
    8: {
        "locals": "def f(x):\n    return locals()\n",
        "eval": "def f(x):\n    return eval(x)\n",
        "exec": "def f(x):\n    exec(x)\n",
        "globals": "def f(x):\n    return globals()[x]\n",
        "deepcopy": "import copy\n\n\ndef f(x):\n    return copy.deepcopy(x)\n",
    },
    9: {
        "inspect": "import inspect\n\n\ndef f(x):\n    return inspect.getsource(x)\n",
        "its own text": "def f():\n    return open(__file__).read()\n",
        "the environment": "import os\n\n\ndef f():\n    return os.environ['X']\n",
    },
    10: {"triton": "import triton\n"},
}  # fmt: skip
CASES = [(rule, case) for rule, cases in FAULTS.items() for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_every_fault_is_found(package, rule, case):
    source = HEAD + FAULTS[rule][case]
    findings = package(source)
    first = HEAD.count("\n") + 1
    assert rule in {f.rule for f in findings}, findings
    assert all(f.file.endswith("part.py") and f.line >= first and f.fix for f in findings)
    assert f"[rule {rule}]" in " ".join(map(str, findings))


GOOD = {
    "plumbing": "class A:\n    def __init__(self, h):\n        super().__init__()\n        self.h = h\n        self.x = helper(h, 1)\n        self.t = [T(h) for T in h.hooks]\n\n    def go(self, x):\n        return helper(self.h, x) * self.h.size\n",
    "recipe first": F + "if h.flag and x:\n        return x\n    return 1\n",
    "a guarded import": "try:\n    from flash_attn_interface import flash_attn_func\nexcept ImportError:\n    flash_attn_func = None\n",
    "its size": "import os\n\n\ndef f():\n    return os.path.getsize(__file__)\n",
    "a class of another part": "from {p}.base import Thing\n\n\nclass B(Thing):\n    pass\n\n\ndef f(h):\n    return B(h), Thing(h)\n",
    "members of a chain": F + "for Hook in h.hooks:\n        Hook.add(h, x)\n    return x\n",
}


@pytest.mark.parametrize("case", GOOD)
def test_good_code_has_no_finding(package, case):
    assert package(HEAD + GOOD[case]) == []


def test_a_circle_of_imports_is_found(package):
    findings = package(
        "from {p}.other import g\n\n\ndef f():\n    return g\n",
        other="from {p}.part import f\n\n\ndef g():\n    return f\n",
    )
    assert {f.rule for f in findings} == {2} and "import each other" in findings[0].message


def test_one_import_name_means_one_thing(package):
    findings = package("import torch.nn.functional as F\n", other="from torch import functional as F\n")
    assert [f.rule for f in findings] == [3] and "another import" in findings[0].message


def test_the_parts_that_ship_obey_the_rules():
    assert [str(f) for f in lint(load_catalogue())] == []


def test_the_toy_obeys_the_rules():
    assert [str(f) for f in lint(load_catalogue("toy_parts"))] == []


def test_no_import_crosses_from_the_parts_to_the_rest():
    catalogue = load_catalogue()
    assert catalogue.parts and all(
        not i.module.startswith("golf") for part in catalogue.parts.values() for i in part.imports
    )
    assert all(Path(part.path).parts[-2] in ("parts", "techniques") for part in catalogue.parts.values())


def test_the_methods_that_a_base_calls_are_kept():
    """What `nn.Module` and `Optimizer` call on themselves, hooks and compiled calls aside, stays in a composed class."""
    from torch import nn, optim

    aside = r"^__|hook|_compiled_call_impl|_optimizer_step_code|_patch_step_function"
    for name, base in (("Module", nn.Module), ("Optimizer", optim.Optimizer)):
        called = {n for n in re.findall(r"(?:self|module|child)\.(\w+)\(", inspect.getsource(base)) if hasattr(base, n)}
        assert {n for n in called if not re.search(aside, n)} <= set(CALLED_BY_BASE[name])
        assert set(CALLED_BY_BASE[name]) <= set(dir(base))
