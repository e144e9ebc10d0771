"""Read a packed script without running it: ours and everybody else's wrapper.

Nothing is executed. Only literals, base64/85, hex, seven bits a byte, latin-1 and the standard decompressors are computed, with bounds on how
much they may unpack; anything else in a wrapper is reported, not guessed.
"""

import ast
import binascii
import lzma
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.files import is_own
from golf.reading import seven_bits
from golf.reading.decompress import DECODERS, DECOMPRESSORS, bounded, lzma_constant
from golf.reading.module import MOST_TOKENS, is_too_long, walk

MAX_PACKED_BYTES = 32_000_000
MAX_LAYERS = 5
OPENERS = frozenset(("open", "read_text", "read_bytes", "Path"))
MAX_STUB_BYTES = 2_000  # a stub runs another file and does little else
FILE_NAME = re.compile(r"(?:\./|/)?[\w-]+(?:/[\w-]+)*\.(?:py|txt|bin|xz|lzma|br|gz|zst|b64|b85|pyc)")


class NotPython(GolfError):
    """The text does not parse by the grammar of the Python that runs this."""


@dataclass(frozen=True)
class Unpacked:
    """source: the readable text; layers: what was undone, outermost first; siblings: files that the script runs from its folder;
    outer: the texts of the wrappers, which may do more than wrap. remark: which Python the source needs, where the running one does
    not parse it; "" else."""

    source: str
    layers: tuple[str, ...] = ()
    siblings: tuple[str, ...] = ()
    outer: tuple[str, ...] = ()
    remark: str = ""


def unpack(packed: str | bytes | Path) -> str:
    """The source inside a packed script (its text, bytes or file); one that is not packed is returned as it is. See `unwrap`."""
    return unwrap(packed).source


def unwrap(packed: str | bytes | Path) -> Unpacked:
    """Undo every wrapper of a script, and read the sibling that a stub beside it runs. The text inside needs to be Python only where it
    may be a wrapper again: what no grammar at hand parses is returned with a remark.

    Raises GolfError for text that is not Python and in no wrapper, damaged or oversized payloads, and a wrapper of an unknown form.
    """
    if isinstance(packed, Path):
        if not packed.is_file():
            raise GolfError(f"no file {packed}", "name a train_gpt.py")
        found = _unwrapped(packed.read_bytes())
        return _followed(found, packed)
    return _unwrapped(packed)


def _unwrapped(packed: str | bytes) -> Unpacked:
    found, fault = peel(_decoded(packed))
    if isinstance(fault, NotPython) and found.layers:
        return replace(found, remark=f"what was inside is {fault.message}")
    if fault is not None:
        raise fault
    return found


def _followed(stub: Unpacked, script: Path) -> Unpacked:
    """The script that a stub runs from its own folder, where it does nothing else and that file is a script; else the stub."""
    paths = [script.parent / name for name in stub.siblings if name.endswith(".py")]
    if len(paths) != 1 or len(stub.source) > MAX_STUB_BYTES or not is_own(paths[0], script.parent):
        return stub
    if paths[0].resolve() == script.resolve() or not paths[0].resolve().is_relative_to(script.parent.resolve()):
        return stub
    inner = _unwrapped(paths[0].read_bytes())
    layers = (*stub.layers, f"the file {stub.siblings[0]}", *inner.layers)
    return replace(inner, layers=layers, siblings=stub.siblings, outer=(*stub.outer, stub.source, *inner.outer))


def peel(text: str) -> tuple[Unpacked, GolfError | None]:
    """Undo as many wrappers as can be undone: how far that went, and what stopped it before the innermost text.

    A `NotPython` with layers is a script of another Python's syntax inside a wrapper.
    """
    layers, siblings, outer = list[str](), list[str](), list[str]()
    fault: GolfError | None = GolfError(
        f"more than {MAX_LAYERS} wrappers around each other", "unpack the rest by hand: this is not a script to trust"
    )
    remark = ""
    for _ in range(MAX_LAYERS):
        try:
            if is_too_long(text):
                remark = _too_long(text)
                inner = None
            else:
                tree, remark = _tree(text)
                inner = _inner(tree, layers, siblings)
        except GolfError as stopped:
            fault = stopped
            break
        if inner is None:
            fault = None
            break
        outer.append(text)
        text = inner
    return Unpacked(text, tuple(layers), tuple(siblings), tuple(outer), "" if fault else remark), fault


