"""Packed scripts: they run, they are what they were, they weigh what is on disk, and reading one runs nothing."""

import ast
import base64
import bz2
import gzip
import hashlib
import json
import lzma
import os
import subprocess
import sys
import time
import zlib

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import ROOT
from pythons import interpreter

from golf.compose.pack import latin1_literal, minify, pack, wrap
from golf.errors import GolfError
from golf.reading import seven_bits
from golf.reading.decompress import MAX_SOURCE_BYTES
from golf.reading.unpack import MAX_LAYERS, NotPython, peel, unpack, unwrap

SCRIPT = '''
"""What it does."""

import inspect
import json
import os
import sys
import traceback


class h:
    number = 3  # of things


def shown(argument_with_a_long_name):
    """Goes."""
    local_value = argument_with_a_long_name * h.number  # a comment
    return local_value


def fails():
    raise ValueError("as it should")


if __name__ == "__main__":
    try:
        fails()
    except ValueError:
        trace = traceback.format_exc()
    source = inspect.getsource(shown)
    print(json.dumps({"value": shown(7), "bytes": os.path.getsize(__file__), "argv": sys.argv[1:], "trace": trace, "source": source}))
'''


BROTLI = SCRIPT.replace("import inspect", "import brotli\nimport inspect")  # then its wrapper may use it too


