"""One module of a script, parsed: its tree, its text, and how names in it are written."""

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


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


def dotted(node: ast.AST) -> str:
    """`a.b.c` of attributes and names; "" for anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""
