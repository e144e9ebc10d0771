"""Bytes per token: the tables and the decoding oracle agree on the official tokenizers, shards and texts."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golf.data import accounting
from golf.data.accounting import byte_tables, count_bytes, decode_bytes, unigram
from golf.data.embedded import Embedded, make_embedded
from golf.data.shards import read_split
from golf.data.tokenizer import load_tokenizer

VOCABULARIES = (1024, 4096, 8192, 16384)
VAL_BYTES = 2_504_867  # of the 902 documents, after nmt_nfkc


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Embedded:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return make_embedded(1024)


def texts(shared: Path) -> list[str]:
    lines = (shared / "text" / "fineweb_val_docs_prefix902.jsonl").read_text().splitlines()
    return [json.loads(line)["text"] for line in lines]


@pytest.mark.parametrize("vocab_size", VOCABULARIES)
def test_902_official_documents_have_one_byte_count_under_every_tokenizer(shared: Path, vocab_size: int) -> None:
    sp = load_tokenizer(shared / "tokenizers" / f"fineweb_{vocab_size}_bpe.model", vocab_size)
    documents = texts(shared)
    assert len(documents) == 902
    ids = np.array([token for document in sp.encode(documents) for token in (1, *document)])
    assert count_bytes(byte_tables(sp), ids) == decode_bytes(sp, ids) == VAL_BYTES
    assert sum(len(text.encode()) for text in documents) == VAL_BYTES


@pytest.mark.parametrize("vocab_size", VOCABULARIES[:3])
def test_tables_and_oracle_agree_on_every_official_shard(shared: Path, vocab_size: int) -> None:
    sp = load_tokenizer(shared / "tokenizers" / f"fineweb_{vocab_size}_bpe.model", vocab_size)
    for split in ("train", "val"):
        ids = read_split(shared / "shards" / f"fineweb10B_sp{vocab_size}", split)
        found = count_bytes(byte_tables(sp, vocab_size), ids)
        assert found == decode_bytes(sp, ids)
        assert split == "train" or found == VAL_BYTES


def test_encoding_the_official_text_again_gives_the_official_ids(shared: Path) -> None:
    sp = load_tokenizer(shared / "tokenizers" / "fineweb_1024_bpe.model")
    ids = [token for document in sp.encode(texts(shared)) for token in (1, *document)]
    assert np.array_equal(ids, read_split(shared / "shards" / "fineweb10B_sp1024", "val"))


def test_tables_and_oracle_agree_on_the_embedded_corpus(embedded: Embedded) -> None:
    sp = load_tokenizer(embedded.tokenizer, 1024)
    for split in ("train", "val"):
        ids = read_split(embedded.dataset, split)
        assert count_bytes(byte_tables(sp), ids) == decode_bytes(sp, ids) == embedded.manifest[split]["text_bytes"]


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc", "Cf"]), max_size=60))
@settings(max_examples=200)
def test_any_text_counts_the_bytes_that_decoding_gives(embedded: Embedded, text: str) -> None:
    sp = load_tokenizer(embedded.tokenizer)
    ids = np.array([1, *sp.encode(text)])
    assert count_bytes(byte_tables(sp), ids) == decode_bytes(sp, ids)


def test_special_ids_and_ids_beyond_the_tokenizer_have_no_bytes(embedded: Embedded) -> None:
    tables = byte_tables(load_tokenizer(embedded.tokenizer), vocab_size=1100)
    assert len(tables.base_bytes) == len(tables.has_space) == len(tables.is_boundary) == 1100
    assert tables.base_bytes[:4].tolist() == [0, 0, 0, 0]
    assert tables.is_boundary[[0, 1, 2, 3, 1024, 1099]].all()
    assert not tables.is_boundary[4:1024].any()
    assert tables.base_bytes[4:260].tolist() == [1] * 256


def test_the_space_of_a_word_counts_after_text_and_not_after_bos(embedded: Embedded) -> None:
    sp = load_tokenizer(embedded.tokenizer)
    tables = byte_tables(sp)
    word = next(token for token in range(260, 1024) if sp.id_to_piece(token) == "▁the")
    assert count_bytes(tables, np.array([1, word])) == 3
    assert count_bytes(tables, np.array([1, word, word])) == 3 + 4
    space = sp.piece_to_id("▁")
    assert space != sp.unk_id()  # else a space would be three byte pieces (the Scylla fault)
    assert (count_bytes(tables, np.array([word, space])), count_bytes(tables, np.array([1, space]))) == (1, 0)


def test_counting_in_chunks_changes_nothing(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = byte_tables(load_tokenizer(embedded.tokenizer))
    ids = read_split(embedded.dataset, "val")[:5000]
    whole = count_bytes(tables, ids)
    monkeypatch.setattr(accounting, "CHUNK_TOKENS", 7)
    assert count_bytes(tables, ids) == whole


def test_the_unigram_floor_of_even_tokens_is_the_log_of_their_number(embedded: Embedded) -> None:
    tables = byte_tables(load_tokenizer(embedded.tokenizer))
    found = unigram(tables, np.array([1, *range(4, 260)]))  # 256 byte pieces, one byte each
    assert math.isclose(found.nats_per_token, math.log(256), rel_tol=1e-12)
    assert math.isclose(found.bpb, 8.0, rel_tol=1e-12)
    assert (found.tokens, found.text_bytes) == (256, 256)


def test_the_unigram_floor_of_official_text_is_what_its_counts_say(shared: Path) -> None:
    ids = read_split(shared / "shards" / "fineweb10B_sp1024", "val")
    sp = load_tokenizer(shared / "tokenizers" / "fineweb_1024_bpe.model")
    found = unigram(byte_tables(sp), ids)
    counts: dict[int, int] = {}
    for token in ids[1:].tolist():
        counts[token] = counts.get(token, 0) + 1
    nats = -sum(count * math.log(count / (len(ids) - 1)) for count in counts.values())
    assert math.isclose(found.nats_per_token, nats / (len(ids) - 1), rel_tol=1e-9)
    assert math.isclose(found.bpb, nats / math.log(2) / VAL_BYTES, rel_tol=1e-9)
