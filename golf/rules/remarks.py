"""Remarks beside a verdict, which decide nothing: options that act on nothing, and a README that says what the code or the run does not."""

import ast
import re
from collections.abc import Iterator

from golf.harness.settings import PAIR, names_read, published
from golf.reading.module import walk
from golf.rules.code import Code, leaf
from golf.rules.subject import Subject, names

SHOWS = re.compile(r"^(?:print\w*|log\w*|info|debug|write|say|vars|asdict)$")
FOR_OTHERS = re.compile(
    r"^(?:OMP|NCCL|CUDA|PYTORCH|TORCH|TORCHINDUCTOR|HF|TOKENIZERS|PYTHON|LD|WANDB|TRITON|GLOO|MKL|MASTER|XLA|PIP|UV|CONDA|TQDM|OPENBLAS|"
    r"VECLIB|NUMEXPR|NVIDIA|KMP|MALLOC|TF|UCX|FI|AWS|SSH|SLURM|MAX_JOBS|CC|CXX|DEBIAN|PATH|HOME|TMPDIR|LANG|LC|TZ)(?:_|$)"
)  # read by the launcher, libraries and the shell
LAUNCHES = re.compile(r"torchrun|train_\w*\.py|python3? ")
DENIED = re.compile(
    r"(?i)\b(?:no|not|without|off|disabled?|removed?|drop(?:s|ped)?|unused|instead of|unlike|tried|never|replac\w+|vs\.?|versus|"
    r"fail\w*|hurts?|worse|neutral|negative|future|could|would|planned|ablat\w+)\b|n't|[=:]\s*(?:0|False)\b|❌|✗"
)
FLAG = re.compile(r"^(?:use_|enable_|has_)?(\w+?)(?:_enabled|_on)?$")
MOST_SAID_LINES = 60
SHORTEST_WORD = 5  # of a feature's name that a README can be asked for


def remarks(subject: Subject) -> Iterator[str]:
    """What an author would want to know, as sentences."""
    code = subject.code
    if code is None or subject.kind == "submission":
        return
    yield from _acting_on_nothing(subject, code)
    if subject.kind == "record":
        yield from _set_and_not_read(subject)
        yield from _said_and_off(subject, code)


def _acting_on_nothing(subject: Subject, code: Code) -> Iterator[str]:
    """Options that the environment may set and no code reads, or only to print them, or only where the run's settings never lead."""
    if _reads_by_name(code):
        return
    read: dict[str, list[tuple[object, int]]] = {}  # name → (function, line) of each use
    owners = {id(node): piece for piece in code for node in piece.nodes}
    for module in code.modules:
        shown = {
            id(inner) for node in module.nodes if isinstance(node, ast.Call) and SHOWS.match(leaf(node.func)) for inner in walk(node)
        }  # fmt: skip
        for node in module.nodes:
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load) and id(node) not in shown:
                read.setdefault(leaf(node).lower(), []).append((owners.get(id(node)), node.lineno))
            elif isinstance(node, ast.Call) and leaf(node.func) in ("getattr", "hasattr") and len(node.args) > 1:
                if isinstance(node.args[1], ast.Constant):
                    read.setdefault(str(node.args[1].value).lower(), []).append((None, node.lineno))
    options = {name: setting for name, setting in code.settings.items() if setting.env is not None}
    unread = [f"{setting.env} (line {setting.line})" for name, setting in options.items() if name not in read]
    if unread:
        yield f"options that no code reads: {names(unread)}"
    texts = [module.text for module in code.modules]
    given = published(subject.folder, names_read(texts)) if subject.kind == "record" else {}
    idle = [
        f"{setting.env}={given[setting.env]}" for name, setting in options.items()
        if setting.env in given and name in read and all(_is_off(code, piece, line) for piece, line in read[name])
    ]  # fmt: skip
    if idle:
        yield f"options that README or run scripts set and that act on nothing, for what reads them is off in the run: {names(idle)}"


