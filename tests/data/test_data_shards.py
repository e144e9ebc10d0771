"""Shards: what is written is read back; every way a file can be broken has its own message."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golf.data import shards
from golf.data.shards import (
    check_ids,
    count_tokens,
    read_shard,
    read_split,
    shard_files,
    split_documents,
    write_documents,
    write_shard,
)
from golf.errors import GolfError

TOKEN = st.integers(0, 65_535)
DOCUMENT = st.lists(st.integers(2, 65_535), max_size=20)


def shard_bytes(magic: int = 20240520, version: int = 1, count: int = 3, payload: bytes = b"\1\0\2\0\3\0") -> bytes:
    return struct.pack("<256i", magic, version, count, *[0] * 253) + payload


@given(ids=st.lists(TOKEN, min_size=1, max_size=300))
def test_a_shard_gives_back_the_ids_written_to_it(tmp_path_factory: pytest.TempPathFactory, ids: list[int]) -> None:
    path = write_shard(tmp_path_factory.mktemp("shard") / "fineweb_train_000000.bin", ids)
    assert read_shard(path).tolist() == ids
    assert count_tokens(path) == len(ids)
    assert path.stat().st_size == 1024 + 2 * len(ids)


def test_the_bytes_of_a_shard_are_the_published_format(tmp_path: Path) -> None:
    assert write_shard(tmp_path / "x.bin", [1, 2, 3]).read_bytes() == shard_bytes()


@given(documents=st.lists(DOCUMENT, min_size=1, max_size=12), shard_tokens=st.integers(1, 40))
@settings(max_examples=50)
def test_documents_survive_any_cut_into_shards(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[int]], shard_tokens: int
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    paths = write_documents(folder, documents, "val", shard_tokens=shard_tokens)
    assert paths == shard_files(folder, "val")
    assert all(count_tokens(path) == shard_tokens for path in paths[:-1])
    assert [document.tolist() for document in split_documents(read_split(folder, "val"))] == documents


def test_tokens_before_the_first_bos_are_a_document() -> None:
    assert [part.tolist() for part in split_documents(np.array([5, 6, 1, 7]))] == [[5, 6], [7]]
    assert [part.tolist() for part in split_documents(np.array([5, 6]))] == [[5, 6]]
    assert split_documents(np.array([], dtype=np.uint16)) == []


@pytest.mark.parametrize("wrong", [-1, 65_536])
def test_an_id_that_uint16_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path, wrong: int) -> None:
    with pytest.raises(GolfError, match=f"token id {wrong} "):
        write_shard(tmp_path / "x.bin", [3, wrong])
    assert list(tmp_path.iterdir()) == []


BROKEN = {
    "nothing in it": (b"", "is truncated: 0 bytes"),
    "half a header": (shard_bytes()[:500], "is truncated: 500 bytes"),
    "another magic": (shard_bytes(magic=20240521), "starts with 20240521, a shard with 20240520"),
    "another version": (shard_bytes(version=2), "has shard version 2, golf reads version 1"),
    "an odd size": (shard_bytes(payload=b"\1\0\2\0\3"), "is odd-sized: 5 bytes after the header"),
    "tokens missing": (shard_bytes(count=4), "is truncated: the header promises 4 tokens, the file holds 3"),
    "tokens too many": (shard_bytes(count=2), "is too long: the header promises 2 tokens, the file holds 3"),
    "a negative count": (shard_bytes(count=-1), "promises -1 tokens"),
    "no tokens": (shard_bytes(count=0, payload=b""), "is empty"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_shard_is_named_with_what_was_found_and_the_way_out(tmp_path: Path, fault: str) -> None:
    content, message = BROKEN[fault]
    path = tmp_path / "fineweb_train_000000.bin"
    path.write_bytes(content)
    with pytest.raises(GolfError) as caught:
        read_shard(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert "golf data get" in (caught.value.hint or "")


def test_a_missing_shard_and_a_folder_without_shards_are_named(tmp_path: Path) -> None:
    with pytest.raises(GolfError, match=r"no shard .*nowhere\.bin"):
        read_shard(tmp_path / "nowhere.bin")
    with pytest.raises(GolfError, match="cannot be read"):
        read_shard(tmp_path)
    with pytest.raises(GolfError, match=r"has no fineweb_val_\*\.bin"):
        shard_files(tmp_path, "val")
    with pytest.raises(GolfError, match="is no folder"):
        shard_files(tmp_path / "nowhere", "val")


@given(ids=st.lists(st.integers(0, 99), min_size=1, max_size=60), at=st.integers(0, 59), wrong=st.integers(100, 65_535))
@settings(max_examples=30)
def test_one_id_beyond_the_vocabulary_is_found_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory, ids: list[int], at: int, wrong: int
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    assert check_ids(write_shard(folder / "good.bin", ids), 100) == len(ids)
    at %= len(ids)
    bad = write_shard(folder / "bad.bin", [*ids[:at], wrong, *ids[at + 1 :]])
    with pytest.raises(GolfError, match=f"token id {wrong} at position {at}: the vocabulary has 100"):
        check_ids(bad, 100)


def test_a_large_shard_is_sampled_at_both_ends_and_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "FULL_CHECK_TOKENS", 1000)
    ids = np.full(1_000_000, 7)
    assert check_ids(write_shard(tmp_path / "good.bin", ids), 8) == 64 * 4096
    for at in (0, 999_999):
        bad = ids.copy()
        bad[at] = 8
        with pytest.raises(GolfError, match=f"at position {at:,}"):
            check_ids(write_shard(tmp_path / "bad.bin", bad), 8)


def test_the_official_shards_are_valid(shared: Path) -> None:
    val = shared / "shards" / "fineweb10B_sp1024" / "fineweb_val_000000.bin"
    assert count_tokens(val) == 1_040_298
    assert len(split_documents(read_shard(val))) == 902
    for vocabulary in (1024, 4096, 8192):
        for path in sorted((shared / "shards" / f"fineweb10B_sp{vocabulary}").glob("*.bin")):
            assert check_ids(path, vocabulary) == count_tokens(path)
