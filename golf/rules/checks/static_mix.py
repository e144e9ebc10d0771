"""Oracles, gates, byte mixtures and look-backs, by the code alone: R31, R33, R39, R41, R42."""

import ast
import re
from collections.abc import Iterable

from golf.rules.checks.static_cache import TARGET, absent, found_at, hashed_target
from golf.rules.code import Code, Piece, leaf, mentions
from golf.rules.findings import Result, State
from golf.rules.subject import Subject

SCORE = re.compile(r"(?i)nll|loss|log_?p(?:rob)?s?|nats")
LOG_P = re.compile(r"(?i)log_?p(?:rob)?s?")
SMALLER = frozenset(("torch.minimum", "torch.fmin", "np.minimum", "np.fmin", "numpy.minimum", "torch.min", "min"))
LARGER = frozenset(("torch.maximum", "torch.fmax", "np.maximum", "np.fmax", "numpy.maximum"))
GATE = re.compile(r"(?i)gate|boost|beta|alpha|lam(?:bda)?|weight|within|word_start|hint")
CLASS_TABLE = re.compile(r"(?i)boundary|space|word|start|within")


def point_mixing(subject: Subject) -> Iterable[Result]:
    """R31 by sight: the mixing families that R33, R38, R39 and R41 name; anything else is the executed check's."""
    for detector in (hashed_target, oracle_min, target_gate, byte_spread):
        yield from (result for result in detector(subject) if result.state is State.FAIL)


def oracle_min(subject: Subject) -> Iterable[Result]:
    """The minimum of two scores of the same target."""
    code = subject.code
    if code is None:
        return
    for piece in code:
        for call in piece.calls:
            keeps = _keeps_the_smaller(call) and piece.reads_val and SCORED.search(piece.text) is not None
            if keeps or _takes_the_better(call, piece):
                live = code.is_on(piece, call.lineno)
                what = "keeps the better of two scores of each token" if keeps else "takes the better of two scores"
                yield found_at(
                    State.FAIL if live else State.UNKNOWN,
                    f"`{ast.unparse(call)[:80]}` {what}",
                    piece,
                    call.lineno,
                    weak=not live,
                )


SCORED = re.compile(r"cross_entropy|log_softmax|nll|logsumexp")


def _keeps_the_smaller(call: ast.Call) -> bool:
    """`where(a < b, a, b)` in any spelling."""
    if leaf(call.func) != "where" or len(call.args) != 3 or not isinstance(call.args[0], ast.Compare):
        return False
    test = call.args[0]
    sides = {ast.unparse(test.left), *(ast.unparse(each) for each in test.comparators)}
    return len(sides) == 2 and sides == {ast.unparse(call.args[1]), ast.unparse(call.args[2])}


def _takes_the_better(call: ast.Call, piece: Piece) -> bool:
    """`minimum(a, b)` of two losses, `maximum(a, b)` of two log-probabilities."""
    text = ast.unparse(call.func)
    of = SCORE if text in SMALLER else LOG_P if text in LARGER else None
    if of is None or len(call.args) != 2 or re.search(r"(?i)best|train_loss|prev_", ast.unparse(call)):
        return False
    both = all(mentions(argument, of) and not isinstance(argument, ast.Constant) for argument in call.args)
    return both and (piece.reads_val or text in SMALLER - {"min"})


def _class_of_target(piece: Piece) -> Iterable[tuple[ast.AST, int]]:
    """Conditions that hang on a class (starts a word, is a boundary) of the token that is scored, outside the counting of bytes."""
    targets = {name for name in piece.names if TARGET.match(name)}
    for node in piece.nodes:
        if isinstance(node, ast.Assign):
            for name, value in _pairs(node):
                if isinstance(value, ast.Subscript) and _shifted(value.slice):
                    targets.add(name)

    def is_class(node: ast.AST) -> bool:
        return any(
            isinstance(each, ast.Subscript) and CLASS_TABLE.search(leaf(each.value))
            and any(isinstance(inner, ast.Name) and inner.id in targets for inner in ast.walk(each.slice))
            for each in ast.walk(node)
        )  # fmt: skip

    classes = {
        name for node in piece.nodes if isinstance(node, ast.Assign) for name, value in _pairs(node)
        if is_class(value) and not BYTES.search(name)
    }  # fmt: skip
    for node in piece.nodes:
        if isinstance(node, ast.IfExp) or (
            isinstance(node, ast.Call) and leaf(node.func) == "where" and len(node.args) == 3
        ):
            test = node.test if isinstance(node, ast.IfExp) else node.args[0]
            if is_class(test) or any(isinstance(each, ast.Name) and each.id in classes for each in ast.walk(test)):
                yield node, node.lineno
        elif isinstance(node, ast.If) and not BYTES.search(ast.unparse(node)):
            if is_class(node.test) or any(
                isinstance(each, ast.Name) and each.id in classes for each in ast.walk(node.test)
            ):
                yield node.test, node.lineno


