"""Where the code bytes go: per part and definition, readable, minified and packed; and what each technique adds.

Packed bytes of a piece are marginal: what the compressed whole would lose without it. They add up to less than the whole, because
pieces share what they have in common. Bytes of a technique compare the composed file with the one composed without it.
"""

import ast
import lzma
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from golf.compose.composition import Composition
from golf.compose.kept import kept, kept_composition
from golf.compose.pack import minify, pack, side_by_side
from golf.errors import GolfError
from golf.recipe import Recipe
from golf.recipe.exchange import without_technique
from golf.recipe.partfile import bound
from golf.recipe.techniques import techniques

# a script is far smaller than this dictionary, so its bytes are the preset's; the preset's own 64 MiB take four times as long to clear
DICTIONARY_BYTES = 1 << 20
FILTERS: list[dict[str, Any]] = [
    {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "dict_size": DICTIONARY_BYTES,
        "lc": 3,
        "lp": 0,
        "pb": 0,
    }
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
    """The code bytes of a recipe. total: packed_bytes is measured on the packed file; dense_bytes of its latin-1 form.

    definitions, techniques: empty unless asked for.
    """

    recipe: str
    total: Weight
    dense_bytes: int
    parts: Mapping[str, Weight]
    definitions: Mapping[str, Weight]
    techniques: tuple[Marginal, ...]


def weigh(recipe: Recipe, *, pieces_too: bool = False, marginal: bool = False) -> Report:
    """Weigh a recipe's composed file. pieces_too: every definition. marginal: also compose without each technique in turn.

    Both take time, the first time: a definition 0.02 s, a technique 0.3 s.
    """
    found = kept("weight", recipe, lambda: asdict(_weighed(recipe, pieces_too, marginal)), pieces_too, marginal)
    return Report(
        found["recipe"],
        Weight(**found["total"]),
        found["dense_bytes"],
        {name: Weight(**weight) for name, weight in found["parts"].items()},
        {name: Weight(**weight) for name, weight in found["definitions"].items()},
        tuple(Marginal(**row) for row in found["techniques"]),
    )


def _weighed(recipe: Recipe, pieces_too: bool, marginal: bool) -> Report:
    composed = kept_composition(recipe)
    pieces = _pieces(composed)
    order = list(pieces)
    parts: dict[str, list[str]] = {}
    for part, name in order:
        parts.setdefault(part, []).append(name)
    leave_out = [*parts, *(order if pieces_too else ())]
    whole, *rest = _packed(
        [list(pieces.values()), *([pieces[k] for k in order if out not in (k, k[0])] for out in leave_out)]
    )
    marginal_bytes = {out: whole - size for out, size in zip(leave_out, rest, strict=True)}
    readable = {(d.part, d.names[0]): text for d, text in composed.definitions}
    definitions = {
        name: _weigh(
            readable.get((part, name), ""),
            pieces[part, name],
            marginal_bytes[part, name],
        )
        for part, name in (order if pieces_too else ())
    }
    weights = {}
    for part, names in parts.items():
        text = "".join(readable.get((part, n), "") for n in names)
        weights[part] = _weigh(text, "".join(pieces[part, n] for n in names), marginal_bytes[part])
    text = composed.text
    minified = sum(len(piece.encode()) for piece in pieces.values())
    total = Weight(len(text.encode()), minified, len(pack(text)))
    found = tuple(_marginals(recipe, composed, whole)) if marginal else ()
    return Report(recipe.name, total, len(pack(text, dense=True)), weights, definitions, found)


def _weigh(readable: str, minified: str, packed_bytes: int) -> Weight:
    return Weight(len(readable.encode()), len(minified.encode()), packed_bytes)


def _packed(texts: Iterable[list[str]]) -> list[int]:
    """Bytes of each list of pieces compressed and written in base85, without the wrapper."""
    jobs = [partial(lzma.compress, "".join(pieces).encode(), lzma.FORMAT_RAW, filters=FILTERS) for pieces in texts]
    return [round(BASE85 * len(data)) for data in side_by_side(jobs)]


def _pieces(composed: Composition) -> dict[tuple[str, str], str]:
    """(part, first name) → its text in the minified file; imports, `class h` and the call of main are pieces of no part."""
    lines = minify(composed.text).encode().splitlines(keepends=True)
    body = ast.parse(b"".join(lines)).body
    before = [0]
    for line in lines:
        before.append(before[-1] + len(line))
    firsts = [min([node, *getattr(node, "decorator_list", [])], key=lambda n: n.lineno) for node in body]
    starts = [before[n.lineno - 1] + n.col_offset - (n is not node) for n, node in zip(firsts, body, strict=True)]
    owners = {name: (d.part, d.names[0]) for d, _ in composed.definitions for name in d.names}
    text, pieces = b"".join(lines), dict[tuple[str, str], str]()
    for node, start, end in zip(body, starts, [*starts[1:], len(text)], strict=True):
        key = next((owners[name] for name in bound(node) if name in owners), _REST.get(type(node), _START))
        pieces[key] = pieces.get(key, "") + text[start:end].decode()
    return pieces


_START = ("(start)", "start")
_REST: Mapping[type, tuple[str, str]] = {
    ast.Import: ("(imports)", "imports"),
    ast.ImportFrom: ("(imports)", "imports"),
    ast.ClassDef: ("(class h)", "h"),
}


def _marginals(recipe: Recipe, composed: Composition, whole: int) -> list[Marginal]:
    found = []
    for technique in techniques(recipe.catalogue).values():
        if not technique.used_in(recipe):
            continue
        try:
            # what only the technique read is no fault here
            without = kept_composition(replace(without_technique(recipe, technique.name), own=frozenset()))
        except GolfError as fault:
            found.append(Marginal(technique.name, None, None, fault.message))
            continue
        packed_bytes = whole - _packed([list(_pieces(without).values())])[0]
        found.append(Marginal(technique.name, packed_bytes, len(composed.text.encode()) - len(without.text.encode())))
    return sorted(found, key=lambda m: -(m.packed_bytes or 0))
