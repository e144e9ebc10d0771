"""Read a packed script without running it: ours and everybody else's wrapper.

Nothing is executed. Only literals, base64/85, hex, latin-1 and the standard decompressors are computed, with bounds on how
much they may unpack; anything else in a wrapper is reported, not guessed.
"""

import ast
import base64
import binascii
import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golf.errors import GolfError

MAX_PACKED_BYTES = 32_000_000
MAX_SOURCE_BYTES = 16_000_000
MAX_LAYERS = 5


@dataclass(frozen=True)
class Unpacked:
    """source: the readable text; layers: what was undone, outermost first; siblings: files that the script runs from its folder."""

    source: str
    layers: tuple[str, ...] = ()
    siblings: tuple[str, ...] = ()


def unpack(packed: str | bytes | Path) -> str:
    """The source inside a packed script (its text, bytes or file); one that is not packed is returned as it is. See `unwrap`."""
    return unwrap(packed).source


def unwrap(packed: str | bytes | Path) -> Unpacked:
    """Undo every wrapper of a script.

    Raises GolfError for text that is not Python, damaged or oversized payloads, and a wrapper of an unknown form.
    """
    if isinstance(packed, Path):
        if not packed.is_file():
            raise GolfError(f"no file {packed}", "name a train_gpt.py")
        packed = packed.read_bytes()
    text, layers, siblings = _decoded(packed), list[str](), list[str]()
    for _ in range(MAX_LAYERS):
        inner = _inner(text, layers, siblings)
        if inner is None:
            return Unpacked(text, tuple(layers), tuple(siblings))
        text = inner
    raise GolfError(
        f"more than {MAX_LAYERS} wrappers around each other", "unpack the rest by hand: this is not a script to trust"
    )


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


