"""Train and validation proven disjoint at full size: by document hashes and sampled windows, in bounded memory, resumable.

Validation is kept as two sorted tables: a 64-bit hash of every document, and of every window of 64 tokens whose own hash falls into
one of SAMPLE classes. Train streams past once, a shard at a time; what each shard shares is written down, so that a proof that was
stopped goes on. A window is chosen by its content, so the same windows are chosen on both sides: a shared document is always found, a
shared run of 64 + k tokens is missed with probability (1 - 1/SAMPLE)^(k+1): 1.3e-14 for a run of 560 tokens. A chance hit needs two
different windows with one 64-bit hash. Where validation is small, `overlap` compares every window, and confirms each token by token.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from golf.data.hashes import digest_of, remembered_sha256
from golf.data.overlap import SHINGLE_TOKENS, Hashes, Overlap, find_overlap, window_hashes
from golf.data.shards import BOS, Tokens, count_tokens, read_shard
from golf.files import json_text, parse_json, write_atomically
from golf.project import cache_dir

SAMPLE = 16  # one window in so many, by its hash
EXACT_TOKENS = 1 << 22  # of validation up to here every window is compared
BLOCK_TOKENS = 1 << 20  # read and hashed at a time: about 40 MB
STATE_VERSION = 1


@dataclass(frozen=True)
class Shared:
    """What one train shard has: its documents (those that begin in it), and hashes that validation has too."""

    documents: int
    tokens: int
    shared_documents: tuple[int, ...]  # places in the table of validation documents
    shared_windows: tuple[int, ...]  # validation positions


def prove(
    train: Sequence[Path], val: Sequence[Path], state: Path | None = None, tell: Callable[[str], None] = lambda _: None
) -> Overlap:
    """What two splits share. state: a file that keeps what is done, shard by shard; it is of these bytes only.

    Memory: under 400 MB for the official validation split, whatever the size of train. GolfError as `read_shard`.
    """
    if sum(map(count_tokens, val)) <= EXACT_TOKENS:
        return find_overlap(train, val)
    key = _key(val)
    table = _table(val)
    done = _read_state(state, key)
    for number, path in enumerate(train):
        name = f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}"
        if name not in done:
            done[name] = _shared(list(train[number:]), first=number == 0, table=table)
            if state is not None:
                _write_state(state, key, done)
        tell(
            f"{path.name}: {len(done[name].shared_documents)} documents of validation, shard {number + 1} of {len(train)}"
        )
    names = [f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in train]
    return _overlap([done[name] for name in names], table)


def state_of(val: Sequence[Path]) -> Path:
    """Where the proof of this validation split keeps what is done."""
    return cache_dir() / "data" / f"prove_{_key(val)[:16]}.json"


def _key(val: Sequence[Path]) -> str:
    return digest_of({path.name: remembered_sha256(path) for path in val})


@dataclass(frozen=True)
class _Table:
    """Validation: sorted hashes of its documents; sorted hashes of its sampled windows with their positions."""

    documents: Hashes
    windows: Hashes
    positions: npt.NDArray[np.int64]
    tokens: int


def _table(val: Sequence[Path]) -> _Table:
    parts = [read_shard(path) for path in val]
    documents = np.array([value for value, _ in _documents(parts, first=True)], dtype=np.uint64)
    windows, positions = [], []
    for start, block in _blocks(parts):
        hashes = window_hashes(block)
        chosen = np.flatnonzero(hashes % np.uint64(SAMPLE) == 0)
        windows.append(hashes[chosen])
        positions.append(chosen + start)
    found, places = np.concatenate(windows), np.concatenate(positions)
    order = np.argsort(found, kind="stable")
    return _Table(np.sort(documents), found[order], places[order], sum(map(len, parts)))


def _shared(parts: Sequence[Path], *, first: bool, table: _Table) -> Shared:
    """What the first of `parts` shares; the others are read only as far as its last document runs over into them."""
    shards = [read_shard(path) for path in parts]
    documents: set[int] = set()
    count = 0
    for value, _ in _documents(shards, first=first, only_first=True):
        count += 1
        place = int(np.searchsorted(table.documents, np.uint64(value)))
        if place < len(table.documents) and int(table.documents[place]) == value:
            documents.add(place)
    windows: set[int] = set()
    reach = [shards[0], *(shard[: SHINGLE_TOKENS - 1] for shard in shards[1:2])]
    for _, block in _blocks(reach):
        hashes = window_hashes(block)
        hashes = np.unique(hashes[hashes % np.uint64(SAMPLE) == 0])
        left = np.searchsorted(table.windows, hashes, "left")
        right = np.searchsorted(table.windows, hashes, "right")
        for hit in np.flatnonzero(right > left):
            windows.update(table.positions[left[hit] : right[hit]].tolist())
    return Shared(count, len(shards[0]), tuple(sorted(documents)), tuple(sorted(windows)))


def _blocks(parts: Sequence[Tokens]) -> Iterator[tuple[int, npt.NDArray[np.integer]]]:
    """(position of its first token in the stream, block), each block reaching 63 tokens back, so that every window lies in one."""
    tail: npt.NDArray[np.integer] = np.zeros(0, dtype=np.uint16)
    at = 0
    for part in parts:
        for start in range(0, len(part), BLOCK_TOKENS):
            block = np.concatenate([tail, np.asarray(part[start : start + BLOCK_TOKENS])])
            yield at - len(tail), block
            at += len(block) - len(tail)
            tail = block[-(SHINGLE_TOKENS - 1) :]


def _documents(parts: Sequence[Tokens], *, first: bool, only_first: bool = False) -> Iterator[tuple[int, int]]:
    """(64-bit hash, tokens) of each document of a stream, without loading it.

    first: whether tokens before the first BOS are a document of this stream's own (not the end of one before it). only_first: only
    the documents that begin in the first part, the last of them to its end in the parts after it.
    """
    digest, length, open_ = hashlib.blake2b(digest_size=8), 0, first
    for number, part in enumerate(parts):
        for start in range(0, len(part), BLOCK_TOKENS):
            block = np.asarray(part[start : start + BLOCK_TOKENS]).astype("<u2")
            raw, edges = block.tobytes(), [*map(int, np.flatnonzero(block == BOS)), len(block)]
            before = 0
            for edge in edges:
                if open_ and edge > before:
                    digest.update(raw[2 * before : 2 * edge])
                    length += edge - before
                if edge == len(block):
                    break
                if open_ and length:
                    yield int.from_bytes(digest.digest(), "little"), length
                if only_first and number > 0:
                    return
                digest, length, open_, before = hashlib.blake2b(digest_size=8), 0, True, edge
    if open_ and length:
        yield int.from_bytes(digest.digest(), "little"), length


def _overlap(shards: Sequence[Shared], table: _Table) -> Overlap:
    windows = np.array(sorted({place for shard in shards for place in shard.shared_windows}), dtype=np.int64)
    gaps = int(np.minimum(np.diff(windows), SHINGLE_TOKENS).sum()) + SHINGLE_TOKENS if len(windows) else 0
    starts = windows[np.diff(windows, prepend=-(10**9)) > SHINGLE_TOKENS * 8]
    return Overlap(
        train_documents=sum(shard.documents for shard in shards), val_documents=len(table.documents),
        train_tokens=sum(shard.tokens for shard in shards), val_tokens=table.tokens,
        shared_documents=len({place for shard in shards for place in shard.shared_documents}),
        shared_shingles=len(windows), shared_val_tokens=gaps, examples=tuple(starts[:10].tolist()), sample=SAMPLE,
    )  # fmt: skip


def _read_state(state: Path | None, key: str) -> dict[str, Shared]:
    """What is done of this validation split; nothing where the file is of another one, of another version, or cannot be read."""
    try:
        table = parse_json(state.read_text(encoding="utf-8")) if state is not None else None
        if not isinstance(table, dict) or table.get("version") != STATE_VERSION or table.get("val") != key:
            return {}
        return {
            name: Shared(int(one[0]), int(one[1]), tuple(map(int, one[2])), tuple(map(int, one[3])))
            for name, one in table["shards"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return {}


def _write_state(state: Path, key: str, done: dict[str, Shared]) -> None:
    shards = {
        name: [one.documents, one.tokens, list(one.shared_documents), list(one.shared_windows)]
        for name, one in done.items()
    }
    state.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(state, json_text({"version": STATE_VERSION, "val": key, "shards": shards}).encode())
