"""Measure the referee on specimens that its authors did not write: found and cleared by family, static and executed, in two halves.

`index.json` lists them: id, family, legal, path and what every rule must say. Half of them, chosen by the hash of the id before anything
was looked at, was kept aside while the checks were built; rates beside a rule come from that half alone.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.files import sha256_of
from golf.rules.findings import State, Verdict
from golf.rules.pack import load_pack

STATIC = ("folder", "json", "log", "static", "stats")
NOT_HELD_AGAINST = ("R14", "R15")  # of a lawful specimen: its invented scores
HOLDS: dict[str, Callable[[str], bool]] = {
    "FAIL": lambda state: state == State.FAIL,
    "PASS": lambda state: state == State.PASS,
    "UNKNOWN-at-most": lambda state: state != State.PASS,
    "not-FAIL": lambda state: state != State.FAIL,
}


@dataclass(frozen=True)
class Specimen:
    """One entry of the index. kept: whether it lies in the half that was kept aside."""

    id: str
    family: str
    legal: bool
    path: Path
    expect: dict[str, dict[str, str]]
    kept: bool
    executed: bool
    runs: bool


@dataclass(frozen=True)
class Outcome:
    """What a verdict says of a specimen. wrong: rules that say something else than they must; convicted: by an experiment;
    ran: whether the script ran whole; broken: decisive rules that FAIL."""

    specimen: Specimen
    mode: str
    states: dict[str, str]
    wrong: tuple[str, ...]
    broken: tuple[str, ...]
    found: bool
    convicted: bool
    ran: bool | None
    seconds: float


def find_specimens(named: str | None = None) -> Path | None:
    """The folder of the specimens: the named one, else the one beside the project; None where there is none."""
    from golf.project import find_root

    if named is not None:
        if not (Path(named) / "index.json").is_file():
            raise GolfError(f"no index.json in {named}", "name a folder of specimens")
        return Path(named)
    place = find_root().parent / "shared" / "data" / "referee"
    return place if (place / "index.json").is_file() else None


def read_specimens(folder: Path) -> list[Specimen]:
    """The specimens of an index. GolfError where it is none."""
    try:
        rows = json.loads((folder / "index.json").read_text(encoding="utf-8"))["specimens"]
        return [_specimen(folder, row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise GolfError(f"{folder / 'index.json'} is no index of specimens: {fault}") from fault


def _specimen(folder: Path, row: dict[str, Any]) -> Specimen:
    name = str(row["id"])
    return Specimen(
        name, str(row["family"]), bool(row["legal"]), folder / row["path"], row["expect"], is_kept(name),
        bool(row.get("executed_with")), bool(row.get("runs_on_cpu")),
    )  # fmt: skip


BY_NUMBER = re.compile(r"(?:^|; )E[2346]:| nats over the law |code lengths")  # what only an experiment says


def is_kept(name: str) -> bool:
    """Whether an id lies in the half that is kept aside: odd sha256."""
    return int(sha256_of(name.encode()), 16) % 2 == 1


def judge_specimen(specimen: Specimen, *, execute: bool) -> Outcome:
    """The verdict on one specimen, static or (quick) executed, against what it must say."""
    from golf.rules.verify import verify_folder

    if execute:
        verdict = verify_folder(specimen.path, execute=True, quick=True)
    else:
        verdict = verify_folder(specimen.path, only=STATIC)
    return outcome_of(specimen, verdict, "executed" if execute else "static")


def outcome_of(specimen: Specimen, verdict: Verdict, mode: str) -> Outcome:
    """A verdict held against the index."""
    states = {finding.code: str(finding.state) for finding in verdict.findings}
    wrong = [
        f"{code} is {states[code]}, wanted {want[mode]}"
        for code, want in specimen.expect.items()
        if code in states and not HOLDS[want[mode]](states[code])
    ]
    broken = tuple(finding.code for finding in verdict.broken if finding.code not in NOT_HELD_AGAINST)
    if specimen.legal:
        wrong += [f"{code} blocks a lawful specimen" for code in broken if code not in specimen.expect]
    family = {
        code for code, want in specimen.expect.items() if "FAIL" in want.values() or want[mode] == "UNKNOWN-at-most"
    }
    by_experiment = [
        finding for finding in verdict.having(State.FAIL)
        if BY_NUMBER.search(finding.message)
    ]  # fmt: skip
    if specimen.family == "artifact":
        family.add("R48")  # younger than the index
    unable = any("does not run whole" in finding.message for finding in verdict.findings)
    return Outcome(
        specimen, mode, states, tuple(wrong), broken, bool(family & set(broken)) or bool(by_experiment), bool(by_experiment),
        None if mode == "static" else not unable, verdict.seconds,
    )  # fmt: skip


def table(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Rows by family and half: n illegal, found; n lawful, cleared; right in every expected state."""
    rows = []
    families = list(dict.fromkeys(each.specimen.family for each in outcomes))
    for family in [*families, "all"]:
        for kept in (False, True):
            part = [each for each in outcomes if each.specimen.kept is kept and family in (each.specimen.family, "all")]
            if part:
                rows.append([family, "kept aside" if kept else "seen", part[0].mode, *_counts(part)])
    return rows


def _counts(part: Sequence[Outcome]) -> list[str]:
    illegal = [each for each in part if not each.specimen.legal]
    legal = [each for each in part if each.specimen.legal]
    return [
        f"{sum(each.found for each in illegal)} of {len(illegal)}",
        f"{sum(each.convicted for each in illegal)} of {len(illegal)}" if part[0].mode == "executed" else "",
        f"{sum(not each.broken for each in legal)} of {len(legal)}",
        f"{sum(not each.wrong for each in part)} of {len(part)}",
    ]


def rates_by_rule(outcomes: Iterable[Outcome]) -> dict[str, dict[str, int]]:
    """Rule → counts on the half that was kept aside: specimens where it must FAIL and does, lawful ones where it FAILs."""
    found: dict[str, dict[str, int]] = {}
    kept = [each for each in outcomes if each.specimen.kept]
    for code in load_pack().rules:
        must = [each for each in kept if each.specimen.expect.get(code, {}).get(each.mode) == "FAIL"]
        lawful = [each for each in kept if each.specimen.legal and each.states.get(code) not in (None, State.NA)]
        if must or lawful:
            found[code] = {
                "illegal": len(must), "found": sum(each.states.get(code) == State.FAIL for each in must),
                "lawful": len(lawful), "blocked": sum(each.states.get(code) == State.FAIL for each in lawful),
            }  # fmt: skip
    return found
