"""The board as one static HTML page: score over time, sortable tables, lineage, techniques. No server, no network, no library."""

from collections.abc import Sequence
from html import escape
from math import ceil

from golf import __version__
from golf.board.rows import Row
from golf.board.views import lineage, techniques
from golf.figures.curves import ticks
from golf.figures.page_style import SCRIPT, STYLE

WIDTH, HEIGHT = 1000, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 36
TRACK_TITLES = {
    "10min_16mb": "Record track: 10 minutes, 16 MB",
    "non_record_16mb": "Non-record track",
    "local": "Local, not challenge results",
}


def page(rows: Sequence[Row]) -> str:
    """The whole page for `rows`."""
    record = [
        row
        for row in rows
        if row.track == "10min_16mb" and row.bpb is not None and row.date and row.status in ("merged", "row", "local")
    ]
    listed = [row for row in rows if row.status not in ("base", "withdrawn", "no_row")]
    others = [row for row in rows if row.status in ("withdrawn", "no_row")]
    sections = [f"<section><h2>Score over time</h2>{chart(record)}</section>"] if record else []
    for track, title in TRACK_TITLES.items():
        of_track = [row for row in listed if row.track == track]
        if of_track:
            sections.append(f"<section><h2>{title}</h2>{table(of_track)}</section>")
    if others:
        sections.append(f"<section><h2>Withdrawn, or merged without a row</h2>{table(others)}</section>")
    tree = [row for row in rows if row.track == "10min_16mb" and row.status != "withdrawn"]
    if any(row.base for row in tree):
        sections.append(
            f'<section><h2>Lineage</h2><p class="dim">Each row under the one that it was built on, with what it added (−: dropped).</p>{lineage_tree(tree)}</section>'
        )
    official = [row for row in listed if row.status != "local"]
    if official:
        sections.append(
            f'<section><h2>Techniques</h2><p class="dim">Before → after is of the whole row: what else changed with it is counted, not taken out.</p>{technique_table(official)}</section>'
        )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Parameter Golf: the board</title><style>{STYLE}</style></head><body><main><h1>Parameter Golf: the board</h1>"
        '<p class="dim">The official tables in their final state (README and pull request #2146, 2026-05-04), remarks from audits and '
        f'reviews. <span class="bad">disputed</span> marks contested scores. Written by golf {__version__}. Click a column to sort.</p>'
        '<p><input id="filter" type="search" placeholder="filter rows: xsa, dexhunter, 2026-04 …" aria-label="filter rows"></p>'
        + "".join(sections)
        + f"</main><script>{SCRIPT}</script></body></html>\n"
    )


def table(rows: Sequence[Row]) -> str:
    """A sortable table of rows."""
    heads = ("rank", "bpb", "date", "PR", "author", "run", "status", "added", "remarks")
    numbers = {"rank", "bpb", "PR"}
    head = "".join(
        f'<th{" class=num" if name in numbers else ""} aria-sort="none"><button>{name}</button></th>' for name in heads
    )
    return f'<div class="wide"><table class="sortable"><thead><tr>{head}</tr></thead><tbody>{"".join(map(_row, rows))}</tbody></table></div>'


def _row(row: Row) -> str:
    link = next(
        (link for link in row.links if link.startswith("http")),
        f"https://github.com/openai/parameter-golf/pull/{row.pr}" if row.pr else "",
    )
    number = f'<a href="{escape(link)}">#{row.pr}</a>' if row.pr and link else ""
    status = escape(row.status) + (' <span class="bad">disputed</span>' if row.disputed else "")
    remarks = " ".join(f"<p><b>{escape(' '.join(mark.codes))}</b> {escape(mark.text)}</p>" for mark in row.marks)
    chips = " ".join(f'<span class="chip">{escape(name)}</span>' for name in row.adds)
    title = f' title="{escape(row.summary)}"' if row.summary else ""
    return (
        f'<tr id="row-{escape(row.key)}" data-all="{escape(" ".join(row.techniques))}"><td class="num">{row.rank or ""}</td><td class="num">{row.score}</td><td class="date">{row.date}</td>'
        f'<td class="num">{number}</td><td>{escape(row.author)}</td><td{title}>{escape(row.run)}</td><td>{status}</td>'
        f'<td>{chips}</td><td class="remark">{remarks}</td></tr>'
    )


