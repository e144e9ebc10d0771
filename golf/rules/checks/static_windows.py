"""R21 by the windows: which targets a sliding evaluator never scores, found by walking through its own arithmetic.

The first week's scripts had five rules of windows, and three of them leave targets out (#60, #61, #640: the tail; #65, #86: the first window
but its last stride; #63: what lies between the first and the second window). Nothing is run: the integers of the evaluator (starts, ends,
first scored columns) are followed over a short stream, tensors are unknown, and the scored slices of the losses are noted.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from golf.rules.code import VAL_WORD, Code, Piece, leaf
from golf.rules.findings import Result, State
from golf.rules.subject import Subject

STRIDE = re.compile(r"(?i)stride|^hop$")
WINDOW = re.compile(r"(?i)seq_?len|window(?!s)|(?:^|_)ctx|context|block_size")
TARGETS = re.compile(r"(?i)^(?:n_|num_)?(?:total|targets|tokens)(?:_(?:tokens|targets|preds))?$|^total_tokens$|^n_tok")
BATCH = re.compile(r"(?i)batch")
LOSSES = re.compile(r"(?i)nll|loss|(?:^|_)ce$|nats|logp|logit|score|ptl")
MASKS = re.compile(r"(?i)mask|keep")
SIZES = (1024, 64)  # of a window and a stride where the settings say neither
MOST_STEPS = 120_000  # statements, after which nothing is claimed
OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
CALLS: dict[str, Callable[..., Any]] = {
    "min": min, "max": max, "range": lambda *a: list(range(*a)), "arange": lambda *a: list(range(*a)), "list": list, "len": len, "int": int,
    "sum": sum, "sorted": sorted, "abs": abs, "enumerate": lambda *a: list(enumerate(*a)), "zip": lambda *a: list(zip(*a, strict=False)),
    "tuple": tuple, "tqdm": lambda each: each,
}  # fmt: skip


def left_out_windows(subject: Subject) -> Iterable[Result]:
    """Targets that the windows of a live evaluator never score.

    A fixed number of them moves the mean of some ten million by less than its last digit: broken by the letter only, as records were merged
    so. A share of the stream is broken under either reading.
    """
    code = subject.code
    if code is None:
        return
    for piece in code:
        if not (piece.reads_val and code.is_live(piece) and any(STRIDE.search(name) for name in piece.names)):
            continue
        window, stride = sizes_of(code)
        counts = window * 4 + stride // 2 + 3, window * 8 + stride // 2 + 3
        walks = [Walk(piece, counts[0], window, stride)]
        if walks[0].holes() is None:
            continue
        walks.append(Walk(piece, counts[1], window, stride))
        holes = [walk.holes() for walk in walks]
        if not holes[1]:
            continue
        sizes = [sum(stop - start for start, stop in found) for found in holes if found is not None]
        grows = sizes[1] > sizes[0] + stride
        yield Result(
            State.FAIL if grows else State.CLEAN,
            f"`{piece.name}` never scores {_places(holes[1], counts[1])} (windows of {window:,} tokens, {stride:,} apart)"
            + (", and more the longer the stream is" if grows else ", whatever the stream's length"),
            file=piece.path.name, line=walks[1].line, strict=State.FAIL,
        )  # fmt: skip


def sizes_of(code: Code) -> tuple[int, int]:
    """Window and stride as the settings have them, else `SIZES`."""
    found = []
    for pattern, usual in zip((re.compile(r"eval_seq_?len|train_seq_?len|^seq_?len"), STRIDE), SIZES, strict=True):
        known = [code.value(name) for name in sorted(code.settings) if pattern.search(name)]
        found.append(next((value for value in known if type(value) is int and 0 < value <= 8192), usual))
    return (found[0], found[1]) if found[1] < found[0] else SIZES


def _places(holes: list[tuple[int, int]], count: int) -> str:
    """In words: the beginning, the end, and what lies between."""
    words = []
    for start, stop in holes[:3]:
        size = f"{stop - start:,}"
        words.append(
            f"the first {size} targets"
            if start == 0
            else f"the last {size}"
            if stop == count
            else f"{size} targets after the first {start:,}"
        )
    return " and ".join(words) + (f" and {len(holes) - 3:,} more stretches" if len(holes) > 3 else "")


class _Unknown:
    """A tensor, or whatever hangs on one."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = _Unknown()


