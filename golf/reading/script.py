"""A training script as text: unpacked without running it, parsed, with the local files that it uses.

Bounded on purpose: what is too large, too deep or no Python is said so, never executed and never fatal.
"""

import ast
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from golf.files import is_own, own_files
from golf.reading.hidden import hidden_code, texts_run
from golf.reading.module import MOST_TOKENS, Module, is_too_long

MAX_PARSE_BYTES = 2_000_000  # the largest official script has 160 KB
MAX_READ_BYTES = 64_000_000
LOCAL_SUFFIXES = (
    ".py",
    ".cpp",
    ".cc",
    ".c",
    ".cu",
    ".h",
    ".so",
    ".npz",
    ".npy",
    ".bin",
    ".json",
    ".pt",
    ".xz",
    ".gz",
    ".pkl",
    ".txt",
)
FILE_NAME = re.compile(r"^[\w./-]+$")


@dataclass(frozen=True)
class Source:
    """A script and what it uses.

    shipped_bytes: of the script's file as it lies there. packed: how it was wrapped, None for plain source.
    helpers: local code that it imports or executes; data: other local files that it reads or compiles.
    readable: all code could be seen; otherwise `faults` says what could not.
    """

    path: Path
    shipped_bytes: int
    modules: tuple[Module, ...]
    packed: str | None = None
    helpers: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()
    faults: tuple[str, ...] = field(default=())

    @property
    def main(self) -> Module:
        return self.modules[0]

    @property
    def readable(self) -> bool:
        return not self.faults and all(module.tree is not None for module in self.modules)

    @property
    def helper_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.helpers + self.data)


def read_source(path: Path, folder: Path | None = None) -> Source:
    """The source at `path`, unwrapped, with the local modules and files (of `folder`, its own by default) that it names; never
    raises on strange content."""
    size = path.stat().st_size
    if size > MAX_READ_BYTES:
        empty = Module(path, "", None, f"{size:,} bytes are too many to read (limit {MAX_READ_BYTES:,})")
        return Source(path, size, (empty,), faults=(str(empty.fault),))
    raw = path.read_bytes()
    text, packed, faults, outer = _unwrap(raw)
    modules = [parse(path, text)]
    modules += [parse(path, inner) for inner in texts_run(modules[0])]
    wrappers = [parse(path, shell) for shell in outer]
    helpers: list[Path] = []
    data: list[Path] = []
    queue = list(modules)
    while queue:
        module = queue.pop(0)
        for used in local_files(module, path, folder or path.parent):
            if used in helpers or used in data or used == path:
                continue
            if used.suffix == ".py" and used.stat().st_size <= MAX_PARSE_BYTES:
                helpers.append(used)
                inner, _, hidden, shells = _unwrap(used.read_bytes())
                faults += [f"{used.name}: {fault}" for fault in hidden]
                modules.append(parse(used, inner))
                queue.append(modules[-1])
                wrappers += [parse(used, shell) for shell in shells]
            else:
                data.append(used)
    broken = [f"{module.path.name}: {module.fault}" for module in (*modules, *wrappers) if module.fault]
    seen = {path.name, *(helper.name for helper in helpers)}
    for unwrapped, shown in ((0, modules), (1, wrappers)):
        broken += [fault for module in shown for fault in hidden_code(module, seen, unwrapped)]
    return Source(path, size, (*modules, *wrappers), packed, tuple(helpers), tuple(data), tuple(faults + broken))


def _unwrap(raw: bytes) -> tuple[str, str | None, list[str], tuple[str, ...]]:
    """The readable text of a script, how it was packed (None: it was not), what could not be seen, and the wrappers' texts."""
    text = _decode(raw)
    if "exec" not in text or len(raw) > MAX_PARSE_BYTES:
        return text, None, [], ()
    from golf.reading.unpack import NotPython, peel

    found, fault = peel(text)
    if fault is None or isinstance(
        fault, NotPython
    ):  # the text inside may be of a newer Python than the one that runs this
        return found.source, ", ".join(found.layers) or None, [], found.outer
    return found.source, "packed", [f"packed, and cannot be unpacked: {fault.message[:200]}"], found.outer


def _decode(raw: bytes) -> str:
    """Source text by its own coding line, else UTF-8, else latin-1 (which takes any byte)."""
    head = raw[:200].split(b"\n")[:2]
    coding = next(
        (match[1].decode() for line in head if (match := re.match(rb"#.*coding[:=]\s*([-\w]+)", line))), "utf-8"
    )
    for name in ({"l1": "latin-1"}.get(coding, coding), "utf-8", "latin-1"):
        try:
            return raw.decode(name).removeprefix("\ufeff")
        except (LookupError, UnicodeDecodeError):
            continue
    return ""


def parse(path: Path, text: str) -> Module:
    """`text` as a syntax tree; falls back to the grammar of newer Pythons (nested f-string quotes)."""
    if len(text) > MAX_PARSE_BYTES:
        return Module(
            path,
            text[:MAX_PARSE_BYTES],
            None,
            f"{len(text):,} characters are too many to analyse (limit {MAX_PARSE_BYTES:,})",
        )
    if is_too_long(text):
        return Module(path, text, None, f"more than {MOST_TOKENS:,} words and signs are too many to analyse")
    try:
        return Module(path, text, _tree(text))
    except (SyntaxError, ValueError) as fault:
        from golf.reading.newer_syntax import may_be_newer, tree_of_newer

        newer = tree_of_newer(text) if may_be_newer(text, fault) else None
        if newer is not None:
            return Module(path, text, newer, None, newer_syntax=True)
        line = getattr(fault, "lineno", None)
        return Module(
            path, text, None, f"does not parse: {getattr(fault, 'msg', fault)}" + (f" (line {line})" if line else "")
        )
    except (RecursionError, MemoryError):
        return Module(path, text, None, "nested too deeply to analyse")


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def local_files(module: Module, script: Path, folder: Path) -> list[Path]:
    """Files in `folder`, beside `script`, that `module` imports, executes, reads or compiles, by the names in its code."""
    if module.tree is None:
        return []
    found: list[Path] = []
    for node in module.nodes:
        if isinstance(node, ast.Import):
            found += [_module_file(folder, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(_module_file(folder, node.module))
            found += [_module_file(folder, f"{node.module}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 200:
            name = node.value.removeprefix("./")
            if name.endswith(LOCAL_SUFFIXES) and FILE_NAME.match(name) and ".." not in name:
                found.append(folder / name)
    logs = ("log", "logs", "requirements.txt", "submission.json")
    kept = [
        path for path in found if is_own(path, folder) and path.name not in logs and path.resolve() != script.resolve()
    ]
    return list(dict.fromkeys(kept))


def _module_file(folder: Path, dotted: str) -> Path:
    return folder / (dotted.replace(".", "/") + ".py")


SCRIPTS = ("train_gpt.py", "train_gpt*.py", "train*.py")


def find_script(folder: Path) -> Path | None:
    """The training script of a record folder; None without any."""
    return next((found for pattern in SCRIPTS for found in own_files(folder, pattern)), None)
