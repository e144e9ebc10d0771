"""Validation tokens where they may not be: training, calibration, SLOT, logit biases, warm-up: R34, R35, R37, R43, R44."""

import ast
import re
from collections.abc import Iterable
from fnmatch import fnmatch

from golf.reading.module import dotted, walk
from golf.rules.checks.adapting import (
    DRIVERS,
    VAL_ARGUMENT,
    is_training_loop,
    only_training_goes_backward,
    reads_val_arguments,
    result_at,
)
from golf.rules.code import Code, Piece, leaf
from golf.rules.findings import Result, State
from golf.rules.flow import flow_of
from golf.rules.subject import Subject

CALIBRATES = re.compile(r"(?i)hessian|calibrat|(?:^|_)calib|awq|gptq_collect")
HOOKS = re.compile(r"register_forward(?:_pre)?_hook")
WARM = re.compile(r"(?i)warm_?up|compile|autotune")


def val_in_training(subject: Subject) -> Iterable[Result]:
    """Validation shards as training data, or packed into the artifact."""
    code = subject.code
    if code is None:
        return
    found = False
    for module in code.modules:
        for node in module.nodes:
            message = _trains_on_val(node)
            if message:
                found = True
                yield Result(State.FAIL, message, file=module.path.name, line=getattr(node, "lineno", 1))
            elif _takes_any(node):
                found = True
                yield Result(
                    State.UNKNOWN, f"`{ast.unparse(node)[:80]}` takes files of a folder that holds the validation shards too, by no name of a split",
                    file=module.path.name, line=getattr(node, "lineno", 1), weak=True,
                )  # fmt: skip
    for piece in code:
        if re.search(r"(?i)paid_prefix|error_correction|load_prefix_blob", piece.name) or any(
            "paid_prefix" in name.lower() for name in piece.names
        ):
            found = True
            state = State.FAIL if code.is_live(piece) else State.UNKNOWN
            yield result_at(state, f"`{piece.name}`: validation text carried in the artifact", piece)
    if not found:
        yield Result(State.PASS, "the training loader reads no validation shards")


def _trains_on_val(node: ast.AST) -> str | None:
    if isinstance(node, ast.Assign) and any(
        re.fullmatch(r"train_files|train_pattern|train_glob|train_tokens", leaf(target)) for target in node.targets
    ):
        text = ast.unparse(node.value)
        if "fineweb_val" in text or re.search(r"\bval_(?:files|tokens)\b", text):
            return f"training data is `{text[:60]}`"
        if (pattern := _takes_both(node.value)) is not None:
            return f"training data is `{pattern}`, which takes the validation shards too"
    if (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and any("train" in leaf(target) and "loader" in leaf(target) for target in node.targets)
    ):
        if any(VAL_ARGUMENT.search(leaf(argument)) for argument in node.value.args):
            return f"the training loader reads `{ast.unparse(node.value)[:60]}`"
    return None


LISTS = frozenset(("iterdir", "listdir", "scandir"))


