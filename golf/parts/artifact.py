"""The container of checkpoint, Hessians and artifact: magic, coder, manifest, payload, checksum. No pickle.

    "GOLF" · version u8 · coder 8 bytes · manifest bytes u32, unpacked u32 · payload bytes u64, unpacked u64 · manifest · payload · CRC-32

The manifest is zlib'd JSON: {"meta": …, "tensors": [[name, dtype, shape], …]}. A coder turns the tensors into the payload.
"""

import json
import math
import os
import struct
import zlib

import torch

HEADER = struct.Struct("<4sB8sIIQQ")
DTYPES = {
    name: getattr(torch, name)
    for name in ("int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32")
}
MAX_MANIFEST_BYTES = 1 << 24
MAX_PAYLOAD_BYTES = 1 << 28  # of what a coder may unpack from fewer


def to_bytes(tensors):
    """The tensors' values one after another, little endian."""
    return b"".join(t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() for t in tensors)


def from_bytes(data, specs):
    """The reverse of `to_bytes`; specs: [(name, dtype, shape)]."""
    tensors, at = [], 0
    for _, dtype, shape in specs:
        count = math.prod(shape) * DTYPES[dtype].itemsize
        # frombuffer wants at least one byte
        piece = torch.frombuffer(bytearray(data[at : at + count] or b"0"), dtype=torch.uint8)[:count]
        tensors.append(piece.view(DTYPES[dtype]).reshape(shape))
        at += count
    return tensors


class RawCoder:
    name = "raw"

    @staticmethod
    def encode(tensors):
        return to_bytes(tensors)

    @staticmethod
    def decode(payload, specs, unpacked_bytes):
        return from_bytes(payload, specs)


class ZlibCoder:
    name = "zlib"

    @staticmethod
    def encode(tensors):
        return zlib.compress(to_bytes(tensors), 9)

    @staticmethod
    def decode(payload, specs, unpacked_bytes):
        return from_bytes(inflate(payload, unpacked_bytes), specs)


def inflate(data, unpacked_bytes):
    """zlib's text of exactly `unpacked_bytes`; never unpacks more than one byte beyond them."""
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(data, unpacked_bytes + 1)
    except zlib.error as fault:
        raise ValueError(f"does not unpack: {fault}") from fault
    check(
        len(text) == unpacked_bytes and stream.eof and not stream.unused_data, "unpacks to another length than it says"
    )
    return text


def check(condition, sentence):
    if not condition:
        raise ValueError(sentence)


def write_container(path, tensors, meta, coder):
    """Write {name: tensor} and `meta` to `path`, whole or not at all. Returns the file's bytes."""
    specs = [[name, str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in tensors.items()]
    text = json.dumps({"meta": meta, "tensors": specs}, separators=(",", ":")).encode()
    manifest, payload = zlib.compress(text, 9), coder.encode(list(tensors.values()))
    unpacked_bytes = sum(t.numel() * t.element_size() for t in tensors.values())
    header = HEADER.pack(b"GOLF", 1, coder.name.encode(), len(manifest), len(text), len(payload), unpacked_bytes)
    body = header + manifest + payload
    write_atomically(path, body + struct.pack("<I", zlib.crc32(body)))
    return os.path.getsize(path)


def write_atomically(path, data):
    with open(f"{path}.tmp", "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.tmp", path)


def read_container(path, coder):
    """({name: tensor}, meta) of a container that `coder` wrote; ValueError for any other file, and for a damaged one."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        magic, _, name, manifest_bytes, _, _, unpacked_bytes = HEADER.unpack_from(data)
        check(
            magic == b"GOLF" and zlib.crc32(data[:-4]) == struct.unpack("<I", data[-4:])[0],
            "its checksum does not hold",
        )
        check(name.rstrip(b"\0") == coder.name.encode(), f"written by the coder {name!r}, not by {coder.name}")
        payload_at = HEADER.size + manifest_bytes
        manifest = json.loads(zlib.decompress(data[HEADER.size : payload_at]))
        tensors = coder.decode(data[payload_at:-4], manifest["tensors"], unpacked_bytes)
    except (ValueError, RecursionError, struct.error) as fault:
        raise ValueError(f"{path} is damaged or no golf container: {fault}") from fault
    return dict(zip([name for name, _, _ in manifest["tensors"]], tensors)), manifest["meta"]


def parse_container(data, coders):
    """What `read_container` gives, of bytes that anybody may have made: every length is checked before it is believed."""
    check(len(data) >= HEADER.size + 4, "shorter than a header")
    magic, version, name, manifest_bytes, text_bytes, payload_bytes, unpacked_bytes = HEADER.unpack_from(data)
    check(magic == b"GOLF" and version == 1, f"magic {magic!r}, version {version}")
    check(
        len(data) == HEADER.size + manifest_bytes + payload_bytes + 4,
        f"{len(data)} bytes are not the length that its header says",
    )
    check(zlib.crc32(data[:-4]) == struct.unpack("<I", data[-4:])[0], "its checksum does not hold")
    coder = coders.get(name.rstrip(b"\0").decode("ascii", "replace"))
    check(coder is not None, f"written by the coder {name!r}, readable here: {', '.join(coders)}")
    check(text_bytes <= MAX_MANIFEST_BYTES, "its manifest is too large")
    manifest = json.loads(inflate(data[HEADER.size : HEADER.size + manifest_bytes], text_bytes))
    specs = checked_specs(manifest)
    check(
        sum(math.prod(shape) * DTYPES[dtype].itemsize for _, dtype, shape in specs) == unpacked_bytes,
        "its shapes do not add up",
    )
    check(unpacked_bytes <= max(MAX_PAYLOAD_BYTES, payload_bytes), f"would unpack to {unpacked_bytes} bytes")
    payload = data[HEADER.size + manifest_bytes : -4]
    tensors = coder.decode(payload, specs, unpacked_bytes)
    return dict(zip([name for name, _, _ in specs], tensors)), manifest["meta"]


def checked_specs(manifest):
    """[(name, dtype, shape)] of a manifest whose every entry has the form that `write_container` gives it."""
    check(
        isinstance(manifest, dict) and isinstance(manifest.get("tensors"), list) and "meta" in manifest,
        "its manifest has another form",
    )
    for entry in manifest["tensors"]:
        check(
            isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], str) and entry[1] in DTYPES,
            f"entry {entry!r}",
        )
        check(
            isinstance(entry[2], list) and all(type(n) is int and 0 <= n < 1 << 40 for n in entry[2]),
            f"shape {entry[2]!r}",
        )
    check(len({entry[0] for entry in manifest["tensors"]}) == len(manifest["tensors"]), "a tensor appears twice")
    return manifest["tensors"]
