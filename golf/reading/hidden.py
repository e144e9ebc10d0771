"""Code that a script makes while it runs: what the static checks cannot see, they must not pass."""

import ast
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from golf.reading.module import dotted, walk

if TYPE_CHECKING:
    from golf.reading.module import Module

RUNS = frozenset(("exec", "builtins.exec", "__builtins__.exec"))
EVALUATES = frozenset(("eval", "builtins.eval", "__builtins__.eval"))
LEAST_LINES = 3  # of a text that is more than an expression
# what gives code that is no Python text: compiled objects, libraries, extensions, saved modules
OPAQUE = frozenset((
    "marshal.loads", "marshal.load", "FunctionType", "CodeType", "CDLL", "PyDLL", "WinDLL", "LoadLibrary", "dlopen", "load_library",
    "jit.load", "cpp_extension.load", "load_inline", "SourcelessFileLoader", "ExtensionFileLoader",
))  # fmt: skip
SYSTEM_LIBRARIES = ("libc.", "libm.", "libcuda", "libcudart", "libnccl", "libdl.")
MAKES = frozenset(("compile", "decompress", "b64decode", "b85decode", "a85decode", "unhexlify", "loads"))


def hidden_code(module: "Module", seen: Collection[str], unwrapped: int = 0) -> Iterator[str]:
    """Why not all code of `module` can be seen: one sentence for each place that runs text of its own making.

    seen: names of files that are analysed anyway. unwrapped: how many of its `exec` calls were undone.
    """
    own = {node.name for node in module.nodes if isinstance(node, ast.FunctionDef)}
    yield from _opaque(module, own)
    called = {node.func for node in module.nodes if isinstance(node, ast.Call)}
    for node in module.nodes:
        if isinstance(node, ast.Call) and node.args and dotted(node.func) not in own:
            if not _runs_text(node) or _reads(node.args[0], seen):
                continue
            if unwrapped > 0:
                unwrapped -= 1
                continue
            yield f"{module.path.name} runs text that it makes itself (line {node.lineno})"
        elif isinstance(node, ast.Name) and node.id == "exec" and node not in called and isinstance(node.ctx, ast.Load):
            yield f"{module.path.name} hands `exec` on (line {node.lineno})"


def _opaque(module: "Module", own: Collection[str]) -> Iterator[str]:
    """One sentence for the first place that loads code that is no text; a library of the system is none."""
    for node in module.nodes:
        if not isinstance(node, ast.Call) or dotted(node.func) in own:
            continue
        parts = dotted(node.func).split(".")
        if OPAQUE.isdisjoint((parts[-1], ".".join(parts[-2:]))) or _is_known(node):
            continue
        yield f"{module.path.name} loads code that is no Python text (`{dotted(node.func)}`, line {node.lineno})"
        return


def _is_known(call: ast.Call) -> bool:
    """Whether it is a library of the system, the process itself, or the code of a function that is read anyway."""
    named = call.args[0] if call.args else ast.Constant(None)
    if not isinstance(named, ast.Constant):
        return dotted(named).endswith(".__code__")
    return named.value is None or str(named.value).startswith(SYSTEM_LIBRARIES)


def texts_run(module: "Module") -> Iterator[str]:
    """The texts of a module that runs text: every constant of several lines that is Python, in their order. Which of them run, and
    with which changes, is not told: `hidden_code` says so all the same."""
    if not any(isinstance(node, ast.Call) and dotted(node.func) in RUNS for node in module.nodes):
        return
    for node in module.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count("\n") >= LEAST_LINES:
            try:
                ast.parse(node.value)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            yield node.value


def _runs_text(call: ast.Call) -> bool:
    name = dotted(call.func)
    made = {dotted(inner.func).rpartition(".")[2] for inner in walk(call.args[0]) if isinstance(inner, ast.Call)}
    return name in RUNS or (name in EVALUATES and bool(made & MAKES))


def _reads(argument: ast.expr, seen: Collection[str]) -> bool:
    """Whether it is the text of a file that is looked at anyway."""
    texts = (node.value for node in walk(argument) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return any(len(text) < 200 and text.rpartition("/")[2] in seen for text in texts)
