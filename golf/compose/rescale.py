"""A small twin of a composed file: other values inside `class h`, and nothing else."""

import ast
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from golf.errors import GolfError
from golf.recipe.knobs import literal


def scalars(text: str) -> Mapping[str, Any]:
    """The values inside `class h` of a composed file, without running it."""
    return MappingProxyType({name: ast.literal_eval(node) for name, node in _assignments(text)})


def rescale(text: str, sizes: Mapping[str, Any]) -> str:
    """`text` with the values of `sizes` inside `class h`. A name that the file does not read is passed over.

    Raises GolfError when the file has no `class h`, or when a value is of another type than the one that it replaces.
    """
    lines = text.splitlines(keepends=True)
    for name, node in reversed(_assignments(text)):
        if name not in sizes:
            continue
        before = ast.literal_eval(node)
        value = float(sizes[name]) if type(before) is float and type(sizes[name]) is int else sizes[name]
        if type(value) is not type(before):
            raise GolfError(f"`{name}` is {before!r} and cannot become {value!r}", f"give it a {type(before).__name__}")
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        head = lines[first].encode()[: node.col_offset].decode()
        tail = lines[last].encode()[node.end_col_offset or 0 :].decode()
        lines[first : last + 1] = [head + literal(value) + tail]
    return "".join(lines)


def _assignments(text: str) -> list[tuple[str, ast.expr]]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name == "h":
            return [
                (s.targets[0].id, s.value)
                for s in node.body
                if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name)
            ]
    raise GolfError(
        "this file has no `class h`", "only a composed, unpacked file can be rescaled: `golf unpack` it first"
    )
