"""What the parts offer, read without importing them: knobs, definitions, imports, docstrings.

A part is one file of the package that ships (`golf.parts`), flat or in its `techniques/` folder; a submission's own techniques
are parts too. Each is known by its file's stem, which is also the section of a recipe that holds its knobs.
"""

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from golf.errors import GolfError

KINDS = ("int", "float", "bool", "str", "tuple", "Slot", "Chain")
NOT_SHIPPED = ("Knobs", "Smoke")


@dataclass(frozen=True, slots=True)
class Knob:
    """One choice that a recipe makes. kind: int, float, bool, str, tuple, Slot or Chain. smoke: the small twin's value, or None."""

    name: str
    kind: str
    default: Any
    meaning: str
    part: str
    smoke: Any = None


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


@dataclass(frozen=True)
class Catalogue:
    """Every part of a package and of the submissions in play, by stem; every knob and definition by name."""

    package: str
    parts: Mapping[str, Part]
    knobs: Mapping[str, Knob] = field(repr=False)
    definitions: Mapping[str, Definition] = field(repr=False)

    def part_of(self, definition: Definition) -> Part:
        return self.parts[definition.part]

    def find(self, reference: str, where: str) -> Definition:
        """The definition that a slot or chain entry names: `xsa.XSA`, `XSA`, or `user:file.Name`.

        where: what names it, for the message. Raises GolfError with near misses.
        """
        user, bare = reference.startswith("user:"), reference.removeprefix("user:")
        stem, dot, name = bare.rpartition(".")
        if dot and stem not in self.parts:
            names = [s for s, part in self.parts.items() if part.user or not user]
            raise GolfError(f"{where} names `{reference}`, but no part is called `{stem}`", did_you_mean(stem, names))
        found = self.definitions.get(name)
        if found is None or (dot and found.part != stem):
            known = [n for n, d in self.definitions.items() if not dot or d.part == stem]
            place = self.parts[stem].shown if dot else f"any part of {self.package}"
            raise GolfError(f"{where} names `{reference}`, but `{name}` is not in {place}", did_you_mean(name, known))
        if user and not self.parts[found.part].user:
            raise GolfError(f"{where} names `{reference}`, which ships with golf", f"write `{bare}`")
        return found


def did_you_mean(name: str, known: list[str] | tuple[str, ...]) -> str | None:
    """The hint for a name that is not known: the nearest one, or all when they are few."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"there is {', '.join(f'`{k}`' for k in sorted(known))}" if 0 < len(known) <= 8 else None


def load_catalogue(package: str = "golf.parts", folders: tuple[Path, ...] = ()) -> Catalogue:
    """The catalogue of `package` and of the `techniques/` folders of submissions. Imports nothing.

    Raises GolfError for a part that does not parse and for a stem, definition or knob that is declared twice.
    """
    return _build(package, tuple(_read(*key) for key in _files(package, folders)))


def _files(package: str, folders: tuple[Path, ...]) -> Iterator[tuple[Path, str, str, bool, int]]:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise GolfError(f"`{package}` is not a package", 'entry is written "golf.parts.entry:main"')
    root = Path(next(iter(spec.submodule_search_locations)))
    for folder, module in ((root, package), (root / "techniques", f"{package}.techniques")):
        for path in sorted(folder.glob("*.py")):
            if path.stem not in ("__init__", "knobs"):
                yield path, f"{module}.{path.stem}", package, False, path.stat().st_mtime_ns
    for folder in folders:
        for path in sorted(folder.glob("*.py")):
            yield path, f"{private_package(folder)}.{path.stem}", package, True, path.stat().st_mtime_ns


def private_package(folder: Path) -> str:
    """The name under which a submission's techniques are imported."""
    return f"golf_user_{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}"


@lru_cache(maxsize=64)
def _build(package: str, parts: tuple[Part, ...]) -> Catalogue:
    stems: dict[str, Part] = {}
    knobs: dict[str, Knob] = {}
    definitions: dict[str, Definition] = {}
    for part in parts:
        if part.stem in stems:
            other = stems[part.stem].path
            raise GolfError(f"two parts are called `{part.stem}`: {other} and {part.path}", "rename one [rule 3]")
        stems[part.stem] = part
        for knob in part.knobs:
            if knob.name in knobs:
                raise GolfError(
                    f"knob `{knob.name}` is declared in {stems[knobs[knob.name].part].shown} and in {part.shown}",
                    "knob names are unique across parts: rename one [rule 3]",
                )
            knobs[knob.name] = knob
        for definition in part.definitions:
            for name in definition.names:
                if name in definitions:
                    raise GolfError(
                        f"`{name}` is defined in {stems[definitions[name].part].shown} and in {part.shown}",
                        "names are unique across parts: rename one [rule 3]",
                    )
                definitions[name] = definition
    return Catalogue(package, MappingProxyType(stems), MappingProxyType(knobs), MappingProxyType(definitions))


@lru_cache(maxsize=1024)
def _read(path: Path, module: str, package: str, user: bool, _mtime_ns: int) -> Part:
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
        sha256=hashlib.sha256(text.encode()).hexdigest(),
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
        names = _bound(node)
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


def _bound(node: ast.stmt) -> tuple[str, ...]:
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
        kind = ast.unparse(node.annotation)
        if kind not in KINDS:
            raise GolfError(
                f"{path}:{node.lineno} declares a knob of type `{kind}`", f"a knob is one of {', '.join(KINDS)}"
            )
        yield Knob(
            node.target.id,
            kind,
            _literal(node.value, path),
            _meaning(lines[(node.end_lineno or 1) - 1].encode()[node.end_col_offset or 0 :].decode()),
            path.stem,
            smoke.pop(node.target.id, None),
        )
    if smoke:
        raise GolfError(
            f"{path} has a smoke value for `{min(smoke)}`, which is no knob of that file", "declare it there"
        )


def _meaning(rest: str) -> str:
    match = re.match(r"\s*,?\s*#\s*(.*)$", rest)
    return match.group(1).strip() if match else ""


def _literal(node: ast.expr, path: Path) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as fault:
        raise GolfError(f"{path}:{node.lineno} gives a knob a computed default", "write a literal") from fault
