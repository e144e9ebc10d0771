"""golf's container from outside, without torch: is the file whole, and what does its manifest say.

The writer and the reader that ship are in `golf.parts.artifact`; this one reads any size in pieces and never unpacks the payload.
"""

import struct
import zlib
from pathlib import Path
from typing import Any

from golf.files import parse_json

_HEADER = struct.Struct("<4sB8sIIQQ")
_CRC = struct.Struct("<I")
_PIECE_BYTES = 1 << 20
_MAX_MANIFEST_BYTES = 1 << 24


def fault_of(path: Path) -> str | None:
    """What is wrong with a container, in words that follow its name; None when it is whole (lengths and checksum hold)."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
            if len(head) < _HEADER.size:
                return f"has {size} bytes, fewer than its header"
            magic, version, _, manifest_bytes, _, payload_bytes, _ = _HEADER.unpack(head)
            if magic != b"GOLF":
                return f"starts with {magic!r}, not with b'GOLF'"
            if version != 1:
                return f"has container version {version}; this golf reads 1"
            body = _HEADER.size + manifest_bytes + payload_bytes
            if size != body + _CRC.size:
                return f"has {size:,} bytes where its header says {body + _CRC.size:,}"
            crc, left = zlib.crc32(head), body - _HEADER.size
            while left:
                piece = file.read(min(left, _PIECE_BYTES))
                if not piece:
                    return "ended while it was read"
                crc, left = zlib.crc32(piece, crc), left - len(piece)
            if crc != _CRC.unpack(file.read(_CRC.size))[0]:
                return "has a checksum that does not hold"
    except FileNotFoundError:
        return "does not exist"
    except OSError as fault:
        return f"cannot be read: {fault}"
    return None


def read_meta(path: Path) -> dict[str, Any]:
    """What the writer noted beside the tensors (seed, measurements); empty where there is nothing readable."""
    try:
        with path.open("rb") as file:
            _, _, _, manifest_bytes, text_bytes, _, _ = _HEADER.unpack(file.read(_HEADER.size))
            if max(manifest_bytes, text_bytes) > _MAX_MANIFEST_BYTES:
                return {}
            text = zlib.decompressobj().decompress(file.read(manifest_bytes), max(text_bytes, 1))  # 0 is no bound
        meta = parse_json(text)["meta"]
    except (OSError, struct.error, zlib.error, ValueError, KeyError, TypeError):
        return {}
    return meta if isinstance(meta, dict) else {}
