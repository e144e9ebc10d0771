"""The frontier: what the record was on a day, and whether a set of seeds would have beaten it, then and at the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from golf.board.rows import Row, official
from golf.stats import (
    MARGIN_NATS,
    PROGRESSION_P,
    STRICT_P,
    Sample,
    Test,
    bytes_per_token_of,
    nats_per_token_of,
    one_sample,
    welch,
)

RANKED = ("merged", "row")


@dataclass(frozen=True)
class Verdict:
    """A set of seeds against one row. delta_bpb and delta_nats are new minus old: negative is better.

    strict: README (0.005 nats per token, p < 0.01); progression: the maintainers' audit (p < 0.25, no margin). None: it could
    not be told (one seed, or no losses). exact: both sides' seeds are known; else the row's printed score is taken as a fixed number.
    """

    against: Row
    new: Sample
    old: Sample
    delta_bpb: float
    delta_nats: float | None
    progression: Test | None
    strict: Test | None
    exact: bool

    @property
    def wins_progression(self) -> bool | None:
        """Better, and p < 0.25."""
        return self._wins(self.progression, PROGRESSION_P)

    @property
    def wins_strict(self) -> bool | None:
        """Better by more than 0.005 nats per token at p < 0.01."""
        return self._wins(self.strict, STRICT_P)

    def _wins(self, test: Test | None, limit: float) -> bool | None:
        if self.delta_bpb >= 0:
            return False
        return None if test is None else test.p < limit


def frontier(at: str | None = None, track: str = "10min_16mb", rows: Sequence[Row] | None = None) -> Row | None:
    """The best official row dated on or before `at` (ISO date; default: the end); disputed rows count, as they did."""
    usable = [
        row
        for row in (official() if rows is None else rows)
        if row.track == track and row.status in RANKED and row.bpb is not None and (at is None or row.date <= at)
    ]
    return min(usable, key=lambda row: (row.bpb or 0.0, row.date), default=None)


def predecessor(date: str, track: str = "10min_16mb", rows: Sequence[Row] | None = None) -> Row | None:
    """The row that a record of that day (ISO) had to beat: the best of the days before it; None on the first day."""
    usable = [row for row in (official() if rows is None else rows) if row.date and row.date < date]
    return frontier(track=track, rows=usable)


def sample_of(row: Row) -> Sample:
    """What is known of a row's seeds; its printed score with n = 1 where they are not at hand."""
    if row.seeds:
        return Sample.of([bpb for bpb, _ in row.seeds.values()])
    return Sample(1, row.bpb or float("nan"), None)


def judge(seeds: Mapping[str, tuple[float, float | None]], row: Row) -> Verdict:
    """Seeds (seed → val_bpb, val_loss) against `row`, by both bars."""
    new, old = Sample.of([bpb for bpb, _ in seeds.values()]), sample_of(row)
    losses = [loss for _, loss in seeds.values() if loss is not None]
    old_losses = [loss for _, loss in row.seeds.values() if loss is not None]
    per_token = bytes_per_token_of(losses[0], next(iter(seeds.values()))[0]) if losses else None
    exact = len(row.seeds) > 1
    progression = welch(new, old) if exact else one_sample(new, old.mean)
    strict = None
    if len(losses) == new.n and len(old_losses) == old.n and exact and _same_tokenizer(seeds, row):
        strict = welch(Sample.of(losses), Sample.of(old_losses), MARGIN_NATS)
    elif per_token:
        # other tokenizer or no losses of the row: the margin in nats per token of the new one's tokenizer, on BPB
        margin = MARGIN_NATS / nats_per_token_of(1.0, per_token)
        strict = welch(new, old, margin) if exact else one_sample(new, old.mean, margin)
    delta = new.mean - old.mean
    nats = nats_per_token_of(delta, per_token) if per_token else None
    return Verdict(row, new, old, delta, nats, progression, strict, exact)


def _same_tokenizer(seeds: Mapping[str, tuple[float, float | None]], row: Row) -> bool:
    ratios = [
        bytes_per_token_of(loss, bpb) for side in (seeds, row.seeds) for bpb, loss in side.values() if loss is not None
    ]
    return max(ratios) - min(ratios) < 0.005 * max(ratios)