def _inner(text: str, layers: list[str], siblings: list[str]) -> str | None:
    """The text that a script executes, or None when it executes none at its top level."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
        raise GolfError(f"not Python: {fault}", "`golf unpack` reads Python scripts") from fault
    reader = _Reader(siblings)
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            reader.note_import(node)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            reader.names[node.targets[0].id] = node.value
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _name(node.value.func) == "exec":
            found = _executed(node.value, reader, siblings)
            layers += reader.steps
            return found
    return None


def _executed(call: ast.Call, reader: "_Reader", siblings: list[str]) -> str | None:
    before = len(siblings)
    try:
        value = reader.value(call.args[0])
    except GolfError:
        if len(siblings) > before:
            return None
        raise
    except (ValueError, TypeError, LookupError, binascii.Error, zlib.error, lzma.LZMAError, OSError, EOFError) as fault:
        raise GolfError(f"the payload does not unpack: {fault}", "the file is damaged or cut short") from fault
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


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
            case ast.List() | ast.Tuple():
                return [self.value(e, depth + 1) for e in node.elts]
            case ast.Dict():
                return {
                    self.value(k, depth + 1): self.value(v, depth + 1)
                    for k, v in zip(node.keys, node.values, strict=True)
                    if k
                }
            case ast.Attribute() if self.dotted(node).startswith("lzma."):
                return _lzma_constant(self.dotted(node))
            case ast.Call():
                return self.call(node, depth + 1)
        raise GolfError(
            f"a wrapper of an unknown form: `{_name(node)[:80]}`", "unpack it by hand; nothing of it was run"
        )

    def call(self, node: ast.Call, depth: int) -> Any:
        func = self.dotted(node.func)
        if func in ("open", "pathlib.Path", "Path") and node.args and isinstance(node.args[0], ast.Constant):
            sibling = ast.literal_eval(node.args[0])
            self.siblings.append(str(sibling))
            raise GolfError(f"it runs another file, `{sibling!s}`", "unpack that file: its bytes count too")
        if func == "compile" and node.args:
            return self.value(node.args[0], depth)
        if func in DECODERS:
            args = [self.value(a, depth) for a in node.args]
            self.steps.insert(0, func)
            return DECODERS[func](args[0])
        if func in (
            "lzma.decompress",
            "bz2.decompress",
            "zlib.decompress",
            "gzip.decompress",
            "brotli.decompress",
            "brotlicffi.decompress",
        ):
            args = [self.value(a, depth) for a in node.args]
            kwargs = {k.arg or "": self.value(k.value, depth) for k in node.keywords}
            self.steps.insert(0, func)
            return _bounded(func, args, kwargs)
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


def _lzma_constant(dotted: str) -> int:
    name = dotted.removeprefix("lzma.")
    if name.startswith(("FORMAT_", "FILTER_", "CHECK_", "PRESET_", "MODE_", "MF_")) and isinstance(
        getattr(lzma, name, None), int
    ):
        return int(getattr(lzma, name))
    raise GolfError(f"a wrapper of an unknown form: `{dotted}`", "unpack it by hand; nothing of it was run")


DECODERS: dict[str, Callable[[Any], bytes]] = {
    "base64.b85decode": base64.b85decode,
    "base64.a85decode": base64.a85decode,
    "base64.b64decode": base64.b64decode,
    "base64.standard_b64decode": base64.b64decode,
    "base64.urlsafe_b64decode": base64.urlsafe_b64decode,
    "base64.b32decode": base64.b32decode,
    "base64.b16decode": base64.b16decode,
    "base64.decodebytes": base64.decodebytes,
    "binascii.unhexlify": binascii.unhexlify,
    "binascii.a2b_base64": binascii.a2b_base64,
    "bytes.fromhex": bytes.fromhex,
}


def _bounded(func: str, args: list[Any], kwargs: dict[str, Any]) -> bytes:
    """Decompress at most MAX_SOURCE_BYTES, with a bound on the memory that the format may ask for."""
    data = args[0]
    if func.startswith("brotli"):
        return _brotli(data)
    stream: Any
    if func == "lzma.decompress":
        options = dict(zip(("format", "memlimit", "filters"), args[1:], strict=False)) | kwargs
        stream = _lzma(options.get("format") or lzma.FORMAT_AUTO, options.get("filters"))
    elif func == "bz2.decompress":
        stream = bz2.BZ2Decompressor()
    else:
        wbits = args[1] if len(args) > 1 else kwargs.get("wbits", 31 if func.startswith("gzip") else 15)
        stream = zlib.decompressobj(int(wbits))
    text: bytes = stream.decompress(data, MAX_SOURCE_BYTES + 1)
    if len(text) > MAX_SOURCE_BYTES:
        raise _bomb()
    if not stream.eof:
        raise EOFError("it ends too early")
    return text


def _lzma(kind: int, filters: list[dict[str, Any]] | None) -> lzma.LZMADecompressor:
    if kind != lzma.FORMAT_RAW:
        return lzma.LZMADecompressor(kind, memlimit=256_000_000)
    for entry in filters or []:
        if not isinstance(entry, dict) or int(entry.get("dict_size", 0)) > 1 << 26:
            raise _bomb()
    return lzma.LZMADecompressor(kind, filters=filters)


def _brotli(data: bytes) -> bytes:
    try:
        import brotli
    except ImportError as fault:
        raise GolfError("this script is packed with brotli, which is not installed", "`pip install brotli`") from fault
    stream, out = brotli.Decompressor(), b""
    try:
        out = stream.process(data, output_buffer_limit=MAX_SOURCE_BYTES + 1)
    except brotli.error as fault:
        raise GolfError(f"the payload does not unpack: {fault}", "the file is damaged or cut short") from fault
    if len(out) > MAX_SOURCE_BYTES:
        raise _bomb()
    if not stream.is_finished():
        raise EOFError("it ends too early")
    return bytes(out)


def _bomb() -> GolfError:
    return GolfError(
        f"the payload unpacks to more than {MAX_SOURCE_BYTES:,} bytes", "this is not a training script: do not run it"
    )
