"""What the printed number is made of, by the code alone: a typed-in factor in it (R20), replaced mathematics (R20, R31), a clock that ends
the evaluation (R21)."""

import ast
import re
from collections.abc import Iterable

from golf.reading.module import dotted, walk
from golf.rules.code import Code, Piece, leaf
from golf.rules.findings import Result, State
from golf.rules.flow import flow_of
from golf.rules.subject import Subject

BITS = re.compile(r"(?i)bpb|bits_per_byte")
ROUGH = re.compile(r"(?i)train|approx|rough|estim|guess|awaited|proxy")
TO_BITS = (0.6931, 1.4427)  # ln 2 and its inverse, to four digits
POWERS = frozenset(10.0**power for power in range(-9, 10))
MATHEMATICS = frozenset((
    "log", "log2", "log1p", "exp", "exp2", "cross_entropy", "nll_loss", "log_softmax", "softmax", "logsumexp", "gather", "mean", "sum",
    "bincount", "id_to_piece", "IdToPiece", "is_byte", "encode", "print", "float", "len", "item",
))  # fmt: skip
MODULES = frozenset(
    (
        "math",
        "cmath",
        "torch",
        "numpy",
        "np",
        "builtins",
        "F",
        "functional",
        "Tensor",
        "SentencePieceProcessor",
        "special",
    )
)
CLOCKS = frozenset(
    ("time", "perf_counter", "monotonic", "process_time", "elapsed_time", "time_ns", "perf_counter_ns", "monotonic_ns")
)


def typed_factor(subject: Subject) -> Iterable[Result]:
    """A number that is neither ln 2 nor a power of ten among the factors of the printed bits per byte: it stands for bytes that were not
    counted. FAIL where no other formula gives such a score."""
    code = subject.code
    if code is None:
        return
    formulas = list(_formulas(code))
    typed = [(node, factor, file) for node, file in formulas if (factor := _typed(node, code)) is not None]
    for node, factor, file in typed[:1]:
        every = len(typed) == len(formulas)
        yield Result(
            State.FAIL if every else State.UNKNOWN,
            f"`{ast.unparse(node)[:80]}` has {factor:g} typed in: bits per byte are nats over ln 2 over the bytes that were counted",
            file=file, line=node.lineno, weak=not every,
        )  # fmt: skip


def _formulas(code: Code) -> Iterable[tuple[ast.expr, str]]:
    """The products and quotients that are printed as, or assigned to, bits per byte of validation."""
    for module in code.modules:
        for node in module.nodes:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [leaf(target) for target in targets]
                if any(BITS.search(name) and not ROUGH.search(name) for name in names) and _is_product(node.value):
                    yield node.value, module.path.name
            elif isinstance(node, ast.JoinedStr):
                for before, part in zip(node.values, node.values[1:], strict=False):
                    said = before.value if isinstance(before, ast.Constant) else ""
                    if (
                        isinstance(part, ast.FormattedValue)
                        and re.search(r"(?i)bpb\W*$", str(said))
                        and _is_product(part.value)
                    ):
                        if not ROUGH.search(str(said)[-40:]):
                            yield part.value, module.path.name


def _is_product(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div)


