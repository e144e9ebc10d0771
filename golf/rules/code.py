"""A script's shape for the static checks: functions, what calls what, settings with their defaults, and what is live.

Long forked scripts carry dead families behind switches. A function that is reachable only through a switch that is off by
default (or off in the run's own log) is "off": it is evidence of nothing until the run says otherwise.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from golf.reading.module import Module, children, dotted, walk
from golf.rules.settings import Setting, compare, literal_of, setting_of

__all__ = ["Code", "Piece", "dotted", "leaf", "mentions", "ordered"]

Function = ast.FunctionDef | ast.AsyncFunctionDef
VAL_WORD = re.compile(
    r"(?i)(?:^|_)val(?:idation)?_?(?:tokens?|data|ids|stream|np|seq|text|docs)?(?:_|$)|^val_\w*tokens|validation"
)
NOT_VAL = re.compile(r"(?i)loss|bpb|every|batch_size|batch_tokens|time|score|best|byte|acc|frac")


@dataclass
class Piece:
    """A function of the script, nested ones as their own pieces."""

    name: str
    node: Function
    module: Module
    owner: str = ""  # the class that it is a method of

    @property
    def path(self) -> Path:
        return self.module.path

    @cached_property
    def params(self) -> list[str]:
        args = self.node.args
        return [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return walk(self.node)

    @cached_property
    def text(self) -> str:
        return ast.unparse(self.node)

    @cached_property
    def calls(self) -> list[ast.Call]:
        return [node for node in self.nodes if isinstance(node, ast.Call)]

    @cached_property
    def names(self) -> set[str]:
        return {name for node in self.nodes if (name := leaf(node))}

    @cached_property
    def has_xor(self) -> bool:
        return any(isinstance(node, ast.BitXor) for node in self.nodes)

    @cached_property
    def reads_val(self) -> bool:
        """Whether it handles validation tokens: a parameter or an attribute of that kind."""
        found = [*self.params, *self.names]
        return any(VAL_WORD.search(name) and not NOT_VAL.search(name) for name in found)

    @cached_property
    def backward(self) -> list[ast.Call]:
        return [
            call for call in self.calls if leaf(call.func) == "backward" or dotted(call.func).endswith("autograd.grad")
        ]


class Code:
    """The modules of a script as one: pieces by name, settings, reachability. `overrides`: values that the run's log or command gives."""

    def __init__(self, modules: Iterable[Module], overrides: Mapping[str, str] | None = None) -> None:
        self.modules = [module for module in modules if module.tree is not None]
        self.overrides = {key.lower(): value for key, value in (overrides or {}).items()}
        self.pieces: dict[str, list[Piece]] = {}
        self._dead_lines: dict[tuple[Path, int], list[tuple[int, int]]] = {}
        for module in self.modules:
            owners = _owners(module)
            for node in module.nodes:
                if isinstance(node, Function):
                    self.pieces.setdefault(node.name, []).append(Piece(node.name, node, module, owners.get(node, "")))

    def __iter__(self) -> Iterator[Piece]:
        return (piece for named in self.pieces.values() for piece in named)

    @cached_property
    def settings(self) -> dict[str, Setting]:
        """Lower-case name → its default: environment reads and plain constants of classes and modules."""
        found: dict[str, Setting] = {}
        for module in self.modules:
            for node in module.nodes:
                if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                    for target in targets:
                        if (name := leaf(target)) and (setting := setting_of(name.lower(), node.value, node.lineno)):
                            known = found.get(setting.name)
                            if known is None or (known.env is None and setting.env is not None):
                                found[setting.name] = setting
        return found

    def value(self, name: str) -> Any:
        """What a setting is in the run: the log's word, else its default; `...` when neither is known."""
        key = name.lower()
        setting = self.settings.get(key)
        for known in (key, (setting.env or "").lower() if setting is not None else ""):
            if known in self.overrides:
                return literal_of(self.overrides[known])
        return setting.value if setting is not None else ...

    def truth(self, test: ast.expr) -> bool | None:
        """Whether a condition holds with the settings as they are; None when it cannot be told."""
        match test:
            case ast.Constant(value=value):
                return bool(value)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.truth(operand)
                return None if inner is None else not inner
            case ast.BoolOp(op=op, values=values):
                found = [self.truth(value) for value in values]
                decisive = isinstance(op, ast.Or)
                if decisive in found:
                    return decisive
                return None if None in found else not decisive
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return compare(self._constant(left), op, self._constant(right))
            case ast.Name() | ast.Attribute():
                value = self._constant(test)
                return None if value is ... else bool(value)
        return None

    def _constant(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        name = leaf(node)
        return self.value(name) if name else ...

    @cached_property
    def live(self) -> dict[str, str]:
        """Function name → "on" (reachable), "off" (reachable only through switches that are off); absent: never named."""
        state: dict[str, str] = {}
        queue: list[tuple[str, str]] = []
        for module in self.modules:
            queue += self._named_in(_top_level(module.tree or ast.Module([], [])), "on")
        while queue:
            name, how = queue.pop()
            if name not in self.pieces or state.get(name) == "on" or state.get(name) == how:
                continue
            state[name] = how
            for piece in self.pieces[name]:
                queue += self._named_in(piece.node.body, how)
        return state

    def _named_in(self, body: Iterable[ast.AST], how: str) -> list[tuple[str, str]]:
        """Functions named in `body` with the state that naming gives them; nested definitions count as code of their own."""
        found: list[tuple[str, str]] = []
        for node in body:
            self._visit(node, how, found)
        return found

    def _visit(self, node: ast.AST, how: str, found: list[tuple[str, str]]) -> None:
        todo: list[tuple[ast.AST, str]] = [(node, how)]
        while todo:
            node, how = todo.pop()
            if isinstance(node, ast.Name):
                found.append((node.id, how))
            elif isinstance(node, Function):
                todo += [(default, how) for default in (*node.decorator_list, *node.args.defaults)]
                if node.name.startswith("__") or node.name in ("forward", "step"):
                    todo += [(each, how) for each in node.body]  # called by what Python and torch call
            elif isinstance(node, ast.If | ast.IfExp):
                test = self.truth(node.test)
                todo.append((node.test, how))
                branches: tuple[list[Any], list[Any]] = (
                    (node.body, node.orelse) if isinstance(node, ast.If) else ([node.body], [node.orelse])
                )
                for branch, taken in zip(branches, (test is not False, test is not True), strict=True):
                    todo += [(each, how if taken else "off") for each in branch]
            elif not isinstance(node, ast.Constant):
                if isinstance(node, ast.Attribute):
                    found.append((node.attr, how))
                todo += [(each, how) for each in children(node)]

    def is_live(self, piece: Piece) -> bool:
        """Whether the run can reach it with the settings as they are."""
        return self.live.get(piece.name) == "on"

    def is_on(self, piece: Piece, line: int) -> bool:
        """Whether a line of a live function can be reached: it lies in no branch whose switch is off."""
        return self.is_live(piece) and not any(first <= line <= last for first, last in self._dead(piece))

    def _dead(self, piece: Piece) -> list[tuple[int, int]]:
        """Lines of the branches of a function that the settings switch off."""
        key = (piece.path, piece.node.lineno)
        if key not in self._dead_lines:
            found = []
            for node in piece.nodes:
                if isinstance(node, ast.If) and (truth := self.truth(node.test)) is not None:
                    branch = node.orelse if truth else node.body
                    if branch:
                        found.append((branch[0].lineno, branch[-1].end_lineno or branch[-1].lineno))
            self._dead_lines[key] = found
        return self._dead_lines[key]

    def number(self, node: ast.expr, piece: Piece | None = None, depth: int = 6) -> float | None:
        """The number that an expression of constants, settings and names assigned once in `piece` comes to; None where it hangs on more."""
        if depth < 0:
            return None
        match node:
            case ast.Constant(value=int() | float() as value):
                return float(value)
            case ast.BinOp(left=left, op=op, right=right):
                one, two = self.number(left, piece, depth - 1), self.number(right, piece, depth - 1)
                return None if one is None or two is None else _computed(op, one, two)
            case ast.Name() | ast.Attribute():
                name = leaf(node)
                if piece is not None and isinstance(node, ast.Name):
                    given = [
                        each.value
                        for each in piece.nodes
                        if isinstance(each, ast.Assign) and any(leaf(t) == name for t in each.targets)
                    ]
                    if given:
                        return self.number(given[0], piece, depth - 1) if len(given) == 1 else None
                    if name in piece.params:
                        return None
                value = self.value(name)
                return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        return None

    @cached_property
    def main_flow(self) -> list[ast.Call]:
        """The calls of the outermost live code in reading order: module level, then `main` and what drives training."""
        calls: list[ast.Call] = []
        for module in self.modules:
            calls += [
                node
                for top in _top_level(module.tree or ast.Module([], []))
                for node in ordered(top)
                if isinstance(node, ast.Call)
            ]
        for name in ("main", "train_and_eval", "run", "train_model"):
            for piece in self.pieces.get(name, []):
                calls += [node for node in ordered(piece.node) if isinstance(node, ast.Call)]
        return calls


def _computed(op: ast.operator, one: float, two: float) -> float | None:
    match op:
        case ast.Add():
            return one + two
        case ast.Sub():
            return one - two
        case ast.Mult():
            return one * two
        case ast.FloorDiv() | ast.Div() if two:
            return one // two if isinstance(op, ast.FloorDiv) else one / two
    return None


def _owners(module: Module) -> dict[ast.AST, str]:
    """Method → name of its class."""
    classes = [node for node in module.nodes if isinstance(node, ast.ClassDef)]
    return {method: cls.name for cls in classes for method in cls.body if isinstance(method, Function)}


def _top_level(tree: ast.Module) -> list[ast.AST]:
    """Statements that run when the script starts, and the bodies of classes (their methods are reached by name)."""
    return [node for node in tree.body if not isinstance(node, Function)]


def ordered(node: ast.AST) -> list[ast.AST]:
    """All nodes in reading order."""
    return sorted(walk(node), key=lambda each: (getattr(each, "lineno", 0), getattr(each, "col_offset", 0)))


def leaf(node: ast.AST) -> str:
    """The last name of `a.b.c`, of a name, of a subscripted one; "" for anything else."""
    if isinstance(node, ast.Subscript | ast.Starred):
        return leaf(node.value)
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def mentions(node: ast.AST, pattern: re.Pattern[str]) -> bool:
    """Whether a name inside `node` matches."""
    return any(isinstance(each, ast.Name | ast.Attribute) and pattern.search(leaf(each)) for each in walk(node))
