"""Oracles, gates, byte mixtures and look-backs, by the code alone: R31, R33, R39, R41, R42."""

import ast
import re
from collections.abc import Callable, Iterable
from functools import partial

from golf.reading.module import dotted, walk
from golf.rules.checks.static_cache import TARGET, absent, found_at, hashed_target
from golf.rules.code import Piece, leaf, mentions
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
    for name, detector in (
        ("static_cache.hashed_target", hashed_target), ("static_mix.oracle_min", oracle_min),
        ("static_mix.target_gate", target_gate), ("static_mix.byte_spread", byte_spread),
    ):  # fmt: skip
        found = subject.once(name, partial(_listed, detector))
        yield from (result for result in found if result.state is State.FAIL)


def _listed(detector: Callable[[Subject], Iterable[Result]], subject: Subject) -> tuple[Result, ...]:
    return tuple(detector(subject))


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
    text = dotted(call.func)
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
            and any(isinstance(inner, ast.Name) and inner.id in targets for inner in walk(each.slice))
            for each in walk(node)
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
            if is_class(test) or any(isinstance(each, ast.Name) and each.id in classes for each in walk(test)):
                yield node, node.lineno
        elif isinstance(node, ast.If) and not BYTES.search(ast.unparse(node)):
            if is_class(node.test) or any(
                isinstance(each, ast.Name) and each.id in classes for each in walk(node.test)
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
            for inner in walk(node.value):
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
                        and any(inner is condition for inner in walk(each))
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
        [each.value for each in walk(side) if isinstance(each, ast.Constant) and type(each.value) is float]
        for side in (node.left, node.right)
    ]
    return any(abs(one + other - 1.0) < 1e-9 for one in shares[0] for other in shares[1])


COUNTS = re.compile(r"(?i)^(?:n|nb|n_?bytes?|num_bytes|len|byte_?len\w*|blen|nbytes)$")
LOGARITHMS = re.compile(r"(?i)log_?p|nll|lp|nats|loss")


def _spreads(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        power = node.right
        return (
            isinstance(power, ast.BinOp)
            and isinstance(power.op, ast.Div)
            and isinstance(power.left, ast.Constant)
            and mentions(power.right, COUNTS)
        )
    if isinstance(node, ast.Call) and leaf(node.func) in ("exp", "power", "pow") and node.args:
        return any(
            isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Div) and mentions(inner.right, COUNTS)
            and (mentions(inner.left, LOGARITHMS) or isinstance(inner.left, ast.Constant))
            for argument in node.args for inner in walk(argument)
        )  # fmt: skip
    return False


def smear_boundary(subject: Subject) -> Iterable[Result]:
    """A one-token look-back without a mask where documents start, in a script that isolates documents."""
    code = subject.code
    if code is None:
        return
    smears = subject.once("look_backs", look_backs)
    if not smears:
        yield Result(State.PASS, "no one-token look-back outside attention")
        return
    isolated = any(ISOLATES.search(name) for piece in code for name in piece.names)
    for piece, found in looks_over_starts(subject):
        line = found[0].lineno
        if isolated:
            yield found_at(
                State.UNKNOWN,
                f"`{piece.name}` looks one token back over document starts, in a script that isolates documents",
                piece,
                line,
                strict=State.FAIL,
            )
        else:
            yield found_at(
                State.PASS,
                f"`{piece.name}` looks one token back; documents are not isolated, as in records before April",
                piece,
                line,
                strict=State.UNKNOWN,
            )
        return
    yield found_at(State.PASS, "the look-back is masked where documents start", smears[0][0], None)


ISOLATES = re.compile(
    r"(?i)cu_seqlens|varlen|block_mask|document_mask|doc_mask|same_doc|doc_ids|segment_ids|document_ids"
)
STARTS = re.compile(r"(?i)bos|boundary|not_first|first_of|doc|segment|seg_id|starts?$|fresh|continues|same_")
IDS = re.compile(r"(?i)^(?:\w*_)?(?:ids?|idx|tokens?|toks?|inputs?)(?:_\w*)?$")
LOOKS = re.compile(r"(?i)smear|shift|prev|mix|lerp|blend|back|carry|neighbou?r")


LookBack = tuple[Piece, list[ast.expr]]  # a function, and the sums in it that look one token back


def looks_over_starts(subject: Subject) -> list[LookBack]:
    """Functions that look one token back where nothing of where documents start reaches what looks back."""
    found = subject.once("look_backs", look_backs)
    return [(piece, sums) for piece, sums in found if not any(_is_masked(piece, node) for node in sums)]


def look_backs(subject: Subject) -> list[LookBack]:
    """Sums, in a module's own arithmetic, of states with the same states one token later: a smear gate, a token shift."""
    return [(piece, sums) for piece in subject.code or () if (sums := _look_backs(piece))]


