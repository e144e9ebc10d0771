"""Whether train and validation share text: whole documents, and runs of 64 tokens (rule R22).

Every window of 64 validation tokens is hashed, the train shards stream past, and each hit is confirmed token by token, so
what is reported is shared for certain; a miss would need two different windows with one 64-bit hash.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from golf.data.shards import BOS, Tokens, read_shard, split_documents

SHINGLE_TOKENS = 64  # a power of two: window hashes are built by doubling
CHUNK_TOKENS = 1 << 22
MAX_FILTER_BITS = 28
CONFIRM_WINDOWS = 1 << 14  # compared at once: 2 MB on each side

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Overlap:
    """What two token streams share. `shared_shingles` counts validation positions, `shared_val_tokens` what they cover.

    sample: one window in so many was compared, chosen by its content (see `prove`); the two counts are then of those windows.
    """

    train_documents: int
    val_documents: int
    train_tokens: int
    val_tokens: int
    shared_documents: int
    shared_shingles: int
    shared_val_tokens: int
    examples: tuple[int, ...]  # validation positions where a shared run of tokens starts, at most ten
    sample: int = 1

    @property
    def shared_share(self) -> float:
        """The share of the validation tokens that lies inside a shared run."""
        return self.shared_val_tokens / self.val_tokens if self.val_tokens else 0.0

    def within(self, tolerance: float) -> bool:
        """No shared document, and at most `tolerance` of the validation tokens inside shared runs."""
        return self.shared_documents == 0 and self.shared_share <= tolerance


def find_overlap(train: Iterable[Path], val: Iterable[Path]) -> Overlap:
    """Compare the shards of two splits; memory grows with validation (about 40 bytes a token), never with train."""
    return compare_streams([read_shard(path) for path in train], [read_shard(path) for path in val])


def compare_streams(train: list[Tokens], val: list[Tokens]) -> Overlap:
    """As `find_overlap`, for shards already read: lists of (tokens,) uint16 that follow one another."""
    target = np.concatenate([np.asarray(part) for part in val])
    shared = shared_positions(train, target)
    covered = np.zeros(len(target) + 1, dtype=np.int64)
    np.add.at(covered, shared, 1)
    np.add.at(covered, np.minimum(shared + SHINGLE_TOKENS, len(target)), -1)
    run_starts = shared[np.diff(shared, prepend=-2) > 1]
    val_documents = set(document_hashes([target]))
    train_hashes = list(document_hashes(train))
    return Overlap(
        train_documents=len(train_hashes),
        val_documents=len(list(document_hashes([target]))),
        train_tokens=sum(len(part) for part in train),
        val_tokens=len(target),
        shared_documents=len(val_documents.intersection(train_hashes)),
        shared_shingles=len(shared),
        shared_val_tokens=int(np.count_nonzero(np.cumsum(covered[:-1]))),
        examples=tuple(run_starts[:10].tolist()),
    )


def window_hashes(ids: npt.NDArray[np.integer]) -> Hashes:
    """A 64-bit hash of every window of 64 tokens: (tokens − 63,), equal windows equal hashes."""
    with np.errstate(over="ignore"):
        value = _mix(np.asarray(ids).astype(np.uint64))
        factor = np.uint64(0x9E3779B97F4A7C15)
        width = 1
        while width < SHINGLE_TOKENS:
            if len(value) <= width:
                return np.zeros(0, dtype=np.uint64)
            value = value[:-width] * factor + value[width:]
            factor = factor * factor
            width *= 2
        return _mix(value)


def _mix(value: Hashes) -> Hashes:
    """A bijection that spreads every bit over the word (the finaliser of splitmix64)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def shared_positions(train: list[Tokens], val: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """The validation positions, ascending, whose 64-token window occurs anywhere in the train stream."""
    hashes = window_hashes(val)
    if not len(hashes):
        return np.zeros(0, dtype=np.int64)
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    bits = min(max(int(len(hashes) * 8).bit_length(), 16), MAX_FILTER_BITS)
    seen = np.zeros(1 << bits, dtype=np.bool_)
    shift = np.uint64(64 - bits)
    seen[hashes >> shift] = True
    shared = np.zeros(len(hashes), dtype=np.bool_)
    for chunk in _chunks(train):
        found = window_hashes(chunk)
        maybe = np.flatnonzero(seen[found >> shift])
        distinct, first = np.unique(found[maybe], return_index=True)
        left, right = np.searchsorted(ranked, distinct, "left"), np.searchsorted(ranked, distinct, "right")
        # one pair for each hit and each validation window of its hash
        copies = right - left
        ends = np.cumsum(copies)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(left - ends + copies, copies)
        _confirm(shared, val, order[places], chunk, np.repeat(maybe[first], copies))
    return np.flatnonzero(shared)


def _confirm(
    shared: npt.NDArray[np.bool_],
    val: npt.NDArray[np.integer],
    val_starts: npt.NDArray[np.int64],
    train: npt.NDArray[np.integer],
    train_starts: npt.NDArray[np.int64],
) -> None:
    """Mark the validation windows that equal their train window token by token."""
    if not len(val_starts):
        return
    val_windows = np.lib.stride_tricks.sliding_window_view(val, SHINGLE_TOKENS)
    train_windows = np.lib.stride_tricks.sliding_window_view(train, SHINGLE_TOKENS)
    fresh = np.flatnonzero(~shared[val_starts])
    for start in range(0, len(fresh), CONFIRM_WINDOWS):
        batch = fresh[start : start + CONFIRM_WINDOWS]
        same = (val_windows[val_starts[batch]] == train_windows[train_starts[batch]]).all(axis=1)
        shared[val_starts[batch]] |= same


def _chunks(parts: list[Tokens]) -> Iterator[npt.NDArray[np.integer]]:
    """The stream in pieces that overlap by 63 tokens, so that every window lies whole in one of them."""
    tail: npt.NDArray[np.integer] = np.zeros(0, dtype=np.uint16)
    for part in parts:
        for start in range(0, len(part), CHUNK_TOKENS):
            chunk = np.concatenate([tail, np.asarray(part[start : start + CHUNK_TOKENS])])
            yield chunk
            tail = chunk[-(SHINGLE_TOKENS - 1) :]


def document_hashes(parts: list[Tokens]) -> Iterator[bytes]:
    """A 128-bit hash of every document of a stream; documents may run over from one shard into the next."""
    open_document = hashlib.blake2b(digest_size=16)
    empty = True
    for part in parts:
        ids = np.asarray(part)
        pieces = split_documents(ids, BOS)
        goes_on = len(ids) > 0 and int(ids[0]) != BOS
        for number, piece in enumerate(pieces):
            if number > 0 or not goes_on:
                if not empty:
                    yield open_document.digest()
                open_document, empty = hashlib.blake2b(digest_size=16), False
            open_document.update(piece.astype("<u2").tobytes())
            empty = False
    if not empty:
        yield open_document.digest()