class Tokens:
    """A stretch of the validation stream; the stream itself starts at 0."""

    def __init__(self, start: int, stop: int) -> None:
        self.start, self.stop = start, stop


class _Leave(Exception):
    """break, continue or return."""

    def __init__(self, node: ast.stmt) -> None:
        super().__init__()
        self.node = node


class _Lost(Exception):
    """Too many steps, or arithmetic that is none."""


class Walk:
    """One evaluator walked through over a stream of `count` targets. line: where the first scored slice stands."""

    def __init__(self, piece: Piece, count: int, window: int, stride: int) -> None:
        self.count, self.window, self.stride = count, window, stride
        self.names: dict[str, Any] = {}
        self.meanings: dict[str, Any] = {}  # of names that are not assigned
        self.batch: list[int] = []  # starts of the windows that were cut from the stream since something was scored
        self.scored, self.covered, self.steps, self.line = True, bytearray(count), 0, piece.node.lineno
        self.events, self.lost = 0, False
        for name in piece.params:
            self.names[name] = self.meant(name)
        try:
            self.run(piece.node.body)
        except _Leave:
            pass
        except (_Lost, RecursionError):
            self.lost = True

    def holes(self) -> list[tuple[int, int]] | None:
        """Stretches (start, stop) of targets that were never scored; None where too little was understood to say."""
        if self.lost or self.events < 3 or not any(self.covered):
            return None
        edges = [-1, *(i for i, done in enumerate(self.covered) if done), self.count]
        return [(a + 1, b) for a, b in pairwise(edges) if b - a > 1]

    def meant(self, name: str) -> Any:
        """What a parameter or setting of that name stands for."""
        if name not in self.meanings:
            self.meanings[name] = self._meant(name)
        return self.meanings[name]

    def _meant(self, name: str) -> Any:
        if STRIDE.search(name):
            return self.stride
        if VAL_WORD.search(name) and "loss" not in name:
            return Tokens(0, self.count + 1)
        if WINDOW.search(name):
            return self.window
        if TARGETS.search(name):
            return self.count
        if BATCH.search(name):
            return 4
        return {"rank": 0, "world_size": 1, "local_rank": 0}.get(name, UNKNOWN)

    def run(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise _Lost
            self.step(statement)

    def step(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                found = self.value(value)
                for target in targets:
                    self.bind(target, found)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self.bind(target, self.value(value))
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self.names[name] = self.computed(op, self.names.get(name, UNKNOWN), self.value(value))
            case ast.AugAssign(value=value) | ast.Expr(value=value):
                self.value(value)
            case ast.For(target=target, iter=each, body=body):
                found = self.value(each)
                self.loop([UNKNOWN] if found is UNKNOWN or not isinstance(found, list | tuple) else found, target, body)
            case ast.While(test=test, body=body):
                self.repeat(test, body)
            case ast.If(test=test, body=body, orelse=orelse):
                known = self.value(test)
                if known is UNKNOWN:
                    self.both(body, orelse)
                else:
                    self.run(body if known else orelse)
            case ast.With(body=body) | ast.Try(body=body):
                self.run(body)
            case ast.Break() | ast.Continue() | ast.Return():
                if isinstance(node, ast.Return) and node.value is not None:
                    self.value(node.value)
                raise _Leave(node)

    def both(self, *branches: list[ast.stmt]) -> None:
        """Branches of a test that is not known: each is gone through, and none leaves."""
        for branch in branches:
            try:
                self.run(branch)
            except _Leave:
                pass

    def loop(self, items: Iterable[Any], target: ast.expr, body: list[ast.stmt]) -> None:
        for item in items:
            self.bind(target, item)
            if not self.goes_on_after(body):
                return

    def repeat(self, test: ast.expr, body: list[ast.stmt]) -> None:
        known = self.value(test)
        while known is UNKNOWN or known:
            if not self.goes_on_after(body) or known is UNKNOWN:
                return
            known = self.value(test)

    def goes_on_after(self, body: list[ast.stmt]) -> bool:
        """Go through a loop's body once; whether the loop goes on: not after a break. A return leaves the loop as it leaves the function."""
        try:
            self.run(body)
        except _Leave as leave:
            if isinstance(leave.node, ast.Return):
                raise
            return not isinstance(leave.node, ast.Break)
        return True

    def bind(self, target: ast.expr, value: Any) -> None:
        match target:
            case ast.Name(id=name):
                # a setting is read as what its name says where its value hangs on the environment
                meant = self.meant(name) if value is UNKNOWN else value
                self.names[name] = meant
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                values = (
                    value if isinstance(value, list | tuple) and len(value) == len(parts) else [UNKNOWN] * len(parts)
                )
                for part, each in zip(parts, values, strict=True):
                    self.bind(part, each)
            case ast.Subscript(value=base) if MASKS.search(leaf(base)):
                self.value(target.slice)
                self.note(target)

    def value(self, node: ast.expr | None) -> Any:
        """An integer, a list or tuple of them, a stretch of tokens, or UNKNOWN."""
        self.steps += 1
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self.names[name] if name in self.names else self.meant(name)
            case ast.Attribute(attr=name, value=base):
                inner = self.value(base)
                if name == "shape" and isinstance(inner, Tokens):
                    return [inner.stop - inner.start]
                return self.meant(name)
            case ast.BinOp(left=left, op=op, right=right):
                return self.computed(op, self.value(left), self.value(right))
            case ast.UnaryOp(op=op, operand=operand):
                inner = self.value(operand)
                if isinstance(inner, int):
                    return -inner if isinstance(op, ast.USub) else (not inner) if isinstance(op, ast.Not) else inner
                return UNKNOWN
            case ast.Compare(left=left, ops=ops, comparators=rights):
                values = [self.value(each) for each in (left, *rights)]
                found = [self.computed(op, a, b) for op, (a, b) in zip(ops, pairwise(values), strict=True)]
                return UNKNOWN if any(each is UNKNOWN for each in found) else all(found)
            case ast.BoolOp(op=op, values=values):
                found = [self.value(each) for each in values]
                if any(each is UNKNOWN for each in found):
                    return UNKNOWN
                return all(found) if isinstance(op, ast.And) else any(found)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                known = self.value(test)
                return UNKNOWN if known is UNKNOWN else self.value(body if known else orelse)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                found = [self.value(each) for each in parts]
                return tuple(found) if isinstance(node, ast.Tuple) else found
            case ast.ListComp(elt=elt, generators=[one]) | ast.GeneratorExp(elt=elt, generators=[one]):
                return self.comprehension(elt, one)
            case ast.Call():
                return self.call(node)
            case ast.Subscript():
                return self.subscript(node)
        for child in ast.iter_child_nodes(node) if node is not None else ():
            if isinstance(child, ast.expr):
                self.value(child)
        return UNKNOWN

    def computed(self, op: ast.operator | ast.cmpop, one: Any, two: Any) -> Any:
        lists = isinstance(op, ast.Add) and isinstance(one, list) and isinstance(two, list)
        if type(op) not in OPERATORS or not (lists or (isinstance(one, int) and isinstance(two, int))):
            return UNKNOWN
        try:
            return OPERATORS[type(op)](one, two)
        except ZeroDivisionError:
            return UNKNOWN

    def comprehension(self, elt: ast.expr, one: ast.comprehension) -> Any:
        items = self.value(one.iter)
        if not isinstance(items, list | tuple):
            return UNKNOWN
        found = []
        for item in items:
            self.bind(one.target, item)
            tests = [self.value(test) for test in one.ifs]
            if any(test is UNKNOWN for test in tests):
                return UNKNOWN
            if all(tests):
                found.append(self.value(elt))
            if self.steps > MOST_STEPS:
                raise _Lost
        return found

    def call(self, node: ast.Call) -> Any:
        name, base = leaf(node.func), node.func.value if isinstance(node.func, ast.Attribute) else None
        owner = self.value(base) if base is not None else UNKNOWN
        given = [self.value(each) for each in node.args]
        for keyword in node.keywords:
            self.value(keyword.value)
        if isinstance(owner, list) and name in ("append", "extend") and len(given) == 1 and given[0] is not UNKNOWN:
            getattr(owner, name)(given[0])
            return None
        if isinstance(owner, Tokens):  # .to(device), .long(), .numel(), .size(0)
            return owner.stop - owner.start if name in ("numel", "size", "__len__") else owner
        if isinstance(owner, list) and name in ("tolist", "to", "copy", "numel"):
            return len(owner) if name == "numel" else owner
        if name == "len" and len(given) == 1 and isinstance(given[0], Tokens):
            return given[0].stop - given[0].start
        if name in CALLS and not any(isinstance(each, _Unknown | Tokens) for each in given):
            try:
                return CALLS[name](*given)
            except (TypeError, ValueError):
                return UNKNOWN
        return UNKNOWN

    def subscript(self, node: ast.Subscript) -> Any:
        owner = self.value(node.value)
        if isinstance(owner, Tokens) and isinstance(node.slice, ast.Slice):
            return self.cut(owner, node.slice)
        if isinstance(owner, list | tuple):
            at = self.slice_of(node.slice) if isinstance(node.slice, ast.Slice) else self.value(node.slice)
            try:
                return owner[at] if isinstance(at, int | slice) else UNKNOWN
            except IndexError:
                return UNKNOWN
        if LOSSES.search(leaf(node.value)):
            self.note(node)
        return UNKNOWN

    def slice_of(self, node: ast.Slice) -> Any:
        ends = [None if end is None else self.value(end) for end in (node.lower, node.upper, node.step)]
        return slice(*ends) if all(end is None or isinstance(end, int) for end in ends) else UNKNOWN

    def cut(self, tokens: Tokens, part: ast.Slice) -> Any:
        found = self.slice_of(part)
        if found is UNKNOWN:
            return UNKNOWN
        start, stop, _ = found.indices(tokens.stop - tokens.start)
        start, stop = tokens.start + start, tokens.start + stop
        if tokens.start == 0 and tokens.stop == self.count + 1:  # from the stream itself: a window
            if self.scored:
                self.batch, self.scored = [], False
            seen = self.batch if self.stride > 1 else ()
            if start not in seen and start - 1 not in seen:  # a window's targets lie one on
                self.batch.append(start)
        return Tokens(start, stop)

    def note(self, node: ast.Subscript) -> None:
        """A slice of losses is scored: of one row of the batch, of all, or of the only one."""
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        columns = [part for part in parts if isinstance(part, ast.Slice)]
        if not columns or not self.batch:
            return
        found = self.slice_of(columns[-1])
        if found is UNKNOWN:
            return
        whole = len(parts) == 1 or isinstance(parts[0], ast.Slice)
        rows = self.batch if whole and len(parts) > 1 else self.batch[-1:]
        if len(parts) > 1 and not whole:
            row = self.value(parts[0])
            rows = self.batch[row : row + 1] if isinstance(row, int) and row >= 0 else []
        for start in rows:
            first, last, _ = found.indices(min(self.window, self.count - start))
            if first < last:
                self.covered[start + first : start + last] = b"\1" * (last - first)
        if rows and not self.events:
            self.line = node.lineno
        self.events, self.scored = self.events + len(rows), True
