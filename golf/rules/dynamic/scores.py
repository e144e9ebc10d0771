"""What an evaluator shows to the checks: the score of every target, how often it was scored, and when."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
BOS = 1
REPEATED = 0.94  # share of ids that repeat in a stream with a period


@dataclass(frozen=True)
class Scores:
    """Prediction index p scores target V[p + 1] from V[..p]; N = len(V) - 1.

    nll: float64 (N,), nats, as the reported sums use them. visits: int (N,), how often p was added. order: int (N,), time stamps;
    equal stamps mean scored together.
    """

    nll: npt.NDArray[np.float64]
    visits: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]

    @property
    def in_stream_order(self) -> bool:
        """Whether no target was scored after one that follows it."""
        return bool(np.all(np.diff(self.order) >= 0))


@dataclass(frozen=True)
class Evaluator:
    """An evaluator with its stub model: `score(V)` for any V of ids below `vocab_size`, always from the same start.

    chunk: what it scores together before it may adapt (tokens); None when it never adapts.
    """

    name: str
    vocab_size: int
    score: Callable[[Ids], Scores]
    chunk: int | None = None
    documents: bool = False  # scores document by document, so that streams need BOS ids that stay


def random_stream(
    vocab_size: int,
    tokens: int,
    rng: np.random.Generator,
    document_tokens: int | None = None,
    period: int | None = None,
) -> Ids:
    """Random ids without BOS but for the starts of documents: every `document_tokens` (varied by a third), and position 0.

    period: most ids repeat those so many before, so that caches and hints of long contexts have something to find.
    """
    stream = rng.integers(2, vocab_size, tokens).astype(np.int64)
    if period:
        repeats = rng.random(tokens) < REPEATED
        for at in range(period, tokens):
            if repeats[at]:
                stream[at] = stream[at - period]
    stream[0] = BOS
    at = 0
    while document_tokens:
        at += int(document_tokens + rng.integers(-(document_tokens // 3), document_tokens // 3 + 1))
        if at >= tokens - 4:
            break
        stream[at] = BOS
    return stream
