"""R14 and R15: the bar that a record must clear, computed from the seeds, against the frontier of its day."""

import datetime
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from golf.rules.findings import Result, State
from golf.rules.pack import PACKS
from golf.rules.subject import Subject
from golf.stats import Sample, Test, welch


@dataclass(frozen=True)
class Row:
    """A row of the official table; scores of its seeds where they are known."""

    pr: int
    date: datetime.date
    score: float
    bpb: tuple[float, ...] = ()
    nats_per_token: tuple[float, ...] = ()


@cache
def frontier() -> tuple[Row, ...]:
    """The official rows, oldest first."""
    table = tomllib.loads((PACKS / "frontier.toml").read_text(encoding="utf-8"))
    return tuple(
        Row(row["pr"], row["date"], row["score"], tuple(row.get("bpb", ())), tuple(row.get("nats_per_token", ())))
        for row in table["row"]
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
    if len(old.bpb) < 2:
        yield Result(State.UNKNOWN, f"{gain}; the scores of its seeds are not at hand, so no p-value")
        return
    yield _judge(subject, new, losses, old, gain)


def _judge(subject: Subject, new: Sample, losses: list[float], old: Row, gain: str) -> Result:
    limits = subject.limits
    plain = welch(new, Sample.of(old.bpb))
    strict = _with_margin(losses, old, float(limits["margin_nats"]))
    if plain is None:
        return Result(State.UNKNOWN, f"{gain}; seeds without spread give no test")
    passes_strict = strict is not None and strict.p < limits["p_strict"]
    passes = passes_strict if limits["frontier_margin_nats"] else plain.p < limits["p_frontier"]
    lines = (
        f"one-sided Welch on val_bpb, no margin: p = {plain.p:.4f} (t = {plain.t:.2f}, df = {plain.df:.2f})",
        f"one-sided Welch on nats per token, margin {limits['margin_nats']}: "
        + (f"p = {strict.p:.4f}" if strict else "not computable"),
    )
    return Result(
        State.PASS if passes else State.FAIL,
        f"{gain}: p = {plain.p:.4f}",
        lines,
        strict=State.PASS if passes_strict else State.FAIL,
    )


def _with_margin(losses: list[float], old: Row, margin: float) -> Test | None:
    if len(losses) < 2 or len(old.nats_per_token) < 2:
        return None
    return welch(Sample.of(losses), Sample.of(old.nats_per_token), margin)


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
