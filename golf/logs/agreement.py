"""A log agrees with itself: loss over BPB, the bytes per token of the scored text, is one number in every evaluation of a run.

Nats per token and bits per byte of the same tokens differ by a factor that no model changes: bytes per token × ln 2. Two evaluations
of one run with two factors were made on two texts or with two byte counts, or one of the numbers was retouched. A mixture with a
byte model and a score of part of the text have other factors honestly; they are excepted by their labels, and named.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from golf.logs.result import LN2, RunResult, Score

LIMIT = 2e-4  # relative; measured on official logs: at most 6.5e-5 between two exact stages, by rounding alone
MOST_OF_EDGES = 0.01  # relative; a window of a text that is no hundred windows long may be more of it than that
SLIDES = ("sliding", "ttt", "disallowed")  # stages whose windows overlap
EXCEPTED = re.compile(r"mix|ppm|blend|byte[-_ ]|subset|partial|first[-_ ]?\d|diag\w*_docs", re.I)


@dataclass(frozen=True)
class Ratio:
    """An evaluation's bytes per token, and how far the rounding of its two numbers may have moved it (relative)."""

    score: Score
    bytes_per_token: float
    rounding: float


@dataclass(frozen=True)
class Agreement:
    """ratios: of every evaluation that prints loss and BPB, in order. common: the bytes per token that most of them share.

    departing: those beyond LIMIT (or beyond their rounding) from it. excepted: those beyond it whose label says that they are of a
    mixture or of part of the text.
    """

    ratios: tuple[Ratio, ...] = ()
    common: float | None = None
    departing: tuple[Ratio, ...] = ()
    excepted: tuple[Ratio, ...] = ()

    @property
    def agrees(self) -> bool | None:
        """Whether all share one ratio; None where fewer than two evaluations print both numbers."""
        return not self.departing if len(self.ratios) > 1 else None

    @property
    def spread(self) -> float | None:
        """The largest relative distance between two of the ratios; None for fewer than two."""
        values = [ratio.bytes_per_token for ratio in self.ratios]
        return max(values) / min(values) - 1 if len(values) > 1 else None

    @property
    def why(self) -> str:
        """The verdict as a sentence, with lines and numbers."""
        if self.common is None or self.agrees is None:
            return "fewer than two evaluations print loss and BPB: nothing to compare"
        if not self.departing:
            return f"{len(self.ratios)} evaluations share {self.common:.5f} bytes per token (spread {self.spread:.1e})"
        odd = ", ".join(
            f"`{one.score.label}` (line {one.score.line}) {one.bytes_per_token:.5f}" for one in self.departing
        )
        return f"bytes per token are {self.common:.5f} in this run, but {odd}: not the same text, or not the same byte count"


def agreement(run: RunResult) -> Agreement:
    """Whether loss and BPB of all evaluations of `run` imply one number of bytes per token, to LIMIT.

    Of a short text the windows' edges count, too, between an evaluation that slides and one that does not: overlapping windows may score
    its end twice, windows side by side leave its rest out.
    """
    edge = min((run.train_seq_len or 0) / run.val_tokens, MOST_OF_EDGES) if run.val_tokens else 0.0
    found = [ratio for score in run.scores if (ratio := _ratio(score)) is not None]
    plain = [one for one in found if not EXCEPTED.search(one.score.label)]
    if not plain:
        return Agreement(excepted=tuple(found))
    common = max(plain, key=lambda one: (sum(_same(one, other, edge) for other in plain), -one.rounding))
    excepted = tuple(one for one in found if one not in plain and not _same(common, one, edge))
    ratios = tuple(one for one in found if one not in excepted)
    departing = tuple(one for one in ratios if not _same(common, one, edge))
    return Agreement(ratios, common.bytes_per_token, departing, excepted)


def agreement_of(runs: Sequence[RunResult]) -> Agreement:
    """The first of `runs` that does not agree with itself, else the last that could be told, else an empty one."""
    found = [agreement(run) for run in runs]
    bad = [one for one in found if one.agrees is False]
    known = [one for one in found if one.agrees]
    return bad[0] if bad else known[-1] if known else Agreement()


def _ratio(score: Score) -> Ratio | None:
    loss, bpb = score.val_loss, score.val_bpb
    if loss is None or not (isfinite(loss) and isfinite(bpb) and loss > 0 and bpb > 0):
        return None
    half = 0.5 * 10.0 ** -min(score.digits, 12)
    return Ratio(score, loss / (LN2 * bpb), half / loss + half / bpb)


def _same(one: Ratio, other: Ratio, edge: float) -> bool:
    apart = abs(one.bytes_per_token / other.bytes_per_token - 1)
    windows = edge if (one.score.stage in SLIDES) != (other.score.stage in SLIDES) else 0.0
    return apart <= max(LIMIT, windows, one.rounding + other.rounding)
