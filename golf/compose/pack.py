"""Pack a composed file: minify, compress, wrap. Python runs the result as it is: the wrapper needs the standard library, and
brotli only where the script itself imports it (4 % smaller than lzma on our scripts).

The wrapper registers the text in `linecache` under the compiled file's name, so `inspect`, Triton and tracebacks find it.
Plain packing is base85; the denser form holds the compressed bytes as a latin-1 literal, about a fifth smaller, no valid UTF-8.
"""

import ast
import lzma
from base64 import b85encode
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from golf.compose.unpack import unpack
from golf.errors import GolfError

__all__ = ["latin1_literal", "minify", "pack", "unpack", "wrap"]

WRAPPER = 'F=__file__+".py"\nC.cache[F]=len(S),None,S.splitlines(True),F\nexec(compile(S,F,"exec"))\n'  # runs in the wrapper's globals


@lru_cache(maxsize=64)
def minify(text: str) -> str:
    """`text` without comments and docstrings, with locals renamed. Globals keep their names: tracebacks stay readable.

    Raises GolfError when the text does not parse, and when something in it kept the minifier from renaming.
    """
    try:
        small = _minified(text, rename_locals=True)
    except SyntaxError as fault:
        raise GolfError(
            f"line {fault.lineno} is not Python: {fault.msg}", "`golf compose` prints a file that is"
        ) from fault
    long = _long_locals(text)
    # all of them are still there, which is quick to see: then it is worth minifying once more to be sure
    if long and long <= _long_locals(small) and small == _minified(text, rename_locals=False):
        raise GolfError(
            "the minifier renamed nothing: something in the file looks names up",
            "remove `vars`, `locals`, `dir`, `globals`, `eval` and `exec` from it [rule 8]",
        )
    return small


def _minified(text: str, *, rename_locals: bool) -> str:
    import python_minifier

    small: str = python_minifier.minify(
        text, rename_locals=rename_locals, rename_globals=False, hoist_literals=False, remove_literal_statements=True
    )
    return small if small.endswith("\n") else small + "\n"


def _long_locals(text: str) -> set[str]:
    """What the functions in `text` bind for themselves, of more than two letters."""
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    names = {n.id for f in functions for n in ast.walk(f) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return {name for name in names if len(name) > 2}


def pack(text: str, *, dense: bool = False) -> bytes:
    """The packed file of a composed `text`: the smallest of the forms. dense: the latin-1 form. Deterministic."""
    return wrap(minify(text), dense=dense)


def wrap(source: str, *, dense: bool = False) -> bytes:
    """`source` as it is, compressed and wrapped."""
    return min(_forms(source.encode(), dense), key=len)


def _forms(source: bytes, dense: bool) -> Iterator[bytes]:
    for module, arguments, compressed in _compressed(source):
        if dense:
            head = f"#coding:l1\nimport {module} as L,linecache as C\nS=L.decompress(".encode()
            head += latin1_literal(compressed) + b'.encode("l1")'
        else:
            head = f'import {module} as L,base64 as B,linecache as C\nS=L.decompress(B.b85decode("'.encode()
            head += b85encode(compressed) + b'")'
        yield head + arguments.encode() + b").decode()\n" + WRAPPER.encode()


@lru_cache(maxsize=4)
def _compressed(source: bytes) -> tuple[tuple[str, str, bytes], ...]:
    return tuple(_every_compressed(source))


def _every_compressed(source: bytes) -> Iterator[tuple[str, str, bytes]]:
    """(module, arguments of its `decompress` after the data, the data) for every form that may be the smallest."""
    if _imports(source, "brotli"):
        import brotli

        yield "brotli", "", brotli.compress(source, quality=11, lgwin=18)
    for lc, pb in ((3, 0), (4, 0), (3, 2), (2, 0), (3, 1)):
        for mode in (lzma.MF_BT4, lzma.MF_BT2):
            tuning: dict[str, Any] = {
                "preset": 9 | lzma.PRESET_EXTREME,
                "lc": lc,
                "lp": 0,
                "pb": pb,
                "mf": mode,
                "dict_size": 1 << 20,
            }
            raw = [{"id": lzma.FILTER_LZMA2, **tuning}]
            yield "lzma", ',3,None,[{"id":33}]', lzma.compress(source, lzma.FORMAT_RAW, filters=raw)
            yield "lzma", "", lzma.compress(source, lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, **tuning}])


def _imports(source: bytes, module: str) -> bool:
    """Whether running `source` imports `module` at once, so that its wrapper may as well."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return False
    return any(isinstance(s, ast.Import) and module in (alias.name for alias in s.names) for s in statements)


def latin1_literal(data: bytes) -> bytes:
    """A Python literal whose latin-1 encoding is `data`: only what would end or change the literal is escaped."""
    quote = min((b'"', b"'"), key=data.count)
    out = bytearray(quote)
    for i, byte in enumerate(data):
        following = data[i + 1] if i + 1 < len(data) else 0
        if byte == 0:
            out += b"\\x00" if 48 <= following < 56 else b"\\0"  # a digit after \0 would make an octal escape
        elif byte in (10, 13, 92) or byte == quote[0]:
            out += {10: b"\\n", 13: b"\\r", 92: b"\\\\"}.get(byte, b"\\" + quote)
        else:
            out.append(byte)
    return bytes(out + quote)
