"""A small twin's data: the same shards with the first documents of the validation split."""

from dataclasses import replace

import numpy as np
import pytest

from golf.data.bounded import TWIN_VAL_TOKENS, bounded, first_documents
from golf.data.shards import read_split, shard_files, write_documents
from golf.data.source import DataSource, check_source, find_tokenizer, resolve_data
from golf.errors import GolfError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path, cache):
    """Three shards of 40 documents of 99 tokens, with a tokenizer that nobody opens."""
    folder = tmp_path / "datasets" / "some_sp1024"
    rng = np.random.default_rng(0)
    documents = [rng.integers(3, 1024, 99).tolist() for _ in range(40)]
    write_documents(folder, documents, "val", shard_tokens=1500)
    write_documents(folder, documents[:3], "train", shard_tokens=150)
    tokenizer = tmp_path / "tokenizers" / "some_1024_bpe.model"
    tokenizer.parent.mkdir()
    tokenizer.write_bytes(b"x")
    return DataSource(folder, tokenizer, "10min_16mb", folder.name, 1024, 300, 4000, 2)


@pytest.mark.parametrize(("bound", "kept"), [(2000, 2000), (2050, 2000), (2099, 2000), (150, 100), (60, 60)])
def test_whole_documents_up_to_the_bound(source, bound, kept):
    twin = bounded(source, bound)
    whole = read_split(source.data_path, "val")
    assert np.array_equal(read_split(twin.data_path, "val"), whole[:kept])
    assert twin.val_tokens == kept and twin.track == "local" and twin.name == source.name
    assert np.array_equal(read_split(twin.data_path, "train"), read_split(source.data_path, "train"))
    assert find_tokenizer(1024, twin.data_path, twin.data_path) == twin.tokenizer_path


def test_a_short_split_is_taken_as_it_is(source):
    assert bounded(source, 4000) is source
    assert np.array_equal(first_documents(np.arange(5, dtype=np.uint16), 5), np.arange(5))


def test_of_a_long_document_only_its_beginning_is_kept():
    tokens = np.array([1, 5, 6, 7, 8, 1, 9, 1, 4, 4, 4, 4, 1, 3], dtype=np.uint16)
    assert first_documents(tokens, 100, longest=3).tolist() == [0, 1, 2, 5, 6, 7, 8, 9, 12, 13]
    assert first_documents(tokens, 9, longest=3).tolist() == [0, 1, 2, 5, 6, 7, 8, 9][:8]
    assert first_documents(tokens, 7, longest=3).tolist() == [0, 1, 2, 5, 6]
    assert first_documents(tokens, 2, longest=3).tolist() == [0, 1]
    assert first_documents(tokens[1:5], 9, longest=3).tolist() == [0, 1, 2]  # no document's start at all


def test_a_single_train_shard_becomes_two(source, monkeypatch):
    """A loader that reads a shard of its own a process has one for each of two."""
    write_documents(source.data_path, [[7] * 99, list(range(3, 102))], "train")
    (source.data_path / "fineweb_train_000001.bin").unlink()
    whole = read_split(source.data_path, "train")
    one = replace(source, train_shards=1)
    twin = bounded(one, 4000)
    assert twin.val_tokens == 4000 and twin.train_shards == 2 == len(shard_files(twin.data_path, "train"))
    assert np.array_equal(read_split(twin.data_path, "train"), whole)
    assert not any(path.is_symlink() for path in shard_files(twin.data_path, "train"))
    monkeypatch.setattr("golf.data.bounded.TWIN_TRAIN_TOKENS", 150)
    assert np.array_equal(read_split(bounded(one, 2000).data_path, "train"), whole[:150])


def test_it_is_built_once_and_anew_for_other_shards(source):
    first, again = bounded(source, 2000), bounded(source, 2000)
    assert first == again and not list(first.data_path.parents[2].glob(".first-*"))
    write_documents(source.data_path, [[7] * 99] * 40, "val", shard_tokens=1500)
    assert bounded(source, 2000).data_path != first.data_path


def test_a_cache_that_cannot_be_written_is_said(source, cache):
    cache.write_text("a file")
    with pytest.raises(GolfError, match="small twin's data") as fault:
        bounded(source, 2000)
    assert fault.value.code == 10


def test_the_official_shards_are_bounded(shared, cache):
    official = check_source(
        1024, shared / "shards" / "fineweb10B_sp1024", shared / "tokenizers" / "fineweb_1024_bpe.model"
    )
    twin = bounded(official)
    assert official.val_tokens > 1_000_000
    assert TWIN_VAL_TOKENS // 2 < twin.val_tokens <= TWIN_VAL_TOKENS
    checked = resolve_data(1024, twin.data_path)
    assert checked.tokenizer_path.resolve() == official.tokenizer_path and checked.val_tokens == twin.val_tokens
