"""The order of scoring and training on validation tokens, by the code alone: R23, R32, R33, R36, R46.

The accepted form is score first: inside one function a chunk is scored without gradients and then trained on. What is broken is
broken by order; where order cannot be read off the code, the answer is UNKNOWN and an executed check decides.
"""

import ast
import re
from collections.abc import Iterable

from golf.reading.module import walk
from golf.rules.checks.adapting import (
    DRIVERS,
    EVALUATES,
    QUANTIZES,
    adapters,
    is_training_loop,
    only_training_goes_backward,
    reads_val_arguments,
    result_at,
    returns_score,
    score_lines,
)
from golf.rules.code import Code, Piece, leaf
from golf.rules.findings import Result, State
from golf.rules.flow import ALL, Flow, Learned, flow_of
from golf.rules.subject import Subject

OTHERWISE = {
    "table": "counts validation tokens (line {line}) in a table that their own prediction reads",
    "weights": "weighs targets by class (line {line}), so that the score is not the mean of their losses",
    "mask": "leaves targets out of the score by their own loss (line {line})",
    "better": "takes the better of scores by comparing them (line {line})",
}
WARM = re.compile(r"(?i)warm_?up|compile|autotune")


def _followed(subject: Subject, code_of_rule: str) -> Iterable[Result]:
    """The flow's finding on R32, R33, R36 or R37: the last reported score comes after learning from its own windows."""
    code = subject.code
    if code is None:
        return
    flow = flow_of(code)
    late = flow.late
    if not late:
        return
    act = next((each for each in late if each.sure), late[0])
    if code_of_rule not in _rules_of(flow, act):
        return
    what = {
        "R21": "{line}",
        "R32": "learns from validation tokens (line {line}) before they are scored",
        "R33": "learns from tokens that it has scored (line {line}), and the score that is reported is taken again afterwards",
        "R36": "learns from validation tokens (line {line}) before the score and before packing",
        "R37": "fits a fresh tensor to a window (line {line}) and scores that window with it",
    }[code_of_rule]
    if act.kind in OTHERWISE:
        what = OTHERWISE[act.kind]
    what = what.format(line=act.line)
    scored = [report for report in flow.reports if report.value.nats][-1]
    yield Result(
        State.FAIL if act.sure else State.UNKNOWN,
        f"`{act.function}` {what}" + ("" if act.sure else "; under a switch whose value is not known, or in an order that is not"),
        (f"reported by line {scored.line} of {scored.file}: {scored.text}",),
        file=act.file, line=act.line, weak=not act.sure,
    )  # fmt: skip


def _rules_of(flow: Flow, act: Learned) -> tuple[str, ...]:
    if act.kind == "tensor":
        return ("R37",)
    if act.kind in ("mask", "weights"):
        return ("R21",)
    if act.kind == "better":  # of models, before one is packed: R35's
        return () if flow.before_packing(act) else ("R33",)
    if act.kind == "table":
        return ("R32", "R33") if act.window == ALL else ("R32",)
    if act.counted_before and act.function in flow.scorers:
        return ("R33",)
    if flow.before_packing(act):
        return ("R36",)
    return ("R32",) if flow.packed_at else ("R32", "R36")


def left_out(subject: Subject) -> Iterable[Result]:
    """R21 by the flow: targets that are left out of the score by their own loss."""
    yield from _followed(subject, "R21")


def fitted_tensor(subject: Subject) -> Iterable[Result]:
    """R37 by the flow."""
    yield from _followed(subject, "R37")


def prequant_ttt(subject: Subject) -> Iterable[Result]:
    """A function that trains on validation tokens and scores nothing, called before quantization or the evaluation."""
    code = subject.code
    if code is None:
        return
    yield from _followed(subject, "R36")
    found = False
    for piece in adapters(code):
        if returns_score(piece) or (score_lines(piece) and _called_only_by_scorers(code, piece)):
            continue
        calls = _calls_before_scoring(code, piece.name)
        if not calls:
            continue
        found = True
        if WARM.search(piece.name):
            continue
        if code.is_live(piece):
            yield result_at(
                State.FAIL,
                f"`{piece.name}` trains on validation tokens before they are scored (called in line {calls[0].lineno})",
                piece,
                piece.backward[0].lineno,
            )
        else:
            yield result_at(
                State.UNKNOWN,
                f"`{piece.name}` would train on validation tokens before they are scored; its switch is off here",
                piece,
                weak=True,
            )
    if not found and only_training_goes_backward(code):
        yield Result(State.PASS, "only the loop over training batches goes backward")
    elif not found:
        yield Result(State.UNKNOWN, "no training on validation tokens outside functions that score them", weak=True)


