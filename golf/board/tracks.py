"""Tracks beside the challenge's, as data: how their runs are started, and a board for each set of runs that compare."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.run.schema import Run
from golf.stats import Sample

OWN = Path(".golf") / "tracks.toml"
SETTINGS = {"iterations": int, "max_wallclock_seconds": float, "nproc": int}
AT_MOST = ("val_bpb", "val_loss", "train_seconds", "energy_joules")
WHERE = ("world_size", "max_wallclock_seconds", "device")
GROUP = ("iterations", "tokens", "data", "device", "smoke")
ORDER = ("val_bpb", "val_loss", "train_seconds", "energy_joules")


@dataclass(frozen=True)
class SideTrack:
    """A track as its table words it; see `tracks.toml`."""

    name: str
    title: str
    run: Mapping[str, Any]
    where: Mapping[str, Any]
    group: tuple[str, ...]
    order: str
    at_most: Mapping[str, float]


@dataclass(frozen=True)
class Place:
    """A submission's runs of one script on one board. score: of its seeds, in the board's number; facts of the first run."""

    rank: int
    submission: str
    score: Sample
    seeds: tuple[int, ...]
    steps: float | None
    step_ms: float | None
    device: str | None
    folder: str


@dataclass(frozen=True)
class Board:
    """The runs of a track that compare: equal in `group`."""

    track: str
    order: str
    group: Mapping[str, Any]
    places: tuple[Place, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def side_tracks(root: Path) -> dict[str, SideTrack]:
    """The tracks of `tracks.toml` and of the project's own file. GolfError for a table that is none."""
    shipped = tomllib.loads(files("golf.board").joinpath("tracks.toml").read_text(encoding="utf-8"))["track"]
    own: dict[str, Any] = {}
    if (root / OWN).is_file():
        try:
            own = tomllib.loads((root / OWN).read_text(encoding="utf-8")).get("track", {})
        except (ValueError, OSError) as fault:
            raise GolfError(
                f"{OWN} cannot be read: {fault}", "a track is a table `[track.NAME]`, as in golf's tracks.toml"
            ) from fault
    if not isinstance(own, dict):
        raise GolfError(f"{OWN} has no table `track`", "a track is a table `[track.NAME]`, as in golf's tracks.toml")
    return {name: _track(name, table) for name, table in {**shipped, **own}.items()}


def _track(name: str, table: Any) -> SideTrack:
    hint = "it has title, run, where, at_most, group and order, as those in golf's tracks.toml"
    if not isinstance(table, dict):
        raise GolfError(f"track `{name}` is no table", hint)
    run, where, at_most = table.get("run", {}), table.get("where", {}), table.get("at_most", {})
    group, order = tuple(table.get("group", ("data",))), table.get("order", "val_bpb")
    for what, given, known in (
        ("run", run, SETTINGS),
        ("where", where, WHERE),
        ("at_most", at_most, AT_MOST),
        ("group", group, GROUP),
        ("order", [order], ORDER),
    ):
        for key in given:
            if key not in known:
                raise GolfError(f"track `{name}`: `{key}` is nothing that {what} knows", f"it knows {', '.join(known)}")
    for key, value in [*run.items(), *at_most.items()]:
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise GolfError(f"track `{name}`: {key} = {value!r} is no number of {key}", hint)
    return SideTrack(name, str(table.get("title", name)), run, where, group, order, at_most)


def side_track(name: str, root: Path) -> SideTrack:
    """The track of this name; GolfError where there is none."""
    known = side_tracks(root)
    if name not in known:
        near = get_close_matches(name, known, 1)
        raise GolfError(
            f"no track `{name}`" + (f"; did you mean `{near[0]}`?" if near else ""), f"there are: {', '.join(known)}"
        )
    return known[name]


def boards_of(track: SideTrack, root: Path) -> list[Board]:
    """A board for each set of this project's finished runs that compare, the largest first; a seed's newest run counts."""
    from golf.run.store import has_store, open_store

    if not has_store(root):
        return []
    with open_store(root) as store:
        runs = [run for run in store.runs(state="finished") if _fits(track, run)]
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(tuple(_fact(run, name) for name in track.group), []).append(run)
    found = [
        Board(track.name, track.order, dict(zip(track.group, key, strict=True)), _places(track, members))
        for key, members in groups.items()
    ]
    return sorted(found, key=lambda board: -len(board.places))


def _fits(track: SideTrack, run: Run) -> bool:
    result = run.result or {}
    if result.get(track.order) is None or run.derived:
        return False
    if any(result.get(name) is None or result[name] > most for name, most in track.at_most.items()):
        return False
    facts = {"world_size": run.world_size, "max_wallclock_seconds": result.get("max_wallclock_seconds"),
             "device": "cpu" if run.device in (None, "cpu") else "gpu"}  # fmt: skip
    return all(facts[name] == value for name, value in track.where.items())


def _fact(run: Run, name: str) -> Any:
    """A fact that runs of one board share; None where the run does not say."""
    result = run.result or {}
    if name == "tokens":
        steps, batch = result.get("steps"), result.get("train_batch_tokens")
        return steps * batch if steps and batch else None
    return {"iterations": result.get("iterations"), "data": run.data_sha256, "device": run.device, "smoke": run.smoke}[
        name
    ]


def _places(track: SideTrack, runs: list[Run]) -> tuple[Place, ...]:
    sets: dict[tuple[str, str], dict[int, Run]] = {}
    for run in runs:
        sets.setdefault((run.submission, run.set_id), {})[run.seed] = run
    scored = []
    for (submission, _), newest in sets.items():
        results = [run.result or {} for run in newest.values()]
        score = Sample.of([float(result[track.order]) for result in results])
        first = next(iter(newest.values()))
        scored.append((score, submission, tuple(newest), _mean(results, "steps"), _mean(results, "step_ms"), first))
    scored.sort(key=lambda one: one[0].mean)
    return tuple(
        Place(rank, submission, score, seeds, steps, step_ms, first.device, str(first.folder.parent))
        for rank, (score, submission, seeds, steps, step_ms, first) in enumerate(scored, 1)
    )


def _mean(results: list[dict[str, Any]], name: str) -> float | None:
    values = [result[name] for result in results if result.get(name) is not None]
    return sum(values) / len(values) if values else None
