"""Measure the referee: how many accepted records each rule would block, how many rejections and planted faults it finds."""

import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golf.rules.calibration.faults import FAULTS, LEGAL_TOY, is_found, judge_fault, judge_folder
from golf.rules.calibration.scripts import BOTH, ILLEGAL, LEGAL
from golf.rules.calibration.specimen import changed, write_specimen
from golf.rules.findings import Finding, State
from golf.rules.pack import PACKS, load_pack

ACCEPTED = ("PASS", "WARN")
SHOWN = ("facts", "script", "toy")


@dataclass
class Tally:
    """What was counted for one rule; blocked and missed name pull requests or faults."""

    accepted: int = 0
    blocked: list[str] = field(default_factory=list)
    real_faults: list[str] = field(default_factory=list)  # broken in an accepted record, and rightly so
    rejections: int = 0
    missed: list[str] = field(default_factory=list)
    planted: int = 0
    planted_missed: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return not (self.blocked or self.missed or self.planted_missed)

    def as_dict(self) -> dict[str, Any]:
        return {
            "accepted": self.accepted,
            "blocked": len(self.blocked),
            "rejections": self.rejections,
            "rejections_found": self.rejections - len(self.missed),
            "planted": self.planted,
            "planted_found": self.planted - len(self.planted_missed),
        }


def corpus() -> list[dict[str, Any]]:
    """The labelled pull requests."""
    entries: list[dict[str, Any]] = tomllib.loads((PACKS / "corpus.toml").read_text(encoding="utf-8"))["pr"]
    return entries


def measure(records: Path | None = None) -> dict[str, Tally]:
    """Rule code → tally. records: the official record folders (<records>/<track>/<folder>), where they are at hand."""
    tallies = {code: Tally() for code in load_pack().rules}
    with tempfile.TemporaryDirectory(prefix="golf-calibration-") as base:
        for index, entry in enumerate(corpus()):
            findings = _judge_entry(entry, Path(base) / str(index), records)
            if findings is not None:
                _count(entry, findings, tallies)
        for index, fault in enumerate(FAULTS):
            tally = tallies[fault.code]
            tally.planted += 1
            if not is_found(fault, judge_fault(fault, Path(base) / f"fault{index}")):
                tally.planted_missed.append(fault.what)
    return tallies


def _judge_entry(entry: dict[str, Any], base: Path, records: Path | None) -> Iterable[Finding] | None:
    """The findings on one pull request, from its own folder or from the specimen with its facts; None for a label only."""
    if "folder" in entry:
        found = sorted(records.glob(f"*/{entry['folder']}")) if records else []
        if not found:
            return None
        from golf.rules.verify import verify_folder

        return verify_folder(found[0], only=["log", "json", "stats"]).findings
    if not any(key in entry for key in SHOWN):
        return None
    facts = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.get("facts", {}).items()}
    name = entry.get("script", "legal: score-first TTT")
    script = LEGAL[name.removeprefix("legal: ")] if name.startswith("legal: ") else (ILLEGAL | BOTH)[name][1]
    return judge_folder(write_specimen(base, changed(**facts), script), entry.get("toy", LEGAL_TOY))


def _count(entry: dict[str, Any], findings: Iterable[Finding], tallies: dict[str, Tally]) -> None:
    number = f"#{entry['number']}"
    named = entry.get("rules", [])
    for finding in findings:
        tally = tallies[finding.code]
        broken = finding.state is State.FAIL and finding.severity != "INFO"
        if entry["label"] in ACCEPTED:
            tally.accepted += finding.state in (State.PASS, State.FAIL)  # what could not be told is no success
            if broken:
                (tally.real_faults if finding.code in named or _known(entry, finding) else tally.blocked).append(number)
        elif finding.code in named:
            tally.rejections += 1
            if finding.state is not State.FAIL:
                tally.missed.append(number)


def _known(entry: dict[str, Any], finding: Finding) -> bool:
    """Real faults of accepted records that the labels do not carry as a verdict."""
    return (entry["number"], finding.code) in ((1729, "R12"), (39, "R05"))
