"""PGRP, the container of the public records from PR #1855 on, read and never written: both versions, told apart by their second word.

Version 1 (PR #1855, #1945, #1953, #2014): seven groups of int8 matrices, one lrzip stream each, a brotli stream of everything else
and one of row permutations (token embedding, queries, MLP input). Version 2 (PR #2130, #2135): every matrix with its permutation in
plain sight, one lrzip (or brotli) stream of all, a brotli stream of the rest. Matrices lie transposed, rows in permuted order;
layers in order of their number. lrzip is a program of its own: without it a file that needs it is refused.
"""

import io
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import brotli
import numpy as np

from golf.errors import Exit, GolfError

MAGIC = b"PGRP"
GROUPS = ("_tok_emb.weight.q", "attn.c_k.weight.q", "attn.c_q.weight.q", "attn.c_v.weight.q", "attn.proj.weight.q",
          "mlp.fc.weight.q", "mlp.proj.weight.q")  # fmt: skip
SORTED = ("_tok_emb.weight.q", "attn.c_q.weight.q", "mlp.fc.weight.q")  # groups with permuted rows, version 1
STREAMS = len(GROUPS) + 2
MAX_BYTES = 1 << 28  # of anything unpacked
Unpack = Callable[[bytes, int], bytes]


def is_pgrp(path: Path) -> bool:
    """Whether a file starts as the container does."""
    try:
        with path.open("rb") as file:
            return file.read(4) == MAGIC
    except OSError:
        return False


