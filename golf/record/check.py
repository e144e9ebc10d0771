"""Check a record folder, anyone's, against its own evidence: names, claims, logs, README, statistics, bytes, clocks, data."""

from collections.abc import Iterator
from pathlib import Path

from golf.reading.folder import open_folder
from golf.record.findings import SEVERITIES, Check, Report


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
