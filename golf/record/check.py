"""Check a record folder, anyone's, against its own evidence: names, claims, logs, README, statistics, bytes, clocks, data."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from golf.cli.output import print_json, print_table, talk
from golf.errors import Exit
from golf.record.folder import Folder, open_folder

SEVERITIES = ("high", "medium", "low", "info")


@dataclass(frozen=True)
class Finding:
    """A disagreement. severity: high (the record cannot stand as it is), medium (rejected until mended), low, info."""

    kind: str
    severity: str
    detail: str


@dataclass(frozen=True)
class Report:
    """What a check found, the worst first, and what it looked at."""

    path: str
    findings: tuple[Finding, ...]
    logs: tuple[dict[str, Any], ...]
    claims: dict[str, Any] | None

    @property
    def exit(self) -> Exit:
        """1 with a finding of high or medium severity, else 0."""
        return Exit.RULE_BROKEN if any(finding.severity in ("high", "medium") for finding in self.findings) else Exit.OK


Check = Callable[[Folder], Iterable[Finding]]


def check_folder(path: Path) -> Report:
    """Every check on the folder at `path`; GolfError when it is no folder."""
    folder = open_folder(path)
    findings = list(dict.fromkeys(finding for check in _checks() for finding in check(folder)))
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    logs = tuple(
        {"log": log.name, "seed": log.run.seed, "val_bpb": log.run.val_bpb, "why": log.run.score_why,
         "steps": log.run.steps, "train_seconds": log.run.train_seconds, "total_bytes": log.run.total_bytes}
        for log in folder.logs
    )  # fmt: skip
    return Report(str(path), tuple(findings), logs, folder.claims)


def _checks() -> Iterator[Check]:
    from golf.record import check_files, check_scores, check_sizes

    for module in (check_files, check_scores, check_sizes):
        yield from module.CHECKS


def print_check(report: Report, json: bool = False) -> Exit:
    """The report on stdout; its exit code."""
    if json:
        print_json({"path": report.path, "exit": int(report.exit), "findings": [asdict(one) for one in report.findings],
                    "logs": list(report.logs)})  # fmt: skip
        return report.exit
    rows = [("" if log["seed"] is None else str(log["seed"]), "unknown" if log["val_bpb"] is None else str(log["val_bpb"]),
             "" if log["total_bytes"] is None else f"{log['total_bytes']:,}", log["log"], log["why"]) for log in report.logs]  # fmt: skip
    if rows:
        print_table(
            None, ("seed", "val_bpb", "bytes", "log", "why this number"), rows, right=("seed", "val_bpb", "bytes")
        )
        print()
    if report.findings:
        print_table(
            None, ("severity", "what", "detail"), [(one.severity, one.kind, one.detail) for one in report.findings]
        )
    counts = ", ".join(
        f"{n} {name}" for name in SEVERITIES if (n := sum(one.severity == name for one in report.findings))
    )
    talk(f"{report.path}: {counts or 'no disagreement'}; {len(report.logs)} logs read")
    return report.exit
