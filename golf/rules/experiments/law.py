"""The bound that a score must keep on a text of a known law, and what it needs to be broken.

The targets are drawn from a law P that codes them in `law_nats`. A predictor that fixes a normalised distribution before it sees each
target, however it adapts in between, gains c nats or more over P with probability at most e^-c (Ville's inequality: the ratio of its
probability to P's is a martingale of mean one).
"""

import math
from dataclasses import dataclass

from golf.harness.texts import Text
from golf.rules.experiments.printed import Printed

CONVICTS_NATS = 20.0  # e^-20 = 2e-9
DOUBTFUL_NATS = 5.0
COVERAGE_TOLERANCE = 5e-5  # implied bytes a token of a text that is scored once, whole
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


def covers(score: Printed, text: Text, repeat_targets: int) -> bool | None:
    """Whether loss and bits imply the whole text's bytes a token, `repeat_targets` of the last ones twice at most; None where
    they cannot tell."""
    implied = implied_bytes(score, text)
    if implied is None or not text.text_bytes:
        return None
    off = abs(implied / text.text_bytes - 1.0)
    return off <= max(COVERAGE_TOLERANCE, 1.5 * repeat_targets / text.targets)


def rounding_nats(score: Printed, targets: int) -> float:
    """Half a unit of the last digit that was printed of the loss, over all targets."""
    return float(targets * 0.5 * 10.0**-score.loss_digits)


def gain_of(score: Printed, text: Text, scores: int, repeat_targets: int, *, whole: bool | None = None) -> Gain | None:
    """The gain of a printed loss; None where none is printed. scores: how many are tested; whole: what is known of its coverage.

    Where loss and bits do not imply that the text was scored whole, the loss may be of a few targets and counts as such.
    """
    if score.loss is None or not math.isfinite(score.loss):
        return None
    known = covers(score, text, repeat_targets) if whole is None else whole
    targets = text.targets if known else min(FEW_TARGETS, text.targets)
    nats = targets * (text.law_nats / text.targets - score.loss)
    return Gain(score, "loss", nats, CONVICTS_NATS + math.log(max(scores, 1)) + rounding_nats(score, targets))


def bits_gain_of(score: Printed, text: Text, scores: int, repeat_targets: int) -> Gain | None:
    """The gain of printed bits on a text whose bytes spell its tokens in one way only; None where none are printed.

    repeat_targets may have been scored twice: the total is taken at the larger count, which lowers the gain.
    """
    if score.bpb is None or not math.isfinite(score.bpb) or not text.text_bytes:
        return None
    per_byte = score.bpb * math.log(2.0)
    nats = text.law_nats - per_byte * text.text_bytes * (1.0 + repeat_targets / text.targets)
    return Gain(score, "bits", nats, CONVICTS_NATS + math.log(max(scores, 1)) + text.text_bytes * math.log(2.0) * 0.5 * 10.0**-score.bpb_digits)
