"""R14 and R15: the bar that a record must clear, computed from the seeds, against the frontier of its day."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from golf.board.frontier import RANKED
from golf.board.rows import Row as BoardRow
from golf.board.rows import official
from golf.rules.findings import Result, State
from golf.rules.needed import Bar, figures_of, lines_of, pooled_sd
from golf.rules.subject import Subject
from golf.stats import PROGRESSION_P, Sample, p_text, welch

SAME_TOKENIZER = (
    0.005  # relative difference of nats per token of one bit per byte, below which two sides count the same tokens
)


@dataclass(frozen=True)
class Row:
    """A record of the official table; scores of its seeds where they are known."""

    pr: int
    date: datetime.date
    score: float
    bpb: tuple[float, ...] = ()
    nats_per_token: tuple[float, ...] = ()


@cache
def frontier() -> tuple[Row, ...]:
    """The official records of the board, oldest first."""
    rows = [row for row in official() if row.track == "10min_16mb" and row.status in RANKED and row.bpb is not None]
    return tuple(_row(row) for row in sorted(rows, key=lambda row: (row.date, -(row.bpb or 0.0))))


def _row(row: BoardRow) -> Row:
    """Losses only where every seed's is known: a part of them has another mean."""
    bpb, losses = [one for one, _ in row.seeds.values()], [loss for _, loss in row.seeds.values() if loss is not None]
    return Row(
        row.pr or 0,
        datetime.date.fromisoformat(row.date),
        row.bpb or 0.0,
        tuple(bpb),
        tuple(losses) if len(losses) == len(bpb) else (),
    )


def own_row(bpb: list[float], date: datetime.date | None) -> Row | None:
    """The official row that these scores are, if they are one: same mean (or best seed) within three days."""
    candidates = (sum(bpb) / len(bpb), min(bpb))
    for row in frontier():
        near = date is None or abs((row.date - date).days) <= 3
        half_digit = max(6e-5, 0.5 * 10.0 ** -len(repr(row.score).partition(".")[2]))
        if near and any(abs(row.score - score) < half_digit for score in candidates):
            return row
    return None


def previous_row(bpb: list[float], date: datetime.date | None) -> Row | None:
    """The best row strictly before the day of these scores; without a day, the best of all."""
    own = own_row(bpb, date)
    day = own.date if own else date
    earlier = [row for row in frontier() if row is not own and (day is None or row.date < day)]
    return min(earlier, key=lambda row: row.score, default=None)


def bar(subject: Subject) -> Iterable[Result]:
    """One-sided Welch tests against the frontier of the day: the README's margin, and the progression rule of April."""
    bpb = [run.val_bpb for run in subject.scored_runs if run.val_bpb is not None]
    losses = [run.val_loss for run in subject.scored_runs if run.val_loss is not None]
    if not bpb:
        return
    old = previous_row(bpb, subject.date)
    if len(bpb) < 2:
        yield Result(State.UNKNOWN, "one seed: no p-value can be computed")
        return
    if old is None:
        yield Result(State.PASS, "no earlier record to beat")
        return
    new = Sample.of(bpb)
    gain = f"mean {new.mean:.5f} (n={new.n}, sd {new.sd or 0.0:.5f}) against {old.score} of #{old.pr}"
    if new.mean >= old.score and own_row(bpb, subject.date) is None:
        yield Result(State.FAIL, f"not better than the frontier: {gain}")
        return
    yield _judge(subject, new, losses, old, gain)


def _judge(subject: Subject, new: Sample, losses: list[float], old: Row, gain: str) -> Result:
    limits = subject.limits
    old_bpb = Sample.of(old.bpb) if old.bpb else Sample(1, old.score, None)
    plain, strict = welch(new, old_bpb), _readme_bar(limits, new, losses, old)
    bars = [Bar("progression", "val_bpb", PROGRESSION_P, 0.0, old_bpb.mean - new.mean, pooled_sd(new, old_bpb), plain)]
    figures = figures_of(
        new, old_bpb, [*bars, *([strict] if strict else [])], subject.scored_runs, subject.power, subject.rate
    )
    lines = lines_of(figures)
    if plain is None:
        why = "seeds without spread give no test" if len(old.bpb) > 1 else "the scores of its seeds are not at hand"
        return Result(State.UNKNOWN, f"{gain}; {why}, so no p-value", lines, figures=figures)
    strictly = State.UNKNOWN
    if strict is not None and strict.test is not None:
        strictly = State.PASS if strict.test.p < limits["p_strict"] else State.FAIL
    merged = State.PASS if plain.p < limits["p_frontier"] else State.FAIL
    state = strictly if limits["frontier_margin_nats"] else merged
    return Result(state, f"{gain}: p {p_text(plain.p)}", lines, strict=strictly, figures=figures)


def _readme_bar(limits: dict[str, Any], new_bpb: Sample, losses: list[float], old: Row) -> Bar | None:
    """The README's test with its margin in nats per token; None where the new losses or the old seeds are not known.

    The old side's losses where they are known and of the same tokenizer, else its BPB at the new one's bytes per token.
    """
    if len(losses) < 2 or len(losses) != new_bpb.n or len(old.bpb) < 2:
        return None
    new, margin = Sample.of(losses), float(limits["margin_nats"])
    nats = new.mean / new_bpb.mean  # of one bit per byte
    before, unit = Sample.of([bpb * nats for bpb in old.bpb]), "nats per token (the old side's from its BPB)"
    if old.nats_per_token:
        known = Sample.of(old.nats_per_token)
        if abs(known.mean / before.mean - 1) < SAME_TOKENIZER:
            before, unit = known, "nats per token"
    test = welch(new, before, margin)
    gain, sd = before.mean - new.mean, pooled_sd(new, before)
    return Bar("README", unit, float(limits["p_strict"]), margin, gain, sd, test)


def chronology(subject: Subject) -> Iterable[Result]:
    """Where the score stands on its day."""
    bpb = [run.val_bpb for run in subject.scored_runs if run.val_bpb is not None]
    if not bpb:
        return
    own = own_row(bpb, subject.date)
    if own:
        yield Result(State.PASS, f"the official row of {own.date} (#{own.pr}, {own.score})")
        return
    old = previous_row(bpb, subject.date)
    mean = sum(bpb) / len(bpb)
    if old is not None:
        day = f"on {subject.date}" if subject.date else "at the end"
        state = State.PASS if mean < old.score else State.FAIL
        yield Result(state, f"mean {mean:.5f}; the frontier {day} is {old.score} (#{old.pr})")