def _factors(node: ast.expr) -> list[ast.expr]:
    """What an expression multiplies and divides by; `float(…)` and brackets around it are looked through."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        return [*_factors(node.left), *_factors(node.right)]
    if isinstance(node, ast.Call) and leaf(node.func) in ("float", "max", "round") and node.args:
        return _factors(node.args[0])
    return [node]


def _typed(node: ast.expr, code: Code) -> float | None:
    """The factor that is typed in, in a formula that turns nats into bits; None where there is none."""
    factors = _factors(node)
    numbers = [(each, _number(each, code)) for each in factors]
    to_bits = any(
        (isinstance(each, ast.Call) and leaf(each.func) == "log" and each.args and _number(each.args[0], code) == 2.0)
        or (number is not None and any(abs(number - known) < 1e-3 for known in TO_BITS))
        for each, number in numbers
    )
    for _, number in numbers if to_bits else ():
        if number and number not in POWERS and not any(abs(number - known) < 1e-3 for known in TO_BITS):
            return number
    return None


def _number(node: ast.expr, code: Code) -> float | None:
    """A number that is typed in, there or under a name that is given it once, and that no setting changes."""
    if isinstance(node, ast.Constant):
        return float(node.value) if isinstance(node.value, int | float) else None
    if not isinstance(node, ast.Name | ast.Attribute):
        return None
    name = leaf(node)
    given = [
        each.value for module in code.modules for each in module.nodes
        if isinstance(each, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr)
        for target in (each.targets if isinstance(each, ast.Assign) else [each.target])
        if any(leaf(inner) == name for inner in walk(target) if isinstance(inner, ast.Name | ast.Attribute))
    ]  # fmt: skip
    if len(given) != 1 or not isinstance(given[0], ast.Constant) or any(name in piece.params for piece in code):
        return None
    return _number(given[0], code)


def replaced(subject: Subject) -> Iterable[Result]:
    """Functions of mathematics, of scoring or of the tokenizer that a script puts its own in the place of: what they give since is not
    what their name says, so that the formula proves nothing."""
    code = subject.code
    for module in code.modules if code is not None else ():
        for node in module.nodes:
            for name in _replaced(node):
                yield Result(
                    State.UNKNOWN, f"`{name}` is replaced by the script's own: what is computed with it the code does not tell",
                    file=module.path.name, line=getattr(node, "lineno", 1), weak=True,
                )  # fmt: skip
                return


def _replaced(node: ast.AST) -> list[str]:
    """Names of known functions that a statement assigns to."""
    found = []
    if isinstance(node, ast.Assign):
        for target in node.targets:
            places = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                places = list(zip(target.elts, node.value.elts, strict=False))
            found += [
                dotted(place) for place, value in places if _is_known(place) and not isinstance(value, ast.Constant)
            ]
    elif isinstance(node, ast.Call) and leaf(node.func) in ("setattr", "patch", "object") and len(node.args) > 1:
        name = node.args[1].value if isinstance(node.args[1], ast.Constant) else None
        if leaf(node.args[0]) in MODULES and name in MATHEMATICS:
            found.append(f"{dotted(node.args[0])}.{name}")
    return found


def _is_known(place: ast.expr) -> bool:
    return isinstance(place, ast.Attribute) and place.attr in MATHEMATICS and leaf(place.value) in MODULES


def ended_by_clock(subject: Subject) -> Iterable[Result]:
    """A loop over validation tokens that adds up a score and is left when time has run out: what was not reached is not scored."""
    code = subject.code
    if code is None:
        return
    scorers = flow_of(code).scorers
    for piece in code:
        if not code.is_live(piece) or not (piece.name in scorers or piece.reads_val):
            continue
        timed = _timed(piece)
        for loop in (node for node in piece.nodes if isinstance(node, ast.For | ast.While)):
            leaving: list[ast.If | ast.While] = [
                node for node in walk(loop) if isinstance(node, ast.If) and _leaves(node)
            ]
            for test in [loop, *leaving] if isinstance(loop, ast.While) else leaving:
                if _hangs_on(test.test, timed) and _adds_up(loop) and code.is_on(piece, test.lineno):
                    yield Result(
                        State.UNKNOWN, f"`{piece.name}` stops scoring when time has run out: targets behind that are left out",
                        file=piece.path.name, line=test.lineno, weak=True,
                    )  # fmt: skip
                    return


def _timed(piece: Piece) -> frozenset[str]:
    """Names that hang on a clock."""
    found: frozenset[str] = frozenset()
    for _ in range(2):
        found |= {
            leaf(target) for node in piece.nodes if isinstance(node, ast.Assign) and _hangs_on(node.value, found)
            for target in node.targets
        }  # fmt: skip
    return found


def _hangs_on(node: ast.AST, timed: frozenset[str]) -> bool:
    return any(
        (isinstance(each, ast.Call) and leaf(each.func) in CLOCKS) or (isinstance(each, ast.Name) and each.id in timed)
        for each in walk(node)
    )


def _leaves(node: ast.If) -> bool:
    """Whether a branch ends the loop that it stands in."""
    return any(isinstance(each, ast.Break | ast.Return) for each in node.body)


def _adds_up(loop: ast.For | ast.While) -> bool:
    """Whether sums grow in a loop: of losses and of how many they are."""
    return sum(isinstance(each, ast.AugAssign) and isinstance(each.op, ast.Add) for each in walk(loop)) > 1
