"""Every coder gives back every tensor, and refuses every damaged payload with a sentence."""

import math
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from golf.parts.artifact import DTYPES, HEADER, RawCoder, ZlibCoder, parse_container, read_container, write_container
from golf.parts.techniques.bitpack import BitpackCoder
from golf.parts.techniques.brotli_shuffle import BrotliCoder
from golf.parts.techniques.lzma_coder import LzmaCoder
from golf.parts.techniques.rans import RansCoder, frequencies, to_coarse
from golf.parts.techniques.rans_context import ContextRansCoder
from golf.parts.techniques.zstd_coder import ZstdCoder

CODERS = [RawCoder, ZlibCoder, ZstdCoder, LzmaCoder, BrotliCoder, BitpackCoder, RansCoder, ContextRansCoder]
QUIET = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def random_tensor(dtype: str, shape: list[int], spread: int, seed: int) -> torch.Tensor:
    """Any bits for floats, nan included; integers within `spread` of a centre."""
    rng = torch.Generator().manual_seed(seed)
    kind, count = DTYPES[dtype], math.prod(shape)
    if kind.is_floating_point:
        return (
            torch.randint(0, 256, (count * kind.itemsize,), dtype=torch.uint8, generator=rng).view(kind).reshape(shape)
        )
    low, high = max(torch.iinfo(kind).min, -spread), min(torch.iinfo(kind).max, spread)
    return torch.randint(low, high + 1, shape, generator=rng).to(kind)


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


SHAPES = st.one_of(st.lists(st.integers(0, 9), max_size=3), st.just([64, 48]), st.just([33, 101]), st.just([5000]))
TENSORS = st.lists(
    st.builds(
        random_tensor,
        st.sampled_from(sorted(DTYPES)),
        SHAPES,
        st.sampled_from([0, 1, 3, 31, 127, 1000]),
        st.integers(0, 99),
    ),
    max_size=6,
)


@pytest.mark.parametrize("coder", CODERS, ids=lambda coder: coder.name)
@QUIET
@given(tensors=TENSORS)
def test_a_container_gives_back_every_bit_shape_and_type(
    coder: Any, tensors: list[torch.Tensor], tmp_path: Path
) -> None:
    written = {f"t{i}": tensor for i, tensor in enumerate(tensors)}
    path = tmp_path / "model.golf"
    assert write_container(path, written, {"a": 1}, coder) == path.stat().st_size
    read, meta = read_container(path, coder)
    assert meta == {"a": 1} and list(read) == list(written)
    for name, tensor in written.items():
        assert read[name].dtype == tensor.dtype and read[name].shape == tensor.shape
        assert torch.equal(bits(read[name]), bits(tensor))


def model_like() -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(3)
    codes = torch.round(torch.randn(64, 80, generator=rng) * 2.4).to(torch.int8)
    skewed = torch.zeros(50, 60, dtype=torch.int8)
    skewed[3, 5] = 127
    return {
        "a:q": codes, "a:s": torch.rand(64, generator=rng).half(), "b:q": skewed, "b:s": torch.ones(50).half(),
        "gain": torch.randn(8, generator=rng), "index": torch.randint(0, 256, (2500,), generator=rng).to(torch.uint8),
    }  # fmt: skip


def resealed(data: bytes) -> bytes:
    """The container with a checksum that holds again: damage that only the reader's own checks can see."""
    return data[:-4] + struct.pack("<I", zlib.crc32(data[:-4]))


def damaged(data: bytes, rng: random.Random) -> bytes:
    """One of: a cut, a flipped byte, a run of noise, a piece moved, extra bytes, extreme bytes in the header."""
    text, at = bytearray(data), rng.randrange(len(data))
    match rng.randrange(7):
        case 0:
            del text[at:]
        case 1:
            text[at] ^= 1 << rng.randrange(8)
        case 2:
            text[at : at + 9] = rng.randbytes(len(text[at : at + 9]))
        case 3:
            del text[at : at + rng.randrange(1, 40)]
        case 4:
            text[at:at] = rng.randbytes(rng.randrange(1, 40))
        case 5:
            start = rng.randrange(HEADER.size)
            text[start : start + 4] = b"\xff" * len(text[start : start + 4])
        case _:
            start = HEADER.size + rng.randrange(max(len(data) - HEADER.size, 1))
            text[start : start + 8] = b"\xff" * len(text[start : start + 8])
    return bytes(text)