def _takes_any(node: ast.AST) -> bool:
    """Whether training files are picked from a listing of a folder without a word for the split."""
    if not isinstance(node, ast.Assign) or not any("train" in leaf(target).lower() for target in node.targets):
        return False
    lists = any(isinstance(each, ast.Call) and leaf(each.func) in LISTS for each in walk(node.value))
    words = [each.value for each in walk(node.value) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return lists and not any(re.search(r"(?i)train|val", word) for word in words)


def _takes_both(value: ast.expr) -> str | None:
    """A pattern of file names that matches train and validation shards alike."""
    for each in walk(value):
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and "*" in each.value:
            pattern = each.value.rpartition("/")[2]
            if all(fnmatch(f"fineweb_{split}_000000.bin", pattern) for split in ("train", "val")):
                return each.value
    return None


def val_glob(subject: Subject) -> Iterable[Result]:
    """R22: a training pattern that takes the validation shards makes both one set."""
    code = subject.code
    for module in code.modules if code is not None else ():
        for node in module.nodes:
            if isinstance(node, ast.Assign) and any("train" in leaf(target).lower() for target in node.targets):
                if (pattern := _takes_both(node.value)) is not None:
                    yield Result(
                        State.FAIL,
                        f"`{pattern}` takes training and validation shards alike",
                        file=module.path.name,
                        line=node.lineno,
                    )


def val_calibration(subject: Subject) -> Iterable[Result]:
    """A calibration or Hessian pass that is handed validation tokens."""
    code = subject.code
    if code is None:
        return
    calibrates = found = False
    for given, where, line in flow_of(code).handed:
        for piece in code.pieces.get(given, []):
            if HOOKS.search(piece.text) and not piece.backward and code.is_live(piece):
                found = calibrates = True
                yield Result(
                    State.FAIL, f"`{given}` watches the model's layers on validation tokens", file=where, line=line
                )
    for act in sorted(set(flow_of(code).chosen), key=lambda act: act.order)[:1]:
        found = calibrates = True
        yield Result(
            State.FAIL if act.sure else State.UNKNOWN,
            f"`{act.function}` chooses by scores of validation tokens (line {act.line}) what is packed",
            file=act.file, line=act.line, weak=not act.sure,
        )  # fmt: skip
    for piece in (*code, None):
        calls = piece.calls if piece else code.main_flow
        for call in calls:
            if not CALIBRATES.search(leaf(call.func)):
                continue
            calibrates = True
            if reads_val_arguments(call):
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
            or is_training_loop(piece)
            or "etlb" in piece.name.lower()
        ):
            continue
        for node, name in _fresh_tensors(piece):
            if not _optimised(piece, name) or "etlb" in name.lower():
                continue
            found = True
            yield _slot_result(code, piece, node, name)
    if not found and only_training_goes_backward(code):
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
            if any(isinstance(inner, ast.Name) and inner.id == name for inner in walk(node)):
                return True
        if isinstance(node, ast.Attribute) and node.attr == "grad" and leaf(node.value) == name:
            return True
    return False


def _slot_result(code: Code, piece: Piece, node: ast.Assign, name: str) -> Result:
    context_only = re.search(r"(?i)context|ctx_mask|causal|(?:\[|:)\s*:?\s*:s\b|already_scored", piece.text) is not None
    if not code.is_on(piece, node.lineno):
        return result_at(
            State.UNKNOWN,
            f"`{piece.name}` optimises `{name}` per window; its switch is off here",
            piece,
            node.lineno,
            weak=True,
        )
    if context_only:
        return result_at(
            State.UNKNOWN,
            f"`{piece.name}` optimises `{name}` per window, on the context as it seems: no ruling",
            piece,
            node.lineno,
            strict=State.FAIL,
            weak=True,
        )
    return result_at(State.FAIL, f"`{piece.name}` optimises `{name}` on the window that it scores", piece, node.lineno)


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
        yield result_at(State.UNKNOWN, f"`{live[0].name}` fits a logit bias during evaluation: no ruling", live[0])
    else:
        yield Result(State.PASS, "no logit bias is fitted" + (" (its switch is off)" if pieces else ""))


def _learning_loops(piece: Piece) -> list[ast.AST]:
    """The innermost loops of a driver that go backward: the rest of it may score."""
    loops = [node for node in piece.nodes if isinstance(node, ast.For | ast.While)]
    learning = [
        loop
        for loop in loops
        if any(isinstance(each, ast.Call) and leaf(each.func) == "backward" for each in walk(loop))
    ]
    return [loop for loop in learning if not any(other is not loop and other in walk(loop) for other in learning)]


def _straight_line(piece: Piece) -> list[ast.AST]:
    """Statements of a driver outside every loop, where some of these go backward."""
    straight = [node for node in piece.node.body if not isinstance(node, ast.For | ast.While)]
    learns = any(
        isinstance(each, ast.Call) and leaf(each.func) == "backward" for node in straight for each in walk(node)
    )
    return list(straight) if learns else []


def warmup_on_val(subject: Subject) -> Iterable[Result]:
    """A warm-up that goes backward on validation tokens, even if the state is thrown away."""
    code = subject.code
    if code is None:
        return
    for piece in code:
        main = piece.name in DRIVERS
        if not (WARM.search(piece.name) or main) or not piece.backward or not code.is_live(piece):
            continue
        around = [*_learning_loops(piece), *_straight_line(piece)] if main else [piece.node]
        handed = [
            node for outer in around for call in walk(outer) if isinstance(call, ast.Call)
            for argument in call.args for node in walk(argument)
        ]  # fmt: skip
        for node in handed:
            cut = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice)
            if cut and VAL_ARGUMENT.search(leaf(node)):
                yield result_at(
                    State.FAIL,
                    f"`{piece.name}` warms up on `{ast.unparse(node)[:60]}`",
                    piece,
                    getattr(node, "lineno", None),
                )
                return
    yield Result(State.PASS, "warm-up touches no validation tokens", weak=True)