def _pairs(node: ast.Assign) -> list[tuple[str, ast.expr]]:
    target = node.targets[0]
    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple) and len(target.elts) == len(node.value.elts):
        return [(leaf(name), value) for name, value in zip(target.elts, node.value.elts, strict=True)]
    return [(leaf(target), node.value)] if leaf(target) else []


def _shifted(index: ast.expr) -> bool:
    """An index one on: `at + 1`, `[start + 1 : end + 1]`."""
    first = index.lower if isinstance(index, ast.Slice) else index
    return (
        isinstance(first, ast.BinOp) and isinstance(first.op, ast.Add)
        and any(isinstance(side, ast.Constant) and side.value == 1 for side in (first.left, first.right))
    )  # fmt: skip


BYTES = re.compile(r"(?i)byte|size|(?:^|_)len|n_?b\b|count|(?:^|_)tb\b")


def target_gate(subject: Subject) -> Iterable[Result]:
    """A gate, boost or weight that is looked up by the token that is scored; switches of known target-gated channels."""
    code = subject.code
    if code is None:
        return
    found = False
    for piece in code:
        for node in piece.nodes:
            if not isinstance(node, ast.Assign) or not any(GATE.search(leaf(target)) for target in node.targets):
                continue
            if re.search(r"(?i)byte", ast.unparse(node.targets[0])):
                continue
            for inner in ast.walk(node.value):
                if (
                    isinstance(inner, ast.Subscript)
                    and CLASS_TABLE.search(leaf(inner.value))
                    and mentions(inner.slice, TARGET)
                ):
                    found = True
                    live = code.is_on(piece, node.lineno)
                    yield found_at(
                        State.FAIL if live else State.UNKNOWN,
                        f"`{ast.unparse(node)[:80]}` depends on the token that is scored",
                        piece,
                        node.lineno,
                        weak=not live,
                    )
        if SCORED.search(piece.text):
            for condition, line in _class_of_target(piece):
                statement = next(
                    (
                        each
                        for each in piece.nodes
                        if isinstance(each, ast.Assign | ast.AugAssign | ast.Return)
                        and any(inner is condition for inner in ast.walk(each))
                    ),
                    None,
                )
                if statement is not None and BYTES.search(
                    ast.unparse(statement.targets[0] if isinstance(statement, ast.Assign) else statement)[:40]
                ):
                    continue
                found = True
                live = code.is_on(piece, line)
                yield found_at(
                    State.FAIL if live else State.UNKNOWN,
                    f"`{ast.unparse(condition)[:80]}` hangs on the class of the token that is scored",
                    piece,
                    line,
                    weak=not live,
                )
                break
    for name, setting in code.settings.items():
        if re.search(r"within_(?:beta|boost)|word_(?:beta|boost)", name) and code.value(name) not in (
            ...,
            0,
            0.0,
            False,
        ):
            on = code.value("ngram_tilt_enabled")
            found = found or on not in (False, 0)
            if on not in (False, 0):
                file = subject.source.path.name if subject.source else None
                yield Result(
                    State.UNKNOWN,
                    f"{name.upper()} = {code.value(name)}: a channel that reads the target must be 0",
                    file=file,
                    line=setting.line,
                    strict=State.FAIL,
                    weak=True,
                )
    if not found:
        yield absent(code, "no gate is looked up by the target")


def byte_spread(subject: Subject) -> Iterable[Result]:
    """p^(1/n) over the n bytes of a token, mixed byte by byte."""
    code = subject.code
    if code is None:
        return
    found = False
    for piece in code:
        for node in piece.nodes:
            if (
                _spreads(node)
                and re.search(r"(?i)ppm|byte|letter|256", piece.text)
                and (re.search(r"(?i)mix|lam|alpha|weight|ppm", piece.text) or _mixes(piece))
            ):
                found = True
                live = code.is_on(piece, getattr(node, "lineno", 0))
                yield found_at(
                    State.FAIL if live else State.UNKNOWN,
                    f"`{ast.unparse(node)[:80]}` spreads a token's probability over its bytes",
                    piece,
                    getattr(node, "lineno", 0),
                    weak=not live,
                )
                break
    if not found and any(re.search(r"(?i)\bppm", piece.name) and code.is_live(piece) for piece in code):
        yield Result(State.UNKNOWN, "a byte model (PPM) is mixed in", strict=State.FAIL, weak=True)
    elif not found:
        yield absent(code, "no byte-wise mixture")


