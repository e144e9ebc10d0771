"""The scores that a run printed: every line with a loss or bits per byte of the validation text, progress lines left out."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

NUMBER = r"([0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?|nan|inf)"
LOSS = re.compile(
    rf"(?i)(?<![a-z_])((?:\w+_)?(?:val_?loss|nll|nats|ce)|loss)(?:_per_token|/token|_exact)?\s*[:=]\s*{NUMBER}"
)
BPB = re.compile(rf"(?i)((?:\w+_)?(?:bpb|bits_per_byte)(?:_\w+)?)\s*[:=]\s*{NUMBER}")
NOT_A_SCORE = re.compile(r"(?i)train_?loss|delta|gain|diff|ema_loss|best_so_far|improve")
PROGRESS = re.compile(
    r"(?i)running|progress|\b(?:chunk|batch|window|doc|docs|seq|phase|epoch|round|attempt|pass)\b[\s:=#\[(]*\d+"
    r"|\[\s*\d+\s*/\s*\d+\s*\]|\b\d+\s*%|ttt_\w*:?\s*\d+/\d+"
)


@dataclass(frozen=True)
class Printed:
    """A score that was printed. loss in nats per token, bpb in bits per byte; either may be missing. label: the words before it;
    loss_digits, bpb_digits: decimals as printed."""

    label: str
    line: str
    loss: float | None
    bpb: float | None
    loss_digits: int = 0
    bpb_digits: int = 0

    @property
    def shown(self) -> str:
        """The line, short."""
        return self.line.strip()[:140]


def printed_scores(text: str) -> list[Printed]:
    """All scores of a run's text, in order; equal repetitions of a line once."""
    return list(dict.fromkeys(_scores(text.splitlines())))


def _scores(lines: Iterable[str]) -> Iterator[Printed]:
    for line in lines:
        if len(line) > 2000 or PROGRESS.search(line):
            continue
        losses = [match for match in LOSS.finditer(line) if not NOT_A_SCORE.search(match[1])]
        bits = [match for match in BPB.finditer(line) if not NOT_A_SCORE.search(match[1])]
        if not bits and not any("val" in match[1].lower() for match in losses):
            continue
        first = min(match.start() for match in (*losses[:1], *bits[:1]))
        loss, bpb = (found[0][2] if found else None for found in (losses, bits))
        yield Printed(
            label_of(line[:first]), line, None if loss is None else float(loss), None if bpb is None else float(bpb),
            _decimals(loss), _decimals(bpb),
        )  # fmt: skip


def _decimals(number: str | None) -> int:
    return len((number or "").lower().partition("e")[0].partition(".")[2])


def label_of(text: str) -> str:
    """The words of a line's beginning without its numbers: what names the score in every run."""
    return re.sub(r"[\d.]+", "", text).strip(" :=-\t[](),").lower()