def _look_backs(piece: Piece) -> list[ast.expr]:
    named = LOOKS.search(f"{piece.owner} {piece.name}") or any(LOOKS.search(name) for name in piece.names)
    if not named or (not piece.owner and not LOOKS.search(piece.name)):
        return []
    shifted: dict[str, str] = {}  # name → what it holds one token back, copied or masked since
    for node in piece.nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            if not any(isinstance(each, ast.Add) for each in walk(node.value)) and (
                base := _shift_in(node.value, shifted)
            ):
                shifted.setdefault(node.targets[0].id, base)
    found = []
    for node in piece.nodes:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            sides: tuple[ast.expr, ...] = (node.left, node.right)
        elif isinstance(node, ast.Call) and leaf(node.func) in ("lerp", "lerp_", "addcmul", "where", "add"):
            sides = (*((node.func.value,) if isinstance(node.func, ast.Attribute) else ()), *node.args)
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
            sides = (ast.copy_location(node.target, node), node.value)
        else:
            continue
        if any(isinstance(each, ast.Mod | ast.BitXor) for each in walk(node)):
            continue  # a hash of neighbours, not a sum of states
        backs = [_shift_in(side, shifted) for side in sides]
        owns = [_states(side, shifted) for side in sides]
        if any(
            back and any(back in own for other, own in enumerate(owns) if other != at) for at, back in enumerate(backs)
        ):
            found.append(node if isinstance(node, ast.expr) else node.value)
    return found


def _shift_in(node: ast.expr, shifted: dict[str, str]) -> str:
    """The name of what an expression takes one token back, itself or by a name that holds it; empty for nothing."""
    for each in walk(node):
        if isinstance(each, ast.Name) and each.id in shifted:
            return shifted[each.id]
        if isinstance(each, ast.expr) and (base := _moved_back(each)):
            return base
    return ""


def _states(node: ast.expr, shifted: dict[str, str]) -> set[str]:
    """The names that an expression takes as they are, not one token back."""
    inside = {
        id(inner) for each in walk(node) if isinstance(each, ast.expr) and _moved_back(each) for inner in walk(each)
    }
    return {
        each.id for each in walk(node) if isinstance(each, ast.Name) and id(each) not in inside and each.id not in shifted
    }  # fmt: skip


def _moved_back(node: ast.expr) -> str:
    """The name of what a slice, roll, pad or narrow moves by one token; empty where it moves nothing."""
    match node:
        case ast.Subscript(value=owner, slice=ast.Tuple(elts=parts)) if len(parts) > 1:
            return (
                (leaf(owner) or _moved_back(owner))
                if isinstance(owner, ast.Name | ast.Call) and any(map(_all_but_last, parts[1:]))
                else ""
            )
        case ast.Call(func=func, args=args):
            name = leaf(func)
            base: ast.expr | None = args[0] if args else None
            if (
                isinstance(func, ast.Attribute)
                and isinstance(func.value, ast.Name)
                and func.value.id not in ("torch", "F", "nn")
            ):
                base = func.value if name in ("roll", "narrow", "new_zeros") else base
            numbers = [_whole(each) for arg in (*args, *(each.value for each in node.keywords)) for each in _items(arg)]
            if name == "roll" and 1 in numbers:
                return leaf(base) if isinstance(base, ast.Name) else ""
            if name == "pad" and numbers[-2:] in ([1, -1], [1, 0]):
                return leaf(base) if isinstance(base, ast.Name) else _moved_back(base) if base is not None else ""
            if name == "narrow" and "- 1" in ast.unparse(node) and 0 in numbers:
                return leaf(base) if isinstance(base, ast.Name) else ""
            if name in ("cat", "concat", "concatenate", "hstack"):
                inner = [_moved_back(each) for arg in args[:1] for each in _items(arg)]
                return next((each for each in inner[1:] if each), "")
    return ""


def _all_but_last(part: ast.expr) -> bool:
    return isinstance(part, ast.Slice) and part.lower is None and _whole(part.upper) == -1 and part.step is None


def _items(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple | ast.List) else [node]


def _whole(node: ast.expr | None) -> int | None:
    match node:
        case ast.Constant(value=int() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
            return -value
    return None


def _is_masked(piece: Piece, node: ast.expr) -> bool:
    """Whether something of where documents start reaches a sum: a comparison of ids, or a name that says so, by way of assignments."""
    known = {name for name in piece.params if STARTS.search(name)}
    assigned = [
        each
        for each in piece.nodes
        if isinstance(each, ast.Assign | ast.AugAssign | ast.AnnAssign) and each.value is not None
    ]
    for _ in range(4):
        before = len(known)
        for each in assigned:
            if each.value is not None and _tells_starts(each.value, known):
                for target in each.targets if isinstance(each, ast.Assign) else [each.target]:
                    known |= {leaf(inner) for inner in _items(target) if leaf(inner)}
        if len(known) == before:
            break
    return _tells_starts(node, known)


def _tells_starts(node: ast.expr, known: set[str]) -> bool:
    for each in walk(node):
        if isinstance(each, ast.Compare) and any(isinstance(op, ast.NotEq | ast.Eq) for op in each.ops):
            sides = [
                leaf(side.value if isinstance(side, ast.Subscript) else side) for side in (each.left, *each.comparators)
            ]
            if any(IDS.search(side) or STARTS.search(side) for side in sides if side):
                return True
        if isinstance(each, ast.Name | ast.Attribute) and (leaf(each) in known or STARTS.search(leaf(each))):
            return True
    return False


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
