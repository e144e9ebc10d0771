"""What a script imports, and weights from elsewhere: R13."""

import ast
import re
from collections.abc import Iterable

from golf.files import is_own, read_text
from golf.reading.module import Module, dotted, walk
from golf.rules.findings import Result, State
from golf.rules.subject import Subject, names

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


def dependencies(subject: Subject) -> Iterable[Result]:
    """Imports that are neither Python's, nor the image's, nor declared, nor local."""
    import sys

    code = subject.code
    if code is None or subject.source is None:
        return
    needed: dict[str, tuple[str, int]] = {}
    for module in code.modules:
        optional = _tried(module)
        for node in module.nodes:
            if node not in optional:
                for root in _imported(node):
                    needed.setdefault(root, (module.path.name, getattr(node, "lineno", 1)))
    local = {path.stem for path in subject.source.helpers} | {path.name for path in subject.folder.glob("*/")}
    foreign = sorted(set(needed) - ALWAYS_THERE - set(sys.stdlib_module_names) - local)
    requirements = subject.folder / "requirements.txt"
    declared = (read_text(requirements, 1_000_000) or "" if is_own(requirements, subject.folder) else "") + (
        subject.readme or ""
    )
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


def _tried(module: Module) -> set[ast.AST]:
    """Statements inside a `try` that has an answer to a missing package: its imports are optional."""
    found: set[ast.AST] = set()
    for node in module.nodes:
        if isinstance(node, ast.Try) and node.handlers:
            found |= {inner for statement in node.body for inner in walk(statement)}
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
