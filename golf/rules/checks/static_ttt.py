"""Training on validation tokens, by the code alone: R23, R32, R33, R34, R35, R36, R37, R43, R44, R46.

The accepted form is score first: inside one function a chunk is scored without gradients and then trained on. What is broken is
broken by order; where order cannot be read off the code, the answer is UNKNOWN and an executed check decides.
"""

import ast
import re
from collections.abc import Iterable
from functools import lru_cache

from golf.rules.code import Code, Piece, dotted, leaf, mentions, ordered
from golf.rules.findings import Result, State
from golf.rules.subject import Subject

QUANTIZES = re.compile(r"(?i)quantiz|gptq|serializ|hessian|export_|pack_model|save_artifact")
EVALUATES = re.compile(r"(?i)eval_val|evaluate|eval_model|sliding|score_val|timed_eval")
SCORE_SUM = re.compile(r"(?i)(?:loss|nll|nats|bits|bpb)\w*$")
VAL_ARGUMENT = re.compile(r"(?i)^val_(?:tokens?|data|files|loader|ids|seqs?|stream|np)$|^validation_(?:tokens|data)$")
SCORE_NAME = re.compile(r"(?i)nll|loss|log_?p|nats|bits")
CALIBRATES = re.compile(r"(?i)hessian|calibrat|(?:^|_)calib|awq|gptq_collect")
DRIVERS = ("main", "train_and_eval", "run", "train_model", "_main")
WARM = re.compile(r"(?i)warm_?up|compile|autotune")


@lru_cache(maxsize=8)
def _adapters(code: Code) -> tuple[Piece, ...]:
    """Functions that take validation tokens and go backward; the driver that calls everything in turn is none."""
    return tuple(
        piece
        for piece in code
        if piece.backward and piece.reads_val and not _is_training_loop(piece) and not _drives(piece)
    )


def _drives(piece: Piece) -> bool:
    """`main` and its kind: it evaluates, and quantizes or loads what was quantized."""
    called = [leaf(call.func) for call in piece.calls]
    packs = any(QUANTIZES.search(name) or "load_state_dict" in name for name in called)
    return piece.name in DRIVERS or (packs and any(EVALUATES.search(name) for name in called))


def _only_training_goes_backward(code: Code) -> bool:
    """Whether the loop over training batches is the only code that takes gradients, so that nothing adapts anywhere else."""
    return all(_is_training_loop(piece) or piece.name in DRIVERS for piece in code if piece.backward)


def _is_training_loop(piece: Piece) -> bool:
    """The loop over training batches, which may validate in between."""
    return any(
        re.search(r"train_loader|next_batch|train_loss|zero_grad_all", name) for name in piece.names
    ) and not re.search(r"(?i)ttt|adapt|eval", piece.name)


def _score_lines(piece: Piece) -> list[int]:
    """Lines where a score is added up: `loss_sum += …` outside the argument of backward, or a helper that accumulates."""
    lines = []
    for node in piece.nodes:
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and SCORE_SUM.search(leaf(node.target)):
            lines.append(node.lineno)
        elif isinstance(node, ast.Call) and re.search(r"(?i)accumulate|add_score|record_nll", leaf(node.func)):
            lines.append(node.lineno)
        elif (
            isinstance(node, ast.Call)
            and leaf(node.func) in ("add_", "append", "index_add_")
            and isinstance(node.func, ast.Attribute)
        ):
            if SCORE_SUM.search(leaf(node.func.value)):
                lines.append(node.lineno)
    return lines


def _returns_score(piece: Piece) -> bool:
    returns = [node for node in piece.nodes if isinstance(node, ast.Return) and node.value is not None]
    return any(
        mentions(node.value, re.compile(r"(?i)bpb|val_loss|loss_sum|nll")) or "_loss_bpb" in ast.unparse(node)
        for node in returns
        if node.value
    )


def _result(
    state: State, message: str, piece: Piece, line: int | None = None, strict: State | None = None, weak: bool = False
) -> Result:
    return Result(state, message, file=piece.path.name, line=line or piece.node.lineno, strict=strict, weak=weak)