def _mixes(piece: Piece) -> bool:
    return any(
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and isinstance(node.left, ast.BinOp)
        and isinstance(node.left.op, ast.Mult) and isinstance(node.right, ast.BinOp)
        and isinstance(node.right.op, ast.Mult | ast.Div)
        and (re.search(r"\(?1(?:\.0*)? - ", ast.unparse(node)) or _shares_of_one(node)) for node in piece.nodes
    )  # fmt: skip


def _shares_of_one(node: ast.BinOp) -> bool:
    """Whether constants on both sides of a sum are shares of one."""
    shares: list[list[float]] = [
        [each.value for each in ast.walk(side) if isinstance(each, ast.Constant) and type(each.value) is float]
        for side in (node.left, node.right)
    ]
    return any(abs(one + other - 1.0) < 1e-9 for one in shares[0] for other in shares[1])


def _spreads(node: ast.AST) -> bool:
    counts = re.compile(r"(?i)^(?:n|nb|n_?bytes?|num_bytes|len|byte_?len\w*|blen|nbytes)$")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        power = node.right
        return (
            isinstance(power, ast.BinOp)
            and isinstance(power.op, ast.Div)
            and isinstance(power.left, ast.Constant)
            and mentions(power.right, counts)
        )
    if isinstance(node, ast.Call) and leaf(node.func) in ("exp", "power", "pow") and node.args:
        return any(
            isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Div) and mentions(inner.right, counts)
            and (mentions(inner.left, re.compile(r"(?i)log_?p|nll|lp|nats|loss")) or isinstance(inner.left, ast.Constant))
            for argument in node.args for inner in ast.walk(argument)
        )  # fmt: skip
    return False


def smear_boundary(subject: Subject) -> Iterable[Result]:
    """A one-token look-back without a mask where documents start, in a script that isolates documents."""
    code = subject.code
    if code is None:
        return
    smears = [piece for piece in code if _looks_back(piece)]
    if not smears:
        yield Result(State.PASS, "no one-token look-back outside attention")
        return
    isolated = any(re.search(r"cu_seqlens|varlen", name) for piece in code for name in piece.names)
    for piece in looks_over_starts(code):
        if isolated:
            yield found_at(
                State.UNKNOWN,
                f"`{piece.name}` looks one token back over document starts, in a script that isolates documents",
                piece,
                None,
                strict=State.FAIL,
            )
        else:
            yield found_at(
                State.PASS,
                f"`{piece.name}` looks one token back; documents are not isolated, as in records before April",
                piece,
                None,
                strict=State.UNKNOWN,
            )
        return
    yield found_at(State.PASS, "the look-back is masked where documents start", smears[0], None)


def looks_over_starts(code: Code) -> list[Piece]:
    """Functions that look one token back and mention no place where documents start."""
    starts = re.compile(r"(?i)bos|boundary|not_first|doc_start|same_doc|docs")
    return [piece for piece in code if _looks_back(piece) and not starts.search(piece.text)]


def _looks_back(piece: Piece) -> bool:
    """`x[:, :-1]` shifted onto `x[:, 1:]` in something called smear or shift."""
    named = re.search(r"(?i)smear|token_shift|shift_gate", f"{piece.owner} {piece.name}") or any(
        "smear" in name.lower() for name in piece.names
    )
    return bool(named) and re.search(r"\[:, :-1\]|\[:, :-1, :\]|\.roll\(", piece.text) is not None


STREAM_SIZE = re.compile(r"(?i)numel\(\)|len\(|\.size\(|\.shape|vocab_size|n_tokens|num_tokens|total_tokens|getsize")
GUARD_LEAST = 2_000  # a bound that tells a small trial from the whole run


def size_guard(subject: Subject) -> Iterable[Result]:
    """R31: a condition on the size of the stream, the vocabulary or a file that decides what is scored: a small trial would not see it."""
    code = subject.code
    if code is None:
        return
    for piece in code:
        if not piece.reads_val or not re.search(r"(?i)cross_entropy|log_softmax|nll|loss|nats|bpb|total", piece.text):
            continue
        for node in piece.nodes:
            if not isinstance(node, ast.If | ast.IfExp):
                continue
            test = node.test
            if not isinstance(test, ast.Compare) or not STREAM_SIZE.search(ast.unparse(test)):
                continue
            bounds = [
                number for each in (test.left, *test.comparators) if (number := code.number(each, piece)) is not None
            ]
            acts = isinstance(node, ast.IfExp) or any(
                not isinstance(each, ast.Raise | ast.Pass | ast.Return | ast.Assert | ast.Continue | ast.Break)
                for each in node.body
            )
            if acts and any(abs(bound) >= GUARD_LEAST for bound in bounds) and code.is_on(piece, node.lineno):
                yield found_at(
                    State.UNKNOWN,
                    f"`{piece.name}` does something else by size (`{ast.unparse(test)[:60]}`): a small trial does not see it",
                    piece,
                    node.lineno,
                )
                return
