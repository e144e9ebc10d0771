"""How often each rule was right on specimens that its authors had not seen, written by `golf verify --self-test --write`, never typed."""

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
    table: dict[str, dict[str, Any]] = tomllib.loads(RATES.read_text(encoding="utf-8")).get("unseen", {})
    return table


def measured_rate(code: str) -> str:
    """One line about a rule's measured errors on unseen scripts, or that there are none."""
    entry = rates().get(code) or {}
    parts = []
    if entry.get("illegal"):
        parts.append(f"finds {entry['found']} of {entry['illegal']} unseen specimens that break it")
    if entry.get("lawful"):
        parts.append(f"blocks {entry['blocked']} of {entry['lawful']} unseen lawful ones")
    return "; ".join(parts) if entry.get("illegal") else "; ".join(["not measured on scripts that break it", *parts])