def prequant_ttt(subject: Subject) -> Iterable[Result]:
    """A function that trains on validation tokens and scores nothing, called before quantization or the evaluation."""
    code = subject.code
    if code is None:
        return
    found = False
    for piece in _adapters(code):
        if _returns_score(piece) or _score_lines(piece) and _called_only_by_scorers(code, piece):
            continue
        calls = _calls_before_scoring(code, piece.name)
        if not calls:
            continue
        found = True
        if WARM.search(piece.name):
            continue
        if code.is_live(piece):
            yield _result(
                State.FAIL,
                f"`{piece.name}` trains on validation tokens before they are scored (called in line {calls[0].lineno})",
                piece,
                piece.backward[0].lineno,
            )
        else:
            yield _result(
                State.UNKNOWN,
                f"`{piece.name}` would train on validation tokens before they are scored; its switch is off here",
                piece,
                weak=True,
            )
    if not found and _only_training_goes_backward(code):
        yield Result(State.PASS, "only the loop over training batches goes backward")
    elif not found:
        yield Result(State.UNKNOWN, "no training on validation tokens outside functions that score them", weak=True)


def _called_only_by_scorers(code: Code, piece: Piece) -> bool:
    callers = [other for other in code if other is not piece and piece.name in other.names]
    return bool(callers) and all(_score_lines(other) or _returns_score(other) for other in callers)


def _calls_before_scoring(code: Code, name: str) -> list[ast.Call]:
    """Calls of `name` in the main flow that stand before a quantization or an evaluation."""
    flow = code.main_flow
    mine = [at for at, call in enumerate(flow) if leaf(call.func) == name]
    later = [
        at for at, call in enumerate(flow) if QUANTIZES.search(leaf(call.func)) or EVALUATES.search(leaf(call.func))
    ]
    return [flow[at] for at in mine if any(after > at for after in later)]


def adapt_then_score(subject: Subject) -> Iterable[Result]:
    """Inside a scoring function: a whole loop of training ends before the loop that scores begins."""
    code = subject.code
    if code is None:
        return
    adapters = _adapters(code)
    if _only_training_goes_backward(code):
        yield Result(State.PASS, "only the loop over training batches goes backward")
        return
    for piece in adapters:
        scores = _score_lines(piece)
        trains = [call.lineno for call in piece.backward]
        if not scores:
            continue
        training = _loops_around(piece, trains)
        scoring = _loops_around(piece, scores)
        ended = [
            loop
            for loop in training
            if (loop.end_lineno or 0) < min(scores) and loop not in scoring and "randint" not in ast.unparse(loop)
        ]
        if ended and not any(loop in scoring for loop in training):
            state = State.FAIL if code.is_live(piece) else State.UNKNOWN
            yield _result(
                state,
                f"`{piece.name}` trains (line {trains[0]}) and only then scores (line {min(scores)})",
                piece,
                trains[0],
                weak=state is State.UNKNOWN,
            )
        elif min(trains) < min(scores) and code.is_live(piece):
            yield _result(
                State.UNKNOWN,
                f"`{piece.name}` goes backward (line {trains[0]}) above where it scores (line {min(scores)})",
                piece,
                trains[0],
                weak=True,
            )
        else:
            yield _result(
                State.UNKNOWN,
                f"`{piece.name}` scores (line {min(scores)}) above where it trains (line {trains[0]}): the legal form",
                piece,
                min(scores),
                weak=True,
            )


def _loops_around(piece: Piece, lines: list[int]) -> list[ast.For | ast.While]:
    loops = [node for node in piece.nodes if isinstance(node, ast.For | ast.While)]
    return [loop for loop in loops if any(loop.lineno < line <= (loop.end_lineno or 0) for line in lines)]


def rescoring(subject: Subject) -> Iterable[Result]:
    """An evaluation that runs again after one that adapted the same model."""
    code = subject.code
    if code is None:
        return
    adapting = {piece.name for piece in _adapters(code) if code.is_live(piece)}
    flow = [call for call in code.main_flow if EVALUATES.search(leaf(call.func)) or leaf(call.func) in adapting]
    seen = False
    for call in flow:
        if leaf(call.func) in adapting:
            seen = True
        elif seen and _reads_val_arguments(call):
            file = subject.source.path.name if subject.source else None
            yield Result(
                State.UNKNOWN,
                f"`{leaf(call.func)}` evaluates after the model was adapted",
                file=file,
                line=call.lineno,
                weak=True,
            )
            return
    if not adapting:
        yield Result(
            State.UNKNOWN, "nothing adapts during evaluation; one pass is an executed check's to show", weak=True
        )


