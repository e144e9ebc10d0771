"""Apply a pack's rules to a record folder, a submission or a script."""

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from golf.challenge import TRACKS
from golf.errors import GolfError
from golf.harness.box import standing
from golf.rules.checks import KINDS, NEEDS, find_detector, kind_of
from golf.rules.execution import is_ours
from golf.rules.findings import Finding, Result, State, Verdict, settle
from golf.rules.pack import DEFAULT_PACK, Rule, load_pack
from golf.rules.rates import measured_rate
from golf.rules.remarks import remarks
from golf.rules.subject import Subject, find_subject

NOT_ON_TRACK = {
    "local": "a local run (embedded data, or not on 8xH100) has no challenge hardware, clock, canonical data or frontier",
    "non_record_16mb": "the non-record track has no clock, no frontier and no minimum of seeds",
    "10min_16mb": "not a rule of the record track",
}


def verify_folder(
    path: str | Path,
    pack: str = DEFAULT_PACK,
    only: Iterable[str] | None = None,
    quick: bool = False,
    execute: bool = False,
    track: str | None = None,
    power: float = 0.8,
    rate: float | None = None,
    deep: bool = False,
    unsafe: bool = False,
) -> Verdict:
    """Judge what lies at `path` by the rules of `pack`.

    only: kinds of checks (folder, json, log, static, stats, execute); None for all. execute: run a foreign script whole and small in
    the box; golf's own composed scripts are run unless `only` says otherwise. quick, deep: fewer or more experiments; unsafe: run it
    although a wall of the box is missing.
    track: overrides what the folder says. power, rate (dollars an hour): of the seeds that R14 says are needed. Raises GolfError for a path or a kind that does not exist, and where a
    foreign script is to be run and a wall of the box is missing (exit 10).
    """
    started = time.perf_counter()
    if track is not None and track not in TRACKS:
        raise GolfError(f"no track `{track}`", f"there are: {', '.join(TRACKS)}")
    if track is not None and (contest := load_pack(pack).contest):
        raise GolfError(f"no track `{track}` in the pack {pack}", f"it judges the {contest}: leave --track out")
    if not 0.0 < power < 1.0 or (rate is not None and rate <= 0.0):
        raise GolfError(
            f"power {power:g}, rate {rate}: no such numbers", "a power lies between 0 and 1, a rate above 0"
        )
    asked = _kinds(only)
    subject = find_subject(
        path, load_pack(pack), execute=execute or (only is not None and "execute" in asked), quick=quick, wanted_track=track,
        only=asked if only is not None else None, power=power, rate=rate, deep=deep, unsafe=unsafe,
    )  # fmt: skip
    if subject.execute and not unsafe and subject.source is not None and not is_ours(subject):
        standing().refuse()  # before anything is judged: half an answer would hide what was asked for
    findings, not_asked = [], []
    for rule in subject.pack.rules.values():
        if any(kind_of(name) in asked and _speaks(name, subject) for name in rule.detectors):
            findings.append(judge(rule, subject, asked))
        else:
            not_asked.append(rule.code)
    if "static" in asked and not subject.pack.contest:
        try:
            subject.notes.extend(remarks(subject))
        except Exception as fault:  # as in a detector: strange text is no end of a verdict
            subject.notes.append(f"the remarks could not cope with this input: {fault!r}")
    seconds = time.perf_counter() - started
    return Verdict(
        str(subject.path),
        subject.pack.name,
        subject.track,
        tuple(findings),
        seconds,
        tuple(not_asked),
        tuple(dict.fromkeys(subject.notes)),
    )


def _kinds(only: Iterable[str] | None) -> frozenset[str]:
    if only is None:
        return frozenset(KINDS)
    asked = frozenset(kind.strip() for kind in only if kind.strip())
    for kind in asked - set(KINDS):
        raise GolfError(f"no kind of check `{kind}`", f"there are: {', '.join(KINDS)}")
    return asked


def judge(rule: Rule, subject: Subject, asked: frozenset[str]) -> Finding:
    """The finding on one rule from those of its detectors whose kind is asked for."""
    if subject.track not in rule.tracks:
        reason = Result(State.NA, NOT_ON_TRACK[subject.track])
        return settle(rule, subject.track, [reason], missing="", rate=measured_rate(rule.code))
    results: list[Result] = []
    needs = []
    for name in rule.detectors:
        if kind_of(name) not in asked or not _speaks(name, subject):
            continue
        needs.append(NEEDS[kind_of(name)])
        results += run_detector(name, subject)
    missing = "nothing here tells"
    if subject.source is not None and subject.source.readable and NEEDS["static"] in needs:
        needs = [NEEDS[kind_of(name)] for name in rule.detectors if kind_of(name) != "static"]
        missing = "the code was read and does not tell"
    missing += "; it takes " + " or ".join(dict.fromkeys(needs)) if needs else ""
    return settle(rule, subject.track, results, missing=missing, rate=measured_rate(rule.code))


def _speaks(name: str, subject: Subject) -> bool:
    """Whether a detector has anything to look at: what asks a recipe speaks where a script has one."""
    if not name.startswith("static_recipe."):
        return True
    from golf.rules.checks.static_recipe import recipe_of

    return recipe_of(subject) is not None


def run_detector(name: str, subject: Subject) -> list[Result]:
    """The results of one detector; a fault inside it is a finding of its own, never a crash of the referee."""
    try:
        results = list(subject.once(name, lambda one: tuple(find_detector(name)(one))))
        return _as_far_as_seen(name, results, subject) if kind_of(name) == "static" else results
    except (ModuleNotFoundError, AttributeError) as fault:
        if "golf.rules.checks" not in str(fault):
            return [Result(State.UNKNOWN, f"the check {name} failed: {fault!r}")]
        return []
    except GolfError as fault:
        return [Result(State.UNKNOWN, f"{name}: {fault.message}")]
    except Exception as fault:  # libraries that read strange text have errors of their own
        return [Result(State.UNKNOWN, f"the check {name} could not cope with this input: {fault!r}")]


# static checks that read everything that the rule is about, so that their PASS would have been a FAIL
PROVING = ("static_imports.dependencies", "static_data.byte_table")


def _as_far_as_seen(name: str, results: list[Result], subject: Subject) -> list[Result]:
    """Static results for what they are: what was found stays found; that nothing was found proves nothing, and less where not all
    code could be read."""
    if subject.source is None or subject.source.readable:
        return [
            replace(result, state=State.CLEAN, weak=True)
            if result.state is State.PASS and name not in PROVING
            else result
            for result in results
        ]
    fault = subject.source.faults[0]
    seen = [
        result if result.state not in (State.PASS, State.CLEAN) else replace(result, state=State.UNKNOWN, weak=True)
        for result in results
    ]
    return seen or [Result(State.UNKNOWN, f"not all code could be read: {fault}", weak=True)]
