"""The property tests D1, D1b, D2, D3, D4, D5, D9 (the table is in `golf.rules.dynamic`), as functions of an `Evaluator` and a stream.

Each returns an `Outcome` with what it measured; nothing here knows rules. Noise is measured first: the same stream twice.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from golf.rules.dynamic.scores import BOS, Evaluator, Ids, Scores

Mask = npt.NDArray[np.bool_]
FLOOR_NATS = 1e-9
NOISE_FACTOR = 10.0
KRAFT_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Outcome:
    """What a check measured. holds: whether the property held; figure: the number that decides; detail: for people."""

    check: str
    holds: bool
    figure: float
    detail: str
    positions: tuple[int, ...] = ()


def noise(evaluator: Evaluator, stream: Ids, floor_nats: float = FLOOR_NATS) -> tuple[float, Outcome]:
    """D9: two runs on one stream; (tolerance in nats for the other checks, the outcome)."""
    one, two = evaluator.score(stream), evaluator.score(stream)
    worst = float(np.max(np.abs(one.nll - two.nll), initial=0.0))
    total = abs(float(one.nll.sum() - two.nll.sum())) / max(float(one.nll.sum()), 1e-12)
    outcome = Outcome("D9", total < 1e-4, worst, f"two runs differ by at most {worst:.2e} nats per target")
    return max(floor_nats, NOISE_FACTOR * worst), outcome


def future(evaluator: Evaluator, stream: Ids, rng: np.random.Generator, tolerance: float, cuts: int = 12) -> Outcome:
    """D1: other tokens from t on must not move the score of any target before t (or scored before any of them).

    figure: the share of such scores that moved.
    """
    base = evaluator.score(stream)
    moved = checked = 0
    worst, where = 0.0, -1
    for turn, cut in enumerate(cut_points(stream, cuts, rng)):
        changed = _other_tokens(stream, cut, base, evaluator, rng, keep_bos=turn % 2 == 0 or evaluator.documents)
        fixed = _must_stay(base, stream, changed, cut)
        delta = np.abs(evaluator.score(changed).nll - base.nll)[fixed]
        moved, checked = moved + int((delta > tolerance).sum()), checked + len(delta)
        if len(delta) and delta.max() > worst:
            worst, where = float(delta.max()), int(np.flatnonzero(fixed)[delta.argmax()])
    share = moved / max(checked, 1)
    detail = f"{100 * share:.1f} % of {checked} earlier scores move with later tokens"
    detail += f"; target {where + 1} by {worst:.3g} nats" if moved else ""
    return Outcome("D1", moved == 0, share, detail, (where,) if moved else ())


def cut_points(stream: Ids, cuts: int, rng: np.random.Generator) -> Ids:
    """Where the future begins: spread over the stream, away from its ends."""
    places = np.linspace(6, len(stream) - 4, cuts).astype(np.int64) + rng.integers(-2, 3, cuts)
    return np.unique(np.clip(places, 3, len(stream) - 2))


def _other_tokens(
    stream: Ids, cut: int, base: Scores, evaluator: Evaluator, rng: np.random.Generator, *, keep_bos: bool
) -> Ids:
    """`stream` with every token from `cut` on replaced by another; only to the end of the document where the order is a queue."""
    end = len(stream)
    if not base.in_stream_order:
        end = int(next((at for at in np.flatnonzero(stream == BOS) if at > cut), len(stream)))
    changed = stream.copy()
    changed[cut:end] = 2 + (stream[cut:end] - 2 + rng.integers(1, evaluator.vocab_size - 2, end - cut)) % (
        evaluator.vocab_size - 2
    )
    if keep_bos or not base.in_stream_order:
        changed[stream == BOS] = BOS
    return changed


def _must_stay(base: Scores, stream: Ids, changed: Ids, cut: int) -> Mask:
    """Which scores may not move: targets before the cut in stream order; in a queue, those that are earlier in the stream and were
    scored before any changed target, and the earlier ones of the changed document (one common order is D1b's question)."""
    targets = np.arange(1, len(stream))
    if base.in_stream_order:
        return np.asarray(targets < cut)
    touched = np.flatnonzero(changed != stream)
    first = base.order[touched - 1].min() if len(touched) else base.order.max() + 1
    start = np.flatnonzero(stream[: cut + 1] == BOS).max(initial=0)
    return np.asarray((targets < cut) & ((base.order < first) | (targets > start)))


def kraft(
    evaluator: Evaluator, stream: Ids, rng: np.random.Generator, positions: int = 24, tolerance: float = KRAFT_TOLERANCE
) -> Outcome:
    """D2: at a position, the probabilities of all tokens of the vocabulary sum to one. figure: the largest |Z - 1|.

    Where the order of scoring hangs on document lengths, BOS is left out and Z may be below one.
    """
    ordered = evaluator.score(stream).in_stream_order
    symbols = [token for token in range(evaluator.vocab_size) if ordered or token != BOS]
    free = np.flatnonzero((stream != BOS) & (np.arange(len(stream)) > len(stream) // 4))
    chosen = np.sort(rng.choice(free, min(positions, len(free)), replace=False))
    sums = []
    for at in chosen:
        changed = stream.copy()
        total = 0.0
        for token in symbols:
            changed[at] = token
            total += float(np.exp(-evaluator.score(changed).nll[at - 1]))
        sums.append(total)
    found = np.array(sums)
    over = found - 1.0 if not ordered else np.abs(found - 1.0)
    worst = int(over.argmax())
    detail = f"sums over the vocabulary: mean {found.mean():.4f}, largest {found.max():.4f}, smallest {found.min():.4f} ({len(found)} positions)"
    return Outcome("D2", bool(over.max() <= tolerance), float(over.max()), detail, (int(chosen[worst]),))


def mutual(evaluator: Evaluator, stream: Ids, rng: np.random.Generator, tolerance: float) -> Outcome:
    """D1b: documents may influence each other in one direction only. figure: the number of pairs that influence each other."""
    starts = [*np.flatnonzero(stream == BOS), len(stream)]
    spans = [(int(a), int(b)) for a, b in pairwise(starts)]
    base = evaluator.score(stream)
    depends = np.zeros((len(spans), len(spans)), dtype=bool)
    for i, (start, end) in enumerate(spans):
        changed = stream.copy()
        inner = slice(start + 1, end)
        changed[inner] = 2 + (changed[inner] - 2 + rng.integers(1, evaluator.vocab_size - 2, end - start - 1)) % (
            evaluator.vocab_size - 2
        )
        delta = np.abs(evaluator.score(changed).nll - base.nll) > tolerance
        for j, (first, last) in enumerate(spans):
            # the targets inside document j; the BOS that ends it belongs to the next document's start
            depends[i, j] = bool(delta[first : last - 1].any())
    np.fill_diagonal(depends, False)
    pairs = [(i, j) for i in range(len(spans)) for j in range(i) if depends[i, j] and depends[j, i]]
    possible = len(spans) * (len(spans) - 1) // 2
    return Outcome(
        "D1b", not pairs, float(len(pairs)), f"{len(pairs)} of {possible} pairs of documents influence each other"
    )


def chunk_update(evaluator: Evaluator, stream: Ids, tolerance: float) -> Outcome:
    """D3: two tokens swapped inside a chunk leave its earlier scores alone, and reach the next chunk through the adaptation.

    figure: the largest change of an earlier score of the chunk, in nats.
    """
    assert evaluator.chunk is not None
    base, chunk = evaluator.score(stream), evaluator.chunk
    inside = [
        at
        for at in range(chunk + chunk // 2, min(2 * chunk, len(stream) - 1))
        if stream[at] != stream[at + 1] and BOS not in stream[at : at + 2]
    ]
    if not inside:
        return Outcome("D3", True, 0.0, "the stream is too short to hold two chunks")
    changed = stream.copy()
    changed[inside[0]], changed[inside[0] + 1] = stream[inside[0] + 1], stream[inside[0]]
    delta = np.abs(evaluator.score(changed).nll - base.nll)
    before = float(delta[chunk : inside[0] - 1].max(initial=0.0))
    after = float(delta[2 * chunk :].max(initial=0.0))
    detail = f"earlier scores of the chunk move by {before:.2g} nats, the next chunks by {after:.2g}"
    return Outcome("D3", before <= tolerance, before, detail + ("" if after > tolerance else " (it does not adapt)"))


def boundary(evaluator: Evaluator, stream: Ids, tolerance: float) -> Outcome:
    """D4: the last token of a document must not move the scores inside the next one. figure: the largest change, in nats."""
    starts = np.flatnonzero(stream == BOS)[1:]
    base = evaluator.score(stream)
    worst, where = 0.0, -1
    for start in starts:
        changed = stream.copy()
        changed[start - 1] = 2 + (stream[start - 1] - 1) % (evaluator.vocab_size - 2)
        end = next((int(other) for other in starts if other > start), len(stream))
        delta = np.abs(evaluator.score(changed).nll - base.nll)[start : end - 1]
        if len(delta) and delta.max() > worst:
            worst, where = float(delta.max()), int(start)
    return Outcome(
        "D4",
        worst <= tolerance,
        worst,
        f"scores after a document's start move by at most {worst:.2g} nats",
        (where,) if where >= 0 else (),
    )


def coverage(scores: Scores, tail: int = 0) -> Outcome:
    """D5: every target once; the last `tail` ones may be scored again (the legacy window). figure: how many are wrong.

    Targets at the very end may be left out where the evaluator cuts the stream to whole windows.
    """
    visits = scores.visits
    end = int(np.flatnonzero(visits).max(initial=-1)) + 1
    body = visits[: max(end - tail, 0)]
    wrong = np.flatnonzero(body != 1)
    missing_tail = len(visits) - end
    detail = f"{end} targets scored, {len(wrong)} not exactly once" + (
        f", {missing_tail} cut off at the end" if missing_tail else ""
    )
    return Outcome("D5", len(wrong) == 0 and end > 0, float(len(wrong)), detail, tuple(int(p) for p in wrong[:6]))