def lineage_tree(rows: Sequence[Row]) -> str:
    """The lineage as nested lines."""
    lines = []
    for depth, row in lineage(rows):
        chips = "".join(f'<span class="chip">{escape(name)}</span>' for name in row.adds)
        chips += "".join(f'<span class="chip off">−{escape(name)}</span>' for name in row.drops)
        score = f"<b>{row.score}</b>" if row.score else '<span class="dim">no row</span>'
        lines.append(
            f'<li style="--depth:{depth}">{escape(row.label)} {score} <span class="dim">{escape(row.author)}</span> {chips}</li>'
        )
    return f'<ul class="tree">{"".join(lines)}</ul>'


def technique_table(rows: Sequence[Row]) -> str:
    """Who uses what, sortable."""
    heads = ("technique", "rows", "first", "date", "before", "after", "delta", "with")
    head = "".join(
        f'<th{" class=num" if name in ("rows", "before", "after", "delta") else ""} aria-sort="none"><button>{name}</button></th>'
        for name in heads
    )
    body = []
    for use in techniques(rows):
        known = [step for step in use.steps if step[0].bpb is not None and step[1].bpb is not None]
        best = min(known, key=lambda step: (step[1].bpb or 0.0) - (step[0].bpb or 0.0), default=None)
        after = ("", "", "", "")
        if best:
            base, row, others = best
            after = (
                base.score,
                f"{row.score} ({row.label})",
                f"{(row.bpb or 0.0) - (base.bpb or 0.0):+.4f}",
                ", ".join(others) or "alone",
            )
        cells = "".join(
            f"<td{' class=num' if index < 3 else ''}>{escape(text)}</td>" for index, text in enumerate(after)
        )
        body.append(
            f'<tr><td>{escape(use.technique)}</td><td class="num">{use.rows}</td><td>{escape(use.first.label)}</td><td class="date">{use.first.date}</td>{cells}</tr>'
        )
    return f'<div class="wide"><table class="sortable"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def chart(rows: Sequence[Row]) -> str:
    """Score over time: a point per row, the record so far as a step line."""
    from datetime import date

    days = {row.key: date.fromisoformat(row.date).toordinal() for row in rows}
    first, last = min(days.values()), max(*days.values(), min(days.values()) + 1)
    scores = [row.bpb or 0.0 for row in rows]
    low, high = min(scores) - 0.005, max(scores) + 0.005

    def at(day: float, score: float) -> tuple[float, float]:
        return (
            LEFT + (day - first) / (last - first) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - (score - low) / (high - low) * (HEIGHT - TOP - BOTTOM),
        )

    parts = []
    for value in ticks(low, high, 6):
        y = at(first, value)[1]
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/><text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>'
        )
    for day in range(first, last + 1, max(1, ceil((last - first) / 9))):
        parts.append(
            f'<text x="{at(day, low)[0]:.1f}" y="{HEIGHT - 12}" text-anchor="middle">{date.fromordinal(day).isoformat()[5:]}</text>'
        )
    path, best = [], None
    for row in sorted(rows, key=lambda row: (days[row.key], -(row.bpb or 0.0))):
        if row.status == "local" or (best is not None and (row.bpb or 9.0) >= best):
            continue
        x, y = at(days[row.key], row.bpb or 0.0)
        path.append(f"H{x:.1f}V{y:.1f}" if best is not None else f"M{x:.1f},{y:.1f}")
        best = row.bpb
    parts.append(f'<path class="step" d="{"".join(path)}H{WIDTH - RIGHT}"/>')
    for row in rows:
        x, y = at(days[row.key], row.bpb or 0.0)
        kind = "local" if row.status == "local" else "bad" if row.disputed else "ok"
        text = escape(f"{row.label} {row.score} {row.date} {row.author}: {row.run}")
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>{text}</title></circle>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="score over time, bits per byte">{"".join(parts)}</svg>'
