"""One module of a script, parsed: its tree, its text, and how names in it are written."""

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from golf.challenge import CAP_BYTES

MOST_TOKENS = 100_000  # the largest official script, of 3,753 lines, has about 50,000
# a comment and a string are one each, however long: a script that carries its payload as text is no long program. What is not closed
# ends with its line or its text, so that no place is looked at twice; an f-string holds code, and is counted as such
TOKEN = re.compile(
    r"""#[^\n]*|\"{3}(?s:.*?)(?:\"{3}|\Z)|'{3}(?s:.*?)(?:'{3}|\Z)|(?<![fF])"(?:\\.|[^"\\\n])*+"?|(?<![fF])'(?:\\.|[^'\\\n])*+'?|\w+|[^\w\s]"""
)


@dataclass(frozen=True)
class Module:
    """One piece of code. tree is None when it does not parse, and `fault` says why."""

    path: Path
    text: str
    tree: ast.Module | None
    fault: str | None = None
    newer_syntax: bool = False  # parses only by the grammar of a newer Python

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes of the tree."""
        return tuple(walk(self.tree)) if self.tree is not None else ()


# fields that hold words, or the marks of loading and storing, which are one in three of all nodes
NO_NODES = frozenset(("ctx", "id", "attr", "arg", "kind", "type_comment", "level", "module", "conversion", "asname"))


_KNOWN: dict[type, tuple[str, ...]] = {ast.Constant: ()}


def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """The fields of a kind of node that may hold nodes."""
    found = _KNOWN.get(kind)
    if found is None:
        found = _KNOWN[kind] = tuple(name for name in kind._fields if name not in NO_NODES)
    return found


def children(node: ast.AST) -> list[ast.AST]:
    """A node's children in the order of its fields, without the marks of loading and storing."""
    found: list[ast.AST] = []
    for name in _fields(node.__class__):
        value = getattr(node, name, None)
        if value.__class__ is list:
            found += [each for each in value if isinstance(each, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


def walk(node: ast.AST) -> list[ast.AST]:
    """A node and all below it, a level after the other, as `ast.walk` gives them but for what `children` leaves out; a third of its time."""
    found = [node]
    for each in found:  # which grows
        for name in _fields(each.__class__):
            value = getattr(each, name, None)
            if value.__class__ is list:
                found += [inner for inner in value if isinstance(inner, ast.AST)]
            elif isinstance(value, ast.AST):
                found.append(value)
    return found


def is_too_long(text: str) -> bool:
    """Whether a script has more tokens than a tree of it should be made of: seconds and gigabytes that only a hostile one costs.

    One that is over the contest's cap by itself is not even counted.
    """
    return len(text) > CAP_BYTES or sum(1 for _ in islice(TOKEN.finditer(text), MOST_TOKENS + 1)) > MOST_TOKENS


def dotted(node: ast.AST) -> str:
    """`a.b.c` of attributes and names; "" for anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""
