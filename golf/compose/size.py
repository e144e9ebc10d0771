"""Where the code bytes go: per part and definition, readable, minified and packed; and what each technique adds.

Packed bytes of a piece are marginal: what the compressed whole would lose without it. They add up to less than the whole, because
pieces share what they have in common. Bytes of a technique compare the composed file with the one composed without it.
"""

import ast
import lzma
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from golf.compose.composition import Composition, composition
from golf.compose.pack import pack
from golf.errors import GolfError
from golf.recipe import Recipe
from golf.techniques import techniques, without_technique

FILTERS: list[dict[str, Any]] = [
    {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 3, "lp": 0, "pb": 0}
]
BASE85 = 1.25


@dataclass(frozen=True)
class Weight:
    """Bytes of a piece: as printed, minified, and marginal in the packed file."""

    readable_bytes: int
    minified_bytes: int
    packed_bytes: int


@dataclass(frozen=True)
class Marginal:
    """What a technique adds to the file. None where the recipe does not compose without it; why says so."""

    technique: str
    packed_bytes: int | None
    readable_bytes: int | None
    why: str = ""


@dataclass(frozen=True)
class Report:
    """The code bytes of a recipe. total: packed_bytes is measured on the packed file; dense_bytes of its latin-1 form."""

    recipe: str
    total: Weight
    dense_bytes: int
    parts: Mapping[str, Weight]
    definitions: Mapping[str, Weight]
    techniques: tuple[Marginal, ...]


def weigh(recipe: Recipe, *, marginal: bool = True) -> Report:
    """Weigh a recipe's composed file. marginal: also compose without each technique in turn (about 0.2 s each)."""
    composed = composition(recipe)
    pieces = _pieces(composed)
    order = list(pieces)
    whole = _packed(list(pieces.values()))
    parts: dict[str, list[str]] = {}
    for part, name in order:
        parts.setdefault(part, []).append(name)
    readable = {(d.part, d.names[0]): text for d, text in composed.definitions}
    definitions = {
        name: _weigh(
            readable.get((part, name), ""),
            pieces[part, name],
            whole - _packed([pieces[k] for k in order if k != (part, name)]),
        )
        for part, name in order
    }
    weights = {}
    for part, names in parts.items():
        rest = [pieces[k] for k in order if k[0] != part]
        text = "".join(readable.get((part, n), "") for n in names)
        weights[part] = _weigh(text, "".join(pieces[part, n] for n in names), whole - _packed(rest))
    text = composed.text
    minified = sum(len(piece.encode()) for piece in pieces.values())
    total = Weight(len(text.encode()), minified, len(pack(text)))
    found = tuple(_marginals(recipe, composed, whole)) if marginal else ()
    return Report(recipe.name, total, len(pack(text, dense=True)), weights, definitions, found)


def _weigh(readable: str, minified: str, packed_bytes: int) -> Weight:
    return Weight(len(readable.encode()), len(minified.encode()), packed_bytes)


def _packed(pieces: list[str]) -> int:
    """Bytes of the pieces compressed and written in base85, without the wrapper."""
    return round(BASE85 * len(lzma.compress("".join(pieces).encode(), lzma.FORMAT_RAW, filters=FILTERS)))


def _pieces(composed: Composition) -> dict[tuple[str, str], str]:
    """(part, first name) → minified text of every definition; the imports and `class h` are pieces of no part."""
    lines, tree = composed.text.splitlines(keepends=True), ast.parse(composed.text)
    head = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    scalars = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "h"]
    pieces = {("(imports)", "imports"): _segment(lines, head), ("(class h)", "h"): _segment(lines, scalars)}
    pieces |= {(d.part, d.names[0]): text for d, text in composed.definitions}
    return {key: _minified(text) for key, text in pieces.items()}


def _segment(lines: list[str], nodes: list[Any]) -> str:
    return "".join("".join(lines[n.lineno - 1 : n.end_lineno]) for n in nodes)


@lru_cache(maxsize=4096)
def _minified(text: str) -> str:
    import python_minifier

    small: str = python_minifier.minify(
        text, rename_globals=False, hoist_literals=False, remove_literal_statements=True
    )
    return small + "\n"


def _marginals(recipe: Recipe, composed: Composition, whole: int) -> list[Marginal]:
    found = []
    for technique in techniques(recipe.catalogue).values():
        if not technique.used_in(recipe):
            continue
        try:
            # what only the technique read is no fault here
            without = composition(replace(without_technique(recipe, technique.name), own=frozenset()))
        except GolfError as fault:
            found.append(Marginal(technique.name, None, None, fault.message))
            continue
        packed_bytes = whole - _packed(list(_pieces(without).values()))
        found.append(Marginal(technique.name, packed_bytes, len(composed.text.encode()) - len(without.text.encode())))
    return sorted(found, key=lambda m: -(m.packed_bytes or 0))
