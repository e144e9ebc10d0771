"""n-gram caches, gates, byte mixtures and look-backs, by the code alone: R31, R33, R38, R39, R41, R42, R45."""

import ast
import re
from collections.abc import Iterable

from golf.rules.code import Code, Piece, leaf, mentions
from golf.rules.findings import Result, State
from golf.rules.subject import Subject

TARGET = re.compile(
    r"(?i)^(?:tgt|targets?|tgts?_\w+|target_\w+|y|y_\w+|ys|labels?|next_tok\w*|tok_next|true_tok\w*|actual\w*|cur_tok\w*|\w+_tgt|\w+_targets?)$"
)
SCORE = re.compile(r"(?i)nll|loss|log_?p(?:rob)?s?|nats")
GATE = re.compile(r"(?i)gate|boost|beta|alpha|lam(?:bda)?|weight|within|word_start|hint")
CLASS_TABLE = re.compile(r"(?i)boundary|space|word|start|within")
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
            yield _at(
                State.UNKNOWN,
                f"`{piece.name}` hashes the target into a table key; its switch is off here",
                piece,
                line,
                weak=True,
            )
        elif _becomes_probability(piece, looked_up):
            yield _at(
                State.FAIL,
                f"`{piece.name}` hashes the target into a key ({', '.join(sorted(keys))}) and uses the count as a probability",
                piece,
                line,
            )
        else:
            yield _at(
                State.UNKNOWN,
                f"`{piece.name}` hashes the target into a table key ({', '.join(sorted(keys))})",
                piece,
                line,
                strict=State.FAIL,
                weak=True,
            )
    if not found:
        yield _absent(code, "no table is keyed by the target")


def _absent(code: Code, message: str) -> Result:
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
        or (isinstance(inner, ast.Call) and leaf(inner.func) in ("bitwise_xor", "logical_xor"))
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
        for inner in ast.walk(node.value) if isinstance(node, ast.Assign) else ():
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


def _becomes_probability(piece: Piece, looked_up: set[str]) -> bool:
    """Whether what was looked up is divided or capped by another count, where model scores are handled too (a table that only
    chooses a hint counts pairs as well)."""
    if not any(MODEL_SCORE.search(name) for name in (*piece.names, *piece.params)):
        return False
    for node in piece.nodes:
        divided = (
            isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and bool(looked_up & _all_names(node.left))
        )
        capped = (
            isinstance(node, ast.Call)
            and leaf(node.func) in ("minimum", "fmin", "min")
            and bool(looked_up & _all_names(node))
        )
        if divided or capped:
            return True
    return False


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
            text = ast.unparse(call.func)
            if (
                text in ("torch.minimum", "torch.fmin", "np.minimum", "np.fmin", "numpy.minimum", "torch.min", "min")
                and len(call.args) == 2
            ):
                both = all(
                    mentions(argument, SCORE) and not isinstance(argument, ast.Constant) for argument in call.args
                )
                if (
                    both
                    and not re.search(r"(?i)best|train_loss|prev_", ast.unparse(call))
                    and (piece.reads_val or text != "min")
                ):
                    live = code.is_live(piece)
                    yield _at(
                        State.FAIL if live else State.UNKNOWN,
                        f"`{ast.unparse(call)[:80]}` takes the better of two scores",
                        piece,
                        call.lineno,
                        weak=not live,
                    )


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
                    live = code.is_live(piece)
                    yield _at(
                        State.FAIL if live else State.UNKNOWN,
                        f"`{ast.unparse(node)[:80]}` depends on the token that is scored",
                        piece,
                        node.lineno,
                        weak=not live,
                    )
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
        yield _absent(code, "no gate is looked up by the target")


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
                and re.search(r"(?i)ppm|byte", piece.text)
                and re.search(r"(?i)mix|lam|alpha|weight|ppm", piece.text)
            ):
                found = True
                live = code.is_live(piece)
                yield _at(
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
        yield _absent(code, "no byte-wise mixture")


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
            and (mentions(inner.left, re.compile(r"(?i)log_?p|nll|lp")) or isinstance(inner.left, ast.Constant))
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
    for piece in smears:
        masked = re.search(r"(?i)bos|boundary|not_first|doc_start|same_doc|docs", piece.text) is not None
        if masked:
            continue
        if isolated:
            yield _at(
                State.UNKNOWN,
                f"`{piece.name}` looks one token back over document starts, in a script that isolates documents",
                piece,
                None,
                strict=State.FAIL,
            )
        else:
            yield _at(
                State.PASS,
                f"`{piece.name}` looks one token back; documents are not isolated, as in records before April",
                piece,
                None,
                strict=State.UNKNOWN,
            )
        return
    yield _at(State.PASS, "the look-back is masked where documents start", smears[0], None)


def _looks_back(piece: Piece) -> bool:
    """`x[:, :-1]` shifted onto `x[:, 1:]` in something called smear or shift."""
    named = re.search(r"(?i)smear|token_shift|shift_gate", f"{piece.owner} {piece.name}") or any(
        "smear" in name.lower() for name in piece.names
    )
    return bool(named) and re.search(r"\[:, :-1\]|\[:, :-1, :\]|\.roll\(", piece.text) is not None


def packed_tables(subject: Subject) -> Iterable[Result]:
    """n-gram tables of training data in the artifact: allowed as paid bits, if they mix as distributions."""
    code = subject.code
    if code is None:
        return
    for piece in code:
        if code.is_live(piece) and PACKED_TABLE.search(piece.name) and re.search(r"(?i)train", piece.text):
            yield _at(
                State.UNKNOWN,
                f"`{piece.name}` builds counts of training data: they must mix as a distribution (R31)",
                piece,
                None,
            )
            return
    yield Result(State.PASS, "no count tables of training data")


def _at(
    state: State, message: str, piece: Piece, line: int | None, strict: State | None = None, weak: bool = False
) -> Result:
    return Result(state, message, file=piece.path.name, line=line or piece.node.lineno, strict=strict, weak=weak)
