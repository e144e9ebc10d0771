"""What the check of a record folder finds: one disagreement, and the report of them all."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from golf.errors import Exit
from golf.reading.folder import Folder

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
