"""The bound that a score must keep on a text of a known law, and what it needs to be broken.

The targets are drawn from a law P that codes them in `law_nats`. A predictor that fixes a normalised distribution before it sees each
target, however it adapts in between, gains c nats or more over P with probability at most e^-c (Ville's inequality: the ratio of its
probability to P's is a martingale of mean one).
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from golf.data.shards import BOS
from golf.harness.settings import SEQ
from golf.harness.texts import Text
from golf.rules.experiments.printed import Printed

CONVICTS_NATS = 20.0  # e^-20 = 2e-9
DOUBTFUL_NATS = 5.0
MOST_EDGE_TARGETS = 1024  # scored twice, or cut off, at the end of a text
MOST_REPEATED_TARGETS = 128
MOST_UNSURE_BYTES = 3e-3  # for what is left out to be told: a thousand guesses are tried, and one must fit two texts
FLOAT32_SHARE = 2e-7  # of the bytes of a text: what a quotient in float32 rounds
MOST_LEFT_OUT = 9  # times as many targets as are scored
MOST_TURNS = 8  # of windows, by ranks of which one alone counts or is forgotten
FEW_TARGETS = 64  # what a score is believed to cover at least where nothing says that it covers the text


@dataclass(frozen=True)
class Gain:
    """The gain of one printed score over the law. nats: positive where it is better than the law; bound_nats: what convicts."""

    score: Printed
    by: str  # "loss" or "bits"
    nats: float
    bound_nats: float

    @property
    def convicts(self) -> bool:
        """Whether no predictor that keeps the rules prints this, but once in 5·10^8."""
        return self.nats > self.bound_nats

    @property
    def visible_nats(self) -> float:
        """The smallest true gain that this run could have shown: what it lacks, and the bound."""
        return self.bound_nats - min(self.nats, 0.0)


def implied_bytes(score: Printed, text: Text) -> float | None:
    """Bytes of the text by the printed loss and bits: targets · loss / (ln 2 · bpb); None without both."""
    if score.loss is None or not score.bpb or not math.isfinite(score.loss) or not math.isfinite(score.bpb):
        return None
    return text.targets * score.loss / (math.log(2.0) * score.bpb)


def near_bytes(score: Printed, covers: "Covered") -> float:
    """How far the digits that were printed leave the implied bytes of a text open."""
    return (covers.implied_bytes or math.inf) * unsure_share(score) if score.loss and score.bpb else math.inf


def unsure_share(score: Printed) -> float:
    """By what share the digits that were printed of loss and bits leave their quotient open."""
    assert score.loss and score.bpb
    return 5e-9 + 0.5 * 10.0**-score.loss_digits / score.loss + 0.5 * 10.0**-score.bpb_digits / score.bpb


class Kind(StrEnum):
    """What loss and bits say of the targets that were scored."""

    WHOLE = "whole"  # every target once
    REPEATED = "repeated"  # and the last ones twice, as legacy sliding windows do
    TRIMMED = "trimmed"  # all but some at the end, cut to whole windows
    PART = "part"  # the beginning only
    LEFT_OUT = "left out"  # all but targets of one kind: documents by their length, where documents start, a part of every window
    BYTES = "bytes"  # every target, with another whole number of bytes
    OTHER = "other"  # neither
    UNTOLD = "untold"  # loss and bits are not both printed


@dataclass(frozen=True)
class LeftOut:
    """A guess of what a score leaves out, and how many targets it scores then. kind: what is left out, whatever the length; shorter, longer: of
    documents or windows by their length, the next ones of this text on both sides of the limit."""

    what: str
    targets: int
    kind: str = ""
    shorter: int = 0
    longer: int = 0

    def agrees(self, other: "LeftOut") -> bool:
        """Whether one limit explains both."""
        if not self.kind:
            return self.what == other.what
        return self.kind == other.kind and max(self.shorter, other.shorter) < min(self.longer, other.longer)


@dataclass(frozen=True)
class Covered:
    """How a printed score covers its text. targets: how many were scored; at least that many where it is not known. left_out: guesses
    that fit; several may fit one text."""

    kind: Kind
    targets: int
    implied_bytes: float | None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the number of scored targets is known."""
        return self.kind not in (Kind.OTHER, Kind.UNTOLD)


def covered(score: Printed, text: Text) -> Covered:
    """Which targets of `text` a score covers, by the bytes a token that its loss and bits imply: with a dozen digits one count fits."""
    implied = implied_bytes(score, text)
    few = min(FEW_TARGETS, text.targets)
    if implied is None or not text.text_bytes:
        return Covered(Kind.UNTOLD, few)
    assert score.loss is not None and score.bpb is not None
    n, per_target = text.targets, implied / text.targets
    near = implied * unsure_share(score)
    if abs(implied - text.text_bytes) <= max(near, FLOAT32_SHARE * implied):
        return Covered(Kind.WHOLE, n, implied)
    sums = np.cumsum(text.target_bytes)
    most = min(MOST_EDGE_TARGETS, n - 1)
    counts = np.arange(1, most + 1)
    tails = sums[-1] - sums[-1 - counts]
    for kind, bytes_scored, targets in (
        (Kind.REPEATED, sums[-1] + tails, n + counts),
        (Kind.TRIMMED, sums[-1] - tails, n - counts),
        (Kind.PART, sums[: n - most], np.arange(1, n - most + 1)),
    ):
        off = np.abs(per_target * targets - bytes_scored)
        if len(off) and off.min() <= near * targets[int(off.argmin())] / n:
            return Covered(kind, int(targets[int(off.argmin())]), implied)

    def fitting(parts: Iterable[tuple[LeftOut, int]]) -> tuple[LeftOut, ...]:
        return tuple(
            guess for guess, kept_bytes in (parts if near < MOST_UNSURE_BYTES else ())
            if MOST_LEFT_OUT * guess.targets >= n and abs(per_target * guess.targets - kept_bytes) <= near * guess.targets / n
        )  # fmt: skip

    if found := fitting(_documents_left_out(text)):
        return Covered(Kind.LEFT_OUT, found[0].targets, implied, found)
    if near < 0.05 and abs(implied - round(implied)) <= near:
        return Covered(Kind.BYTES, n, implied)
    # these are of round numbers, so that other bytes of a whole text could look like them
    if found := fitting(_windows_left_out(text)):
        return Covered(Kind.LEFT_OUT, found[0].targets, implied, found)
    return Covered(Kind.OTHER, few, implied)


