"""Bounds of knobs: a part writes them into the annotation, as text that Python never evaluates, and golf reads them from there.

    num_heads: "1 <= int <= 256" = 8          beta2: "0 <= float < 1" = 0.95
    ve_layers: "tuple[int] >= 0" = (9, 10)    buckets: "0 < int and int & (int - 1) == 0" = 4096

The type's name stands for the value, `tuple[…]` for each of the tuple's. A number is finite whatever its bound says. What ties
several knobs together is an assertion in the code that reads them; golf proves it and leaves it out of the composed file.
"""

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

WORDS = {"int": "a whole number", "float": "a number", "tuple": "a list"}
ALLOWED = (
    *(ast.Expression, ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop, ast.UnaryOp, ast.unaryop, ast.Constant),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Mod, ast.BitAnd, ast.Tuple, ast.Name, ast.expr_context),
)


@dataclass(frozen=True, slots=True)
class Bound:
    """What a knob's value must be. text: as the part writes it; kind: int, float or tuple."""

    text: str
    kind: str

    def holds(self, value: Any) -> bool:
        """Whether `value`, of the knob's type, keeps the bound; of a tuple, each of its members."""
        kind, test = _parsed(self.text)
        if not isinstance(value, tuple):
            return finite(value) and test(value)
        wanted = (int,) if kind == "int" else (int, float)
        return all(type(v) in wanted and finite(v) and test(v) for v in value)

    def words(self) -> str:
        """As a hint says it: "a whole number, 1 <= int <= 256"."""
        return f"{WORDS[self.kind]}, {self.text}"


def finite(value: Any) -> bool:
    """Whether no number in a value is inf or nan."""
    if isinstance(value, tuple | list):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def bound_of(text: str) -> Bound:
    """The bound that an annotation's text says. ValueError says what is wrong with it."""
    kind, _ = _parsed(text)
    return Bound(text, "tuple" if "tuple[" in text else kind)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[str, Callable[[Any], bool]]:
    """(the type that stands for the value, the test)."""
    try:
        tree = _Value().visit(ast.parse(text, mode="eval"))
    except SyntaxError:
        raise ValueError(f"`{text}` is no expression") from None
    kinds = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if len(kinds) != 1 or not kinds <= {"int", "float"}:
        raise ValueError(f"`{text}` bounds no int and no float")
    strange = [node for node in ast.walk(tree) if not isinstance(node, ALLOWED)]
    if strange or isinstance(tree.body, ast.Name | ast.Constant):
        raise ValueError(f"`{text}` is no bound: it compares the value with constants")
    (kind,) = kinds
    code = compile(ast.fix_missing_locations(tree), "<bound>", "eval")
    return kind, lambda value: bool(eval(code, {"__builtins__": {}}, {kind: value}))


class _Value(ast.NodeTransformer):
    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """`tuple[int]` stands for each of the tuple's ints."""
        if isinstance(node.value, ast.Name) and node.value.id == "tuple" and isinstance(node.slice, ast.Name):
            return ast.copy_location(node.slice, node)
        return node
