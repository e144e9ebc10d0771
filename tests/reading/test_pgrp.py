"""The public container PGRP: both frames of a toy dictionary are read to the value; lrzip stands aside, as a program that knows them."""

import struct
from pathlib import Path

import brotli
import numpy as np
import pytest
import torch

from golf.errors import GolfError
from golf.reading.pgrp import GROUPS, is_pgrp, read_pgrp, run_lrzip


@pytest.fixture(scope="module")
def toy(shared: Path):
    """(both files' bytes, {name: tensor}, what lrzip would unpack: {stream: codes})."""
    arrays = np.load(shared / "golden/pgrp.npz")
    tensors = {key[2:]: arrays[key] for key in arrays.files if key.startswith("t/")}
    first, second = (arrays[key].tobytes() for key in ("v1", "v2"))
    known: dict[bytes, bytes] = {}
    lengths, at = struct.unpack_from("<9I", first, 8), 8 + 36
    streams = []
    for length in lengths:
        streams.append(first[at : at + length])
        at += length
    numbers, place = np.frombuffer(brotli.decompress(streams[-1]), "<u2"), 0
    for group, stream in zip(GROUPS, streams, strict=False):
        codes = b""
        for name in [n for n in tensors if f"_{n}".endswith(group)]:
            matrix = tensors[name]
            if group in (GROUPS[0], GROUPS[2], GROUPS[5]):
                matrix, place = matrix[numbers[place : place + len(matrix)]], place + len(matrix)
            codes += np.ascontiguousarray(matrix.T).tobytes()
        known[stream] = codes
    at, codes = 12, b""
    for _ in range(13):
        length = struct.unpack_from("<H", second, at)[0]
        name = second[at + 2 : at + 2 + length].decode()
        at += 10 + length
        order = np.frombuffer(second, "<u2", len(tensors[name]), at)
        at += 2 * len(order)
        codes += np.ascontiguousarray(tensors[name][order].T).tobytes()
    size = struct.unpack_from("<I", second, at + 1)[0]
    known[second[at + 5 : at + 5 + size]] = codes
    return (first, second), {name: torch.from_numpy(array) for name, array in tensors.items()}, known


@pytest.mark.parametrize("version", [1, 2])
def test_both_frames_are_read_to_the_value(toy, version):
    files, tensors, known = toy
    found, meta = read_pgrp(files[version - 1], lambda stream, size: known[stream])
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert meta["tok_emb.weight"] == "gptq (int6)"


def test_without_lrzip_a_clear_sentence_says_what_is_missing(toy, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GolfError, match="lrzip, and that program is not installed"):
        read_pgrp(toy[0][0])


def test_the_program_is_called_for_what_it_packed(toy, monkeypatch, tmp_path):
    """A stand-in called lrzip, which finds -o and writes there what it is told to."""
    program = tmp_path / "lrzip"
    program.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\nprintf abcd > "$2"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert run_lrzip(b"packed", 4) == b"abcd"
    with pytest.raises(GolfError, match="unpacks 4 bytes where 5 belong"):
        run_lrzip(b"packed", 5)


@pytest.mark.parametrize("version", [1, 2])
def test_a_damaged_file_is_refused_whatever_is_wrong_with_it(toy, version):
    (first, second), _, known = toy
    data = (first, second)[version - 1]
    rng = np.random.default_rng(version)
    for _ in range(40):
        broken = bytearray(data)
        at = int(rng.integers(0, 60 if rng.random() < 0.5 else len(data)))
        broken[at] ^= int(rng.integers(1, 256))
        try:
            read_pgrp(bytes(broken), lambda stream, size: known.get(stream, b"\0" * size))
        except GolfError:
            continue
    for cut in (0, 3, 4, 8, 40, len(data) // 2, len(data) - 1):
        with pytest.raises(GolfError):
            read_pgrp(data[:cut], lambda stream, size: known.get(stream, b"\0" * size))


def test_a_file_of_another_kind_is_none(tmp_path, toy):
    other = tmp_path / "model.golf"
    other.write_bytes(b"GOLF")
    assert not is_pgrp(other)
    other.write_bytes(toy[0][1])
    assert is_pgrp(other)
    with pytest.raises(GolfError, match="neither 9 streams nor version 2"):
        read_pgrp(b"PGRP" + struct.pack("<I", 3))
