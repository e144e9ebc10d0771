"""Decoders and decompressors that a wrapper may call, each with a bound on what it may unpack and ask for."""

import base64
import binascii
import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

from golf.errors import GolfError

MAX_SOURCE_BYTES = 16_000_000
DECOMPRESSORS = (
    *(
        "lzma.decompress",
        "bz2.decompress",
        "zlib.decompress",
        "gzip.decompress",
        "brotli.decompress",
        "brotlicffi.decompress",
    ),
)


def lzma_constant(dotted: str) -> int:
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


def bounded(func: str, args: list[Any], kwargs: dict[str, Any]) -> bytes:
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
