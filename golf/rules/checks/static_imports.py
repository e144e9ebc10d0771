"""What a script imports, and weights from elsewhere: R13."""

import ast
import re
from collections.abc import Iterable

from golf.files import is_own, read_text
from golf.reading.module import Module, dotted, walk
from golf.rules.checks.static_io import FETCHES, reached
from golf.rules.code import Code, leaf
from golf.rules.findings import Result, State
from golf.rules.subject import Subject, names

PRETRAINED = re.compile(
    r"(?:^|\.)(?:from_pretrained|load_state_dict_from_url)$|^torch\.hub\.load|^timm\.create_model$|^openai\.|^kenlm\."
)
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
    """Weights that were trained elsewhere: by the name of what loads them, or read from a file that is fetched."""
    code = subject.code
    if code is None:
        return
    for module in code.modules:
        for node in module.nodes:
            if isinstance(node, ast.Call) and PRETRAINED.search(dotted(node.func)):
                what = f"`{dotted(node.func)}` loads weights trained elsewhere"
            elif (
                isinstance(node, ast.Call)
                and READS_WEIGHTS.search(dotted(node.func))
                and _is_fetched(code, module, node)
            ):
                what = f"`{ast.unparse(node)[:80]}` loads weights that are fetched from elsewhere"
            else:
                continue
            state = State.FAIL if reached(code, module.path, node) else State.UNKNOWN
            yield Result(state, what, file=module.path.name, line=node.lineno)


READS_WEIGHTS = re.compile(r"^torch\.(?:jit\.)?load$|(?:^|\.)(?:load_file|safe_open|load_model)$|^pickle\.load$")


def _is_fetched(code: Code, module: Module, call: ast.Call) -> bool:
    """Whether what a call reads was fetched over the network: its argument is, or bears a name that is given such a file."""
    fetching = {piece.name for piece in code if any(FETCHES.search(dotted(each.func)) for each in piece.calls)}

    def fetches(node: ast.AST) -> bool:
        return any(
            isinstance(each, ast.Call) and (FETCHES.search(dotted(each.func)) or leaf(each.func) in fetching)
            for each in walk(node)
        )

    read = {each.id for argument in call.args for each in walk(argument) if isinstance(each, ast.Name)}
    return any(map(fetches, call.args)) or any(
        fetches(each.value) for each in module.nodes
        if isinstance(each, ast.Assign) and any(leaf(target) in read for target in each.targets)
    )  # fmt: skip
