"""What a script needs before it can start, seen in its text: CUDA, FlashAttention, Triton, a newer Python, packages. Nothing is run."""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from golf.reading.module import Module, dotted, walk
from golf.reading.script import Source, read_source

# modules of the data loader and the like that golf's own scripts bring, under the names of their imports
NAMES = {
    "flash_attn_interface": "FlashAttention 3", "flash_attn": "FlashAttention 2", "triton": "Triton", "deep_gemm": "DeepGEMM",
    "transformer_engine": "Transformer Engine", "mamba_ssm": "mamba-ssm", "causal_conv1d": "causal-conv1d", "fla": "flash-linear-attention",
}  # fmt: skip
ON_A_GPU = frozenset(NAMES) | {"kernels", "cupy", "pynvml", "apex", "bitsandbytes"}


@dataclass(frozen=True)
class Needs:
    """python: the newer Python that parses it, "" for the running one. cuda: a line that ends or cannot go on without CUDA, 0 for none.

    imports: third-party module → line of an import that nothing catches. readable: whether all of the script could be seen.
    """

    python: str = ""
    cuda: int = 0
    imports: Mapping[str, int] | None = None
    readable: bool = True

    @property
    def names(self) -> list[str]:
        """What it needs beyond PyTorch and the running Python, in words."""
        found = ["CUDA"] if self.cuda or not ON_A_GPU.isdisjoint(self.imports or ()) else []
        found += [f"Python {self.python}"] if self.python else []
        return found + [NAMES[name] for name in self.imports or () if name in NAMES]

    @cached_property
    def missing(self) -> list[str]:
        """Of what it imports, the modules that are not installed here; names of packages are not guessed."""
        return [name for name in self.imports or () if not _is_here(name)]

    @property
    def text(self) -> str:
        """`needs CUDA and FlashAttention 3`; "" where it needs nothing beyond PyTorch."""
        named = self.names
        return (
            f"needs {', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else f"needs {named[0]}" if named else ""
        )

    def lacking(self, *, has_cuda: bool) -> list[str]:
        """What keeps it from starting on this machine, in words; empty where nothing is known to."""
        found = [name for name in self.names if name.startswith("Python") or (name == "CUDA" and not has_cuda)]
        return found + [NAMES.get(name, f"the package of `import {name}`") for name in self.missing]


def needs_of(script: Path | Source) -> Needs:
    """What the script at a path, or as it was read, needs; its helpers in the folder are looked at too."""
    source = read_source(script) if isinstance(script, Path) else script
    imports: dict[str, int] = {}
    cuda, python, local = 0, "", {path.stem for path in source.helpers}
    for module in source.modules:
        if module.newer_syntax:
            from golf.reading.newer_syntax import needed_python

            python = needed_python(module.text) or "newer"
        if module.tree is None:
            continue
        cuda = cuda or _requires_cuda(module)
        for name, line in _imports(module.tree.body):
            if name not in local and name not in sys.stdlib_module_names and name not in ("__future__", "torch"):
                imports.setdefault(name, line)
    return Needs(python, cuda, imports, source.readable)


def _imports(body: list[ast.stmt]) -> Iterator[tuple[str, int]]:
    """(module, line) of the imports that run at the start and that no `try` catches."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0], node.lineno
        elif isinstance(node, ast.With):
            yield from _imports(node.body)


def _requires_cuda(module: Module) -> int:
    """The line of a check that ends the script without CUDA, or of a call that cannot do without it; 0 for none."""
    for node in module.nodes:
        if (
            isinstance(node, ast.If)
            and _asks_for_cuda(node.test)
            and any(isinstance(one, ast.Raise) for one in node.body)
        ):
            return node.lineno
        if isinstance(node, ast.Assert) and "cuda.is_available" in ast.unparse(node.test):
            return node.lineno
    guarded = "cuda.is_available" in module.text
    for node in module.nodes:
        if (
            not guarded
            and isinstance(node, ast.Call)
            and dotted(node.func) in ("torch.cuda.set_device", "torch.cuda.synchronize")
        ):
            return node.lineno
    return 0


def _asks_for_cuda(test: ast.expr) -> bool:
    """Whether it is `not torch.cuda.is_available()`, alone or among others."""
    return any(
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.Not)
        and "cuda.is_available" in ast.unparse(node.operand)
        for node in walk(test)
    )


def _is_here(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
