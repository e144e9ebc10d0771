"""The rules of the challenge as data, and the referee that applies them to any submission."""

from typing import Any

from golf.rules.findings import Finding, Result, State, Verdict
from golf.rules.pack import DEFAULT_PACK, Pack, Rule, find_rule, load_pack, pack_names
from golf.rules.verify import verify_folder

__all__ = [
    "DEFAULT_PACK",
    "Finding",
    "Pack",
    "Result",
    "Rule",
    "State",
    "Verdict",
    "find_rule",
    "list_rules",
    "load_pack",
    "pack_names",
    "verify_folder",
]


def list_rules(pack: str = DEFAULT_PACK) -> list[dict[str, Any]]:
    """Every rule of `pack` as plain data: code, title, severity, authority, date, tracks, statement, source."""
    return [
        {
            "code": rule.code,
            "title": rule.title,
            "severity": rule.severity,
            "authority": rule.authority,
            "date": rule.date.isoformat() if rule.date else None,
            "tracks": list(rule.tracks),
            "statement": rule.statement,
            "source": rule.source,
        }
        for rule in load_pack(pack).rules.values()
    ]
