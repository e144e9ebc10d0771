"""Views of the board: filters, the lineage of records, who uses a technique and what it gave."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from golf.board.rows import STATUSES, Row, official, recipe_of_row
from golf.challenge import TRACKS
from golf.errors import GolfError
from golf.recipe.files import shipped_recipes
from golf.stats import sample_sd

# other names under which people look for a technique
ALIASES = {
    "leaky": "leaky_relu2",
    "recurrence": "depth_recurrence",
    "ngram": "token_ngram_tilt",
    "parallel": "parallel_residual",
}


def measured(row: Row) -> tuple[str, ...]:
    """n, sample sd, bytes of the worst seed, mean steps, ms a step, seconds of the evaluation; "" for what is not known."""
    sd = sample_sd([bpb for bpb, _ in row.seeds.values()])
    facts = [row.stats.get(name) for name in ("bytes", "steps", "step_ms", "eval_seconds")]
    return (
        str(len(row.seeds) or ""),
        "" if sd is None else f"{sd:.5f}",
        *("" if fact is None else f"{fact:g}" if fact < 1e6 else str(fact) for fact in facts),
    )


def choose(
    rows: Iterable[Row],
    *,
    technique: str | None = None,
    author: str | None = None,
    at: str | None = None,
    status: str | None = None,
    track: str | None = None,
    as_listed: bool = False,
) -> list[Row]:
    """The rows that fit every filter; GolfError for a date, status, track or technique that cannot be.

    With a day, the board as it was then: rows of later days are gone and the ranks are those of that day. as_listed: by the day on which
    the contest's README took a row up, not by the row's own.
    """
    if as_listed and at is None:
        raise GolfError("which day's README?", "give it: --at 2026-04-20")
    rows = list(rows) if at is None else as_of(rows, at, as_listed)
    track = known_track(track)
    _known("status", status, (*STATUSES, "disputed"))
    if technique is not None:
        technique = _technique(technique, rows)
    return [
        row
        for row in rows
        if (technique is None or technique in row.techniques)
        and (author is None or author.lower() in row.author.lower())
        and (status is None or row.status == status or (status == "disputed" and row.disputed))
        and (track is None or row.track == track)
    ]


def day(text: str) -> str:
    """An ISO date; GolfError for what is none, 2026-13-40 too."""
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError
        return date.fromisoformat(text).isoformat()
    except ValueError as fault:
        raise GolfError(f"`{text}` is no date", "write it as 2026-04-20") from fault


def as_of(rows: Iterable[Row], at: str, as_listed: bool = False) -> list[Row]:
    """The rows of that day and before, ranked among themselves: the table as it stood, in the order of the final one.

    as_listed: the table that the contest's README showed on that day. It was weeks behind the pull requests from 9 to 29 April 2026.
    """
    kept = [row for row in rows if row.date and (row.listed if as_listed and row.listed else row.date) <= day(at)]
    places: dict[str, int] = {}
    ranks = {}
    for row in sorted((row for row in kept if row.rank is not None), key=lambda row: row.rank or 0):
        places[row.track] = places.get(row.track, 0) + 1
        ranks[row.key] = places[row.track]
    return [replace(row, rank=ranks.get(row.key)) for row in kept]


def not_yet_listed(rows: Iterable[Row], at: str) -> list[Row]:
    """The ranked rows dated that day or before that the contest's README did not show yet, best first."""
    late = [row for row in rows if row.rank and row.date <= day(at) < row.listed]
    return sorted(late, key=lambda row: row.rank or 0)


def known_track(track: str | None) -> str | None:
    """The track's name for any of its short forms; None for None, GolfError for no track."""
    if track is None:
        return None
    short = {"record": "10min_16mb", "non_record": "non_record_16mb", "non-record": "non_record_16mb"}
    track = short.get(track, track).removeprefix("track_")
    _known("track", track, TRACKS)
    return track


def _known(what: str, value: str | None, allowed: Sequence[str]) -> None:
    if value is not None and value not in allowed:
        raise GolfError(f"no {what} `{value}`", f"one of {', '.join(allowed)}")


