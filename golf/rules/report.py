"""A verdict as text for people and as Markdown for pull requests."""

from collections.abc import Iterator

from golf.challenge import TRACKS
from golf.rules.findings import Finding, State, Verdict

ORDER = (State.FAIL, State.UNKNOWN, State.CLEAN, State.PASS, State.NA)
SHORT = {State.CLEAN: "CLEAN"}
MAX_EVIDENCE = 6


def summary(verdict: Verdict) -> str:
    """One line: how many rules in which state, and what follows."""
    counts = ", ".join(f"{len(verdict.having(state))} {state}" for state in ORDER if verdict.having(state))
    if verdict.broken:
        follows = "broken: " + " ".join(finding.code for finding in verdict.broken)
    elif verdict.untold:
        follows = "could not tell: " + " ".join(finding.code for finding in verdict.untold)
    else:
        follows = "no rule is broken"
    return f"{counts}; {follows}"


def text(verdict: Verdict, *, verbose: bool = False) -> Iterator[str]:
    """The report line by line; `verbose` adds evidence and sources to the rules that hold."""
    yield f"{verdict.path}  ({verdict.pack}, {_track(verdict)}, {verdict.seconds:.1f} s)"
    if verdict.track == "local":
        yield "not a challenge result: a local run"
    for state in ORDER:
        for finding in verdict.having(state):
            yield from _finding(finding, verbose=verbose)
    for note in verdict.notes:
        yield f"note: {note}"
    if verdict.not_asked:
        yield f"not asked: {' '.join(verdict.not_asked)}"
    yield summary(verdict)


def _track(verdict: Verdict) -> str:
    """A track of the challenge, or the other contest that was judged."""
    return f"track {verdict.track}" if verdict.track in TRACKS else verdict.track


def _finding(finding: Finding, *, verbose: bool) -> Iterator[str]:
    strict = f" (strictly {finding.strict})" if finding.strict is not finding.state else ""
    yield f"{SHORT.get(finding.state, finding.state):<8}{finding.code} {finding.severity:<6}{finding.title}: {finding.message}{strict}"
    pad = " " * 8
    where = place(finding)
    if where and (verbose or finding.state is not State.NA):
        yield f"{pad}at {where}"
    if verbose or finding.state in (State.FAIL, State.UNKNOWN) or strict or finding.figures:
        for line in finding.evidence[: None if verbose else MAX_EVIDENCE]:
            yield f"{pad}- {line}"
    if verbose or finding.state is State.FAIL:
        yield f"{pad}help: {finding.help}"
        yield f"{pad}source: {finding.source}"
    if finding.rate and (verbose or finding.state is State.FAIL):
        yield f"{pad}measured: {finding.rate}"


def place(finding: Finding) -> str:
    """file:line of a finding, as far as known."""
    if not finding.file:
        return ""
    return f"{finding.file}:{finding.line}" if finding.line else finding.file


def review(verdict: Verdict) -> Iterator[str]:
    """The verdict as a comment on a pull request: what fails, by which evidence and rule, what would settle the rest; Markdown."""
    broken, untold = verdict.broken, verdict.untold
    minor = [finding for finding in verdict.having(State.FAIL) if not finding.decisive]
    yield f"### golf verify: {_headline(verdict)}"
    yield ""
    if verdict.track == "local":
        yield "Not a challenge result: a local run."
        yield ""
    if broken:
        yield "**This does not hold up as submitted:**"
        yield ""
        for finding in broken:
            yield from _point(finding)
        yield ""
    if minor:
        yield "**Also noted, without deciding anything:**"
        yield ""
        for finding in minor:
            yield from _point(finding)
        yield ""
    if untold:
        yield "**What would settle the rest:**"
        yield ""
        for finding in untold:
            yield f"- {finding.code} {finding.title}: {_one_line(finding.message)}{_where(finding)}"
        yield ""
    for state, words in (
        (State.CLEAN, "Nothing found so far (no proof)"),
        (State.PASS, "Checked and kept"),
        (State.NA, "Does not apply"),
    ):
        if found := verdict.having(state):
            yield f"{words}: {', '.join(f'{finding.code} {finding.title}' for finding in found)}."
            yield ""
    if numbers := figures(verdict):
        yield from (f"- {_one_line(line)}" for line in numbers)
        yield ""
    for note in verdict.notes:
        yield f"<sub>{note}</sub>"
    yield f"<sub>Rule pack {verdict.pack}, {_track(verdict)}; every FAIL names its evidence, and can be argued with.</sub>"


def _headline(verdict: Verdict) -> str:
    if verdict.broken:
        return f"{len(verdict.broken)} rule{'s' if len(verdict.broken) > 1 else ''} broken ({', '.join(finding.code for finding in verdict.broken)})"
    return f"nothing broken, {len(verdict.untold)} open" if verdict.untold else "nothing broken"


def _point(finding: Finding) -> Iterator[str]:
    yield f"- **{finding.code} {finding.title}**: {_one_line(finding.message)}{_where(finding)}"
    for line in finding.evidence[:MAX_EVIDENCE]:
        yield f"  - {_one_line(line)}"
    yield f"  - rule: {finding.source}"
    yield f"  - way out: {_one_line(finding.help)}"


def _where(finding: Finding) -> str:
    return f" (`{place(finding)}`)" if place(finding) else ""


def _one_line(text: str) -> str:
    """Text of the submission or its logs, kept from being read as Markdown: no breaks, mentions or tags."""
    parts = " ".join(text.split()).split("`")
    outside = [
        part.replace("@", "@\u200b").replace("<", "&lt;") if at % 2 == 0 else part for at, part in enumerate(parts)
    ]
    return "`".join(outside)


def table(verdict: Verdict) -> list[list[str]]:
    """Rows for a table: state, rule, what was found, where, source."""
    rows = []
    for finding in sorted(verdict.findings, key=lambda finding: (ORDER.index(finding.state), finding.code)):
        strict = f" (strictly {finding.strict})" if finding.strict is not finding.state else ""
        rows.append(
            [
                f"{finding.state}{strict}",
                f"{finding.code} {finding.title}",
                finding.message,
                place(finding),
                finding.source,
            ]
        )
    return rows


def figures(verdict: Verdict) -> list[str]:
    """The lines of the rules that are numbers, for below the table."""
    return [f"{finding.code}: {line}" for finding in verdict.findings if finding.figures for line in finding.evidence]
