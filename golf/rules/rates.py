"""How often each rule's checks were right on the calibration corpus: measured by `golf verify --self-test --write`, never typed."""

import tomllib
from functools import cache
from typing import Any

from golf.rules.pack import PACKS

RATES = PACKS / "rates.toml"


@cache
def rates() -> dict[str, dict[str, Any]]:
    """Rule code → counts of the last calibration; empty when none was written."""
    if not RATES.is_file():
        return {}
    table: dict[str, dict[str, Any]] = tomllib.loads(RATES.read_text(encoding="utf-8")).get("rule", {})
    return table


def measured_rate(code: str) -> str | None:
    """One line about a rule's measured errors; None when it was never measured."""
    entry = rates().get(code)
    if not entry:
        return None
    parts = []
    if entry.get("accepted"):
        parts.append(f"blocks {entry['blocked']} of {entry['accepted']} accepted records")
    if entry.get("rejections"):
        parts.append(
            f"finds {entry['rejections_found']} of {entry['rejections']} rejections rebuilt from published facts"
        )
    if entry.get("planted"):
        parts.append(f"finds {entry['planted_found']} of {entry['planted']} planted faults")
    return "; ".join(parts) or None
