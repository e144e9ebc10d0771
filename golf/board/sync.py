"""A fresher board from a local clone of the challenge's repository: its tables, its record folders, nothing from the network.

What golf knows of a row (what it was built on, what audits say) stays; what the clone says is taken over: score, place, author, date,
and from the logs of its folder seeds and measurements. The result lies in the project, as `.golf/board.json`.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from golf.board.rows import Row, official, rows_of_table
from golf.errors import GolfError
from golf.files import json_text, parse_json, read_text, write_atomically
from golf.reading.choice import choose
from golf.reading.folder import Folder

PLACE = Path(".golf") / "board.json"
MOST_README_BYTES = 4_000_000
HEADS = ("run", "score", "author", "summary", "date")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PULL = re.compile(r"(?:/pull/|#)(\d{1,6})")
FOLDER = re.compile(r"(records/track_(?:10min|non_record)_16mb/[^/)\s]+)")
SCORE = re.compile(r"\d\.\d{2,8}")


@dataclass(frozen=True)
class Synced:
    """What a sync did. commit: of the clone, "" where it cannot be told."""

    file: Path
    commit: str
    rows: int
    new: int
    changed: int
    with_seeds: int
    notes: tuple[str, ...] = field(default=())


def sync_board(clone: Path, root: Path) -> Synced:
    """Read `clone` and write the board of the project at `root`. GolfError where the clone has no table."""
    readme = read_text(clone / "README.md", MOST_README_BYTES)
    found = list(_rows(readme or ""))
    if not found:
        raise GolfError(
            f"`{clone}` has no README.md with the leaderboard's table", "name a clone of openai/parameter-golf"
        )
    known = {row.key: row for row in official()}
    merged, notes, new, changed = dict(known), list[str](), 0, 0
    for row in found:
        old = _same(row, known.values())
        fresh = row if old is None else _taken_over(old, row)
        fresh = _measured(fresh, clone / row.folder) if row.folder else fresh
        new += old is None
        changed += old is not None and (old.score, old.rank, old.date, old.author) != (
            fresh.score,
            fresh.rank,
            fresh.date,
            fresh.author,
        )
        merged[fresh.key] = fresh
    listed = {row.key for row in merged.values() if _same(row, found)}
    gone = [row.label for row in known.values() if row.status == "merged" and row.rank and row.key not in listed]
    if gone:
        notes.append(
            f"not in the clone's tables: {', '.join(gone[:8])}"
            + (f" and {len(gone) - 8} more" if len(gone) > 8 else "")
        )
    commit = _commit(clone)
    text = json_text(
        {"schema": 1, "commit": commit, "rows": [_plain(row) for row in merged.values()]}, 1, ascii_only=False
    )
    write_atomically(root / PLACE, (text + "\n").encode())
    return Synced(
        root / PLACE, commit, len(merged), new, changed, sum(bool(row.seeds) for row in merged.values()), tuple(notes)
    )


def board_rows(root: Path) -> tuple[Row, ...]:
    """The project's own board where one was synced, else the one that golf ships."""
    path = root / PLACE
    if not path.is_file():
        return official()
    try:
        return rows_of_table(parse_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise GolfError(
            f"{path} is damaged: {fault}", "`golf board sync --repo CLONE` writes it anew, or remove it"
        ) from fault


def _rows(readme: str) -> Iterator[Row]:
    """The rows of every table whose head names run, score, author, summary and date; ranked in the order of their scores."""
    columns: list[str] = []
    found: list[Row] = []
    for line in readme.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.lstrip().startswith("|") else []
        heads = [cell.lower() for cell in cells]
        if not cells:
            columns = []
        elif all(head in heads for head in HEADS):
            columns = heads
        elif columns and len(cells) == len(columns) and SCORE.fullmatch(cells[columns.index("score")]):
            found.append(_row(dict(zip(columns, cells, strict=True)), line))
    for track in ("10min_16mb", "non_record_16mb"):
        ranked = sorted((row for row in found if row.track == track), key=lambda row: row.bpb or 0.0)
        yield from (replace(row, rank=place) for place, row in enumerate(ranked, 1))


def _row(cells: dict[str, str], line: str) -> Row:
    folder = FOLDER.search(line)
    pull = PULL.search(cells.get("info", "")) or PULL.search(cells["summary"])
    name = folder[1].rpartition("/")[2] if folder else cells["run"]
    return Row(
        name, "non_record_16mb" if folder and "non_record" in folder[1] else "10min_16mb", cells["date"], cells["run"], cells["score"],
        LINK.sub("", cells["author"]).strip() or cells["author"], int(pull[1]) if pull else None, "merged", folder=folder[1] if folder else "",
        source="a clone's README", links=tuple(LINK.findall(line)), summary=cells["summary"],
    )  # fmt: skip


def _same(row: Row, among: Any) -> Row | None:
    """The row of the same folder, or of the same run on the same day."""

    def name(one: Row) -> str:
        return one.folder.rpartition("/")[2].partition(" ")[0]

    by_folder = next((one for one in among if name(row) and name(one) == name(row)), None)
    return by_folder or next(
        (one for one in among if (one.run, one.date, one.track) == (row.run, row.date, row.track)), None
    )


def _taken_over(old: Row, new: Row) -> Row:
    return replace(
        old, score=new.score, rank=new.rank, date=new.date, author=new.author, run=new.run, summary=new.summary, folder=new.folder or old.folder,
        status="merged" if old.status in ("merged", "row", "base") else old.status, source=new.source,
    )  # fmt: skip


def _measured(row: Row, folder: Path) -> Row:
    """The row with the seeds and measurements that the logs of its folder give; as it is where there are none."""
    if not folder.is_dir():
        return row
    runs = {seed.partition(" ")[0]: log.run for seed, log in choose(Folder(folder)).runs.items()}
    seeds = {seed: (run.val_bpb, run.val_loss) for seed, run in runs.items() if run.val_bpb is not None}
    if not seeds:
        return row
    stats = dict(row.stats)
    for name, values, of in (
        ("bytes", [run.total_bytes for run in runs.values()], max), ("steps", [run.steps for run in runs.values()], _mean),
        ("step_ms", [run.step_ms for run in runs.values()], _mean), ("eval_seconds", [run.eval_seconds for run in runs.values()], _mean),
    ):  # fmt: skip
        known = [value for value in values if value is not None]
        if len(known) == len(runs):
            stats[name] = of(known)
    return replace(row, seeds=seeds, stats=stats)


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 2)


def _plain(row: Row) -> dict[str, Any]:
    """A row as `official.json` writes one: its own additions, not the inherited techniques."""
    table = asdict(row)
    del table["techniques"]
    table["marks"] = [[mark.kind, list(mark.codes), mark.text] for mark in row.marks if mark.kind != "unsaid"]
    return table


def _commit(clone: Path) -> str:
    """The commit that is checked out, read from the files of git."""
    head = read_text(clone / ".git" / "HEAD", 1000) or ""
    if not head.startswith("ref: "):
        return head.strip()[:40]
    name = head[5:].strip()
    loose = read_text(clone / ".git" / name, 1000) if ".." not in name else None
    packed = re.search(
        rf"^([0-9a-f]{{40}}) {re.escape(name)}$",
        read_text(clone / ".git" / "packed-refs", MOST_README_BYTES) or "",
        re.MULTILINE,
    )
    return (loose or "").strip()[:40] or (packed[1] if packed else "")
