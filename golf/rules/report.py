"""A verdict as text for people and as Markdown for pull requests."""

from collections.abc import Iterator

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
    yield f"{verdict.path}  ({verdict.pack}, track {verdict.track}, {verdict.seconds:.1f} s)"
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
    if finding.rate and (verbose or finding.state is not State.NA):
        yield f"{pad}measured: {finding.rate}"


def place(finding: Finding) -> str:
    """file:line of a finding, as far as known."""
    if not finding.file:
        return ""
    return f"{finding.file}:{finding.line}" if finding.line else finding.file


def table(verdict: Verdict) -> list[list[str]]:
    """Rows for `print_table`: state, rule, what was found, where, source."""
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
