"""A row of the board, and the official rows: `official.json`, written from the final tables, the audits and the review threads."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from golf.recipe.files import shipped_recipes

# merged: the record folder is in the repository; row: a row to a PR that is not merged; no_row: merged without a row;
# withdrawn: removed; base: only named as the base of a row; local: a record folder or finished runs of this project
STATUSES = ("merged", "row", "no_row", "withdrawn", "base", "local")


@dataclass(frozen=True)
class Mark:
    """A remark of an audit or a review. kind: "disputed" (the score or its validity is contested), "note", or "unsaid" (of golf's
    reading of the row's code: what its README leaves out)."""

    kind: str
    codes: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Row:
    """One entry. score: as printed (text, "" when none); seeds: seed → (val_bpb, val_loss or None), where they are at hand; listed: the day
    on which the contest's README took the row up, where that was long after `date` (PRs #1902 and #2146 added weeks at once), else ""."""

    key: str
    track: str
    date: str
    run: str
    score: str
    author: str
    pr: int | None
    status: str
    rank: int | None = None
    rank_main: int | None = None
    listed: str = ""
    folder: str = ""
    source: str = ""
    links: tuple[str, ...] = ()
    summary: str = ""
    base: str | None = None
    adds: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    seeds: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    stats: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bpb(self) -> float | None:
        """The score as a number; None when the row has none."""
        return float(self.score) if self.score else None

    @property
    def disputed(self) -> bool:
        """Whether an audit or a review contests the score."""
        return any(mark.kind == "disputed" for mark in self.marks)

    @property
    def label(self) -> str:
        """`#1493`, or the key where there is no PR."""
        return f"#{self.pr}" if self.pr else self.key

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json` and the export."""
        return asdict(self) | {"disputed": self.disputed}


@cache
def official() -> tuple[Row, ...]:
    """The official rows in the order of the tables, then those without a rank."""
    return rows_of_table(json.loads(files("golf.board").joinpath("official.json").read_text(encoding="utf-8")))


def rows_of_table(table: Mapping[str, Any]) -> tuple[Row, ...]:
    """The rows of a table as `official.json` holds one."""
    raw = {entry["key"]: entry for entry in table["rows"]}
    return tuple(_row(entry, raw) for entry in table["rows"])


def _row(entry: dict[str, Any], raw: dict[str, dict[str, Any]]) -> Row:
    return Row(
        **{
            **entry,
            "links": tuple(entry["links"]),
            "adds": tuple(entry["adds"]),
            "drops": tuple(entry["drops"]),
            "techniques": tuple(sorted(_techniques(entry, raw))),
            "marks": (
                *(Mark(kind, tuple(codes), text) for kind, codes, text in entry.get("marks", ())),
                *_unsaid(entry),
            ),
            "seeds": {seed: (bpb, loss) for seed, (bpb, loss) in entry.get("seeds", {}).items()},
        }
    )


def _unsaid(entry: dict[str, Any]) -> Iterator[Mark]:
    """What the row's code does that its README does not say, from the recipe that golf has of it."""
    path = shipped_recipes().get(_recipe_name(entry["key"], entry["pr"]))
    for fact in tomllib.loads(path.read_text(encoding="utf-8")).get("unsaid", ()) if path else ():
        yield Mark("unsaid", (), f"{fact['kind']}: {fact['says']}")


def _techniques(entry: dict[str, Any], raw: dict[str, dict[str, Any]]) -> set[str]:
    """All techniques of an entry: its base's, without what it drops, with what it adds."""
    inherited = _techniques(raw[entry["base"]], raw) if entry["base"] in raw else set()
    return (inherited - set(entry["drops"])) | set(entry["adds"])


def _recipe_name(key: str, pr: int | None) -> str:
    """What a row's recipe is called, whether there is one or not: #65 has two rows."""
    return {"65": "pr65b", "65_mixed": "pr65a"}.get(key, f"pr{pr}" if pr else key)


def recipe_of_row(row: Row) -> str | None:
    """The shipped recipe that rebuilds a row of the board; None where golf has none."""
    name = _recipe_name(row.key, row.pr)
    return name if name in shipped_recipes() else None


def by_key(rows: tuple[Row, ...] | None = None) -> dict[str, Row]:
    """Rows by key; official ones by default."""
    return {row.key: row for row in (rows if rows is not None else official())}
