"""What a script reads, fetches, imports and counts, by its code alone: R03, R04, R05, R06, R07, R13, R20, R21, R22, R24."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from golf.rules.code import Code, Piece, dotted, leaf
from golf.rules.findings import Result, State
from golf.rules.subject import Subject, names

FETCHES = re.compile(
    r"(?:^|\.)(?:urlopen|urlretrieve|hf_hub_download|snapshot_download|create_connection|load_dataset)$"
    r"|^requests\.(?:get|post|put|request|Session)$|^httpx\.|^wget\.download$|^socket\.socket$|^ftplib\."
)
FETCHING_COMMANDS = re.compile(
    r"\b(?:pip3?\s+install|apt(?:-get)?\s+install|git\s+clone|curl\s|wget\s|conda\s+install|huggingface-cli|uv\s+pip)"
)
PRETRAINED = re.compile(r"(?:^|\.)from_pretrained$|^torch\.hub\.load|^timm\.create_model$|^openai\.|^kenlm\.")
ALWAYS_THERE = {
    "torch",
    "numpy",
    "sentencepiece",
    "triton",
    "tqdm",
    "setuptools",
    "packaging",
    "typing_extensions",
    "kernels",
    "huggingface_hub",
    "datasets",
}
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
        for node in ast.walk(module.tree or ast.Module([], [])):
            what = _fetch(node) if isinstance(node, ast.Call) else None
            if what is None:
                continue
            clean = False
            name, line = _at(module.path, node)
            reached = _reached(code, module.path, node)
            if reached and not _only_if_missing(module.tree, node):
                yield Result(State.FAIL, f"{what} in code that the run reaches", file=name, line=line)
            else:
                why = "only where a package is missing" if reached else "behind a switch that is off, or never called"
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
            node.value for node in ast.walk(call) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        if FETCHING_COMMANDS.search(f"{words} "):
            return f"`{name}` of `{words[:60]}`"
    return None


def _reached(code: Code, path: Path, node: ast.AST) -> bool:
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
    """Whether a call stands in the handler of an import that failed."""
    for handler in (each for each in ast.walk(tree or ast.Module([], [])) if isinstance(each, ast.ExceptHandler)):
        if handler.type is not None and "Import" in ast.unparse(handler.type) + "ModuleNotFound" * (
            "ModuleNotFound" in ast.unparse(handler.type)
        ):
            if any(inner is node for inner in ast.walk(handler)):
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
    if setting is None or not isinstance(setting.value, int | float):
        return
    shown = f"MAX_WALLCLOCK_SECONDS is {setting.value:g}" + (" by default" if setting.env else "")
    file = subject.source.path.name if subject.source else None
    if setting.value > limit:
        yield Result(State.FAIL, f"{shown}, over {limit:.0f}", file=file, line=setting.line)
    elif setting.value > 0:
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


def coverage_options(subject: Subject) -> Iterable[Result]:
    """Settings and literals that shorten the validation stream."""
    code = subject.code
    if code is None or any(run.val_tokens for run in subject.runs):
        return
    file = subject.source.path.name if subject.source else None
    short = False
    for name, setting in code.settings.items():
        value = code.value(name)
        part = name == "val_doc_fraction" and isinstance(value, float) and 0 < value < 1
        capped = re.fullmatch(
            r"(?:ppm|eval|val)_(?:subset|max|limit)_?(?:tokens|docs)|(?:max|limit)_(?:val|eval)_(?:tokens|docs)", name
        )
        if part or (capped and isinstance(value, int) and not isinstance(value, bool) and value > 0):
            short = True
            yield Result(
                State.FAIL, f"{name.upper()} = {value}: a part of the validation set", file=file, line=setting.line
            )
        elif name == "ttt_eval_batches" and value not in (..., False, 0, ""):
            short = True
            yield Result(
                State.FAIL, f"TTT_EVAL_BATCHES = {value}: a part of the validation set", file=file, line=setting.line
            )
    for piece in code:
        for node in piece.nodes:
            if (
                isinstance(node, ast.Subscript)
                and isinstance(node.slice, ast.Slice)
                and _long_constant(node.slice.upper)
                and leaf(node.value).startswith("val")
            ):
                short = True
                state = State.FAIL if code.is_live(piece) else State.UNKNOWN
                yield Result(
                    state, f"`{ast.unparse(node)}` cuts the validation tokens", file=piece.path.name, line=node.lineno
                )
    if not short:
        yield Result(
            State.UNKNOWN, "no setting that shortens validation; no log counts the tokens", file=file, weak=True
        )


def _long_constant(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value >= 100_000


def val_docs(subject: Subject) -> Iterable[Result]:
    """Data preparation beside the script that keeps fewer than 50,000 documents for validation by default."""
    if subject.kind == "script":
        return
    for path in sorted(subject.folder.glob("*.py"))[:20]:
        text = path.read_text(encoding="utf-8", errors="replace")[:400_000]
        found = re.search(r"--val[-_]docs[\"'][^)]*?default\s*=\s*([\d_]+)", text)
        if found and int(found[1].replace("_", "")) != 50_000:
            shards = any(run.train_shards for run in subject.runs)
            yield Result(
                State.UNKNOWN, f"{path.name} keeps {found[1]} documents for validation by default: run so, the rest lands in training",
                file=path.name, line=text.count("\n", 0, found.start()) + 1, weak=shards,
            )  # fmt: skip


def byte_table(subject: Subject) -> Iterable[Result]:
    """The look-up table of bytes per token: the known ways to get it wrong."""
    code = subject.code
    if code is None:
        return
    faults = list(_table_faults(code))
    yield from faults
    tables = [piece for piece in code if "base_bytes" in " ".join(piece.names) and "id_to_piece" in piece.names]
    if tables and not faults:
        yield Result(
            State.PASS,
            f"`{tables[0].name}` counts bytes as the challenge's table does",
            file=tables[0].path.name,
            line=tables[0].node.lineno,
            weak=True,
        )


def _table_faults(code: Code) -> Iterable[Result]:
    spaced = any("has_leading_space" in name or "has_space" in name for piece in code for name in piece.names)
    for piece in code:
        for node in piece.nodes:
            if isinstance(node, ast.Assign | ast.AugAssign) and node.value is not None:
                target = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
                if re.search(r"(?i)base_bytes|byte_count|token_bytes|bytes_lut", target):
                    yield from _byte_assignment(piece, node, spaced)
            if (
                isinstance(node, ast.Constant)
                and node.value in (2.44, 2.4359, 3.5, 3.73, 3.7266)
                and _divides_bpb(piece, node)
            ):
                yield Result(
                    State.FAIL, f"{node.value} bytes per token are typed in", file=piece.path.name, line=node.lineno
                )


def _byte_assignment(piece: Piece, node: ast.Assign | ast.AugAssign, spaced: bool) -> Iterable[Result]:
    value = node.value
    encoded = value is not None and "encode" in ast.unparse(value)
    plus_one = isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add) and any(
        isinstance(side, ast.Constant) and side.value == 1 for side in (value.left, value.right)
    )  # fmt: skip
    added = (
        isinstance(node, ast.AugAssign)
        and isinstance(node.op, ast.Add)
        and isinstance(value, ast.Constant)
        and value.value == 1
    )
    if ((plus_one and encoded) or (added and "startswith" in piece.text)) and spaced:
        yield Result(
            State.FAIL,
            f"`{ast.unparse(node)[:80]}` counts the leading space that is added again when scoring",
            file=piece.path.name,
            line=node.lineno,
        )
    if isinstance(value, ast.Constant) and value.value == 3 and "is_byte" in piece.text:
        yield Result(State.FAIL, "byte tokens are counted as 3 bytes", file=piece.path.name, line=node.lineno)


def _divides_bpb(piece: Piece, constant: ast.Constant) -> bool:
    for node in piece.nodes:
        if isinstance(node, ast.Assign) and any("bpb" in leaf(target).lower() for target in node.targets):
            if any(inner is constant for inner in ast.walk(node.value)):
                return True
    return False


def lossy_text(subject: Subject) -> Iterable[Result]:
    """Lower-casing of the text before tokenization, without a way back."""
    pages = [(module.path.name, module.tree) for module in (subject.code.modules if subject.code else [])]
    from golf.rules.source import parse

    if subject.kind != "script" and subject.source is not None:
        used = {name for name, _ in pages}
        for path in sorted(subject.folder.glob("*.py"))[:20]:
            if path.name not in used and path.stat().st_size < 400_000:
                pages.append((path.name, parse(path, path.read_text(encoding="utf-8", errors="replace")).tree))
    lossy = False
    for name, tree in pages:
        invertible = "def decode" in (ast.unparse(tree) if tree else "")
        for node in ast.walk(tree or ast.Module([], [])):
            if isinstance(node, ast.Call) and leaf(node.func) == "casefold" and not invertible:
                lossy = True
                yield Result(
                    State.FAIL, "the text is case-folded: the original cannot be restored", file=name, line=node.lineno
                )
    data = str(subject.code.value("data_path")) if subject.code else ""
    if "casefold" in data.lower():
        lossy = True
        yield Result(State.UNKNOWN, f"the default data is {data}", weak=True)
    if not lossy and pages:
        yield Result(State.UNKNOWN, "no text transform in the code; the shards themselves are not here", weak=True)


def dependencies(subject: Subject) -> Iterable[Result]:
    """Imports that are neither Python's, nor the image's, nor declared, nor local."""
    import sys

    code = subject.code
    if code is None or subject.source is None:
        return
    needed: dict[str, tuple[str, int]] = {}
    for module in code.modules:
        optional = _tried(module.tree)
        for node in ast.walk(module.tree or ast.Module([], [])):
            if node not in optional:
                for root in _imported(node):
                    needed.setdefault(root, (module.path.name, getattr(node, "lineno", 1)))
    local = {path.stem for path in subject.source.helpers} | {path.name for path in subject.folder.glob("*/")}
    foreign = sorted(set(needed) - ALWAYS_THERE - set(sys.stdlib_module_names) - local)
    requirements = subject.folder / "requirements.txt"
    declared = (requirements.read_text(errors="replace") if requirements.is_file() else "") + (subject.readme or "")
    missing = [name for name in foreign if not _declared(name, declared)]
    if not missing:
        yield Result(
            State.PASS,
            f"imports {names(foreign)}: declared" if foreign else "imports only Python, torch, numpy and sentencepiece",
        )
        return
    if subject.kind == "submission":
        yield Result(State.PASS, f"imports {names(missing)}: `golf record` writes them into requirements.txt")
        return
    file, line = needed[missing[0]]
    # merged records import compressors and attention kernels of the image without saying so
    yield Result(
        State.UNKNOWN,
        f"imports {names(missing)}, which neither requirements.txt nor README names",
        file=file,
        line=line,
        strict=State.FAIL,
    )


def _imported(node: ast.AST) -> set[str]:
    """The top packages that an import statement names."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    return {node.module.split(".")[0]} if isinstance(node, ast.ImportFrom) and node.module and not node.level else set()


def _tried(tree: ast.Module | None) -> set[ast.AST]:
    """Statements inside a `try` that has an answer to a missing package: its imports are optional."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree or ast.Module([], [])):
        if isinstance(node, ast.Try) and node.handlers:
            found |= {inner for statement in node.body for inner in ast.walk(statement)}
    return found


def _declared(name: str, text: str) -> bool:
    spelled = {
        "flash_attn_interface": "flash",
        "flash_attn": "flash",
        "zstandard": "zst",
        "python_minifier": "minif",
        "cv2": "opencv",
    }.get(name, name)
    return bool(re.search(rf"(?i)\b{re.escape(spelled)}|{re.escape(spelled.replace('_', '-'))}", text))


def pretrained(subject: Subject) -> Iterable[Result]:
    """Weights that were trained elsewhere."""
    code = subject.code
    if code is None:
        return
    for piece in code:
        for call in piece.calls:
            if PRETRAINED.search(dotted(call.func)):
                state = State.FAIL if code.is_live(piece) else State.UNKNOWN
                yield Result(
                    state,
                    f"`{dotted(call.func)}` loads weights trained elsewhere",
                    file=piece.path.name,
                    line=call.lineno,
                )
