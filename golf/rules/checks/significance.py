"""R14 and R15: the bar that a record must clear, computed from the seeds, against the frontier of its day."""

import datetime
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from golf.rules.findings import Result, State
from golf.rules.needed import Bar, figures_of, lines_of, pooled_sd
from golf.rules.pack import PACKS
from golf.rules.subject import Subject
from golf.stats import PROGRESSION_P, Sample, p_text, welch


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
    yield _judge(subject, new, losses, old, gain)


def _judge(subject: Subject, new: Sample, losses: list[float], old: Row, gain: str) -> Result:
    limits = subject.limits
    old_bpb = Sample.of(old.bpb) if old.bpb else Sample(1, old.score, None)
    plain, strict = welch(new, old_bpb), _readme_bar(limits, losses, old)
    bars = [Bar("progression", "val_bpb", PROGRESSION_P, 0.0, old_bpb.mean - new.mean, pooled_sd(new, old_bpb), plain)]
    figures = figures_of(
        new, old_bpb, [*bars, *([strict] if strict else [])], subject.scored_runs, subject.power, subject.rate
    )
    lines = lines_of(figures)
    if plain is None:
        why = "seeds without spread give no test" if len(old.bpb) > 1 else "the scores of its seeds are not at hand"
        return Result(State.UNKNOWN, f"{gain}; {why}, so no p-value", lines, figures=figures)
    passes_strict = strict is not None and strict.test is not None and strict.test.p < limits["p_strict"]
    passes = passes_strict if limits["frontier_margin_nats"] else plain.p < limits["p_frontier"]
    return Result(
        State.PASS if passes else State.FAIL,
        f"{gain}: p {p_text(plain.p)}",
        lines,
        strict=State.PASS if passes_strict else State.FAIL,
        figures=figures,
    )


def _readme_bar(limits: dict[str, Any], losses: list[float], old: Row) -> Bar | None:
    """The README's test on nats per token with its margin; None where the losses of a side are not known."""
    if len(losses) < 2 or len(old.nats_per_token) < 2:
        return None
    new, before, margin = Sample.of(losses), Sample.of(old.nats_per_token), float(limits["margin_nats"])
    test = welch(new, before, margin)
    return Bar(
        "README",
        "nats per token",
        float(limits["p_strict"]),
        margin,
        before.mean - new.mean,
        pooled_sd(new, before),
        test,
    )


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
