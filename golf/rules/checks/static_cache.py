"""Count tables whose key holds the target, and tables of training data, by the code alone: R38, R45."""

import ast
import re
from collections.abc import Iterable

from golf.rules.checks.adapting import DRIVERS
from golf.rules.code import Code, Piece, leaf
from golf.rules.findings import Result, State
from golf.rules.subject import Subject

TARGET = re.compile(
    r"(?i)^(?:tgt|targets?|tgts?_\w+|target_\w+|y|y_\w+|ys|labels?|next_tok\w*|tok_next|true_tok\w*|actual\w*|cur_tok\w*|\w+_tgt|\w+_targets?)$"
)
XORS = frozenset(("bitwise_xor", "logical_xor"))
MODEL_SCORE = re.compile(r"(?i)nll|nats|prob|log_?p|model_p|p_model|mix|chance|(?:^|_)alpha|(?:^|_)lam")
PACKED_TABLE = re.compile(r"(?i)(?:ngram|bigram|trigram|phrase|count)_?(?:table|cache|blob|stats|counts)")
MIXES_COUNTS = re.compile(
    r"(?i)(?:^|_|\d)n_?gram|ngram|(?:ngram|phrase|eval|hash)_cache|ppm|count_table|ctx_table|full_table|hedge|backoff|phrase"
)


def hashed_target(subject: Subject) -> Iterable[Result]:
    """A hash of context XOR target that looks up a table whose value becomes a probability."""
    code = subject.code
    if code is None:
        return
    found = False
    makers = {piece.name for piece in code if _returns_target_key(piece)}
    for piece in code:
        keys = _target_keys(piece, makers)
        if not keys:
            continue
        looked_up = _looked_up(piece, set(keys))
        line = min(keys.values())
        if not looked_up:
            continue
        found = True
        if not code.is_live(piece):
            yield found_at(
                State.UNKNOWN,
                f"`{piece.name}` hashes the target into a table key; its switch is off here",
                piece,
                line,
                weak=True,
            )
        elif _becomes_probability(code, piece, looked_up):
            yield found_at(
                State.FAIL,
                f"`{piece.name}` hashes the target into a key ({', '.join(sorted(keys))}) and uses the count as a probability",
                piece,
                line,
            )
        else:
            yield found_at(
                State.UNKNOWN,
                f"`{piece.name}` hashes the target into a table key ({', '.join(sorted(keys))})",
                piece,
                line,
                strict=State.FAIL,
                weak=True,
            )
    if not found:
        yield absent(code, "no table is keyed by the target")


def absent(code: Code, message: str) -> Result:
    """No sign: firm where no counting cache is live at all, else left to the executed checks."""
    counting = [piece for piece in code if MIXES_COUNTS.search(piece.name) and code.is_live(piece)]
    if counting:
        return Result(
            State.UNKNOWN,
            f"{message}; `{counting[0].name}` counts tokens",
            file=counting[0].path.name,
            line=counting[0].node.lineno,
            weak=True,
        )
    return Result(State.PASS, message)


def _returns_target_key(piece: Piece) -> bool:
    """Whether a function returns an XOR that a target goes into."""
    tainted = {name for name in (*piece.params, *piece.names) if TARGET.match(name)}
    returns = [node.value for node in piece.nodes if isinstance(node, ast.Return) and node.value is not None]
    return any(_xors(value) and _reads(value, tainted) for value in returns)