def _decoded(packed: str | bytes) -> str:
    if len(packed) > MAX_PACKED_BYTES:
        raise GolfError(f"{len(packed):,} bytes are no script (limit {MAX_PACKED_BYTES:,})", None)
    if isinstance(packed, str):
        return packed
    head = b"\n".join(packed.split(b"\n", 2)[:2])
    declared = b"coding" in head and head.lstrip().startswith(b"#")
    latin = declared and any(name in head.lower() for name in (b"latin", b"l1", b"8859"))
    try:
        return packed.decode("latin-1" if latin else "utf-8-sig")
    except UnicodeDecodeError as fault:
        raise GolfError(f"neither UTF-8 nor declared latin-1: {fault}", "is this the script?") from fault


def _inner(tree: ast.Module, layers: list[str], siblings: list[str]) -> str | None:
    """The text that a script executes, or None when it executes none at its top level."""
    reader = _Reader(siblings)
    for node in _statements(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            reader.note_import(node)
        elif isinstance(node, ast.With):
            reader.note_with(node)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            reader.names[node.targets[0].id] = node.value
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _name(node.value.func) == "exec":
            found = _executed(node.value, reader, siblings)
            layers += reader.steps
            return found
    return None


def _tree(text: str) -> tuple[ast.Module, str]:
    """(the script's tree, which newer Python it needs as a remark): by that Python's grammar where the running one's does not do."""
    try:
        return ast.parse(text), ""
    except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
        from golf.reading.newer_syntax import may_be_newer, needed_python, tree_of_newer

        tree = tree_of_newer(text) if isinstance(fault, SyntaxError) and may_be_newer(text, fault) else None
        if tree is None:
            raise NotPython(f"not Python: {fault}", "`golf unpack` reads Python scripts") from fault
        return tree, f"needs Python {needed_python(text)}"


def _too_long(text: str) -> str:
    """The remark on a script that is too long to be parsed and names no exec; GolfError where it may be a wrapper."""
    said = f"has more than {MOST_TOKENS:,} words and signs, too many to be parsed"
    if "exec" in text:
        raise GolfError(f"the script {said}, and may be a wrapper", "unpack it by hand")
    return said


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when the script starts, those under `if`, `try` and `with` too."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from _statements(node.body)


def _executed(call: ast.Call, reader: "_Reader", siblings: list[str]) -> str | None:
    before = len(siblings)
    try:
        value = reader.value(call.args[0])
    except GolfError:
        if len(siblings) == before and (name := reader.file_named_in(call.args[0])):
            siblings.append(name)
        if len(siblings) > before:
            return None
        raise
    except (ValueError, TypeError, LookupError, binascii.Error, zlib.error, lzma.LZMAError, OSError, EOFError) as fault:
        raise GolfError(f"the payload does not unpack: {fault}", "the file is damaged or cut short") from fault
    return _decoded(value) if isinstance(value, bytes) else str(value)


def _name(node: ast.expr) -> str:
    return ast.unparse(node)


@dataclass
class _Reader:
    """Computes the few calls that wrappers are made of. steps: what was undone, outermost first."""

    siblings: list[str]
    names: dict[str, ast.expr] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)

    def note_import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            self.modules[alias.asname or alias.name] = prefix + alias.name

    def note_with(self, node: ast.With) -> None:
        for item in node.items:
            if isinstance(item.optional_vars, ast.Name):
                self.names[item.optional_vars.id] = item.context_expr

    def dotted(self, node: ast.expr) -> str:
        """`B.b85decode` as `base64.b85decode`, whatever B was imported as."""
        text = _name(node) if isinstance(node, ast.Name | ast.Attribute) else ""
        root, dot, rest = text.partition(".")
        if root.startswith("__import__"):
            return ""
        return self.modules.get(root, root) + dot + rest

    def value(self, node: ast.expr, depth: int = 0) -> Any:
        if depth > 40:
            raise GolfError("the wrapper is too deep", "unpack it by hand")
        match node:
            case ast.Constant(value=str() | bytes() | int() | None as constant):
                return constant
            case ast.Name(id=name) if name in self.names:
                return self.value(self.names[name], depth + 1)
            case ast.UnaryOp(op=ast.USub()):
                return -int(self.value(node.operand, depth + 1))
            case ast.BinOp(op=ast.Add()):
                return self.value(node.left, depth + 1) + self.value(node.right, depth + 1)
            case ast.BinOp(op=ast.BitOr()):  # of flags: 9 | lzma.PRESET_EXTREME
                return int(self.value(node.left, depth + 1)) | int(self.value(node.right, depth + 1))
            case ast.List() | ast.Tuple():
                return [self.value(e, depth + 1) for e in node.elts]
            case ast.Dict():
                return {
                    self.value(k, depth + 1): self.value(v, depth + 1)
                    for k, v in zip(node.keys, node.values, strict=True)
                    if k
                }
            case ast.Attribute() if self.dotted(node).startswith("lzma."):
                return lzma_constant(self.dotted(node))
            case ast.Call():
                return self.call(node, depth + 1)
        raise GolfError(
            f"a wrapper of an unknown form: `{_name(node)[:80]}`", "unpack it by hand; nothing of it was run"
        )

    def file_named_in(self, node: ast.expr) -> str:
        """The file that an expression opens, whatever joins its name to a folder; "" for none.

        `open(os.path.join(here, "a.py"))`, `Path(__file__).with_name("a.py")`, `open(__file__.replace("train_gpt.py", "a.py"))`.
        """
        if isinstance(node, ast.Call) and self.dotted(node.func) == "compile" and node.args:
            node = node.args[0]  # its second argument is a name for tracebacks
        nodes = list(self.nodes_of(node))
        texts = [one.value for one in nodes if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        files = [text for text in texts if FILE_NAME.fullmatch(text)]
        calls = [_name(one.func).rpartition(".")[2] for one in nodes if isinstance(one, ast.Call)]
        return files[-1].removeprefix("./").removeprefix("/") if files and not OPENERS.isdisjoint(calls) else ""

    def nodes_of(self, node: ast.expr) -> Iterator[ast.AST]:
        """The nodes of an expression and of what the names in it stand for, those of the names first."""
        found, left, seen = [node], [node], set[str]()
        while left:
            for inner in walk(left.pop()):
                if isinstance(inner, ast.Name) and inner.id in self.names and inner.id not in seen:
                    seen.add(inner.id)
                    found.append(self.names[inner.id])
                    left.append(self.names[inner.id])
        for one in reversed(found):
            yield from walk(one)

    def call(self, node: ast.Call, depth: int) -> Any:
        func = self.dotted(node.func)
        if seven_bits.is_expression(node):
            self.steps.insert(0, "seven bits a byte")
            return seven_bits.value(node)
        if func in ("open", "pathlib.Path", "Path") and node.args and isinstance(node.args[0], ast.Constant):
            sibling = ast.literal_eval(node.args[0])
            self.siblings.append(str(sibling).removeprefix("./"))
            raise GolfError(f"it runs another file, `{sibling!s}`", "unpack that file: its bytes count too")
        if func == "compile" and node.args:
            return self.value(node.args[0], depth)
        if func in DECODERS:
            args = [self.value(a, depth) for a in node.args]
            self.steps.insert(0, func)
            return DECODERS[func](args[0])
        if func in DECOMPRESSORS:
            args = [self.value(a, depth) for a in node.args]
            kwargs = {k.arg or "": self.value(k.value, depth) for k in node.keywords}
            self.steps.insert(0, func)
            return bounded(func, args, kwargs)
        if isinstance(node.func, ast.Attribute) and node.func.attr in (
            "encode",
            "decode",
            "read",
            "read_text",
            "join",
            "strip",
            "replace",
        ):
            return self.method(node, depth)
        raise GolfError(
            f"a wrapper of an unknown form: `{_name(node)[:80]}`", "unpack it by hand; nothing of it was run"
        )

    def method(self, node: ast.Call, depth: int) -> Any:
        assert isinstance(node.func, ast.Attribute)
        owner, args = self.value(node.func.value, depth), [self.value(a, depth) for a in node.args]
        match node.func.attr, owner:
            case "encode", str():
                return owner.encode(_codec(args, node))
            case "decode", bytes():
                return owner.decode(_codec(args, node))
            case "join", str() | bytes():
                return owner.join(args[0])
            case "strip", str() | bytes():
                return owner.strip(*args)
            case "replace", str() | bytes() if len(owner) < MAX_PACKED_BYTES and len(args[1]) <= 16:
                return owner.replace(*args[:2])
        raise GolfError(
            f"a wrapper of an unknown form: `{_name(node)[:80]}`", "unpack it by hand; nothing of it was run"
        )


def _codec(args: list[Any], node: ast.Call) -> str:
    named = [k.value.value for k in node.keywords if isinstance(k.value, ast.Constant) and k.arg == "encoding"]
    name = str((args or named or ["utf-8"])[0]).lower().replace("_", "-")
    if name not in ("utf-8", "utf8", "latin-1", "latin1", "l1", "iso-8859-1", "ascii", "iso8859-1"):
        raise GolfError(f"a wrapper with the encoding `{name}`", "unpack it by hand")
    return name
