"""Who goes backward, who scores, and who drives: what the checks on test-time training share."""

import ast
import re
from functools import lru_cache

from golf.rules.code import Code, Piece, leaf, mentions
from golf.rules.findings import Result, State

QUANTIZES = re.compile(r"(?i)quantiz|gptq|serializ|hessian|export_|pack_model|save_artifact")
EVALUATES = re.compile(r"(?i)eval_val|evaluate|eval_model|sliding|score_val|timed_eval")
SCORE_SUM = re.compile(r"(?i)(?:loss|nll|nats|bits|bpb)\w*$")
VAL_ARGUMENT = re.compile(r"(?i)^val_(?:tokens?|data|files|loader|ids|seqs?|stream|np)$|^validation_(?:tokens|data)$")
DRIVERS = ("main", "train_and_eval", "run", "train_model", "_main")


@lru_cache(maxsize=8)
def adapters(code: Code) -> tuple[Piece, ...]:
    """Functions that take validation tokens and go backward; the driver that calls everything in turn is none."""
    return tuple(
        piece
        for piece in code
        if piece.backward and piece.reads_val and not is_training_loop(piece) and not drives(piece)
    )


def drives(piece: Piece) -> bool:
    """`main` and its kind: it evaluates, and quantizes or loads what was quantized."""
    called = [leaf(call.func) for call in piece.calls]
    packs = any(QUANTIZES.search(name) or "load_state_dict" in name for name in called)
    return piece.name in DRIVERS or (packs and any(EVALUATES.search(name) for name in called))


def only_training_goes_backward(code: Code) -> bool:
    """Whether the loop over training batches is the only code that takes gradients, so that nothing adapts anywhere else."""
    return all(is_training_loop(piece) or piece.name in DRIVERS for piece in code if piece.backward)


def is_training_loop(piece: Piece) -> bool:
    """The loop over training batches, which may validate in between."""
    return any(
        re.search(r"train_loader|next_batch|train_loss|zero_grad_all", name) for name in piece.names
    ) and not re.search(r"(?i)ttt|adapt|eval", piece.name)


def score_lines(piece: Piece) -> list[int]:
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


def returns_score(piece: Piece) -> bool:
    returns = [node for node in piece.nodes if isinstance(node, ast.Return) and node.value is not None]
    return any(
        mentions(node.value, re.compile(r"(?i)bpb|val_loss|loss_sum|nll")) or "_loss_bpb" in ast.unparse(node)
        for node in returns
        if node.value
    )


def result_at(
    state: State, message: str, piece: Piece, line: int | None = None, strict: State | None = None, weak: bool = False
) -> Result:
    return Result(state, message, file=piece.path.name, line=line or piece.node.lineno, strict=strict, weak=weak)


def reads_val_arguments(call: ast.Call) -> bool:
    return any(
        VAL_ARGUMENT.search(leaf(argument)) for argument in (*call.args, *(keyword.value for keyword in call.keywords))
    )