@pytest.mark.parametrize("script", [SCRIPT, BROTLI], ids=["lzma", "brotli"])
@pytest.mark.parametrize("dense", [False, True])
def test_a_packed_file_runs_and_finds_its_own_source(tmp_path, dense, script):
    path = tmp_path / "train_gpt.py"
    path.write_bytes(pack(script, dense=dense))
    done = subprocess.run(
        [sys.executable, path.name, "train"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    out = json.loads(done.stdout)
    assert (out["value"], out["bytes"], out["argv"]) == (21, path.stat().st_size, ["train"])
    assert 'raise ValueError("as it should")' in out["trace"].replace("'", '"')  # the traceback shows the line
    assert out["source"].startswith("def shown(")


@pytest.mark.parametrize("script", [SCRIPT, BROTLI], ids=["lzma", "brotli"])
@pytest.mark.parametrize("dense", [False, True])
def test_unpacking_gives_the_minified_text(dense, script):
    packed = pack(script, dense=dense)
    assert unpack(packed) == minify(script)
    assert unpack(unpack(packed)) == minify(script)
    assert packed == pack(script, dense=dense)


@pytest.mark.parametrize("dense", [False, True])
def test_a_wrapper_imports_brotli_only_where_its_script_does_and_is_smaller_then(dense):
    packed, without = pack(BROTLI, dense=dense), pack(SCRIPT, dense=dense)
    assert b"import brotli as L" in packed and b"lzma" not in packed
    assert b"import lzma as L" in without and b"brotli" not in without
    assert len(packed) < len(without)
    late = SCRIPT.replace("    return local_value", "    import brotli\n\n    return local_value")
    assert b"import lzma as L" in pack(late, dense=dense)


def test_minifying_renames_locals_and_keeps_globals():
    small = minify(SCRIPT)
    assert "local_value" not in small and "comment" not in small and "Goes" not in small
    assert {n.name for n in ast.walk(ast.parse(small)) if isinstance(n, ast.FunctionDef)} == {"shown", "fails"}


def test_a_script_that_keeps_the_minifier_from_renaming_is_refused():
    with pytest.raises(GolfError, match="the minifier renamed nothing") as fault:
        minify("def f(first_argument):\n    second_local = first_argument\n    return vars()\n")
    assert "[rule 8]" in fault.value.hint


def test_a_script_that_is_not_python_is_refused():
    with pytest.raises(GolfError, match="line 1 is not Python"):
        minify("def f(:\n")


@settings(deadline=None, max_examples=200)
@given(st.binary())
def test_any_bytes_survive_the_latin1_literal(data):
    source = b"#coding:l1\nx=" + latin1_literal(data) + b"\n"
    names = {}
    exec(compile(source, "x", "exec"), names)
    assert names["x"].encode("l1") == data


@settings(deadline=None, max_examples=200)
@given(st.binary() | st.lists(st.sampled_from([0, 0x0A, 0x0D, 0x22, 0x5C, 0x1B, 0x80, 0xFF]), max_size=40).map(bytes))
def test_any_bytes_survive_seven_bits_a_byte(data):
    """Run by Python and read without running; valid UTF-8 without what ends a line or a string for some tool."""
    text = seven_bits.expression(data)
    assert len(text.encode()) == seven_bits.expression_bytes(len(data))
    node = ast.parse(text, mode="eval").body
    assert eval(text) == data == seven_bits.value(node) and seven_bits.is_expression(node)
    held = seven_bits.characters(data)
    assert len(held.encode()) <= -(-(8 * len(data) + 1) // 7) + 1
    assert not set(held) & set('\0\n\r"') and not held.endswith("\\")
    assert text.encode().decode() == text


@pytest.mark.parametrize(
    "other",
    [
        lambda text: text.replace(":07b", ":08b", 1),
        lambda text: text.replace("(0,10", "(1,10"),
        lambda text: text.replace("ord(c)", "touch(c)"),
        lambda text: text.replace("to_bytes(", "to_bytes(9**9+"),
    ],
)
def test_an_expression_that_only_looks_like_seven_bits_is_not_read(other):
    text = other(seven_bits.expression(lzma.compress(INNER.encode())))
    assert not seven_bits.is_expression(ast.parse(text, mode="eval").body)
    with pytest.raises(GolfError, match="unknown form"):
        unpack(f"import lzma\nexec(lzma.decompress({text}))\n")


def test_a_character_of_neither_kind_is_a_damaged_payload():
    good = seven_bits.expression(lzma.compress(INNER.encode()))
    for wrong in ("\x80", "\xff", "\u0300", "\u05d0"):
        text = good.replace('c in r"', f'c in r"{wrong}')
        with pytest.raises(GolfError, match="does not unpack"):
            unpack(f"import lzma\nexec(lzma.decompress({text}))\n")


@settings(deadline=None, max_examples=20)
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"])), st.booleans())
def test_any_text_survives_wrapping(text, dense):
    source = f"text = {text!r}\n"
    assert unpack(wrap(source, dense=dense)) == source


INNER = "import torch\nx = 1\n"
RAW = [{"id": lzma.FILTER_LZMA2}]


def b85(data):
    return base64.b85encode(data).decode()


FOREIGN = {
    "lzma raw": f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{b85(lzma.compress(INNER.encode(), lzma.FORMAT_RAW, filters=RAW))}"),format=L.FORMAT_RAW,filters=[{{"id":L.FILTER_LZMA2}}]))\n',
    "lzma xz": f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{b85(lzma.compress(INNER.encode()))}")))\n',
    "lzma alone": f'import lzma,base64\nexec(lzma.decompress(base64.b85decode("{b85(lzma.compress(INNER.encode(), lzma.FORMAT_ALONE))}")).decode())\n',
    "brotli": f'import brotli as B,base64 as b\nexec(B.decompress(b.b85decode("{b85(brotli.compress(INNER.encode()))}")))\n',
    "zlib base64": f'import zlib\nfrom base64 import b64decode as d\nexec(zlib.decompress(d(b"{base64.b64encode(zlib.compress(INNER.encode())).decode()}")))\n',
    "zlib raw": f'import zlib,base64\nexec(zlib.decompress(base64.b64decode("{base64.b64encode(zlib.compress(INNER.encode(), wbits=-15)).decode()}"), -15))\n',
    "gzip": f'import gzip,base64\nexec(gzip.decompress(base64.b85decode("{b85(gzip.compress(INNER.encode()))}")))\n',
    "bz2": f'import bz2,base64\nexec(bz2.decompress(base64.a85decode({base64.a85encode(bz2.compress(INNER.encode())).decode()!r})))\n',
    "in parts": f'import lzma,base64\nA="{b85(lzma.compress(INNER.encode()))[:20]}"\nB="{b85(lzma.compress(INNER.encode()))[20:]}"\nexec(compile(lzma.decompress(base64.b85decode(A+B)),"x","exec"))\n',
    "with linecache": f"import lzma as L,base64 as B,linecache as C\nS=L.decompress(B.b85decode('{b85(lzma.compress(INNER.encode()))}')).decode()\nF=__file__+'.x.py'; C.cache[F]=(len(S),None,S.splitlines(True),F); exec(compile(S,F,'exec'))\n",
    "hex": f'exec(bytes.fromhex("{INNER.encode().hex()}").decode())\n',
}  # fmt: skip


@pytest.mark.parametrize("form", FOREIGN)
def test_everybodys_wrapper_is_read(form):
    assert unpack(FOREIGN[form]) == INNER
    assert unpack(FOREIGN[form].encode()) == INNER


def test_a_latin1_wrapper_is_read_from_its_bytes():
    body = latin1_literal(lzma.compress(INNER.encode(), lzma.FORMAT_ALONE))
    assert unpack(b"#coding:l1\nimport lzma\nexec(lzma.decompress(" + body + b'.encode("l1")))\n') == INNER


def test_a_wrapper_in_a_wrapper_is_read_to_the_end():
    twice = wrap(wrap(INNER).decode())
    found = unwrap(twice)
    assert found.source == INNER and len(found.layers) == 4


def test_what_cannot_be_undone_to_the_end_is_peeled_as_far_as_it_goes():
    newer = "x = f'{'nested'}' :=\n"
    found, fault = peel(wrap(newer).decode())
    assert found.source == newer and len(found.layers) == 2 and isinstance(fault, NotPython)
    assert peel(wrap(INNER).decode())[1] is None
    deep = INNER
    for _ in range(MAX_LAYERS + 1):
        deep = wrap(deep).decode()
    found, fault = peel(deep)
    assert found.source.startswith("import") and fault is not None and "more than 5 wrappers" in fault.message
    with pytest.raises(GolfError, match="more than 5 wrappers"):
        unwrap(deep)


def test_a_stub_names_the_file_that_it_runs():
    found = unwrap('exec(open("train_gpt_decode.py").read())\n')
    assert found.siblings == ("train_gpt_decode.py",) and found.source.startswith("exec")


def test_a_plain_script_is_returned_as_it_is():
    assert unwrap(SCRIPT).layers == () and unpack(SCRIPT) == SCRIPT


def bomb(kind):
    zeros = b"#" * (MAX_SOURCE_BYTES + 10)
    data = {
        "lzma": lzma.compress(zeros, preset=0),
        "zlib": zlib.compress(zeros),
        "brotli": brotli.compress(zeros, quality=1),
    }[kind]
    return f'import {kind} as K,base64 as B\nexec(K.decompress(B.b85decode("{b85(data)}")))\n'


@pytest.mark.parametrize("kind", ["lzma", "zlib", "brotli"])
def test_a_bomb_is_refused(kind):
    with pytest.raises(GolfError, match="unpacks to more than 16,000,000 bytes"):
        unpack(bomb(kind))


UNREADABLE = {
    "cut short": (FOREIGN["lzma xz"].replace('")))', '"[:40])))'), "unknown form"),
    "damaged": ('import lzma,base64\nexec(lzma.decompress(base64.b85decode("0000000000")))\n', "does not unpack"),
    "truncated": (f'import zlib,base64\nexec(zlib.decompress(base64.b85decode("{b85(zlib.compress(INNER.encode())[:10])}")))\n', "does not unpack"),
    "no base85": ('import lzma,base64\nexec(lzma.decompress(base64.b85decode("\\"")))\n', "does not unpack"),
    "a dictionary of gigabytes": (f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{b85(b"x" * 20)}"),L.FORMAT_RAW,None,[{{"id":L.FILTER_LZMA2,"dict_size":4000000000}}]))\n', "more than"),
    "calls of its own": ('exec(__import__("os").popen("touch ran").read())\n', "unknown form"),
    "another module's attribute": ('import os\nexec(os.environ["X"])\n', "unknown form"),
    "not Python": ("def f(:\n", "not Python"),
    "binary": (b"\xff\xfe\x00\x01", "neither UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_said_and_never_run(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, message = UNREADABLE[case]
    with pytest.raises(GolfError, match=message):
        unpack(text)
    assert not list(tmp_path.iterdir())


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_is_a_clear_error_or_another_text(position, byte):
    packed = bytearray(pack(SCRIPT))
    packed[position % len(packed)] = byte
    begun = time.perf_counter()
    try:
        unpack(bytes(packed))
    except GolfError as fault:
        assert fault.message
    assert time.perf_counter() - begun < 5


NEWER = {
    "3.12": 'import os\nd={\'a\':1}\nprint(f"{d["a"]:>4} {os.environ.get("SEED","1337")}")\n',
    "3.12 joined": "d = {'a': 1}\nprint('x' f'{d['a']} {f'{d['a']}'}' 'y')\n",
    "3.12 types": "type Pair = tuple[int, int]\ndef first[T](pair: tuple[T, T]) -> T:\n    return pair[0]\n",
    "3.13": "class Box[T = int]:\n    pass\n",
}


@pytest.mark.parametrize("version", NEWER)
def test_what_a_newer_python_wrote_is_unpacked_to_the_byte(version):
    """Decoding needs no parse; which Python it needs is a remark, where the running one is older."""
    for packed in (wrap(NEWER[version]), wrap(NEWER[version], dense=True), NEWER[version].encode()):
        found = unwrap(packed)
        assert found.source == NEWER[version]
        wanted = version.split()[0]
        older = sys.version_info[:2] < tuple(map(int, wanted.split(".")))
        assert found.remark == (f"needs Python {wanted}" if older else "")


def test_what_no_grammar_parses_is_decoded_and_said():
    found = unwrap(wrap("x = f'{'nested'}' :=\n"))
    assert found.source == "x = f'{'nested'}' :=\n" and "not Python" in found.remark
    with pytest.raises(GolfError, match="not Python"):
        unwrap("x = f'{'nested'}' :=\n")


def test_a_preset_with_flags_is_computed():
    raw = lzma.compress(
        INNER.encode(), lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    )
    text = f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{b85(raw)}"),format=L.FORMAT_RAW,filters=[{{"id":L.FILTER_LZMA2,"preset":9 | L.PRESET_EXTREME}}]))\n'
    assert unpack(text) == INNER


SIBLINGS = (
    "exec(open(__file__.replace('train_gpt.py','train_gpt_decode.py')).read())\n",
    "import os\nd=os.path.dirname(os.path.abspath(__file__))\nexec(compile(open(os.path.join(d,'train_gpt_decode.py')).read(),'train_gpt.py','exec'))\n",
    "from pathlib import Path\nexec(Path(__file__).with_name('train_gpt_decode.py').read_text())\n",
    "import os\np=os.path.join(os.path.dirname(__file__),'train_gpt_decode.py')\nwith open(p) as f:\n    exec(f.read())\n",
    "exec(open('./train_gpt_decode.py').read())\n",
)


@pytest.mark.parametrize("text", SIBLINGS)
def test_a_stub_is_followed_into_the_file_that_it_runs(text, tmp_path):
    assert unwrap(text).siblings == ("train_gpt_decode.py",) and unwrap(text).source == text
    script = tmp_path / "train_gpt.py"
    script.write_text(text)
    assert unwrap(script).source == text  # the file is not there
    (tmp_path / "train_gpt_decode.py").write_bytes(wrap(INNER))
    found = unwrap(script)
    assert (
        found.source == INNER
        and found.siblings == ("train_gpt_decode.py",)
        and "the file train_gpt_decode.py" in found.layers
    )


def test_a_stub_is_not_followed_out_of_its_folder(tmp_path):
    (tmp_path / "outside.py").write_text("secret = 1\n")
    script = tmp_path / "record" / "train_gpt.py"
    script.parent.mkdir()
    script.write_text("exec(open('../outside.py').read())\n")
    assert "secret" not in unwrap(script).source
    (script.parent / "link.py").symlink_to(tmp_path / "outside.py")
    script.write_text("exec(open('link.py').read())\n")
    assert "secret" not in unwrap(script).source


IN_ANOTHER = """
import hashlib, json, sys, tempfile
from pathlib import Path
from golf.reading.unpack import unwrap
from golf.record.adopt import adopt_folder

def sha(text): return hashlib.sha256(text.encode()).hexdigest()
found = {}
for place, (name, text) in enumerate(json.load(sys.stdin).items()):
    root = Path(tempfile.mkdtemp())
    (root / "submissions").mkdir()
    (root / "record").mkdir()
    (root / "record/train_gpt.py").write_bytes(text.encode())
    adopted = adopt_folder(root / "record", "theirs", root=root)
    whole = (adopted.folder / "original/train_gpt.py").read_bytes()
    found[name] = sha(unwrap(text).source), sha((adopted.folder / "train_gpt.py").read_text()), whole == text.encode()
print(json.dumps(found))
"""


FORMS = {name: text for name, text in FOREIGN.items() if "brotli" not in name}
FORMS |= {name: wrap(text).decode() for name, text in NEWER.items()}


def read_by(python):
    """Of each form by another process: hashes of the text unpacked and of the script imported, and whether the original is kept."""
    done = subprocess.run(
        [python, "-c", IN_ANOTHER], input=json.dumps(FORMS), capture_output=True, text=True, cwd=ROOT, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def read_here():
    return read_by(sys.executable)


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_every_packed_form_is_unpacked_and_imported_alike_by_other_pythons(version, read_here):
    """To the byte, where such an interpreter can be had; only the standard library is used for it."""
    there = read_by(interpreter(version))
    assert there == read_here and len(there) == 14 and all(whole for _, _, whole in there.values())
    for name, (sha, _, _) in there.items():
        assert sha == hashlib.sha256(unwrap(FORMS[name]).source.encode()).hexdigest(), name


def test_the_official_case_of_a_newer_python(shared):
    index = {one["file"]: one["expect"] for one in json.loads((shared / "log_cases" / "index.json").read_text())}
    assert unwrap(shared / "log_cases" / "e1_packed_pep701.py").source == index["e1_packed_pep701.py"]["source"]
    assert unwrap(shared / "log_cases" / "e2_sibling.py").siblings == ("train_gpt_decode.py",)


def test_text_that_nests_deeply_ends_the_other_grammar_and_not_golf():
    with pytest.raises(GolfError, match="not Python"):
        unpack("x = " + "(" * 5000 + ")" * 5000 + " :=")
