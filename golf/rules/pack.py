"""Rule packs: the rules of one contest state, read from `packs/*.toml`.

A pack holds limits (numbers with units in their names) and rules; a later pack extends an earlier one, amends rules and adds new ones.
"""

import datetime
import tomllib
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from golf.errors import GolfError

DEFAULT_PACK = "pgolf-2026-05"
PACKS = Path(__file__).parent / "packs"
TABLES = ("corpus", "rates")  # files beside the packs
SEVERITIES = ("FATAL", "MAJOR", "WARN", "INFO")


@dataclass(frozen=True)
class Example:
    """A pull request of the challenge that a rule decided, and how."""

    pr: int
    outcome: str

    @property
    def url(self) -> str:
        return f"https://github.com/openai/parameter-golf/pull/{self.pr}"


@dataclass(frozen=True)
class Rule:
    """One rule as its pack words it.

    severity: FATAL (a record cannot stand), MAJOR (rejected until mended), WARN (contested), INFO.
    detectors: functions of `golf.rules.checks`, as "module.function".
    authority: "official" (README or a maintainer), "community", "golf" (our inference) or "none" (no ruling).
    """

    code: str
    title: str
    statement: str
    authority: str
    source: str
    severity: str
    tracks: tuple[str, ...]
    detectors: tuple[str, ...]
    help: str
    examples: tuple[Example, ...]
    date: datetime.date | None = None  # of the words in the source, where it is known


@dataclass(frozen=True)
class Pack:
    """A contest state: its rules by code, and the limits that their detectors read."""

    name: str
    title: str
    date: datetime.date
    limits: dict[str, Any]
    rules: dict[str, Rule]
    canonical_val_tokens: dict[str, list[int]]
    contest: str = (
        ""  # another contest with its track, as `tracks` of its rules names it; "" for the challenge's own packs
    )


def pack_names() -> list[str]:
    """The packs that ship with golf: the challenge's, oldest first, then those of other contests."""
    names = sorted(path.stem for path in PACKS.glob("*.toml") if path.stem not in TABLES)
    return sorted(names, key=lambda name: not name.startswith("pgolf-"))


@cache
def load_pack(name: str = DEFAULT_PACK) -> Pack:
    """The pack called `name`; GolfError when there is none."""
    path = PACKS / f"{name}.toml"
    if name not in pack_names():
        near = get_close_matches(name, pack_names(), n=1, cutoff=0.0)
        raise GolfError(f"no rule pack `{name}`", f"there is `{near[0]}`; all: {', '.join(pack_names())}")
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    parent = load_pack(table["extends"]) if "extends" in table else None
    rules = dict(parent.rules) if parent else {}
    for amendment in table.get("amend", []):
        rules[amendment["code"]] = replace(rules[amendment["code"]], **_typed(amendment))
    for entry in table.get("rule", []):
        rules[entry["code"]] = Rule(**_typed(entry))
    return Pack(
        name=table["name"],
        title=table["title"],
        date=table["date"],
        limits={**(parent.limits if parent else {}), **table.get("limits", {})},
        rules=dict(sorted(rules.items())),
        canonical_val_tokens=table.get("canonical_val_tokens") or (parent.canonical_val_tokens if parent else {}),
        contest=table.get("contest", parent.contest if parent else ""),
    )


def find_rule(code: str, pack: str = DEFAULT_PACK) -> Rule:
    """The rule with `code` (any case); GolfError with the near misses when there is none."""
    rules = load_pack(pack).rules
    wanted = code.upper()
    if wanted not in rules:
        near = get_close_matches(wanted, rules, n=1, cutoff=0.0)
        raise GolfError(f"no rule `{code}` in {pack}", f"did you mean `{near[0]}`? `golf ls rules` lists them all")
    return rules[wanted]


def _typed(entry: dict[str, Any]) -> dict[str, Any]:
    """A rule's table with lists as tuples and examples as `Example`."""
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    if "examples" in fields:
        fields["examples"] = tuple(Example(**example) for example in entry["examples"])
    return fields