def _reads_val_arguments(call: ast.Call) -> bool:
    return any(
        VAL_ARGUMENT.search(leaf(argument)) for argument in (*call.args, *(keyword.value for keyword in call.keywords))
    )


def val_in_training(subject: Subject) -> Iterable[Result]:
    """Validation shards as training data, or packed into the artifact."""
    code = subject.code
    if code is None:
        return
    found = False
    for module in code.modules:
        for node in ast.walk(module.tree or ast.Module([], [])):
            message = _trains_on_val(node)
            if message:
                found = True
                yield Result(State.FAIL, message, file=module.path.name, line=getattr(node, "lineno", 1))
    for piece in code:
        if re.search(r"(?i)paid_prefix|error_correction|load_prefix_blob", piece.name) or any(
            "paid_prefix" in name.lower() for name in piece.names
        ):
            found = True
            state = State.FAIL if code.is_live(piece) else State.UNKNOWN
            yield _result(state, f"`{piece.name}`: validation text carried in the artifact", piece)
    if not found:
        yield Result(State.PASS, "the training loader reads no validation shards")


def _trains_on_val(node: ast.AST) -> str | None:
    if isinstance(node, ast.Assign) and any(
        re.fullmatch(r"train_files|train_pattern|train_glob|train_tokens", leaf(target)) for target in node.targets
    ):
        text = ast.unparse(node.value)
        if "fineweb_val" in text or re.search(r"\bval_(?:files|tokens)\b", text):
            return f"training data is `{text[:60]}`"
    if (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and any("train" in leaf(target) and "loader" in leaf(target) for target in node.targets)
    ):
        if any(VAL_ARGUMENT.search(leaf(argument)) for argument in node.value.args):
            return f"the training loader reads `{ast.unparse(node.value)[:60]}`"
    return None


def val_calibration(subject: Subject) -> Iterable[Result]:
    """A calibration or Hessian pass that is handed validation tokens."""
    code = subject.code
    if code is None:
        return
    calibrates = found = False
    for piece in (*code, None):
        calls = piece.calls if piece else code.main_flow
        for call in calls:
            if not CALIBRATES.search(leaf(call.func)):
                continue
            calibrates = True
            if _reads_val_arguments(call):
                found = True
                live = piece is None or code.is_live(piece)
                file = piece.path.name if piece else (subject.source.path.name if subject.source else None)
                yield Result(
                    State.FAIL if live else State.UNKNOWN,
                    f"`{ast.unparse(call)[:80]}` calibrates on validation tokens",
                    file=file,
                    line=call.lineno,
                    weak=not live,
                )
    if not found:
        yield Result(State.PASS, "calibration is handed no validation tokens" if calibrates else "no calibration pass")


def slot(subject: Subject) -> Iterable[Result]:
    """A fresh trainable tensor inside the window loop of an evaluation: SLOT, or its context-only form."""
    code = subject.code
    if code is None:
        return
    found = False
    for piece in code:
        if (
            not (piece.reads_val or re.search(r"(?i)slot", piece.name))
            or _is_training_loop(piece)
            or "etlb" in piece.name.lower()
        ):
            continue
        for node, name in _fresh_tensors(piece):
            if not _optimised(piece, name) or "etlb" in name.lower():
                continue
            found = True
            yield _slot_result(code, piece, node, name)
    if not found and _only_training_goes_backward(code):
        yield Result(State.PASS, "nothing is optimised during evaluation")
    elif not found:
        yield Result(State.PASS, "no per-sample tensor is optimised in an evaluation loop")


def _fresh_tensors(piece: Piece) -> Iterable[tuple[ast.Assign, str]]:
    loops = [node for node in piece.nodes if isinstance(node, ast.For | ast.While)]
    for node in piece.nodes:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            text = ast.unparse(node.value)
            fresh = re.search(r"zeros|empty|randn|new_zeros|Parameter", text)
            trainable = "requires_grad=True" in text or "requires_grad_(" in text or "nn.Parameter" in text
            inside = any(loop.lineno < node.lineno <= (loop.end_lineno or 0) for loop in loops)
            if fresh and trainable and (inside or "slot" in piece.name.lower()):
                yield node, leaf(node.targets[0])