def _documents_left_out(text: Text) -> Iterator[tuple[LeftOut, int]]:
    """What a score may leave out of a text that has several documents, and how many bytes are left."""
    starts, n = text.ids == BOS, text.targets
    follows = np.cumsum(starts[:-1]) - 1  # the document of every target, the next one's BOS with it
    if follows[-1] < 1:
        return
    is_start, first = starts[1:], starts[:-1]
    taken = LeftOut("the starts of documents, taken out of the stream", int((~starts).sum()) - 1)
    yield taken, text.bytes_without_starts
    for what, scored in (
        ("the starts of documents", ~is_start),
        ("the first token of every document", ~first),
        ("the starts of documents and what follows them", ~is_start & ~first),
    ):
        yield LeftOut(what, int(scored.sum())), int(text.target_bytes[scored].sum())
    within = np.arange(n) - np.flatnonzero(first)[follows]  # the place of every target in its document
    windows = np.cumsum(within % SEQ == 0) - 1
    for unit, parts in (("documents", follows), ("windows of documents", windows)):
        for beside, scored in (("", np.ones(n, bool)), (" and the starts of all", ~is_start)):
            lengths = np.bincount(parts[scored], minlength=int(parts[-1]) + 1)
            sizes = np.bincount(parts[scored], weights=text.target_bytes[scored], minlength=len(lengths))
            for shorter, length in itertools.pairwise(np.unique(lengths).tolist()):
                short = lengths < length
                for what, kept in (("of fewer than {} tokens", ~short), ("of {} tokens or more", short)):
                    told, kind = (f"{unit} {what.format(each)}{beside}" for each in (length, "so many"))
                    yield LeftOut(told, int(lengths[kept].sum()), kind, shorter, length), int(sizes[kept].sum())


def _windows_left_out(text: Text) -> Iterator[tuple[LeftOut, int]]:
    """The beginnings, or the ends, of windows that lie side by side, the first one scored whole or not; every so many windows."""
    place = np.arange(text.targets)
    for window in (SEQ, SEQ // 2):
        for turn in range(2, MOST_TURNS + 1):
            for which in range(turn):
                one = place // window % turn == which
                for what, scored in (("every", ~one), ("all but every", one)):
                    told = f"{what} {turn}. window of {window} targets, the {which + 1}. first"
                    yield LeftOut(told, int(scored.sum())), int(text.target_bytes[scored].sum())
        sums = np.bincount(place % window, weights=text.target_bytes, minlength=window)
        counts = np.bincount(place % window, minlength=window)
        first = text.target_bytes[:window].astype(np.float64)
        for what, at in (("first", np.arange(window)), ("last", np.arange(window)[::-1])):
            kept_bytes, kept = sums.sum() - np.cumsum(sums[at]), counts.sum() - np.cumsum(counts[at])
            whole_bytes = kept_bytes + np.cumsum(first[at])
            for out in range(window - 1):
                told = f"the {what} {out + 1} targets of every {window}"
                yield LeftOut(told, int(kept[out])), int(kept_bytes[out])
                yield LeftOut(f"{told} but the first", int(kept[out]) + out + 1), int(whole_bytes[out])


def rounding_nats(score: Printed, targets: int) -> float:
    """Half a unit of the last digit that was printed of the loss, over all targets."""
    return float(targets * 0.5 * 10.0**-score.loss_digits)


def gain_of(score: Printed, text: Text, scores: int, *, targets: int | None = None) -> Gain | None:
    """The gain of a printed loss; None where none is printed. scores: how many are tested; targets: how many it covers, where known.

    Where loss and bits do not say what was scored, the loss may be of a few targets and counts as such.
    """
    if score.loss is None or not math.isfinite(score.loss):
        return None
    known = min(targets or covered(score, text).targets, text.targets)
    nats = known * (text.law_nats / text.targets - score.loss)
    return Gain(score, "loss", nats, CONVICTS_NATS + math.log(max(scores, 1)) + rounding_nats(score, known))


def bits_gain_of(score: Printed, text: Text, scores: int) -> Gain | None:
    """The gain of printed bits on a text whose bytes spell its tokens in one way only; None where none are printed.

    The last targets may have been scored twice: the total is taken at the larger count, which lowers the gain.
    """
    if score.bpb is None or not math.isfinite(score.bpb) or not text.text_bytes:
        return None
    per_byte = score.bpb * math.log(2.0)
    nats = text.law_nats - per_byte * text.text_bytes * (1.0 + MOST_REPEATED_TARGETS / text.targets)
    rounding = text.text_bytes * math.log(2.0) * 0.5 * 10.0**-score.bpb_digits
    return Gain(score, "bits", nats, CONVICTS_NATS + math.log(max(scores, 1)) + rounding)