def _called_only_by_scorers(code: Code, piece: Piece) -> bool:
    callers = [other for other in code if other is not piece and piece.name in other.names]
    return bool(callers) and all(score_lines(other) or returns_score(other) for other in callers)


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
    yield from _followed(subject, "R32")
    learners = adapters(code)
    if only_training_goes_backward(code):
        yield Result(State.PASS, "only the loop over training batches goes backward")
        return
    for piece in learners:
        scores = score_lines(piece)
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
            yield result_at(
                state,
                f"`{piece.name}` trains (line {trains[0]}) and only then scores (line {min(scores)})",
                piece,
                trains[0],
                weak=state is State.UNKNOWN,
            )
        elif min(trains) < min(scores) and code.is_live(piece):
            yield result_at(
                State.UNKNOWN,
                f"`{piece.name}` goes backward (line {trains[0]}) above where it scores (line {min(scores)})",
                piece,
                trains[0],
                weak=True,
            )
        else:
            yield result_at(
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
    yield from _followed(subject, "R33")
    adapting = {piece.name for piece in adapters(code) if code.is_live(piece)}
    flow = [call for call in code.main_flow if EVALUATES.search(leaf(call.func)) or leaf(call.func) in adapting]
    seen = False
    for call in flow:
        if leaf(call.func) in adapting:
            seen = True
        elif seen and reads_val_arguments(call):
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


ORDERS = frozenset(("sort", "sorted", "argsort", "lexsort", "topk", "nsmallest", "nlargest", "heapify", "heappush"))
LENGTHS = re.compile(
    r"(?i)doc|len|length|span|n_?tok|numel|\bsizes?\b|\bends?\b\s*-\s*\w*(?:start|begin)|stop\w*\s*-\s*\w*start|\bdiff\(|stops?\b.*starts?\b|starts?\b.*\b(?:stops?|ends?)\b"
)
NO_ORDER = re.compile(
    r"(?i)glob|listdir|iterdir|scandir|state_dict|named_param|\bpaths?\b|\bfiles?\b|\bshards?\b|\.items\(\)|\.keys\(\)|logits|probs|vocab"
)
EVALUATION = re.compile(r"(?i)ttt|eval|score|valid|\bval\b|bpb")
RESETS = re.compile(r"(?i)reset|fresh|deepcopy|clone\(|load_state_dict|zero_\(|snapshot|restore")


def reordering(subject: Subject) -> Iterable[Result]:
    """Documents sorted by length (or by anything) before they are scored."""
    code = subject.code
    if code is None:
        return
    callers = _callers(code)
    for piece in code:
        if not code.is_live(piece) or not _evaluates(piece, callers):
            continue
        for call in piece.calls:
            if leaf(call.func) not in ORDERS or NO_ORDER.search(ast.unparse(call)):
                continue
            told = _told(piece, call)
            by_loss = re.search(r"(?i)loss|nll|bpb", told) is not None
            if not by_loss and not LENGTHS.search(told):
                continue
            what = f"`{piece.name}` orders documents by {'loss' if by_loss else 'length'}: "
            if by_loss:
                yield result_at(State.FAIL, what + "not allowed", piece, call.lineno, strict=State.FAIL)
            elif not (learning := _learners(code, piece, callers)):
                yield result_at(
                    State.CLEAN,
                    what + "nothing learns from one document for another, so that the order decides nothing",
                    piece,
                    call.lineno,
                )
            elif all(RESETS.search(each.text) for each in learning):
                yield result_at(
                    State.UNKNOWN, what + f"whether `{learning[0].name}` carries anything from one document to the next is not told by the code",
                    piece, call.lineno,
                )  # fmt: skip
            else:
                yield result_at(
                    State.UNKNOWN, what + "accepted precedent, contested", piece, call.lineno, strict=State.FAIL
                )
            return
    yield Result(State.PASS, "nothing orders the validation documents", weak=True)


def _callers(code: Code) -> dict[str, list[Piece]]:
    """Function name → the functions that name it."""
    found: dict[str, list[Piece]] = {}
    for piece in code:
        for name in piece.names:
            if name in code.pieces and name != piece.name:
                found.setdefault(name, []).append(piece)
    return found


def _users(piece: Piece, callers: dict[str, list[Piece]]) -> list[Piece]:
    """A function, those that name it, and theirs."""
    found = [piece, *callers.get(piece.name, ())]
    return found + [each for one in found[1:] for each in callers.get(one.name, ())]


def _evaluates(piece: Piece, callers: dict[str, list[Piece]]) -> bool:
    """Whether a function prepares or does an evaluation: it handles validation tokens, or who calls it says so by its name."""
    return piece.reads_val or any(EVALUATION.search(each.name) for each in _users(piece, callers))


def _told(piece: Piece, call: ast.Call) -> str:
    """The text of what a call sorts, and of how, the names that are assigned in the function spelled out."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if isinstance(call.func, ast.Attribute):
        given.append(call.func.value)
    texts, done = [ast.unparse(each) for each in given], set[str]()
    todo = {inner.id for each in given for inner in walk(each) if isinstance(inner, ast.Name)}
    for _ in range(2):
        for node in piece.nodes:
            if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Constant):
                names = {
                    leaf(inner) for target in node.targets for inner in walk(target) if isinstance(inner, ast.Name)
                }
                if names & todo and call not in walk(node.value):
                    texts.append(ast.unparse(node.value))
                    done |= {inner.id for inner in walk(node.value) if isinstance(inner, ast.Name)}
        todo = done
    return " ".join(texts)


def _learners(code: Code, piece: Piece, callers: dict[str, list[Piece]]) -> list[Piece]:
    """Live functions that go backward and are the users of an order, or are called by them."""
    around = {each.name for each in _users(piece, callers)}
    return [
        each for each in code
        if each.backward and code.is_live(each) and not is_training_loop(each) and each.name not in DRIVERS
        and (each.name in around or any(user.name in around for user in _users(each, callers)))
    ]  # fmt: skip


def epochs(subject: Subject) -> Iterable[Result]:
    """How many passes test-time training makes over tokens that are already scored."""
    code = subject.code
    if code is None:
        return
    count = code.value("ttt_epochs")
    if adapters(code) and isinstance(count, int) and count > 1:
        yield Result(State.PASS, f"{count} epochs on scored tokens: accepted")
    else:
        yield Result(State.PASS, "no more than one epoch on scored tokens")
