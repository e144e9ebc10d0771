"""One file of the parts, read without importing it: its knobs, definitions and imports."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.files import sha256_of
from golf.recipe.bounds import Bound, bound_of

KINDS = ("int", "float", "bool", "str", "tuple", "Slot", "Chain")
NOT_SHIPPED = ("Knobs", "Smoke")


@dataclass(frozen=True, slots=True)
class Knob:
    """One choice that a recipe makes. kind: int, float, bool, str, tuple, Slot or Chain. smoke: the small twin's value, or None.

    meaning: its comment; of `# meaning | 0 for off` both halves, joined by a semicolon. off: the second half, which speaks of values
    that a branch tells apart, and is only true where that branch stands. bound: what the value must be, where the part says it;
    line: where in the part's file it is declared.
    """

    name: str
    kind: str
    default: Any
    meaning: str
    part: str
    smoke: Any = None
    bound: Bound | None = None
    line: int = 0
    off: str = ""

    @property
    def plain_meaning(self) -> str:
        """The first half of its comment: what it means whatever the value."""
        return self.meaning.removesuffix(self.off).removesuffix("; ") if self.off else self.meaning


@dataclass(frozen=True, slots=True)
class Definition:
    """A top-level statement that binds `names`: its text with the comments above it, and its first line in the file."""

    part: str
    names: tuple[str, ...]
    text: str
    line: int
    kind: str  # "class", "def", "constant" or "try"


@dataclass(frozen=True, slots=True)
class Import:
    """One name that an import binds: `from module import name`, or `import module [as bound]` where name is empty."""

    bound: str
    module: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the package, as read. imports: of other packages; uses: names imported from other parts, with their part."""

    stem: str
    module: str
    path: Path
    text: str
    sha256: str
    doc: str
    knobs: tuple[Knob, ...]
    definitions: tuple[Definition, ...]
    imports: tuple[Import, ...]
    uses: tuple[tuple[str, str], ...]
    user: bool = False

    @property
    def technique(self) -> bool:
        """Whether a recipe selects it (a file of `techniques/`, shipped or the submission's own)."""
        return self.path.parent.name == "techniques"

    @property
    def summary(self) -> str:
        """The first sentence of its docstring."""
        paragraph = " ".join(self.doc.partition("\n\n")[0].split())
        return re.split(r"(?<=[^.][.])\s+(?=[A-Z])", paragraph, maxsplit=1)[0]

    @property
    def shown(self) -> str:
        """Where a reader finds it: `golf/parts/techniques/xsa.py`."""
        return f"techniques/{self.path.name}" if self.user else self.module.replace(".", "/") + ".py"


@lru_cache(maxsize=1024)
def read_part(path: Path, module: str, package: str, user: bool, _mtime_ns: int) -> Part:
    text = path.read_text(encoding="utf-8")
    try:
        tree = ast.parse(text)
    except SyntaxError as fault:
        raise GolfError(f"{path}:{fault.lineno} is not Python: {fault.msg}", None) from fault
    imports, uses = _imports(tree, package)
    doc = ast.get_docstring(tree) or ""
    return Part(
        stem=path.stem,
        module=module,
        path=path,
        text=text,
        sha256=sha256_of(text.encode()),
        doc=doc,
        knobs=tuple(_knobs(tree, path, text.splitlines())),
        definitions=tuple(_definitions(tree, path.stem, text.splitlines(keepends=True))),
        imports=tuple(imports),
        uses=tuple(uses),
        user=user,
    )


def _imports(tree: ast.Module, package: str) -> tuple[list[Import], list[tuple[str, str]]]:
    imports: list[Import] = []
    uses: list[tuple[str, str]] = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            imports += [
                Import(a.asname or a.name.partition(".")[0], a.name + ("=" if a.asname else "")) for a in node.names
            ]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            inside = module == package or module.startswith(package + ".") or node.level > 0
            for alias in node.names:
                if inside:
                    uses.append((alias.name, module.rpartition(".")[2]))
                else:
                    imports.append(Import(alias.asname or alias.name, module, alias.name))
    return imports, uses


