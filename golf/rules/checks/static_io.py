"""What a script reads and fetches, and its clocks, by its code alone: R03, R04, R05, R06, R07."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from golf.reading.module import dotted, walk
from golf.rules.code import Code, Piece, leaf
from golf.rules.findings import Result, State
from golf.rules.subject import Subject

FETCHES = re.compile(
    r"(?:^|\.)(?:urlopen|urlretrieve|hf_hub_download|snapshot_download|create_connection|load_dataset)$"
    r"|^requests\.(?:get|post|put|request|Session)$|^httpx\.|^wget\.download$|^ftplib\."
)
FETCHING_COMMANDS = re.compile(
    r"\b(?:pip3?\s+install|apt(?:-get)?\s+install|git\s+clone|curl\s|wget\s|conda\s+install|huggingface-cli|uv\s+pip)"
)
TRAIN_READS = re.compile(r"train_files|train_loader|fineweb_train|train_data|train_shards|train_tokens$")
SCORES = re.compile(r"(?i)val_bpb|val_loss|bpb|nll|loss_sum")


def _at(piece_or_path: Piece | Path, node: ast.AST) -> tuple[str, int]:
    path = piece_or_path.path if isinstance(piece_or_path, Piece) else piece_or_path
    return path.name, getattr(node, "lineno", 1)


def network(subject: Subject) -> Iterable[Result]:
    """Calls that fetch over the network or install packages, in code that the run reaches."""
    code = subject.code
    if code is None:
        return
    clean = True
    for module in code.modules:
        for node in module.nodes:
            what = _fetch(node) if isinstance(node, ast.Call) else None
            if what is None:
                continue
            clean = False
            name, line = _at(module.path, node)
            runs = reached(code, module.path, node)
            if runs and not _only_if_missing(module.tree, node):
                yield Result(State.FAIL, f"{what} in code that the run reaches", file=name, line=line)
            else:
                why = (
                    "only where a package or a file is missing"
                    if runs
                    else "behind a switch that is off, or never called"
                )
                yield Result(State.UNKNOWN, f"{what}, {why}", file=name, line=line)
    if clean:
        yield Result(
            State.PASS, "no call that fetches or installs", file=subject.source.path.name if subject.source else None
        )


def _fetch(call: ast.Call) -> str | None:
    name = dotted(call.func)
    if FETCHES.search(name):
        return f"`{name}`"
    if name in ("os.system", "os.popen") or name.startswith("subprocess."):
        words = " ".join(
            node.value for node in walk(call) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        if FETCHING_COMMANDS.search(f"{words} "):
            return f"`{name}` of `{words[:60]}`"
    return None


def reached(code: Code, path: Path, node: ast.AST) -> bool:
    """Whether the innermost function around `node` is live (module level always is)."""
    line = getattr(node, "lineno", 0)
    around = [
        piece for piece in code if piece.path == path and piece.node.lineno <= line <= (piece.node.end_lineno or 0)
    ]
    return (
        not around
        or code.is_live(max(around, key=lambda piece: piece.node.lineno))
        or any(code.is_live(piece) for piece in around)
    )


def _only_if_missing(tree: ast.Module | None, node: ast.AST) -> bool:
    """Whether a call stands in the answer to an import that failed, or behind a look for a file that is not there."""
    for around in walk(tree or ast.Module([], [])):
        if isinstance(around, ast.ExceptHandler) and around.type is not None:
            fallback = re.search(r"ImportError|ModuleNotFoundError|FileNotFoundError", ast.unparse(around.type))
        elif isinstance(around, ast.If):
            fallback = re.search(r"\bexists\(|is_file\(|is_dir\(|glob\(|find_spec\(", ast.unparse(around.test))
        else:
            continue
        if fallback and any(inner is node for inner in walk(around)):
            return True
    return False


def train_data_at_eval(subject: Subject) -> Iterable[Result]:
    """Functions that score validation and read training shards."""
    code = subject.code
    if code is None:
        return
    found = False
    for piece in code:
        if not (_scores_val(piece) and code.is_live(piece)) or piece.name in ("main", "train_and_eval", "__init__"):
            continue
        reads = [
            node
            for node in piece.nodes
            if isinstance(node, ast.Name | ast.Attribute) and TRAIN_READS.search(leaf(node))
        ]
        if reads and not _trains_on_train(piece):
            found = True
            name, line = _at(piece, reads[0])
            yield Result(
                State.FAIL, f"`{piece.name}` scores validation and reads `{leaf(reads[0])}`", file=name, line=line
            )
    if not found:
        yield Result(State.PASS, "no function that scores validation reads training shards", weak=True)


def _scores_val(piece: Piece) -> bool:
    return (
        bool(re.search(r"(?i)eval|ttt|score", piece.name))
        and piece.reads_val
        and any(SCORES.search(name) for name in piece.names)
    )


def _trains_on_train(piece: Piece) -> bool:
    """The training loop itself (it may validate in between)."""
    return bool(piece.backward) and any("train_loss" in name or "train_time" in name for name in piece.names)


def wallclock(subject: Subject) -> Iterable[Result]:
    """The default of the wall-clock cap, where no log shows what ran."""
    code = subject.code
    if code is None or any(run.train_seconds is not None for run in subject.runs):
        return
    setting = code.settings.get("max_wallclock_seconds")
    limit = float(subject.limits["train_seconds"])
    value = code.value("max_wallclock_seconds")
    if setting is None or isinstance(value, bool) or not isinstance(value, int | float):
        return
    shown = f"MAX_WALLCLOCK_SECONDS is {value:g}" + (" by default" if setting.env and value == setting.value else "")
    file = subject.source.path.name if subject.source else None
    if value > limit:
        yield Result(State.FAIL, f"{shown}, over {limit:.0f}", file=file, line=setting.line)
    elif value > 0:
        yield Result(State.UNKNOWN, f"{shown}; no log shows a run", file=file, line=setting.line, weak=True)


def precompute_outside(subject: Subject) -> Iterable[Result]:
    """Hints or tables over validation tokens computed before the evaluation clock."""
    code = subject.code
    if code is None:
        return
    for name, setting in code.settings.items():
        if "precompute_outside" in name and code.value(name) not in (..., False, 0):
            file = subject.source.path.name if subject.source else None
            yield Result(
                State.FAIL,
                f"{name.upper()} is on: validation tokens are read outside the timer",
                file=file,
                line=setting.line,
            )


def reserve(subject: Subject) -> Iterable[Result]:
    """A script that calibrates and reserves no time for it; only where no log tells more."""
    code = subject.code
    if code is None or subject.runs:
        return
    calibrates = [piece for piece in code if re.search(r"(?i)hessian|calibrat", piece.name) and code.is_live(piece)]
    reserved = code.value("gptq_reserve_seconds")
    for name in ("gptq_reserve_ms", "reserve_seconds"):
        reserved = code.value(name) if reserved is ... else reserved
    if not calibrates:
        yield Result(State.PASS, "no calibration pass in the live code", weak=True)
    elif isinstance(reserved, int | float) and reserved > 0:
        yield Result(
            State.UNKNOWN,
            f"reserves {reserved} for calibration; no log shows what it takes",
            file=calibrates[0].path.name,
            weak=True,
        )
    else:
        piece = calibrates[0]
        yield Result(
            State.UNKNOWN, f"`{piece.name}` calibrates and no time is reserved for it", file=piece.path.name, line=piece.node.lineno, weak=True,
        )  # fmt: skip
