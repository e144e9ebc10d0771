"""Where a technique plugs in: the slots and chains of the parts, what each is called with, and what fits.

Read from the source, like everything about parts: a technique fits a place when its class or function takes what those that are
there already take, or what the place's comment says. Recipes that use it, then its docstring (``slot `head_gate` ``), go first.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from golf.recipe.catalogue import Catalogue
from golf.recipe.partfile import Definition, Knob
from golf.recipe.recipe import Recipe
from golf.recipe.techniques import PLACE, entries

Signature = tuple[tuple[str, tuple[str, ...]], ...]  # (function or method, its arguments), sorted


@dataclass(frozen=True)
class Place:
    """A slot or chain with the entry that a technique would be there: `head_gate`, `sparse_gate.SparseGate`."""

    knob: Knob
    entry: str


def points(catalogue: Catalogue) -> list[Knob]:
    """Every slot and chain, by part and in the order of the file."""
    return [knob for part in catalogue.parts.values() for knob in part.knobs if knob.kind in ("Slot", "Chain")]


def places_of(catalogue: Catalogue, technique: str, recipes: Sequence[Recipe] = ()) -> list[Place]:
    """Where the technique of a part can go: where recipes have it, else where it fits and says that it goes, else all that fit."""
    known = {
        (knob, _entry(catalogue.find(member, knob)))
        for recipe in recipes
        for knob, mine in entries(recipe, technique).items()
        for member in mine
    }
    if known:
        return [Place(catalogue.knobs[knob], entry) for knob, entry in sorted(known)]
    part = catalogue.parts[technique]
    fitting = [
        Place(knob, _entry(definition, user=part.user))
        for knob in points(catalogue)
        for definition in part.definitions
        if fits(catalogue, knob, definition)
    ]
    named = [name for name in PLACE.findall(part.doc) if name in catalogue.knobs]
    if not named:
        return fitting
    first = next(d for d in part.definitions if d.kind in ("class", "def"))
    by_name = {place.knob.name: place for place in reversed(fitting)}
    return [by_name.get(name, Place(catalogue.knobs[name], _entry(first, user=part.user))) for name in named]


def fits(catalogue: Catalogue, knob: Knob, definition: Definition) -> bool:
    """Whether a class or function takes what the place calls it with."""
    mine = signature(definition)
    return bool(mine) and any(_serves(mine, wanted) for wanted in _wanted(catalogue, knob))


def members_of(knob: Knob, recipes: Sequence[Recipe]) -> dict[str, list[str]]:
    """Entry → the recipes that have it there; the default with none."""
    found: dict[str, list[str]] = {entry: [] for entry in _entries(knob, knob.default)}
    for recipe in recipes:
        for entry in _entries(knob, recipe.values.get(knob.name, ())):
            if recipe.name not in found.setdefault(entry, []):
                found[entry].append(recipe.name)
    return found


def _entries(knob: Knob, value: str | Sequence[str]) -> list[str]:
    return [entry for entry in ((value,) if isinstance(value, str) else value) if entry]


def _entry(definition: Definition, *, user: bool = False) -> str:
    return f"{'user:' if user else ''}{definition.part}.{definition.names[0]}"


def _serves(mine: Signature, wanted: Signature) -> bool:
    """A class without an `__init__` of its own takes what its parent does; more methods than wanted are no fault."""
    return set(wanted) <= set(mine)


def _wanted(catalogue: Catalogue, knob: Knob) -> Iterator[Signature]:
    """What a place asks for: by its comment `(y, u, flow) -> y`, and by what it holds by default."""
    said = re.search(r"\(([a-z_0-9, ]+)\)(?= ->| are called)", knob.meaning)
    if said:
        arguments = tuple(word.strip() for word in said[1].split(","))
        yield (("()", arguments),)
        yield (("forward", arguments),)
    for entry in _entries(knob, knob.default):
        yield signature(catalogue.find(entry, knob.name))


@lru_cache(maxsize=1024)
def signature(definition: Definition) -> Signature:
    """`()` with a function's arguments; of a class the arguments of every public method and of `__init__`, without self."""
    if definition.kind not in ("class", "def"):
        return ()
    node = ast.parse(definition.text).body[0]
    if isinstance(node, ast.FunctionDef):
        return (("()", _arguments(node)),)
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef)] if isinstance(node, ast.ClassDef) else []
    public = [m for m in methods if not m.name.startswith("_") or m.name == "__init__"]
    return tuple(sorted((m.name, tuple(a for a in _arguments(m) if a not in ("self", "cls"))) for m in public))


def _arguments(node: ast.FunctionDef) -> tuple[str, ...]:
    """The arguments without a default: those that a caller must give."""
    given = [*node.args.posonlyargs, *node.args.args]
    return tuple(a.arg for a in given[: len(given) - len(node.args.defaults)])


def shapes(definition: Definition) -> tuple[str, ...]:
    """`forward(self, y, u, flow)  # y: (B, T, H, D)   u: (B, T, C)`: the calls of a definition, with the shapes noted below."""
    lines = definition.text.splitlines()
    found = []
    for node in ast.walk(ast.parse(definition.text)):
        if isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
            below = lines[node.lineno].strip() if node.lineno < len(lines) else ""
            note = f"  {below}" if re.match(r"#.*\([A-Z]", below) else ""
            found.append((node.lineno, f"{node.name}({ast.unparse(node.args)}){note}"))
    return tuple(text for _, text in sorted(found))


def reads(catalogue: Catalogue, name: str) -> list[tuple[str, int, str]]:
    """(file, line, text) of every line of the parts that reads a knob."""
    found = []
    for part in catalogue.parts.values():
        if f".{name}" in part.text:
            found += [(part.shown, line, text) for knob, line, text in _reads_of(part.text) if knob == name]
    return sorted(set(found), key=lambda read: (read[0] != catalogue.parts[catalogue.knobs[name].part].shown, *read))


@lru_cache(maxsize=256)
def _reads_of(text: str) -> tuple[tuple[str, int, str], ...]:
    """(name, line, the line) of everything that a part reads of `h`."""
    lines = text.splitlines()
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute) and _is_h(node.value)]
    return tuple((node.attr, node.lineno, lines[node.lineno - 1].strip()) for node in nodes)


def _is_h(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == "h") or (isinstance(node, ast.Attribute) and node.attr == "h")


def declared_at(catalogue: Catalogue, knob: Knob) -> tuple[str, int]:
    """(file, line) of the knob in `class Knobs`."""
    part = catalogue.parts[knob.part]
    pattern = re.compile(rf"\s+{knob.name}\s*:")
    lines = part.text.splitlines()
    inside = next((i for i, line in enumerate(lines) if line.startswith("class Knobs")), 0)
    return part.shown, next((i + 1 for i, line in enumerate(lines) if i > inside and pattern.match(line)), inside + 1)
