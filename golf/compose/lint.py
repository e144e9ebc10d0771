"""The ten rules that parts obey, so that folding them is safe: each finding has the rule's number, file:line and the fix.

1 top level holds imports, definitions, constants · 2 names are imported inside the package · 3 names are unique · 4 `h` is the
recipe and nothing else · 5 branch on `h` · 6 a slot or a chain, never flags that exclude each other · 7 one forward · 8 nothing
that looks a name up · 9 no file reads its own text · 10 runs on a CPU.
"""

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass

from golf.compose.lint_h import callables, lint_h
from golf.compose.lint_imports import lint_imports
from golf.errors import GolfError
from golf.recipe.catalogue import Catalogue
from golf.recipe.partfile import Part

LOOKS_UP = ("vars", "locals", "dir", "globals", "eval", "exec", "compile", "__import__")


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule. rule: 1 to 10."""

    rule: int
    file: str
    line: int
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message} [rule {self.rule}]: {self.fix}"


def lint(catalogue: Catalogue, stems: tuple[str, ...] | None = None) -> list[Finding]:
    """What the parts of a catalogue (or those of `stems`) break, by file and line. A name declared twice is a GolfError."""
    findings: list[Finding] = []
    takes_h = callables(catalogue)
    for stem in sorted(catalogue.parts) if stems is None else stems:
        part = catalogue.parts[stem]
        tree = ast.parse(part.text)
        for rule, node, message, fix in _findings(catalogue, part, tree, takes_h):
            findings.append(Finding(rule, part.shown, getattr(node, "lineno", 1), message, fix))
    return sorted(findings, key=lambda f: (f.file, f.line, f.rule))


def refuse(findings: list[Finding]) -> None:
    """GolfError with the first finding, and how many more there are."""
    if findings:
        first, more = findings[0], len(findings) - 1
        place = f"{first.file}:{first.line}"
        others = f" (and {more} more)" if more else ""
        raise GolfError(f"{place}: {first.message} [rule {first.rule}]{others}", first.fix)


Broken = tuple[int, ast.AST, str, str]


def _findings(catalogue: Catalogue, part: Part, tree: ast.Module, takes_h: set[str]) -> Iterator[Broken]:
    yield from _top_level(tree)
    yield from lint_imports(catalogue, part, tree)
    yield from _names(catalogue, part, tree)
    yield from _bounds(part)
    yield from lint_h(catalogue, part, tree, takes_h)
    yield from _forwards(tree)
    yield from _calls(part, tree)


def _top_level(tree: ast.Module) -> Iterator[Broken]:
    for i, node in enumerate(tree.body):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and i == 0:
            continue
        if isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if all(isinstance(n, ast.Name | ast.Tuple | ast.List) for n in targets):
                continue
        if isinstance(node, ast.Try) and _is_guarded_import(node):
            continue
        text = ast.unparse(node).partition("\n")[0]
        yield (
            1,
            node,
            f"`{text}` acts when the file is imported",
            "the top level holds imports, definitions and constants: move it into a function",
        )


def _is_guarded_import(node: ast.Try) -> bool:
    """`try: from kernel import f` / `except ImportError: f = None`, the one way to guard an import: a kernel that a GPU may lack."""
    if not all(isinstance(s, ast.Import | ast.ImportFrom) for s in node.body) or node.orelse or node.finalbody:
        return False
    if len(node.handlers) != 1 or not isinstance(node.handlers[0].type, ast.Name):
        return False
    handler = node.handlers[0]
    assigns = all(
        isinstance(s, ast.Assign) and isinstance(s.value, ast.Constant) and s.value.value is None for s in handler.body
    )
    return isinstance(handler.type, ast.Name) and handler.type.id in ("ImportError", "ModuleNotFoundError") and assigns


def _names(catalogue: Catalogue, part: Part, tree: ast.Module) -> Iterator[Broken]:
    """What the catalogue does not refuse by itself: a definition that bears the name of an import or of a builtin."""
    bound = {i.bound: other for other in catalogue.parts.values() for i in other.imports}
    mine = {i.bound: i for i in part.imports}
    for definition in part.definitions:
        node = ast.Pass(lineno=definition.line)
        for name in definition.names:
            if name in bound and definition.kind != "try":
                yield 3, node, f"`{name}` is defined here and imported in {bound[name].shown}", "rename the definition"
            elif hasattr(builtins, name):
                yield 3, node, f"`{name}` is a builtin", "rename the definition"
    for other in catalogue.parts.values():
        for item in other.imports if other.stem < part.stem else ():
            clash = mine.get(item.bound)
            if clash and clash != item and (clash.name or item.name or "=" in clash.module + item.module):
                yield 3, tree.body[0], f"`{item.bound}` is another import in {other.shown}", "import it alike in both"


def _bounds(part: Part) -> Iterator[Broken]:
    """A number that ships without its bound: nothing would refuse what cannot run. A user's own may do without."""
    for knob in () if part.user else part.knobs:
        if knob.kind in ("int", "float") and knob.bound is None:
            yield (
                3,
                ast.Pass(lineno=knob.line),
                f"knob `{knob.name}` has no bound",
                f'write it in the annotation, as in `{knob.name}: "0 < {knob.kind} <= 100" = {knob.default}`',
            )


def _forwards(tree: ast.Module) -> Iterator[Broken]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            forwards = [s for s in node.body if isinstance(s, ast.FunctionDef) and s.name.startswith("forward")]
            for extra in [s for s in forwards if s.name != "forward"]:
                yield (
                    7,
                    extra,
                    f"`{node.name}.{extra.name}` is a second forward",
                    "one forward serves everybody: add a hook line to it, guarded by `if h.…`",
                )


def _calls(part: Part, tree: ast.Module) -> Iterator[Broken]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in LOOKS_UP:
                yield (
                    8,
                    node,
                    f"`{name}(…)` looks names up, which folding and renaming cannot follow",
                    "name what you mean",
                )
            elif name in ("copy.deepcopy", "deepcopy"):
                yield (
                    8,
                    node,
                    "`deepcopy` of a model loses its tags",
                    "build a second model, or copy tensors by `collect(model)`",
                )
            elif any(_is_file(a) for a in ast.walk(node)) and name not in ("os.path.getsize", "os.path.dirname"):
                if not any(
                    isinstance(c, ast.Call) and c is not node and any(_is_file(a) for a in ast.walk(c))
                    for c in ast.walk(node)
                ):
                    yield (
                        9,
                        node,
                        f"`{ast.unparse(node)}` reads the file's own text",
                        "sizes come from `os.path.getsize(__file__)`",
                    )
        elif isinstance(node, ast.Attribute) and part.stem != "env":
            if isinstance(node.value, ast.Name) and node.value.id == "os" and node.attr in ("environ", "getenv"):
                yield 9, node, "only `env.py` reads the environment", "make it a knob, or a field of `Env`"


def _is_file(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "__file__"