def _target_keys(piece: Piece, makers: set[str]) -> dict[str, int]:
    """Names assigned from an XOR that a target goes into, or from one of the `makers` of such keys, with their lines."""
    keys: dict[str, int] = {}
    if not makers & piece.names and not (piece.has_xor or piece.names & XORS):
        return keys
    tainted = {name for name in piece.names if TARGET.match(name)}
    for node in sorted(piece.nodes, key=lambda each: getattr(each, "lineno", 0)):
        if isinstance(node, ast.Assign | ast.AugAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name = leaf(target)
            made = any(isinstance(inner, ast.Call) and leaf(inner.func) in makers for inner in ast.walk(node.value))
            if made:
                keys |= {leaf(each): node.lineno for each in ast.walk(target) if isinstance(each, ast.Name)}
                continue
            if not name:
                continue
            if _xors(node) and _reads(node.value, tainted | set(keys)):
                keys.setdefault(name, node.lineno)
            elif isinstance(target, ast.Name) and set(keys) & _all_names(node.value) and _is_modulo(node.value):
                keys.setdefault(name, node.lineno)
    return keys


def _xors(node: ast.AST) -> bool:
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.BitXor):
        return True
    return any(
        (isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.BitXor))
        or (isinstance(inner, ast.Call) and leaf(inner.func) in XORS)
        for inner in ast.walk(node)
    )


def _is_modulo(node: ast.expr) -> bool:
    return any(
        isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Mod | ast.BitAnd) for inner in ast.walk(node)
    ) or "astype" in ast.unparse(node)


def _all_names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _reads(node: ast.AST, tainted: set[str]) -> bool:
    return any(leaf(inner) in tainted for inner in ast.walk(node) if isinstance(inner, ast.Name | ast.Attribute))


def _looked_up(piece: Piece, keys: set[str]) -> set[str]:
    """Names that hold what a table gives for such a key, and "" for a look-up used in place."""
    found: set[str] = set()
    for node in piece.nodes:
        if not isinstance(node, ast.Assign):
            continue
        for inner in ast.walk(node.value):
            in_table = isinstance(inner, ast.Subscript) and bool(keys & _all_names(inner.slice))
            gathered = (
                isinstance(inner, ast.Call)
                and leaf(inner.func) in ("gather", "take", "index_select", "get")
                and bool(keys & _all_names(inner))
            )
            embedding = isinstance(inner, ast.Call) and re.search(r"(?i)embed", leaf(inner.func))
            if (in_table or gathered) and not embedding:
                found |= {leaf(target) for target in node.targets}
    return found


def _becomes_probability(code: Code, piece: Piece, looked_up: set[str]) -> bool:
    """Whether what was looked up is divided or capped by another count, where model scores are handled too (a table that only
    chooses a hint counts pairs as well): here, or, for counts that are capped, where the look-up is called from."""
    handles_scores = _handles_scores(piece)
    callers = [
        other for other in code if piece.name in other.names and other is not piece and other.name not in DRIVERS
    ]
    mixed_by_caller = any(_handles_scores(other) and code.is_live(other) for other in callers)
    for node in piece.nodes:
        divided = (
            isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and bool(looked_up & _all_names(node.left))
        )
        capped = (
            isinstance(node, ast.Call)
            and leaf(node.func) in ("minimum", "fmin", "min")
            and bool(looked_up & _all_names(node))
        )
        if (handles_scores and (divided or capped)) or (mixed_by_caller and capped):
            return True
    return False


def _handles_scores(piece: Piece) -> bool:
    return any(MODEL_SCORE.search(name) for name in (*piece.names, *piece.params))


def packed_tables(subject: Subject) -> Iterable[Result]:
    """n-gram tables of training data in the artifact: allowed as paid bits, if they mix as distributions."""
    code = subject.code
    if code is None:
        return
    for piece in code:
        if code.is_live(piece) and PACKED_TABLE.search(piece.name) and re.search(r"(?i)train", piece.text):
            yield found_at(
                State.UNKNOWN,
                f"`{piece.name}` builds counts of training data: they must mix as a distribution (R31)",
                piece,
                None,
            )
            return
    yield Result(State.PASS, "no count tables of training data")


def found_at(
    state: State, message: str, piece: Piece, line: int | None, strict: State | None = None, weak: bool = False
) -> Result:
    return Result(state, message, file=piece.path.name, line=line or piece.node.lineno, strict=strict, weak=weak)