def _is_off(code: Code, piece: object, line: int) -> bool:
    return (piece is not None and code.live.get(getattr(piece, "name", "")) == "off") or (
        piece is not None and code.is_live(piece) and not code.is_on(piece, line)  # type: ignore[arg-type]
    )


def _reads_by_name(code: Code) -> bool:
    """Whether options may be read by names that are computed."""
    return any(
        isinstance(node, ast.Call)
        and (
            (leaf(node.func) in ("getattr", "attrgetter") and len(node.args) > 1 and not isinstance(node.args[1], ast.Constant))
            or (leaf(node.func) in ("globals", "locals", "asdict") and not isinstance(node.func, ast.Attribute))
            or any(keyword.arg is None and leaf(getattr(keyword.value, "func", keyword.value)) in ("vars", "__dict__") for keyword in node.keywords)
        )
        for module in code.modules for node in module.nodes
    )  # fmt: skip


def _set_and_not_read(subject: Subject) -> Iterator[str]:
    """Variables that the README's launch sets and no file of the submission reads."""
    assert subject.source is not None
    everything = "\n".join(module.text for module in subject.source.modules)
    if re.search(r"environ(?:\.items\(|\.copy\(|\s*[),\]])", everything) or not names_read([everything]):
        return  # read as a whole, or not at all
    blocks = [block for block in re.findall(r"```.*?```", subject.readme or "", re.DOTALL) if LAUNCHES.search(block)]
    given = {
        name for block in blocks for name, _ in PAIR.findall(block)
        if not FOR_OTHERS.match(name) and f"${name}" not in block and f"${{{name}" not in block
    }  # fmt: skip
    unread = sorted(name for name in given if not re.search(rf"(?i)\b{name}\b", everything))
    if unread:
        yield f"variables that the README's command sets and no code here reads: {names(unread)}"


def _said_and_off(subject: Subject, code: Code) -> Iterator[str]:
    """Features of the README's title and first lists that the runs left off; a masked look-back that looks over document starts."""
    lines = _claiming_lines(subject.readme or "")
    if not lines:
        return
    for name, setting in code.settings.items():
        stem = ((match := FLAG.match(name)) and match[1]) or ""
        value = code.value(name)
        flagged = stem != name or isinstance(value, bool)
        if setting.env is None or not flagged or value not in (False, 0) or len(stem.replace("_", "")) < SHORTEST_WORD:
            continue
        word = re.compile(r"(?i)\b" + r"[ _-]?".join(map(re.escape, stem.split("_"))) + r"\b")
        said = next((number for number, line in lines if word.search(line)), None)
        if said is not None:
            yield f"README names {stem.replace('_', ' ')} (line {said}), and {setting.env} is off in the run"
    fixed = next(
        (
            number
            for number, line in lines
            if re.search(r"(?i)\bBOS[ _-]*(?:smear[ _-]*)?(?:fix|mask)|smear\w*[ _-]?bos", line)
        ),
        None,
    )
    if fixed is not None:
        from golf.rules.checks.static_mix import looks_over_starts

        for piece, _ in looks_over_starts(subject):
            yield f"README names a BOS fix (line {fixed}), and `{piece.name}` ({piece.path.name}:{piece.node.lineno}) looks back over document starts"


def _claiming_lines(readme: str) -> list[tuple[int, str]]:
    """Headings and list items of a README's beginning that say what is in it: no code, no tables, nothing that is denied."""
    found, fenced, denied = [], False, False
    for number, line in enumerate(readme.splitlines()[:MOST_SAID_LINES], 1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        heading = line.startswith("#")
        denied = bool(DENIED.search(line)) if heading else denied
        if (
            not fenced
            and not denied
            and (heading or re.match(r"\s*(?:[-*+]|\d+\.)\s", line))
            and not DENIED.search(line)
        ):
            found.append((number, line))
    return found
