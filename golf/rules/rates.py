"""How often each rule is right on the specimens that were kept aside at first, written by `golf verify --self-test --write`, never typed.

They were looked at after their first measurement, and the checks mended: so the numbers are no rate on unseen scripts, and say so.
"""

import tomllib
from functools import cache
from typing import Any

from golf.rules.pack import PACKS

RATES = PACKS / "rates.toml"


@cache
def rates() -> dict[str, dict[str, Any]]:
    """Rule code → counts of the last measurement on the half that was kept aside; empty when none was written."""
    if not RATES.is_file():
        return {}
    table: dict[str, dict[str, Any]] = tomllib.loads(RATES.read_text(encoding="utf-8")).get("kept_aside", {})
    return table


def measured_rate(code: str) -> str:
    """One line about a rule's measured errors: none is known on unseen scripts; what it does on those that were kept aside at first."""
    entry = rates().get(code) or {}
    parts = []
    if entry.get("illegal"):
        parts.append(f"finds {entry['found']} of {entry['illegal']} that break it")
    if entry.get("lawful"):
        parts.append(f"blocks {entry['blocked']} of {entry['lawful']} lawful ones")
    known = f"; of specimens seen since they were kept aside, by code and logs: {', '.join(parts)}" if parts else ""
    return f"not measured on unseen scripts{known}"