def _technique(name: str, rows: Sequence[Row]) -> str:
    known = sorted({technique for row in rows for technique in row.techniques})
    wanted = ALIASES.get(name.lower(), name.lower().replace("-", "_").replace(" ", "_"))
    if wanted in known:
        return wanted
    near = [one for one in known if wanted in one or one in wanted]
    hint = f"did you mean `{near[0]}`?" if near else "`golf leaderboard --techniques` lists them"
    raise GolfError(f"no technique `{name}` on the board", hint)


def lineage(rows: Sequence[Row]) -> Iterator[tuple[int, Row]]:
    """(depth, row) of the tree of bases, roots first, children by date; rows whose base is filtered out become roots."""
    keys = {row.key for row in rows}
    children: dict[str | None, list[Row]] = {}
    for row in rows:
        children.setdefault(row.base if row.base in keys else None, []).append(row)

    def walk(parent: str | None, depth: int) -> Iterator[tuple[int, Row]]:
        for row in sorted(children.get(parent, ()), key=lambda row: (row.date or "9999", -(row.bpb or 0.0))):
            yield depth, row
            yield from walk(row.key, depth + 1)

    yield from walk(None, 0)


def recipe_lineage(rows: Sequence[Row]) -> Iterator[tuple[int, Row, str, int | None]]:
    """(depth, row, its recipe, how many choices the recipe changes) of the rows that golf rebuilds, each under the row whose recipe
    its recipe extends, as `golf show` tells it; a recipe on the way that has no row is passed over. None: it extends no row's.
    """
    from golf.recipe import diff, load_recipe

    shipped = shipped_recipes()
    named = {name: row for row in rows if (name := recipe_of_row(row))}
    loaded = {name: load_recipe(shipped[name]) for name in named}
    children: dict[str | None, list[str]] = {}
    for name, recipe in loaded.items():
        children.setdefault(next((one for one in recipe.chain[1:] if one in named), None), []).append(name)

    def walk(parent: str | None, depth: int) -> Iterator[tuple[int, Row, str, int | None]]:
        for name in sorted(children.get(parent, ()), key=lambda name: (named[name].date, -(named[name].bpb or 0.0))):
            yield depth, named[name], name, len(diff(loaded[parent], loaded[name])) if parent else None
            yield from walk(name, depth + 1)

    yield from walk(None, 0)


@dataclass(frozen=True)
class Use:
    """A technique on the board: in how many rows, where it came first, and the scores before and after each first use of it."""

    technique: str
    rows: int
    first: Row
    steps: tuple[tuple[Row, Row, tuple[str, ...]], ...]  # base, row that adds it, what else that row changed

    @property
    def best_delta(self) -> float | None:
        """The largest gain in BPB of a row that added it over its base (with whatever else it changed); negative is better."""
        deltas = [row.bpb - base.bpb for base, row, _ in self.steps if row.bpb is not None and base.bpb is not None]
        return min(deltas, default=None)


def techniques(rows: Sequence[Row]) -> list[Use]:
    """Every technique, the most used first."""
    keys = {row.key: row for row in official()}
    uses: dict[str, list[Row]] = {}
    for row in rows:
        for name in row.techniques:
            uses.setdefault(name, []).append(row)
    table = []
    for name, of_technique in uses.items():
        added = [row for row in of_technique if name in row.adds and row.base in keys]
        steps = tuple(step for row in added if (step := _step(row, name, keys)) is not None)
        first = min(of_technique, key=lambda row: (row.date or "9999", -(row.bpb or 0.0)))
        table.append(Use(name, len(of_technique), first, steps))
    return sorted(table, key=lambda use: (-use.rows, use.technique))


def _step(row: Row, name: str, keys: Mapping[str, Row]) -> tuple[Row, Row, tuple[str, ...]] | None:
    """(nearest scored ancestor, row, what else changed on the way); None when that ancestor uses the technique too, or is none."""
    changes = [*row.adds, *(f"-{drop}" for drop in row.drops)]
    base = keys.get(row.base or "")
    while base is not None and base.bpb is None:
        changes += [*base.adds, *(f"-{drop}" for drop in base.drops)]
        base = keys.get(base.base or "")
    if base is None or name in base.techniques:
        return None
    return base, row, tuple(dict.fromkeys(change for change in changes if change != name))
