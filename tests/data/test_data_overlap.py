"""The overlap search finds every shared run of 64 tokens and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golf.data import overlap
from golf.data.overlap import compare_streams, document_hashes, find_overlap, shared_positions, window_hashes
from golf.data.shards import write_documents


def brute_force(train: np.ndarray, val: np.ndarray) -> list[int]:
    known = {train[i : i + 64].tobytes() for i in range(len(train) - 63)}
    return [i for i in range(len(val) - 63) if val[i : i + 64].tobytes() in known]


@given(
    seed=st.integers(0, 2**32 - 1),
    alphabet=st.integers(1, 4),
    copied=st.integers(0, 90),
    cut=st.integers(1, 399),
    chunk_tokens=st.integers(1, 500),
)
@settings(max_examples=60)
def test_shared_positions_are_those_of_brute_force(
    seed: int, alphabet: int, copied: int, cut: int, chunk_tokens: int
) -> None:
    rng = np.random.default_rng(seed)
    train, val = (rng.integers(0, alphabet, size, dtype=np.uint16) for size in (400, 200))
    val[100 : 100 + copied] = train[200 : 200 + copied]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "CHUNK_TOKENS", chunk_tokens)
        assert shared_positions([train[:cut], train[cut:]], val).tolist() == brute_force(train, val)


@pytest.mark.parametrize("tokens", [0, 1, 63, 64, 65])
def test_there_is_a_hash_for_every_whole_window(tokens: int) -> None:
    assert len(window_hashes(np.zeros(tokens, dtype=np.uint16))) == max(tokens - 63, 0)


@given(seed=st.integers(0, 2**32 - 1), at=st.integers(0, 63))
def test_one_other_token_is_another_hash(seed: int, at: int) -> None:
    window = np.random.default_rng(seed).integers(0, 65_535, 64, dtype=np.uint16)
    other = window.copy()
    other[at] += 1
    assert window_hashes(window)[0] != window_hashes(other)[0]


@given(documents=st.lists(st.lists(st.integers(2, 9), max_size=9), min_size=1, max_size=9), cut=st.integers(1, 30))
@settings(max_examples=60)
def test_documents_are_the_same_wherever_shards_are_cut(documents: list[list[int]], cut: int) -> None:
    stream = np.array([token for document in documents for token in (1, *document)], dtype=np.uint16)
    whole = list(document_hashes([stream]))
    assert list(document_hashes([stream[start : start + cut] for start in range(0, len(stream), cut)])) == whole
    assert len(whole) == len(documents)
    assert len(set(whole)) == len({tuple(document) for document in documents})


def test_a_leaked_document_and_what_it_covers_are_counted() -> None:
    rng = np.random.default_rng(0)
    documents = [rng.integers(4, 1024, 200) for _ in range(6)]
    train = np.concatenate([[1, *document] for document in documents[:4]]).astype(np.uint16)
    val = np.concatenate([[1, *document] for document in [documents[4], documents[2], documents[5]]]).astype(np.uint16)
    found = compare_streams([train], [val])
    assert (found.train_documents, found.val_documents, found.shared_documents) == (4, 3, 1)
    assert found.shared_val_tokens == 202  # the document, and a BOS on both sides
    assert found.shared_shingles == 202 - 63
    assert found.examples == (201,)
    assert found.shared_share == 202 / 603
    assert not found.within(1.0)


def test_a_short_document_counts_as_shared_though_it_has_no_run_of_64() -> None:
    found = compare_streams([np.array([1, 5, 6, 1, 7], np.uint16)], [np.array([1, 8, 1, 5, 6], np.uint16)])
    assert (found.shared_documents, found.shared_shingles) == (1, 0)


def test_a_tolerance_forgives_runs_but_no_document() -> None:
    rng = np.random.default_rng(1)
    shared = rng.integers(4, 1024, 70).tolist()
    train, val = ([1, *rng.integers(4, 1024, 930).tolist(), *shared] for _ in range(2))
    found = compare_streams([np.array(train, np.uint16)], [np.array(val, np.uint16)])
    assert found.shared_val_tokens == 70
    assert found.within(0.08)
    assert not found.within(0.06)


def test_the_official_sample_shares_no_document(shared: Path) -> None:
    folder = shared / "shards" / "fineweb10B_sp1024"
    found = find_overlap(folder.glob("fineweb_train_*.bin"), folder.glob("fineweb_val_*.bin"))
    assert (found.train_documents, found.val_documents) == (200, 902)
    assert (found.shared_documents, found.shared_shingles) == (0, 0)
    both = find_overlap(folder.glob("*.bin"), folder.glob("fineweb_val_*.bin"))
    assert both.shared_documents == 902
    assert both.shared_val_tokens == both.val_tokens


def test_shards_on_disk_are_compared_as_streams(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    documents = [rng.integers(4, 1024, 100).tolist() for _ in range(4)]
    train = write_documents(tmp_path, documents, "train", shard_tokens=130)
    val = write_documents(tmp_path, [documents[2]], "val")
    assert len(train) == 4
    assert find_overlap(train, val).shared_documents == 1


def test_a_collision_of_hashes_is_never_reported_as_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "window_hashes", lambda ids: np.zeros(max(len(ids) - 63, 0), dtype=np.uint64))
    rng = np.random.default_rng(3)
    train, val = (rng.integers(0, 9, 100, dtype=np.uint16) for _ in range(2))
    assert shared_positions([train], val).tolist() == []
    val[20:84] = train[:64]
    assert shared_positions([train], val).tolist() == [20]