def _optimised(piece: Piece, name: str) -> bool:
    """Whether the tensor is handed to an optimizer or to autograd.grad, or its `.grad` is read."""
    for node in piece.nodes:
        if isinstance(node, ast.Call) and re.search(r"(?i)adam|sgd|lbfgs|optim|rmsprop|autograd", dotted(node.func)):
            if any(isinstance(inner, ast.Name) and inner.id == name for inner in ast.walk(node)):
                return True
        if isinstance(node, ast.Attribute) and node.attr == "grad" and leaf(node.value) == name:
            return True
    return False


def _slot_result(code: Code, piece: Piece, node: ast.Assign, name: str) -> Result:
    context_only = re.search(r"(?i)context|ctx_mask|causal|(?:\[|:)\s*:?\s*:s\b|already_scored", piece.text) is not None
    if not code.is_live(piece):
        return _result(
            State.UNKNOWN,
            f"`{piece.name}` optimises `{name}` per window; its switch is off here",
            piece,
            node.lineno,
            weak=True,
        )
    if context_only:
        return _result(
            State.UNKNOWN,
            f"`{piece.name}` optimises `{name}` per window, on the context as it seems: no ruling",
            piece,
            node.lineno,
            strict=State.FAIL,
            weak=True,
        )
    return _result(State.FAIL, f"`{piece.name}` optimises `{name}` on the window that it scores", piece, node.lineno)


def logit_bias(subject: Subject) -> Iterable[Result]:
    """ETLB and its kind: a bias on the logits, fitted during evaluation."""
    code = subject.code
    if code is None:
        return
    pieces = [
        piece for piece in code if "etlb" in piece.name.lower() or any("etlb" in name.lower() for name in piece.names)
    ]
    live = [
        piece
        for piece in pieces
        if code.is_live(piece) and "etlb" in piece.name.lower() and code.value("etlb_enabled") not in (False, 0)
    ]
    if live:
        yield _result(State.UNKNOWN, f"`{live[0].name}` fits a logit bias during evaluation: no ruling", live[0])
    else:
        yield Result(State.PASS, "no logit bias is fitted" + (" (its switch is off)" if pieces else ""))


def reordering(subject: Subject) -> Iterable[Result]:
    """Documents sorted by length (or by anything) before they are scored."""
    code = subject.code
    if code is None:
        return
    for piece in code:
        if not piece.reads_val and not re.search(r"(?i)ttt|eval|queue|batch", piece.name):
            continue
        for call in piece.calls:
            if (
                leaf(call.func) in ("sort", "sorted", "argsort")
                and re.search(r"(?i)doc|len", ast.unparse(call))
                and code.is_live(piece)
            ):
                by_loss = re.search(r"(?i)loss|nll|bpb", ast.unparse(call)) is not None
                state = State.FAIL if by_loss else State.PASS
                yield _result(
                    state,
                    f"`{piece.name}` orders documents by {'loss' if by_loss else 'length'}: {'not allowed' if by_loss else 'accepted precedent, contested'}",
                    piece,
                    call.lineno,
                    strict=State.FAIL,
                )
                return
    yield Result(State.PASS, "nothing orders the validation documents", weak=True)


def warmup_on_val(subject: Subject) -> Iterable[Result]:
    """A warm-up that goes backward on validation tokens, even if the state is thrown away."""
    code = subject.code
    if code is None:
        return
    for piece in code:
        main = piece.name in DRIVERS
        if not (WARM.search(piece.name) or main) or not piece.backward or not code.is_live(piece):
            continue
        handed = [node for call in piece.calls for argument in call.args for node in ast.walk(argument)]
        for node in handed:
            cut = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice)
            if cut and VAL_ARGUMENT.search(leaf(node)):
                yield _result(
                    State.FAIL,
                    f"`{piece.name}` warms up on `{ast.unparse(node)[:60]}`",
                    piece,
                    getattr(node, "lineno", None),
                )
                return
    yield Result(State.PASS, "warm-up touches no validation tokens", weak=True)


def epochs(subject: Subject) -> Iterable[Result]:
    """How many passes test-time training makes over tokens that are already scored."""
    code = subject.code
    if code is None:
        return
    count = code.value("ttt_epochs")
    if _adapters(code) and isinstance(count, int) and count > 1:
        yield Result(State.PASS, f"{count} epochs on scored tokens: accepted")
    else:
        yield Result(State.PASS, "no more than one epoch on scored tokens")
