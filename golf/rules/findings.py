"""What a verification says: five states, two readings, one verdict.

A detector returns `Result`s about one rule; `settle` folds them into the rule's `Finding`; a `Verdict` holds all findings and the
exit code that follows from them. PASS says by what a rule is proven to be kept: by something that would have failed had it been
broken. That nothing was found is CLEAN SO FAR; UNKNOWN says what is missing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from golf.errors import Exit
from golf.rules.pack import Rule


class State(StrEnum):
    """What is known of a rule: proven to be kept, no sign against it, broken, cannot be told, does not apply."""

    PASS = "PASS"
    CLEAN = "CLEAN SO FAR"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"
    NA = "N/A"


@dataclass(frozen=True)
class Result:
    """What one detector found.

    state: under the reading by which records were merged. strict: under the letter of the rule, where that differs.
    weak: gives way to any firm result of the same rule (a static sign against an executed test).
    figures: numbers behind it as plain data, shown whatever the state.
    """

    state: State
    message: str
    evidence: tuple[str, ...] = ()
    file: str | None = None
    line: int | None = None
    strict: State | None = None
    weak: bool = False
    figures: dict[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Finding:
    """A rule applied to a submission, with the evidence."""

    code: str
    title: str
    severity: str
    state: State
    strict: State
    track: str
    message: str
    evidence: tuple[str, ...]
    file: str | None
    line: int | None
    help: str
    source: str
    rate: str | None = None  # what the calibration corpus measured for this rule
    figures: dict[str, Any] | None = field(
        default=None, compare=False
    )  # the numbers behind it, where a rule is a number

    @property
    def decisive(self) -> bool:
        """Whether the verdict hangs on it: contested rules and remarks do not decide."""
        return self.severity in ("FATAL", "MAJOR")


@dataclass(frozen=True)
class Verdict:
    """All findings about one submission."""

    path: str
    pack: str
    track: str
    findings: tuple[Finding, ...]
    seconds: float
    not_asked: tuple[str, ...] = ()  # rules left out by `only`
    notes: tuple[str, ...] = field(default=())

    def having(self, state: State) -> list[Finding]:
        return [finding for finding in self.findings if finding.state is state]

    @property
    def broken(self) -> list[Finding]:
        """The broken rules that decide."""
        return [finding for finding in self.having(State.FAIL) if finding.decisive]

    @property
    def untold(self) -> list[Finding]:
        """The deciding rules of which it could not be told whether they hold."""
        return [finding for finding in self.having(State.UNKNOWN) if finding.decisive]

    @property
    def exit(self) -> Exit:
        """1 when a FATAL or MAJOR rule is broken; else 6 when one of them could not be told; else 0."""
        if self.broken:
            return Exit.RULE_BROKEN
        return Exit.UNKNOWN if self.untold else Exit.OK

    def as_dict(self) -> dict[str, Any]:
        counts = {state.value: len(self.having(state)) for state in State}
        return {
            "path": self.path,
            "pack": self.pack,
            "track": self.track,
            "exit": int(self.exit),
            "counts": counts,
            "seconds": round(self.seconds, 3),
            "not_asked": list(self.not_asked),
            "notes": list(self.notes),
            "findings": [asdict(finding) for finding in self.findings],
        }


def _evidence(chosen: Sequence[Result], spoken: Sequence[Result]) -> list[str]:
    """The evidence of all results; the messages of those that the finding's message leaves out count as evidence."""
    said = frozenset(spoken)
    return [line for result in chosen for line in ((() if result in said else (result.message,)) + result.evidence)]


_WORST_FIRST = (State.FAIL, State.UNKNOWN, State.CLEAN, State.PASS, State.NA)


def settle(rule: Rule, track: str, results: Sequence[Result], *, missing: str, rate: str | None = None) -> Finding:
    """The finding on `rule` from its detectors' `results`.

    A broken rule stays broken; otherwise firm results go before weak ones, and the worst firm state counts. A rule with no result
    is UNKNOWN, and `missing` says what would tell.
    """
    pool = [result for result in results if result.state is State.FAIL or not result.weak]
    if not any(result.state is not State.NA for result in pool):
        pool = list(results)
    if not pool:
        pool = [Result(State.UNKNOWN, missing)]
    state = next(state for state in _WORST_FIRST if any(result.state is state for result in pool))
    strict = next(state for state in _WORST_FIRST if any((result.strict or result.state) is state for result in pool))
    leading = [result for result in pool if result.state is state]
    differing = [result for result in pool if result.strict not in (None, result.state)]
    first = next((result for result in leading if result in differing), leading[0])
    chosen = list(dict.fromkeys([first, *differing, *leading]))
    spoken = chosen if state not in (State.PASS, State.CLEAN) else (differing or leading)[:2]
    return Finding(
        code=rule.code,
        title=rule.title,
        severity=rule.severity,
        state=state,
        strict=strict,
        track=track,
        message="; ".join(dict.fromkeys(result.message for result in spoken)),
        evidence=tuple(dict.fromkeys(_evidence(chosen, spoken))),
        file=next((result.file for result in chosen if result.file), None),
        line=next((result.line for result in chosen if result.file), None),
        help=rule.help,
        source=rule.source,
        rate=rate,
        figures=next((result.figures for result in chosen if result.figures), None),
    )
