"""Disjointness at full size: planted documents and runs are found in bounded memory, a stopped proof goes on; known sets are named."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golf.data import prove as module
from golf.data.known import data_line, known_sets, recognised, sentence
from golf.data.overlap import compare_streams, document_hashes
from golf.data.prove import prove
from golf.data.shards import read_shard, write_shard


@pytest.fixture
def full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of large sets for small ones, in blocks that cut documents and windows."""
    monkeypatch.setattr(module, "EXACT_TOKENS", 0)
    monkeypatch.setattr(module, "BLOCK_TOKENS", 1000)


def stream(rng: np.random.Generator, documents: int, longest: int = 700) -> np.ndarray:
    parts = [np.concatenate([[1], rng.integers(2, 8000, rng.integers(1, longest))]) for _ in range(documents)]
    return np.concatenate(parts).astype(np.uint16)


def shards(folder: Path, split: str, tokens: np.ndarray, size: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    cuts = range(0, len(tokens), size)
    return [write_shard(folder / f"fineweb_{split}_{n:06d}.bin", tokens[at : at + size]) for n, at in enumerate(cuts)]


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(300, 3000), block=st.integers(200, 2000))
@settings(max_examples=8)
def test_documents_and_windows_are_those_of_the_small_search(
    seed: int, size: int, block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the cuts: shared documents exactly, shared windows those of the exact search whose hash is chosen."""
    rng = np.random.default_rng(seed)
    val, train = stream(rng, 12, 300), stream(rng, 12, 300)
    planted = val[np.flatnonzero(val == 1)[3] : np.flatnonzero(val == 1)[6]]
    train = np.concatenate([train, planted, stream(rng, 3)])
    folder = tmp_path_factory.mktemp("proof")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "EXACT_TOKENS", 0)
        patch.setattr(module, "BLOCK_TOKENS", block)
        found = prove(shards(folder / "t", "train", train, size), shards(folder / "v", "val", val, size))
    exact = compare_streams([train], [val])
    assert (found.shared_documents, found.train_documents, found.val_documents) == (
        exact.shared_documents,
        exact.train_documents,
        len(set(document_hashes([val]))),
    )
    assert found.sample == 16 and found.shared_shingles <= exact.shared_shingles
    assert found.shared_shingles == pytest.approx(exact.shared_shingles / 16, abs=6 + exact.shared_shingles / 16)


def test_a_planted_run_is_found_and_nothing_else(full_size: None, tmp_path: Path) -> None:
    """A run without its document's borders; disjoint sets share nothing."""
    rng = np.random.default_rng(7)
    val, train = stream(rng, 60), stream(rng, 90)
    clean = prove(shards(tmp_path / "a", "train", train, 5000), shards(tmp_path / "v", "val", val, 5000))
    assert clean.within(0.0) and clean.shared_shingles == 0
    train[2000:2600] = val[3000:3600]
    found = prove(shards(tmp_path / "b", "train", train, 5000), shards(tmp_path / "v", "val", val, 5000))
    assert not found.within(0.0) and 15 < found.shared_shingles < 65
    assert 3000 <= found.examples[0] < 3200 and found.shared_val_tokens <= 600


def test_a_document_that_runs_over_into_the_next_shard_is_one(full_size: None, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    val, train = stream(rng, 9), stream(rng, 9)
    start, end = (int(np.flatnonzero(val == 1)[place]) for place in (4, 5))
    at = int(np.flatnonzero(train == 1)[5])
    train = np.concatenate([train[:at], val[start:end], train[at:]])
    for size in (at + 1, at + (end - start) // 2, at + (end - start) - 1, at):
        found = prove(shards(tmp_path / str(size), "train", train, size), shards(tmp_path / "v", "val", val, 10**6))
        assert found.shared_documents == 1 and found.train_documents == 10, size


def test_a_stopped_proof_goes_on_and_another_validation_starts_anew(
    full_size: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(9)
    val, train = stream(rng, 20), stream(rng, 60)
    train[500:1200] = val[500:1200]
    train_paths, val_paths = shards(tmp_path / "t", "train", train, 4000), shards(tmp_path / "v", "val", val, 10**6)
    state, read = tmp_path / "state.json", []
    real = module._shared

    def stopping(parts, **given):
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(parts[0].name)
        return real(parts, **given)

    monkeypatch.setattr(module, "_shared", stopping)
    with pytest.raises(KeyboardInterrupt):
        prove(train_paths, val_paths, state)
    monkeypatch.setattr(module, "_shared", lambda parts, **given: read.append(parts[0].name) or real(parts, **given))
    found = prove(train_paths, val_paths, state)
    assert read == [path.name for path in train_paths], "no shard is read twice"
    assert found == prove(train_paths, val_paths) and not found.within(0.0)
    other = shards(tmp_path / "w", "val", stream(rng, 20), 10**6)
    assert prove(train_paths, other, state).within(0.0)
    for broken in ("", "[]", '{"version": 1, "val": 3}', '{"version": 1, "val": "x", "shards": {"a": [1]}}'):
        state.write_text(broken)
        assert prove(train_paths, val_paths, state) == found


@pytest.mark.slow
def test_memory_does_not_grow_with_train(tmp_path: Path) -> None:
    """Four times the shards, the same peak: 16 MB of train beside 9 MB of validation, which is more than the exact search takes whole."""
    rng = np.random.default_rng(10)
    tokens = rng.integers(2, 8000, 4_500_000).astype(np.uint16)
    tokens[::900] = 1
    val = shards(tmp_path / "v", "val", tokens, 4_500_000)
    train = []
    for number in range(4):
        other = rng.integers(2, 8000, 2_000_000).astype(np.uint16)
        other[::900] = 1
        train += [write_shard(tmp_path / f"fineweb_train_{number:06d}.bin", other)]
    code = (
        "import resource, re, sys, json; from pathlib import Path; from golf.data.prove import prove\n"
        "val, *train = map(Path, sys.argv[1:]); found = prove(train, [val])\n"
        "own = Path('/proc/self/status')\n"  # Linux hands the peak of the process that forked on to getrusage
        "peak = int(re.search(r'VmHWM:\\s+(\\d+)', own.read_text())[1]) if own.exists() else resource.getrusage(0).ru_maxrss\n"
        "print(json.dumps([peak, found.shared_documents, found.train_documents]))"
    )
    peaks = []
    for paths in (train[:1], train):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, [*val, *paths])], capture_output=True, text=True, check=True
        )
        peak, shared_documents, documents = json.loads(done.stdout)
        peaks.append(peak * (1 if sys.platform == "darwin" else 1024))
        assert shared_documents == 0 and documents == 2223 * len(paths)
    assert (
        peaks[1] < peaks[0] + 42_000_000 and peaks[1] < 400_000_000
    )  # mapped pages of the shards count, and may go any time


@pytest.mark.parametrize(
    ("facts", "name", "good"),
    [
        ({"vocab_size": 1024, "val_tokens": 62_021_632}, "pgolf-sp1024", True),
        ({"vocab_size": 4096, "val_tokens": 45_508_608}, "pgolf-sp4096", True),
        ({"vocab_size": 8192, "val_tokens": 40_540_160, "train_shards": 80}, "pgolf-sp8192", True),
        ({"val_tokens": 47_851_520}, "pgolf-sp8192-caseops", True),
        ({"val_tokens": 151_080_891}, "pgolf-byte", True),
        ({"val_tokens": 63_779_840}, "first export of SP1024", False),
        (
            {"train_shards": 1499, "val_tokens": 47_851_520},
            "home-made CaseOps shards of 10,000 validation documents",
            False,
        ),
        ({"val_tokens": 9_662_464}, "validation cut to 10,000 documents", False),
        ({"train_shards": 39, "val_tokens": 47_851_520}, "39 of 80 train shards", False),
    ],
)
def test_known_sets_are_named(facts: dict[str, int], name: str, good: bool) -> None:
    found = recognised(**facts)
    assert found[0].name == name and found[0].good is good
    assert ("known to be bad" in sentence(found)) is not good


def test_what_is_not_known_is_of_no_set() -> None:
    assert recognised() == [] and recognised(val_tokens=1000) == [] and sentence([]) == "no known set"
    assert recognised(vocab_size=1024, val_tokens=40_540_160) == [], "another vocabulary contradicts it"
    assert len({one.name for one in known_sets()}) == len(known_sets()) == 9
    assert data_line("mine", "ab", vocab_size=8192, val_tokens=40_540_160) == "pgolf-sp8192@sha256:ab"
    assert data_line("mine", "ab", vocab_size=8192, val_tokens=5) == "mine@sha256:ab"


def test_every_official_log_is_of_a_known_set(shared: Path) -> None:
    """Each that prints its validation tokens, but those of the non-record track that made their own."""
    from golf.logs import read_log

    found: dict[str, set[str]] = {}
    for path in sorted((shared / "records/track_10min_16mb").rglob("*")):
        if path.suffix in (".log", ".txt") and (run := read_log(path).run) and run.val_tokens:
            names = {one.name for one in recognised(vocab_size=run.vocab_size, val_tokens=run.val_tokens)}
            found.setdefault(",".join(sorted(names)), set()).add(
                f"{path.parent.name}: {run.vocab_size} {run.val_tokens}"
            )
    assert "" not in found, found
    assert set(found) == {"pgolf-sp1024", "pgolf-sp4096", "pgolf-sp8192", "pgolf-sp8192-caseops"}


def test_the_official_sample_by_the_way_of_large_sets(shared: Path, full_size: None) -> None:
    folder = shared / "shards" / "fineweb10B_sp1024"
    found = prove([folder / "fineweb_train_000000.bin"], [folder / "fineweb_val_000000.bin"])
    exact = compare_streams(
        [read_shard(folder / "fineweb_train_000000.bin")], [read_shard(folder / "fineweb_val_000000.bin")]
    )
    assert (found.shared_documents, found.train_documents, found.val_documents) == (0, 200, 902)
    assert found.shared_shingles <= exact.shared_shingles
