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
        return tuple(ast.walk(self.tree)) if self.tree is not None else ()


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