def read_pgrp(data: bytes, unlrzip: Unpack | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """({public name: tensor}, {name: how it was stored}). unlrzip: a stream and the bytes that it holds → those bytes.

    Tensors are int8 codes `….q`, fp16 scales `….scale`, factors and what was stored as it is. GolfError: no such file, a damaged
    one, or one that needs the program lrzip where it is not installed.
    """
    unpack = unlrzip or run_lrzip
    try:
        if data[:4] != MAGIC or len(data) < 8:
            raise ValueError("it does not start with PGRP and a word")
        version = struct.unpack_from("<I", data, 4)[0]
        if version == STREAMS:
            return _read_first(data, unpack)
        if version == 2:
            return _read_second(data, unpack)
        raise ValueError(f"its second word is {version}, neither {STREAMS} streams nor version 2")
    except (ValueError, KeyError, TypeError, IndexError, struct.error, brotli.error) as fault:
        raise GolfError(
            f"this is no PGRP artifact, or a damaged one: {fault}", "read it from the record again"
        ) from fault


def run_lrzip(stream: bytes, size: int) -> bytes:
    """A stream unpacked by the program lrzip. GolfError where it is not installed or fails."""
    program = shutil.which("lrzip")
    if program is None:
        raise GolfError("this artifact is packed with lrzip, and that program is not installed",
                        "install it (`apt-get install lrzip`) and call again", Exit.REFUSED)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        packed, plain = Path(folder) / "stream.lrz", Path(folder) / "stream"
        packed.write_bytes(stream)
        done = subprocess.run(
            [program, "-d", "-q", "-f", "-o", str(plain), str(packed)], capture_output=True, check=False
        )
        if done.returncode or not plain.is_file():
            raise GolfError(f"lrzip does not unpack a stream: {done.stderr.decode(errors='replace').strip()[:200]}",
                            "the file is damaged, or this lrzip too old")  # fmt: skip
        if plain.stat().st_size != size:
            raise GolfError(f"lrzip unpacks {plain.stat().st_size} bytes where {size} belong", "the file is damaged")
        return plain.read_bytes()


def _read_first(data: bytes, unpack: Unpack) -> tuple[dict[str, Any], dict[str, str]]:
    streams = list(_cut(data, 8 + 4 * STREAMS, struct.unpack_from(f"<{STREAMS}I", data, 8)))
    rest = _load(_brotli(streams[-2]))
    tensors, shapes = dict(rest["r"]), rest["s"]
    permutations = np.frombuffer(_brotli(streams[-1]), "<u2").astype(np.int64)
    names = _names(rest["m"])
    at = 0
    for group, stream in zip(GROUPS, streams[: len(GROUPS)], strict=True):
        sizes = [int(rows) * int(columns) for rows, columns in shapes[group]]
        codes = np.frombuffer(_bounded(unpack, stream, sum(sizes)), np.int8)
        begin = 0
        for name, (rows, columns) in zip(names[group], shapes[group], strict=True):
            order = None
            if group in SORTED:
                order, at = permutations[at : at + rows], at + rows
            tensors[name] = _matrix(codes[begin : begin + rows * columns], rows, columns, order)
            begin += rows * columns
    if at != len(permutations):
        raise ValueError(f"{len(permutations)} row numbers, and its matrices have {at}")
    return tensors, dict(rest["m"])


def _read_second(data: bytes, unpack: Unpack) -> tuple[dict[str, Any], dict[str, str]]:
    count, at = struct.unpack_from("<I", data, 8)[0], 12
    matrices = []
    for _ in range(count):
        length = struct.unpack_from("<H", data, at)[0]
        name = data[at + 2 : at + 2 + length].decode()
        rows, columns = struct.unpack_from("<II", data, at + 2 + length)
        at += 10 + length
        order = np.frombuffer(data, "<u2", rows, at).astype(np.int64)
        at += 2 * rows
        matrices.append((name, rows, columns, order))
    method, size = struct.unpack_from("<BI", data, at)
    if method not in (0, 1):
        raise ValueError(f"method {method} of its matrices is unknown")
    blob, at = data[at + 5 : at + 5 + size], at + 5 + size
    size = struct.unpack_from("<I", data, at)[0]
    rest, at = data[at + 4 : at + 4 + size], at + 4 + size
    if at != len(data):
        raise ValueError(f"it has {len(data)} bytes, and its lengths add up to {at}")
    stored = _load(_unshuffle(_brotli(rest)))
    total = sum(rows * columns for _, rows, columns, _ in matrices)
    codes = np.frombuffer(_bounded(unpack, blob, total) if method else _brotli(blob), np.int8)
    if len(codes) != total:
        raise ValueError(f"{len(codes)} codes, and its matrices have {total}")
    tensors, begin = dict(stored["w"]), 0
    for name, rows, columns, order in matrices:
        tensors[name] = _matrix(codes[begin : begin + rows * columns], rows, columns, order)
        begin += rows * columns
    return tensors, dict(stored["m"])


def _cut(data: bytes, at: int, lengths: tuple[int, ...]) -> Iterator[bytes]:
    if at + sum(lengths) != len(data):
        raise ValueError(f"it has {len(data)} bytes, and its lengths add up to {at + sum(lengths)}")
    for length in lengths:
        yield data[at : at + length]
        at += length


def _bounded(unpack: Unpack, stream: bytes, size: int) -> bytes:
    if size > MAX_BYTES:
        raise ValueError(f"a stream would unpack to {size} bytes")
    codes = unpack(stream, size)
    if len(codes) != size:
        raise ValueError(f"a stream holds {len(codes)} bytes where {size} belong")
    return codes


def _brotli(stream: bytes) -> bytes:
    decoder = brotli.Decompressor()
    text: bytes = decoder.process(stream, output_buffer_limit=MAX_BYTES + 1)
    if len(text) > MAX_BYTES or not decoder.is_finished():
        raise ValueError("a brotli stream is cut short or too long")
    return text


def _unshuffle(text: bytes) -> bytes:
    """Undo the byte shuffle: `BSHF`, the stride, then every stride-th byte from the first, from the second, …"""
    if text[:4] != b"BSHF" or len(text) < 5 or not text[4]:
        raise ValueError("its remainder is not byte-shuffled")
    stride, shuffled = text[4], np.frombuffer(text, np.uint8, offset=5)
    plain, at = np.empty(len(shuffled), np.uint8), 0
    for first in range(stride):
        size = len(range(first, len(shuffled), stride))
        plain[first::stride] = shuffled[at : at + size]
        at += size
    return plain.tobytes()


def _load(text: bytes) -> Mapping[str, Any]:
    """What torch.save wrote, tensors and plain values only."""
    import pickle

    import torch

    try:
        found: Mapping[str, Any] = torch.load(io.BytesIO(text), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as fault:
        raise ValueError(f"its remainder does not load: {str(fault).partition(chr(10))[0]}") from fault
    return found


def _names(meta: Mapping[str, str]) -> dict[str, list[str]]:
    """Group → the names of its matrices in order of their layers."""
    quantized = sorted((name for name, kind in meta.items() if kind.startswith("gptq")), key=_layer)
    return {group: [f"{name}.q" for name in quantized if f"_{name}.q".endswith(group)] for group in GROUPS}


def _layer(name: str) -> int:
    found = re.search(r"blocks\.(\d+)\.", name)
    return int(found[1]) if found else -1


def _matrix(codes: Any, rows: int, columns: int, order: Any) -> Any:
    """The int8 matrix of codes that lie transposed, rows in the order `order` (None: as they are)."""
    import torch

    stored = codes.reshape(columns, rows).T
    if order is None:
        return torch.from_numpy(stored.copy())
    if not np.array_equal(np.sort(order), np.arange(rows)):
        raise ValueError("a permutation of rows is none")
    matrix = np.empty_like(stored, order="C")
    matrix[order] = stored
    return torch.from_numpy(matrix)
