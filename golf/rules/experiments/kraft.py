"""E5, one more token: the code lengths of all continuations of a text sum, as powers, to one for a code and to more for what is none.

L(x v) - L(x) = -log p(v | x) for whatever prints the total of a code that never looks ahead, however it adapts. Of the whole script,
so no evaluator need be found and adaptation before the evaluation counts too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from golf.harness.texts import Ids, Text, text_of
from golf.harness.vocabulary import Vocabulary
from golf.rules.experiments.law import Kind, covered, implied_bytes
from golf.rules.experiments.printed import Printed

CUT = "it cuts its text to whole windows: one more token changes nothing"
TOLERANCE = 1e-3  # of the sum: totals of some hundred targets are summed in float32
CONVICTS = 4e-3
CONVICTS_BY_BITS = 0.05  # the script's count of bytes may differ by those of the first token


@dataclass(frozen=True)
class Sums:
    """What the continuations came to. sums: one for each cut; fault: why it says nothing."""

    sums: tuple[float, ...] = ()
    cuts: tuple[int, ...] = ()
    fault: str | None = None
    score: Printed | None = None
    by_bits: bool = False

    @property
    def holds(self) -> bool:
        """Whether every sum is one within the tolerance; what is bounded by one only never shows it."""
        return bool(self.sums) and not self.by_bits and max(abs(total - 1.0) for total in self.sums) <= TOLERANCE

    @property
    def convicts(self) -> bool:
        """Whether a sum is above one by more than arithmetic can do: more probability is given out than there is."""
        return bool(self.sums) and max(self.sums) > 1.0 + (CONVICTS_BY_BITS if self.by_bits else CONVICTS)

    @property
    def shown(self) -> str:
        """The sums, for people."""
        return ", ".join(f"{total:.4f}" for total in self.sums)


Total = Callable[[Printed | None, Text], float | None]


def total_nats(score: Printed | None, text: Text) -> float | None:
    """The total of a text by a printed score that covers it exactly; None where it does not or cannot tell.

    By the bits, which are what is claimed; by the loss it must be the same.
    """
    if score is None or score.loss is None or score.bpb is None:
        return None
    return score.loss * text.targets if covered(score, text).kind is Kind.WHOLE else None


def loss_nats(score: Printed | None, text: Text) -> float | None:
    """The same by the loss alone, of a script that draws the text that it is given, with no bytes: it covers all targets."""
    return None if score is None or score.loss is None else score.loss * text.targets


def bits_nats(score: Printed | None, text: Text) -> float | None:
    """The same by the bits alone, of words that spell their tokens in one way: the sum is at most one for any code of bytes."""
    return None if score is None or score.bpb is None else score.bpb * math.log(2.0) * text.text_bytes


def sums(
    vocabulary: Vocabulary,
    ids: Ids,
    cuts: tuple[int, ...],
    score_of: Callable[[Ids], Printed | None],
    total: Total = total_nats,
) -> Sums:
    """The sums over `vocabulary.ids` after the first `cut` ids of `ids`, for each cut; `score_of` runs the script on a text."""
    found: list[float] = []
    last = None
    for cut in cuts:
        before = ids[:cut]
        totals: list[float] = []
        losses = set()
        for token in (None, *(int(each) for each in vocabulary.ids)):
            text = text_of(vocabulary, before if token is None else np.append(before, token))
            last = score_of(text.ids)
            nats = total(last, text)
            if nats is None or not math.isfinite(nats):
                fault = "a short text gives no bits" if total is bits_nats else _why(last, text)
                return Sums(tuple(found), cuts, fault, last)
            totals.append(nats)
            losses.add(round(nats / text.targets, 9))
        if total is loss_nats and len(losses) == 1:
            return Sums(tuple(found), cuts, CUT, last)  # not even the loss of n + 1 tokens is another one
        with np.errstate(over="ignore"):  # a sum beyond all numbers convicts as well
            found.append(float(np.exp(totals[0] - np.array(totals[1:])).sum()))
    return Sums(tuple(found), cuts, None, last, by_bits=total is bits_nats)


def _why(score: Printed | None, text: Text) -> str:
    if score is None:
        return "a short text gives no score"
    if score.loss is None or score.bpb is None:
        return "loss and bits are not both printed"
    if covered(score, text).kind is Kind.TRIMMED:
        return CUT
    implied = implied_bytes(score, text) or 0.0
    return f"its loss and bits imply {implied:,.2f} bytes of a short text of {text.text_bytes:,}"