def try_damage(coder: Any, tmp_path: Path, times: int, seed: int) -> int:
    """How many of `times` damaged containers were refused; any other outcome than ValueError or the tensors is a failure."""
    path = tmp_path / "model.golf"
    tensors = model_like()
    write_container(path, tensors, {}, coder)
    data, rng, refused = path.read_bytes(), random.Random(seed), 0
    for i in range(times):
        bad = damaged(data, rng)
        if bad == data:
            continue
        try:
            read, _ = parse_container(resealed(bad) if i % 2 and len(bad) > 4 else bad, {coder.name: coder})
        except ValueError as fault:
            assert str(fault)
            refused += 1
        else:  # a resealed container may hold other values, but only tensors of the shapes it declares
            assert i % 2, "damage that the checksum must see was read"
            assert all(isinstance(tensor, torch.Tensor) for tensor in read.values())
    return refused


@pytest.mark.parametrize("coder", CODERS, ids=lambda coder: coder.name)
def test_damaged_containers_are_refused_with_a_sentence(coder: Any, tmp_path: Path) -> None:
    assert try_damage(coder, tmp_path, 150, seed=1) > 75


@pytest.mark.slow
@pytest.mark.parametrize("coder", CODERS, ids=lambda coder: coder.name)
def test_of_ten_thousand_damaged_containers_none_crashes(coder: Any, tmp_path: Path) -> None:
    assert try_damage(coder, tmp_path, 10_000 // len(CODERS) + 1, seed=2) > 700


def test_rans_stays_within_a_tenth_of_a_percent_of_the_entropy() -> None:
    rng = torch.Generator().manual_seed(0)
    codes = torch.round(torch.randn(1024, 4096, generator=rng) / 0.4145).to(torch.int8)
    counts = torch.bincount(codes.flatten().int() + 128).double()
    share = counts[counts > 0] / counts.sum()
    entropy_bytes = float(-(share * share.log2()).sum()) * codes.numel() / 8
    assert len(RansCoder.encode([codes])) < 1.001 * entropy_bytes


def test_a_payload_cannot_make_the_reader_allocate_more_than_its_manifest_says(tmp_path: Path) -> None:
    path = tmp_path / "model.golf"
    for coder in CODERS[1:]:
        bomb = coder.encode([torch.zeros(3_000_000, dtype=torch.int8)])
        with pytest.raises(ValueError, match=r"\w"):
            coder.decode(bomb, [("w", "int8", [100])], 100)
    write_container(path, {"w": torch.zeros(4)}, {}, RawCoder)
    data = bytearray(path.read_bytes())
    struct.pack_into("<Q", data, HEADER.size - 8, 1 << 60)
    with pytest.raises(ValueError, match="shapes do not add up"):
        parse_container(resealed(bytes(data)), {"raw": RawCoder})


def test_a_manifest_nested_without_end_is_refused(tmp_path: Path) -> None:
    path, text = tmp_path / "model.golf", b"[" * 1_000_000
    body = HEADER.pack(b"GOLF", 1, b"raw", len(zlib.compress(text)), len(text), 0, 0) + zlib.compress(text)
    path.write_bytes(body + struct.pack("<I", zlib.crc32(body)))
    with pytest.raises(ValueError, match="damaged"):
        read_container(path, RawCoder)


def scaled_codes(rows: int, columns: int, seed: int) -> torch.Tensor:
    """Codes whose columns differ in scale."""
    rng = torch.Generator().manual_seed(seed)
    scale = 1 + torch.rand(columns, generator=rng)
    return torch.round(torch.randn(rows, columns, generator=rng) * scale / 0.4145).to(torch.int8)


@pytest.mark.parametrize("shape", [(96, 512), (512, 96), (128, 128), (17, 300)])
def test_contexts_read_back_wide_tall_and_square_matrices_alike(shape: tuple[int, int]) -> None:
    tensors = [scaled_codes(*shape, seed) for seed in range(3)] + [torch.zeros(2100, dtype=torch.int8)]
    specs = [(str(i), "int8", list(tensor.shape)) for i, tensor in enumerate(tensors)]
    read = ContextRansCoder.decode(ContextRansCoder.encode(tensors), specs, sum(t.numel() for t in tensors))
    assert all(torch.equal(a, b) for a, b in zip(read, tensors, strict=True))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.slow
def test_contexts_find_columns_and_rows_of_different_scale_and_cost_nothing_where_there_are_none(turned: bool) -> None:
    uneven = [scaled_codes(256, 1024, seed) for seed in range(4)]
    uneven = [codes.T.contiguous() for codes in uneven] if turned else uneven
    even = [torch.round(torch.randn(256, 1024, generator=torch.Generator().manual_seed(9)) * 2.4).to(torch.int8)]
    assert len(ContextRansCoder.encode(uneven)) < 0.998 * len(RansCoder.encode(uneven))
    assert len(ContextRansCoder.encode(even)) < len(RansCoder.encode(even)) + 3 * 256 + 100


def matrices(columns: float, means: float, count: int = 2, shape: tuple[int, int] = (256, 512)) -> list[torch.Tensor]:
    """Codes of Gaussian weights whose columns differ: in scale by `columns` (sd of its logarithm), in mean by `means` steps (sd)."""
    rng = torch.Generator().manual_seed(int(100 * columns + 10 * means))
    found = []
    for _ in range(count):
        scale = torch.exp(torch.randn(shape[1], generator=rng) * columns)
        mean = torch.randn(shape[1], generator=rng) * means
        weights = torch.randn(*shape, generator=rng) * 2.4 * scale + mean
        found.append(torch.round(weights).clamp(-31, 31).to(torch.int8))
    return found


@pytest.mark.parametrize(("columns", "means", "saved"), [(0.3, 0.0, 0.015), (0.0, 0.8, 0.008), (0.3, 0.8, 0.02)])
@pytest.mark.parametrize("turned", [False, True], ids=["wide", "tall"])
def test_contexts_find_columns_that_differ_in_scale_or_in_mean(
    columns: float, means: float, saved: float, turned: bool
) -> None:
    tensors = [m.T.contiguous() if turned else m for m in matrices(columns, means)]
    plain, found = len(RansCoder.encode(tensors)), ContextRansCoder.encode(tensors)
    assert len(found) < (1 - saved) * plain, f"{len(found) / plain - 1:+.3%}"
    specs = [(f"t{i}", "int8", list(t.shape)) for i, t in enumerate(tensors)]
    assert all(map(torch.equal, ContextRansCoder.decode(found, specs, 0), tensors))


def test_matrices_of_one_shape_may_each_have_their_own_step() -> None:
    rng = torch.Generator().manual_seed(4)
    steps = [1.0, 1.5, 3.0, 6.0]
    tensors = [torch.round(torch.randn(256, 512, generator=rng) * step).to(torch.int8) for step in steps]
    assert len(ContextRansCoder.encode(tensors)) < 1.004 * len(RansCoder.encode(tensors))


def test_contexts_cost_nothing_where_there_is_nothing_to_find() -> None:
    tensors = matrices(0.0, 0.0)
    assert (
        len(ContextRansCoder.encode(tensors)) <= len(RansCoder.encode(tensors)) + 3 * 256 + 100
    )  # states for every line


@pytest.mark.parametrize(
    "matrix",
    [
        torch.arange(64, dtype=torch.int8)[:, None].repeat(1, 80), torch.arange(64, dtype=torch.int8).repeat(80, 1),
        torch.full((50, 90), 255, dtype=torch.uint8), torch.full((64, 64), -128, dtype=torch.int8),
        torch.eye(60, dtype=torch.int8) * 127,
    ],
    ids=["rows constant", "columns constant", "all 255", "all -128", "a diagonal"],
)  # fmt: skip
def test_contexts_read_back_matrices_without_spread(matrix: torch.Tensor) -> None:
    kind = str(matrix.dtype).removeprefix("torch.")
    specs = [(name, kind, list(matrix.shape)) for name in "abc"]
    read = ContextRansCoder.decode(ContextRansCoder.encode([matrix] * 3), specs, 0)
    assert all(torch.equal(tensor, matrix) for tensor in read)


@pytest.mark.parametrize("shares", [[1] * 58, [1] * 256, [1e6, *[1] * 255], [3, 0, 2, 1e4], [0, 0, 5]], ids=len)
def test_frequencies_of_a_byte_each_add_up_and_keep_what_occurs(shares: list[float]) -> None:
    counts = np.array([shares]).astype(np.int64)
    freq = frequencies(to_coarse(counts))
    assert freq.sum() == 1 << 14 and ((freq > 0) == (counts > 0)).all()
    share = counts / counts.sum()
    lost = (share[counts > 0] * np.log2(share[counts > 0] * (1 << 14) / freq[counts > 0])).sum()
    assert lost < 0.002 or counts.max() / counts.sum() > 0.99