def _definitions(tree: ast.Module, stem: str, lines: list[str]) -> Iterator[Definition]:
    """Each defining statement with every line since the statement before it, so that comments stay with what they precede."""
    end = 0
    for node in tree.body:
        start, end = end, node.end_lineno or node.lineno
        names = bound(node)
        if not names or names[0] in NOT_SHIPPED:
            continue
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        start = _comments_above(lines, start, first - 1)
        kind = {ast.ClassDef: "class", ast.FunctionDef: "def", ast.Try: "try"}.get(type(node), "constant")
        yield Definition(stem, names, "".join(lines[start:end]), start + 1, kind)


def _comments_above(lines: list[str], start: int, first: int) -> int:
    """The line (0-based) at which the comments that belong to the statement at `first` begin."""
    while start < first and not lines[start].strip():
        start += 1
    return start


def bound(node: ast.stmt) -> tuple[str, ...]:
    """The names that a top-level statement defines; of a `try`, those that it imports."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return (node.name,)
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return tuple(n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))
    if isinstance(node, ast.Try):  # the guarded import of an optional kernel
        return tuple(
            a.asname or a.name for s in node.body if isinstance(s, ast.ImportFrom | ast.Import) for a in s.names
        )
    return ()


def _knobs(tree: ast.Module, path: Path, lines: list[str]) -> Iterator[Knob]:
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in NOT_SHIPPED}
    smoke = {}
    for node in classes["Smoke"].body if "Smoke" in classes else []:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            smoke[node.targets[0].id] = _literal(node.value, path)
    for node in classes["Knobs"].body if "Knobs" in classes else []:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None):
            if isinstance(node, ast.Expr | ast.Pass):
                continue
            raise GolfError(f"{path}:{node.lineno} is not a knob", "write `name: type = default  # meaning` [rule 3]")
        kind, bound = _kind(node, path)
        meaning, _, off = (_meaning(_after(node.value, lines)) or _meaning(_after(node, lines))).partition(" | ")
        yield Knob(
            node.target.id,
            kind,
            _literal(node.value, path),
            f"{meaning}; {off}" if off else meaning,
            path.stem,
            smoke.pop(node.target.id, None),
            bound,
            node.lineno,
            off,
        )
    if smoke:
        raise GolfError(
            f"{path} has a smoke value for `{min(smoke)}`, which is no knob of that file", "declare it there"
        )


def _kind(node: ast.AnnAssign, path: Path) -> tuple[str, Bound | None]:
    """The type that a knob's annotation names, and its bound where it has one: `x: int`, or `x: "int >= 1"`."""
    place, bound = f"{path}:{node.lineno}", None
    if isinstance(node.annotation, ast.Constant) and isinstance(node.annotation.value, str):
        try:
            bound = bound_of(node.annotation.value)
        except ValueError as fault:
            raise GolfError(f"{place} bounds a knob by what is no bound: {fault}",
                            'write it as in `x: "0 < float <= 1" = 0.5`') from fault  # fmt: skip
    kind = bound.kind if bound else ast.unparse(node.annotation)
    if kind not in KINDS:
        raise GolfError(f"{place} declares a knob of type `{kind}`", f"a knob is one of {', '.join(KINDS)}")
    return kind, bound


def _after(node: ast.AST, lines: list[str]) -> str:
    """What follows a node on its last line: a long knob's comment stands inside the parentheses that a formatter puts round it."""
    line, column = getattr(node, "end_lineno", 1), getattr(node, "end_col_offset", 0)
    return lines[line - 1].encode()[column:].decode()


def _meaning(rest: str) -> str:
    match = re.match(r"[\s,)]*#\s*(.*)$", rest)
    return match.group(1).strip() if match else ""


def _literal(node: ast.expr, path: Path) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as fault:
        raise GolfError(f"{path}:{node.lineno} gives a knob a computed default", "write a literal") from fault
