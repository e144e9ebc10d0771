"""Count tables whose key holds the target, and tables of training data, by the code alone: R38, R45."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from golf.reading.module import dotted, walk
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
        if not code.is_on(piece, line):
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
    for piece, line, tables in ratios_of_tables(code):
        found = True
        on = code.is_on(piece, line)
        yield found_at(
            State.FAIL if on else State.UNKNOWN,
            f"`{piece.name}` divides entries of two hashed count tables ({' by '.join(tables)}) whose keys differ: no distribution over the vocabulary"
            + ("" if on else "; its switch is off here"),
            piece,
            line,
            weak=not on,
        )
    if not found:
        yield absent(code, "no table is keyed by the target")


@lru_cache(maxsize=8)
def ratios_of_tables(code: Code) -> tuple[tuple[Piece, int, tuple[str, str]], ...]:
    """Where an entry of one hashed count table is divided by an entry of another, at another key, and the ratio is not only compared.

    By structure alone: tables are what is counted up by index anywhere in the code; a key is hashed where it, or the function that
    makes it, takes a remainder or masks bits.
    """
    return tuple(_ratios(code))


def _ratios(code: Code) -> Iterator[tuple[Piece, int, tuple[str, str]]]:
    counted = {name for module in code.modules for node in module.nodes if (name := _counted_up(node))}
    hashing = {piece.name for piece in code if any(_takes_remainder(node) for node in piece.nodes)}
    if len(counted) < 2:
        return
    for piece in code:
        if not counted & piece.names:
            continue
        values = _assigned(piece)
        compared = {id(inner) for node in piece.nodes if isinstance(node, ast.Compare) for inner in walk(node)}
        for node in piece.nodes:
            if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)) or id(node) in compared:
                continue
            above, below = _entries(node.left, counted, values), _entries(node.right, counted, values)
            for table, key in sorted(above):
                others = [(other, at) for other, at in sorted(below) if other != table and at != key]
                if others and _is_hashed(key, values, hashing):
                    yield piece, node.lineno, (table, others[0][0])
                    break


def _counted_up(node: ast.AST) -> str:
    """The table whose entry is raised: `t[k] += …`, `np.add.at(t, k, …)`, `t.index_add_(…)`, `t[k] = t.get(k, 0) + …`."""
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and isinstance(node.target, ast.Subscript):
        return leaf(node.target.value)
    if isinstance(node, ast.Call) and dotted(node.func) in ("np.add.at", "numpy.add.at") and node.args:
        return leaf(node.args[0])
    if (
        isinstance(node, ast.Call)
        and leaf(node.func) in ("index_add_", "scatter_add_", "index_put_")
        and isinstance(node.func, ast.Attribute)
    ):
        return leaf(node.func.value)
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Subscript):
        table = leaf(node.targets[0].value)
        if table and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.Add):
            if any(leaf(each) == table for each in walk(node.value) if isinstance(each, ast.Name | ast.Attribute)):
                return table
    return ""


def _assigned(piece: Piece) -> dict[str, list[ast.expr]]:
    """Name → what a function assigns to it, pairs of tuples apart."""
    found: dict[str, list[ast.expr]] = {}
    for node in piece.nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if (
                    isinstance(target, ast.Tuple)
                    and isinstance(node.value, ast.Tuple)
                    and len(target.elts) == len(node.value.elts)
                ):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                for name, value in pairs:
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, []).append(value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            found.setdefault(node.target.id, []).append(node.value)
    return found


def _entries(
    node: ast.AST, counted: set[str], values: dict[str, list[ast.expr]], depth: int = 5
) -> set[tuple[str, str]]:
    """(table, key as text) of the entries of count tables that an expression reads, by itself or through names."""
    found: set[tuple[str, str]] = set()
    for inner in walk(node):
        if isinstance(inner, ast.Subscript) and leaf(inner.value) in counted and not isinstance(inner.slice, ast.Slice):
            # of several tables in one, by order say, the last index is the key
            key = inner.slice.elts[-1] if isinstance(inner.slice, ast.Tuple) and inner.slice.elts else inner.slice
            found.add((leaf(inner.value), ast.unparse(key)))
        elif (
            isinstance(inner, ast.Call)
            and leaf(inner.func) in ("get", "gather", "take", "index_select")
            and isinstance(inner.func, ast.Attribute)
        ):
            if leaf(inner.func.value) in counted and inner.args:
                found.add(
                    (
                        leaf(inner.func.value),
                        ast.unparse(inner.args[-1] if leaf(inner.func) == "gather" else inner.args[0]),
                    )
                )
        elif isinstance(inner, ast.Name) and depth and inner.id in values:
            for value in values[inner.id]:
                if not any(isinstance(each, ast.Name) and each.id == inner.id for each in walk(value)):
                    found |= _entries(value, counted, values, depth - 1)
    return found


def _takes_remainder(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Mod | ast.BitAnd)


def _is_hashed(key: str, values: dict[str, list[ast.expr]], hashing: set[str], depth: int = 5) -> bool:
    """Whether a key goes through a remainder or a mask, here or in a function that makes it."""
    for node in walk(ast.parse(key, mode="eval")):
        if _takes_remainder(node) or (isinstance(node, ast.Call) and leaf(node.func) in hashing):
            return True
        if isinstance(node, ast.Name) and depth:
            if any(
                _is_hashed(ast.unparse(value), values, hashing, depth - 1)
                for value in values.get(node.id, ())
                if key != ast.unparse(value)
            ):
                return True
    return False


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
            made = any(isinstance(inner, ast.Call) and leaf(inner.func) in makers for inner in walk(node.value))
            if made:
                keys |= {leaf(each): node.lineno for each in walk(target) if isinstance(each, ast.Name)}
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
        for inner in walk(node)
    )


def _is_modulo(node: ast.expr) -> bool:
    return any(
        isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Mod | ast.BitAnd) for inner in walk(node)
    ) or "astype" in ast.unparse(node)


def _all_names(node: ast.AST) -> set[str]:
    return {inner.id for inner in walk(node) if isinstance(inner, ast.Name)}


def _reads(node: ast.AST, tainted: set[str]) -> bool:
    return any(leaf(inner) in tainted for inner in walk(node) if isinstance(inner, ast.Name | ast.Attribute))


def _looked_up(piece: Piece, keys: set[str]) -> set[str]:
    """Names that hold what a table gives for such a key, and "" for a look-up used in place."""
    found: set[str] = set()
    for node in piece.nodes:
        if not isinstance(node, ast.Assign):
            continue
        for inner in walk(node.value):
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
