"""The side-car of a validation split: the bytes of text that every token stands for, in files beside the shards.

`fineweb_val_bytes_*.bin` has the shards' format, one count (uint16) a token, BOS 0. Transformed text (CaseOps) is scored by it and by
nothing else.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sentencepiece import SentencePieceProcessor

from golf.data import caseops
from golf.data.shards import BOS, Tokens, count_tokens, read_split, shard_files
from golf.errors import GolfError

SPLIT = "val_bytes"
AGAIN = "make both together, `golf data make --transform caseops`, or fetch them together, `golf data get --transform caseops`"
COMPARED_DOCUMENTS, COMPARED_TOKENS = 64, 1 << 20
LEAST_EQUAL = 0.95  # of their tokens: the text before normalisation has other bytes here and there


def has_side_car(folder: Path) -> bool:
    """Whether the folder of shards has a side-car."""
    return any(folder.glob(f"fineweb_{SPLIT}_[0-9]*.bin"))


def read_side_car(folder: Path) -> Tokens:
    """Bytes of every validation token, (tokens,) uint16. GolfError: none, or not one count a token of every shard."""
    for tokens, counts in zip(shard_files(folder, "val"), shard_files(folder, SPLIT), strict=False):
        if count_tokens(tokens) != count_tokens(counts):
            raise GolfError(f"{counts} has {count_tokens(counts):,} counts, {tokens.name} {count_tokens(tokens):,} tokens: "
                            "not its side-car", AGAIN)  # fmt: skip
    numbers = {split: len(shard_files(folder, split)) for split in ("val", SPLIT)}
    if len(set(numbers.values())) > 1:
        raise GolfError(
            f"{folder} has {numbers['val']} validation shards and {numbers[SPLIT]} of their side-car", AGAIN
        )
    return read_split(folder, SPLIT)


def check_side_car(sp: SentencePieceProcessor, folder: Path) -> int:
    """Check the side-car against the decoded tokens; its sum in bytes. GolfError where it belongs to other tokens.

    Every BOS counts nothing; in the first documents the counts are those of their decoded text for nearly every token (what
    the normaliser folded had other bytes before).
    """
    tokens, counts = read_split(folder, "val"), read_side_car(folder)
    wrong = np.flatnonzero((tokens == BOS) & (counts != 0))
    if len(wrong):
        raise GolfError(
            f"the side-car in {folder} gives bytes to the start of a document (token {int(wrong[0]):,})", AGAIN
        )
    equal = total = 0
    for expected, found in _compared(sp, tokens, counts):
        equal += int(np.count_nonzero(expected == found))
        total += len(found)
    if equal < LEAST_EQUAL * total:
        raise GolfError(f"the side-car in {folder} is not of these tokens: of the first {total:,}, {equal:,} have the bytes of "
                        "their text", AGAIN)  # fmt: skip
    return int(counts.sum(dtype=np.int64))


def _compared(
    sp: SentencePieceProcessor, tokens: Tokens, counts: Tokens
) -> Iterator[tuple[npt.NDArray[np.int64], Tokens]]:
    """Per document that comes back: the counts of its decoded text, and those of the side-car."""
    head = tokens[:COMPARED_TOKENS]
    starts = [*(np.flatnonzero(head == BOS) + 1).tolist(), len(head) + 1][: COMPARED_DOCUMENTS + 1]
    for start, stop in pairwise(starts):
        ids = head[start : stop - 1].tolist()
        again, expected = caseops.tokenize(sp, sp.decode(ids), marked=caseops.is_caseops(sp))
        if again == ids:
            yield expected, counts[start : stop - 1]
