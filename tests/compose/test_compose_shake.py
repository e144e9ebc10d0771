"""Shaking: exactly what the entry point reaches stays, whatever way it is reached."""

import pytest

from golf.compose import compose
from golf.errors import GolfError
from golf.recipe import load_recipe


@pytest.fixture
def composed(tmp_path, monkeypatch):
    """composed(entry=…, other=…) is the text of a package with these parts; `{p}` in them is the package's name."""
    monkeypatch.syspath_prepend(tmp_path)
    count = iter(range(100))

    def make(**parts):
        name = f"shake_{tmp_path.name}_{next(count)}"
        (tmp_path / name).mkdir()
        for stem, text in {"__init__": "", **parts}.items():
            (tmp_path / name / f"{stem}.py").write_text(text.replace("{p}", name))
        recipe = tmp_path / f"{name}.toml"
        recipe.write_text(f'entry = "{name}.entry:main"\n')
        return compose(load_recipe(recipe))

    return make


def run(text):
    names = {"__name__": "composed"}
    exec(text, names)
    return names["main"]()


def test_a_global_of_a_methods_name_stays(composed):
    """A class's names are not in its methods' scope: `norm` in a body is the global one."""
    text = composed(
        entry="def norm(x):\n    return 2 * x\n\n\nclass A:\n    def norm(self):\n        return 1\n\n    def go(self):\n        return norm(4)\n\n\ndef main():\n    return A().go()\n"
    )
    assert run(text) == 8 and "return 1" not in text


def test_properties_setters_and_class_attributes_hold_together(composed):
    source = "LIMIT = 3\n\n\nclass A:\n    limit = LIMIT\n\n    def __init__(self):\n        self.value = 1\n\n    @property\n    def size(self):\n        return self.value\n\n    @size.setter\n    def size(self, value):\n        self.value = value\n\n    def read(self, n=limit):\n        return self.size + n\n\n    twice = property(lambda self: 2 * self.size)\n\n    def gone(self):\n        return os.getcwd()\n\n    def made(self):\n        return 5\n\n    alias = made\n\n\ndef main():\n    a = A()\n    a.size = 4\n    return a.read(), a.twice, a.alias()\n"
    text = composed(entry="import os\n\n\n" + source)
    assert run(text) == (7, 8, 5)
    assert "gone" not in text and "import os" not in text


def test_a_method_that_is_only_named_in_a_string_stays(composed):
    text = composed(
        entry="class A:\n    def at(self):\n        return 1\n\n    def of(self):\n        return 2\n\n\ndef main():\n    return getattr(A(), 'at')()\n"
    )
    assert run(text) == 1 and "def of" not in text


def test_a_global_that_a_function_sets_stays(composed):
    text = composed(
        entry="COUNT = 0\nOTHER = 1\n\n\ndef add():\n    global COUNT\n    COUNT += 1\n\n\ndef main():\n    add()\n    return COUNT\n"
    )
    assert run(text) == 1 and "OTHER" not in text


def test_definitions_come_before_what_needs_them_when_the_file_runs(composed):
    parts = {
        "zebra": "def tag(f):\n    return f\n\n\nclass Base:\n    kind = 'z'\n",
        "alpha": "from {p}.zebra import Base, tag\n\nTABLE = {Base.kind: Base}\n\n\n@tag\nclass A(Base):\n    pass\n",
        "entry": "from {p}.alpha import A, TABLE\n\n\ndef main():\n    return A.kind, len(TABLE)\n",
    }
    text = composed(**parts)
    assert run(text) == ("z", 1) and text.index("class Base") < text.index("TABLE =") < text.index("class A")


def test_a_guarded_import_stays_with_its_names(composed):
    text = composed(
        entry="try:\n    from not_there import kernel\nexcept ImportError:\n    kernel = None\n\n\ndef main():\n    return kernel\n"
    )
    assert run(text) is None and text.count("except ImportError") == 1


def test_imports_are_those_in_use_sorted_and_merged(composed):
    parts = {
        "other": "import zlib\nfrom os import path, sep\nimport xml.dom\nimport xml.sax as sax\n\n\ndef f():\n    return zlib.crc32(b''), path.join('a', 'b'), xml.dom, sax\n",
        "entry": "import json\nimport sys\nfrom os import getcwd, path\n\nfrom {p}.other import f\n\n\ndef main():\n    return f(), path.sep, json.dumps(1), getcwd\n",
    }
    text = composed(**parts)
    head = text.partition('"""\n\n')[2].partition("\n\n\n")[0]
    assert head == "import json\nimport xml.dom\nimport xml.sax as sax\nimport zlib\nfrom os import getcwd, path"


FAULTS = {
    "an undefined name": ({"entry": "def main():\n    return lenght(3)\n\n\ndef length(x):\n    return x\n"}, "`lenght` is not defined in", "did you mean `length`?"),
    "two imports of one name": (
        {"entry": "from json import loads\n\nfrom {p}.other import f\n\n\ndef main():\n    return loads, f()\n", "other": "from pickle import loads\n\n\ndef f():\n    return loads\n"},
        "`loads` is one import in",
        "import it alike",
    ),
    "a definition with an import's name": (
        {"entry": "import time\n\nfrom {p}.other import f\n\n\ndef main():\n    return time, f()\n", "other": "def time():\n    return 1\n\n\ndef f():\n    return time()\n"},
        "`time` is defined in",
        "rename the definition",
    ),
    "no entry point": ({"entry": "def start():\n    return 1\n"}, "the entry point", "entry is written"),
    "a name imported from elsewhere": (
        {"entry": "from {p}.one import g\n\n\ndef main():\n    return g()\n", "one": "from {p}.two import g\n", "two": "def g():\n    return 1\n"},
        "imports `g` from `one`",
        "it is in `two`",
    ),
    "an unused local": ({"entry": "def main():\n    x = 1\n    return 2\n"}, "has a fault", "inside the branch"),
    "not Python": ({"entry": "def main(:\n"}, "is not Python", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_faults_are_clear(composed, case):
    parts, message, hint = FAULTS[case]
    with pytest.raises(GolfError) as fault:
        composed(**parts)
    assert message in fault.value.message and hint in (fault.value.hint or "")


def test_a_comprehension_at_the_top_reads_no_name_of_its_own():
    """Python 3.12 and later put such names into the module's own table."""
    from golf.compose.pieces import _globals

    names, _ = _globals("SIZES = {name: width(name) for name in NAMES}\n", frozenset())
    assert names - {"SIZES"} == {"width", "NAMES"}
