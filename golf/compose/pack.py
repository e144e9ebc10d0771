"""Pack a composed file: minify, compress, wrap. Python runs the result as it is: the wrapper needs the standard library, and
brotli only where the script itself imports it (4 % smaller than lzma on our scripts).

The wrapper registers the text in `linecache` under the compiled file's name, so `inspect`, Triton and tracebacks find it.
Plain packing holds seven bits a byte and is valid UTF-8 (`golf.reading.seven_bits`); the denser form holds the compressed bytes as a
latin-1 literal, about a tenth smaller, no valid UTF-8.
"""

import ast
import lzma
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

from golf.errors import GolfError
from golf.reading.seven_bits import expression, expression_bytes
from golf.reading.unpack import unpack

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
    if long and long <= set(re.findall(r"\w+", small)) and small == _minified(text, rename_locals=False):
        raise GolfError(
            "the minifier renamed nothing: something in the file looks names up",
            "remove `vars`, `locals`, `dir`, `globals`, `eval` and `exec` from it [rule 8]",
        )
    return small


def _minified(text: str, *, rename_locals: bool) -> str:
    import python_minifier

    small: str = python_minifier.minify(
        text, rename_locals=rename_locals, rename_globals=False, hoist_literals=False, remove_literal_statements=True,
        remove_object_base="object" in text,  # a pass over the tree
    )  # fmt: skip
    return small if small.endswith("\n") else small + "\n"


def _long_locals(text: str) -> set[str]:
    """What the functions in `text` bind for themselves, of more than two letters."""
    names = set[str]()
    todo: list[tuple[ast.AST, bool]] = [(ast.parse(text), False)]
    while todo:
        node, inside = todo.pop()
        if inside and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and len(node.id) > 2:
            names.add(node.id)
        inside = inside or isinstance(node, ast.FunctionDef)
        todo += [(child, inside) for child in ast.iter_child_nodes(node)]
    return names


def pack(text: str, *, dense: bool = False) -> bytes:
    """The packed file of a composed `text`: the smallest of the forms. dense: the latin-1 form. Deterministic."""
    return wrap(minify(text), dense=dense)


def wrap(source: str, *, dense: bool = False) -> bytes:
    """`source` as it is, compressed and wrapped."""
    forms = _compressed(source.encode())
    if dense:
        return min((_dense(*way) for way in forms), key=len)
    # what each would weigh is known before it is written
    return _plain(*min(forms, key=lambda way: len(way[0]) + len(way[1]) + expression_bytes(len(way[2]))))


def _plain(module: str, arguments: str, compressed: bytes) -> bytes:
    head = f"import {module} as L,linecache as C\nS=L.decompress("
    return _wrapped((head + expression(compressed)).encode(), arguments)


def _dense(module: str, arguments: str, compressed: bytes) -> bytes:
    head = f"#coding:l1\nimport {module} as L,linecache as C\nS=L.decompress(".encode()
    return _wrapped(head + latin1_literal(compressed) + b'.encode("l1")', arguments)


def _wrapped(start: bytes, arguments: str) -> bytes:
    return start + arguments.encode() + b").decode()\n" + WRAPPER.encode()


@lru_cache(maxsize=4)
def _compressed(source: bytes) -> tuple[tuple[str, str, bytes], ...]:
    """(module, arguments of its `decompress` after the data, the data) for every form that may be the smallest."""
    forms = list(_ways(source))
    return tuple(
        (module, arguments, data)
        for (module, arguments, _), data in zip(forms, side_by_side([way for _, _, way in forms]), strict=True)
    )


def side_by_side(jobs: Iterable[Callable[[], bytes]]) -> list[bytes]:
    """The results of compressions, on every core: compressors let go of Python's lock."""
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        return list(pool.map(lambda job: job(), jobs))


def _ways(source: bytes) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    if _imports(source, "brotli"):
        import brotli

        yield "brotli", "", partial(brotli.compress, source, quality=11, lgwin=18)
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
            alone = [{"id": lzma.FILTER_LZMA1, **tuning}]
            yield "lzma", ',3,None,[{"id":33}]', partial(lzma.compress, source, lzma.FORMAT_RAW, filters=raw)
            yield "lzma", "", partial(lzma.compress, source, lzma.FORMAT_ALONE, filters=alone)


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
    escapes = {b"\n": b"\\n", b"\r": b"\\r", b"\\": b"\\\\", quote: b"\\" + quote, b"\0": b"\\0"}
    # a digit after \0 would make an octal escape
    body = re.sub(rb"\0(?=[0-7])", rb"\\x00", re.sub(rb"[\n\r\\" + quote + rb"]", lambda m: escapes[m[0]], data))
    return quote + body.replace(b"\0", escapes[b"\0"]) + quote
