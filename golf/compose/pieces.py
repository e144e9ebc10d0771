"""A folded definition, cut into the pieces that are kept or shaken off apart: the shell of a class, and each of its methods."""

import ast
import hashlib
import symtable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from golf.compose.fold import fold
from golf.compose.settle import Choice, Values
from golf.recipe import Recipe
from golf.recipe.catalogue import Catalogue
from golf.recipe.partfile import Definition


@dataclass(frozen=True, slots=True)
class Piece:
    """A definition's shell, or one method that goes when nothing mentions it. lines: where in the folded text, 1-based."""

    method: str  # "" for the shell
    lines: tuple[int, int]
    names: frozenset[str]  # globals that it reads
    mentions: frozenset[str]  # attributes, and strings that look like one
    knobs: frozenset[str]  # `h.…` that stay in the text


@dataclass(frozen=True, slots=True)
class Folded:
    """A definition under a recipe, cut into pieces. decided: knobs that settled something in it; chosen: names put in.

    twin_faults: what the small twin's values break.
    """

    text: str
    pieces: tuple[Piece, ...]
    bases: tuple[str, ...]
    consulted: dict[str, Any]
    decided: frozenset[str]
    chosen: frozenset[str]
    twin_faults: tuple[str, ...] = ()


_MEMO: dict[str, list[Folded]] = {}


def fold_once(catalogue: Catalogue, definition: Definition, recipe: Recipe) -> Folded:
    """The folded definition; remembered by its text and by the values that decided something in it."""
    part = catalogue.part_of(definition)
    key = hashlib.sha256(f"{part.sha256}/{definition.line}".encode()).hexdigest()
    for known in _MEMO.setdefault(key, []):
        values = Values(catalogue, recipe.values, recipe.twin)
        if all(k in catalogue.knobs and values.peek(k) == v for k, v in known.consulted.items()):
            return known
    values = Values(catalogue, recipe.values, recipe.twin)
    text = fold(definition, values, part.shown)
    read = [value for value, _ in values.consulted.values()]
    chosen = frozenset(c.name for v in read for c in (v if isinstance(v, tuple) else (v,)) if isinstance(c, Choice))
    bases, pieces = _cut(text)
    folded = Folded(text, pieces, bases, values.consulted, frozenset(values.decided), chosen, tuple(values.twin_faults))
    _MEMO[key].append(folded)
    return folded


def with_text(folded: Folded, text: str, known: frozenset[str]) -> Folded:
    """The same definition with other text, cut anew; known: the definitions that this may name, of whatever part."""
    if text == folded.text:
        return folded
    bases, pieces = _cut(text)
    return replace(folded, text=text, bases=bases, pieces=pieces, chosen=folded.chosen | known)


def _cut(text: str) -> tuple[tuple[str, ...], tuple[Piece, ...]]:
    """The bases of a class and the pieces of a definition: every plain method is one, the rest is the shell."""
    tree, lines = ast.parse(text), text.splitlines(keepends=True)
    node = tree.body[0]
    if not isinstance(node, ast.ClassDef):
        return (), (_piece("", (1, len(lines)), text, tree),)
    scope = symtable.symtable(text, "part", "exec").get_children()[0]
    own = frozenset(symbol.get_name() for symbol in scope.get_symbols() if symbol.is_local())
    methods, shell, end = [], list(lines), node.body[0].lineno - 1
    for statement in node.body:
        first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
        start = first if statement is node.body[0] else end + 1
        end = statement.end_lineno or statement.lineno
        if _is_piece(statement):
            piece = "class _:\n" + "".join(lines[start - 1 : end])
            methods.append(_piece(getattr(statement, "name", ""), (start, end), piece, statement, own))
            shell[start - 1 : end] = [""] * (end - start + 1)
    rest = [s for s in node.body if not _is_piece(s)]
    kept = ast.ClassDef(**{**{f: getattr(node, f) for f in node._fields}, "body": rest})
    text = "".join(shell)
    return tuple(ast.unparse(b) for b in node.bases), (
        _piece("", (1, len(lines)), text if has_body(text) else text + "\n    pass\n", kept, own),
        *methods,
    )


def _is_piece(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef) and not statement.name.startswith("__")


@lru_cache(maxsize=4096)
def has_body(text: str) -> bool:
    """Whether a definition's text still is one: a class or function without a statement is none."""
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _piece(method: str, lines: tuple[int, int], text: str, tree: ast.AST, own: frozenset[str] = frozenset()) -> Piece:
    """One piece. own: the names of the class that it belongs to, which decorators and defaults read but bodies do not."""
    mentions, knobs = set[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            (knobs if isinstance(node.value, ast.Name) and node.value.id == "h" else mentions).add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            mentions.add(node.value)
    names, in_class = _globals(text, own)
    return Piece(method, lines, frozenset(names), frozenset(mentions | in_class), frozenset(knobs))


def _globals(text: str, own: frozenset[str]) -> tuple[set[str], set[str]]:
    """(the global names that a definition reads, at any depth, by Python's own scoping; those of its class that it reads)."""
    top = symtable.symtable(text, "part", "exec")
    # from Python 3.12 on a comprehension's own names stand in the table around it, as assigned and read
    names = {s.get_name() for s in top.get_symbols() if s.is_referenced() and not s.is_assigned()}
    in_class = set[str]()
    tables = [(table, own) for table in top.get_children()]
    while tables:
        table, hidden = tables.pop()
        tables += [(child, frozenset()) for child in table.get_children()]
        used = {s.get_name() for s in table.get_symbols() if s.is_global() and (s.is_referenced() or s.is_assigned())}
        names |= used - hidden
        in_class |= used & hidden
    return names, in_class
