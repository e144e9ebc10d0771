"""The board as a file: CSV, JSON, Markdown, or one static HTML page."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from golf.board.rows import Row
from golf.board.views import measured
from golf.errors import Exit, GolfError
from golf.files import json_text

FORMATS = (".csv", ".json", ".md", ".html")
COLUMNS = (
    "track",
    "rank",
    "score",
    "date",
    "run",
    "author",
    "pr",
    "n",
    "sd",
    "bytes",
    "steps",
    "step_ms",
    "eval_seconds",
    "status",
    "disputed",
    "techniques",
    "base",
    "folder",
    "links",
    "remarks",
    "summary",
)


def export_board(rows: Sequence[Row], path: Path) -> None:
    """Write `rows` to `path` in the format that its suffix names; GolfError for another suffix or a folder that is not there."""
    if path.suffix not in FORMATS:
        raise GolfError(f"`{path.name}` names no known format", f"end it with one of {', '.join(FORMATS)}")
    text = {".csv": to_csv, ".json": to_json, ".md": to_markdown, ".html": _to_html}[path.suffix](rows)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise GolfError(
            f"cannot write `{path}`: {fault.strerror}", "name a file in a folder that exists", Exit.REFUSED
        ) from fault


def _to_html(rows: Sequence[Row]) -> str:
    from golf.board.page import page

    return page(rows)


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, one cell per column of COLUMNS."""
    remarks = "; ".join(f"{mark.kind} {' '.join(mark.codes)}: {mark.text}" for mark in row.marks)
    return (
        row.track, str(row.rank or ""), row.score, row.date, row.run, row.author, str(row.pr or ""), *measured(row), row.status,
        "yes" if row.disputed else "", " ".join(row.techniques), row.base or "", row.folder, " ".join(row.links), remarks, row.summary,
    )  # fmt: skip


def to_csv(rows: Sequence[Row]) -> str:
    """Comma-separated, one line per row, a header first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(cells(row) for row in rows)
    return text.getvalue()


def to_json(rows: Sequence[Row]) -> str:
    """`{"schema": 1, "rows": […]}`."""
    return json_text({"schema": 1, "rows": [row.to_dict() for row in rows]}, 1, ascii_only=False) + "\n"


def to_markdown(rows: Sequence[Row]) -> str:
    """A table per track."""
    parts = []
    for track in dict.fromkeys(row.track for row in rows):
        parts.append(
            f"## {track}\n\n| rank | bpb | n | sd | bytes | steps | ms/step | eval s | date | PR | author | run | status | remarks |\n"
            "|---:|---:|---:|---:|---:|---:|---:|---:|---|---|---|---|---|---|"
        )
        for row in rows:
            if row.track == track:
                link = (
                    f"[#{row.pr}]({row.links[0]})"
                    if row.pr and row.links and row.links[0].startswith("http")
                    else row.label
                )
                remark = "; ".join(mark.text for mark in row.marks)
                fields = (
                    str(row.rank or ""),
                    row.score,
                    *measured(row),
                    row.date,
                    link,
                    row.author,
                    row.run,
                    row.status,
                    remark,
                )
                parts.append("| " + " | ".join(field.replace("|", "\\|") for field in fields) + " |")
        parts.append("")
    return "\n".join(parts)
