"""R31 by sight: mixtures of predictions whose probabilities need not sum to one, where the code shows their weights."""

import ast
import re
from collections.abc import Iterable, Iterator

from golf.reading.module import dotted, walk
from golf.rules.checks.static_cache import found_at
from golf.rules.code import Piece, leaf
from golf.rules.findings import Result, State
from golf.rules.subject import Subject

LARGER = frozenset(("maximum", "fmax", "max"))
PROBABILITY = re.compile(r"softmax\(|\.exp\(\)|\bexp\(")
LOGARITHM = re.compile(r"log_softmax|logsumexp|\.log\(")
FLOOR = re.compile(r"(?i)eps|floor|tiny|\bmin_|1e-\d")
TOTALS = re.compile(r"(?i)total|\bsum\(|\.sum\(|count|seen|\bn\b|\bden|norm")
OVER_ONE = 1e-6


def more_than_one(subject: Subject) -> Iterable[Result]:
    """The larger of two distributions taken token by token, or a back-off at a constant below counts that leave no room for it."""
    code = subject.code
    for piece in code or ():
        if code is None or not code.is_live(piece):
            continue
        for line, what, state in (*_larger(piece), *_backed_off(piece)):
            on = code.is_on(piece, line)
            yield found_at(state if on else State.UNKNOWN, f"`{piece.name}` {what}", piece, line, weak=not on)
            return


def _larger(piece: Piece) -> Iterator[tuple[int, str, State]]:
    """`maximum(p, q)` of probabilities, of which one is a softmax already, and no sum that it is divided by after."""
    given = {
        leaf(target): ast.unparse(node.value)
        for node in piece.nodes if isinstance(node, ast.Assign) for target in node.targets
        if isinstance(target, ast.Name)
    }  # fmt: skip

    def is_probability(node: ast.expr) -> bool:
        text = given.get(node.id, "") if isinstance(node, ast.Name) else ast.unparse(node)
        return PROBABILITY.search(text) is not None and LOGARITHM.search(text.replace("log_softmax(", "(", 1)) is None

    for node in piece.nodes:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and len(node.value.args) == 2):
            continue
        call = node.value
        torch_or_numpy = dotted(call.func).partition(".")[0] in ("torch", "np", "numpy")
        if leaf(call.func) not in LARGER or not torch_or_numpy or not any(map(is_probability, call.args)):
            continue
        others = [each for each in call.args if not is_probability(each)] or call.args[1:]
        if any(FLOOR.search(ast.unparse(each)) or isinstance(each, ast.Constant) for each in others):
            continue
        name = leaf(node.targets[0])
        if name and not re.search(
            rf"\b{name}(?:\[[^\]]*\])?\.sum\(|sum\({name}\b|logsumexp\({name}|normalize\({name}", piece.text
        ):
            yield (
                node.lineno,
                f"takes `{ast.unparse(call)[:60]}`: more than one in all, and nothing brings it back to one",
                State.FAIL,
            )


def _backed_off(piece: Piece) -> Iterator[tuple[int, str, State]]:
    """A share of counts with nothing taken off them on one way, `constant * lower` on the other, whose weights come to more than one."""
    values = [
        (node.value, node.lineno) for node in piece.nodes
        if isinstance(node, ast.Assign | ast.Return) and node.value is not None
    ]  # fmt: skip
    both = [(each, line) for value, line in values for each in _ways(value)]
    lower = [(weight, value, line) for value, line in both if (weight := _constant_times(value)) is not None]
    shares = [(weight, value, line) for value, line in both if (weight := _share_of_counts(value)) is not None]
    for weight, value, line in shares:
        for other, back, _ in lower:
            if weight + other > 1.0 + OVER_ONE and re.search(r"\blog2?\(|\.log\(", piece.module.text):
                told = f"gives `{ast.unparse(value)[:50]}` to what was counted and `{ast.unparse(back)[:40]}` to what was not: more than one in all"
                yield line, told + ", unless it is normalised", State.UNKNOWN
                return


def _ways(value: ast.expr) -> Iterator[ast.expr]:
    """An expression, or both of a conditional one."""
    if isinstance(value, ast.IfExp):
        yield from _ways(value.body)
        yield from _ways(value.orelse)
    else:
        yield value


def _terms(value: ast.expr) -> list[ast.expr]:
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        return [*_terms(value.left), *_terms(value.right)]
    return [value]


def _quotient(value: ast.expr) -> tuple[list[ast.expr], list[ast.expr]]:
    """What is multiplied, and what it is divided by."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):
        (a, b), (c, d) = _quotient(value.left), _quotient(value.right)
        return a + c, b + d
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Div):
        (a, b), (c, d) = _quotient(value.left), _quotient(value.right)
        return a + d, b + c
    return [value], []


def _constant(factors: list[ast.expr]) -> float:
    found = 1.0
    for each in factors:
        if isinstance(each, ast.Constant) and isinstance(each.value, int | float):
            found *= float(each.value)
    return found


def _constant_times(value: ast.expr) -> float | None:
    """The constant below one that one other thing is multiplied with, and nothing else."""
    over, under = _quotient(value)
    if under or len(over) != 2 or sum(isinstance(each, ast.Constant) for each in over) != 1:
        return None
    weight = _constant(over)
    return weight if 0.05 <= weight < 1.0 else None


def _share_of_counts(value: ast.expr) -> float | None:
    """The weight of `count / total` in a sum, where nothing is taken off the count and nothing is added to the total."""
    for term in _terms(value):
        over, under = _quotient(term)
        if not under or not any(TOTALS.search(ast.unparse(each)) for each in under):
            continue
        parts = [*over, *under]
        if all(
            isinstance(each, ast.Constant | ast.Name | ast.Subscript | ast.Call | ast.Attribute) for each in parts
        ) and not any(isinstance(inner, ast.BinOp) for each in parts for inner in walk(each)):
            counted = [each for each in over if not isinstance(each, ast.Constant)]
            return _constant(over) if len(counted) == 1 else None
    return None
