"""The board as one static HTML page: score over time, sortable tables, lineage, techniques. No server, no network, no library."""

from collections.abc import Sequence
from html import escape

from golf import __version__
from golf.board.rows import Row
from golf.board.views import lineage, measured, techniques
from golf.figures.charts import Chart, Panel, stairs
from golf.figures.page import document, sortable
from golf.figures.svg import draw

MEASURED = ("n", "sd", "bytes", "steps", "ms/step", "eval s")  # of the seeds, as `measured` gives them
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
    sections = [f"<section><figure>{draw(chart(record))}</figure></section>"] if record else []
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
    return document(
        "Parameter Golf: the board",
        '<p class="dim">The official tables in their final state (README and pull request #2146, 2026-05-04), remarks from audits and '
        f'reviews. <span class="bad">disputed</span> marks contested scores. Written by golf {__version__}. Click a column to sort.</p>'
        '<p><input id="filter" type="search" placeholder="filter rows: xsa, dexhunter, 2026-04 …" aria-label="filter rows"></p>'
        + "".join(sections),
    )


def table(rows: Sequence[Row]) -> str:
    """A sortable table of rows."""
    heads = ("rank", "bpb", *MEASURED, "date", "PR", "author", "run", "status", "added", "remarks")
    return sortable(heads, map(_row, rows), {"rank", "bpb", "PR", *MEASURED})


def _row(row: Row) -> str:
    link = next(
        (link for link in row.links if link.startswith("http")),
        f"https://github.com/openai/parameter-golf/pull/{row.pr}" if row.pr else "",
    )
    number = f'<a href="{escape(link)}">#{row.pr}</a>' if row.pr and link else ""
    status = escape(row.status) + (' <span class="bad">disputed</span>' if row.disputed else "")
    chips = " ".join(f'<span class="chip">{escape(name)}</span>' for name in row.adds)
    title = f' title="{escape(row.summary)}"' if row.summary else ""
    facts = "".join(
        f'<td class="num">{int(fact):,}</td>' if fact.isdigit() else f'<td class="num">{fact}</td>'
        for fact in measured(row)
    )
    return (
        f'<tr id="row-{escape(row.key)}" data-all="{escape(" ".join(row.techniques))}"><td class="num">{row.rank or ""}</td><td class="num">{row.score}</td>{facts}<td class="date">{row.date}</td>'
        f'<td class="num">{number}</td><td>{escape(row.author)}</td><td{title}>{escape(row.run)}</td><td>{status}</td>'
        f'<td>{chips}</td><td class="remark">{_remarks(row)}</td></tr>'
    )


def _remarks(row: Row) -> str:
    """What audits, reviews and golf's reading of the code say; more than a line of it is folded below its count and its rules."""
    texts = "".join(f"<p><b>{escape(' '.join(mark.codes))}</b> {escape(mark.text)}</p>" for mark in row.marks)
    if len(row.marks) < 2:
        return texts
    codes = " ".join(dict.fromkeys(code for mark in row.marks for code in mark.codes))
    return f"<details><summary>{len(row.marks)} remarks {escape(codes)}</summary>{texts}</details>"


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
    return sortable(heads, body, {"rows", "before", "after", "delta"})


def chart(rows: Sequence[Row]) -> Chart:
    """Score over time: a point per row, the record so far as a step line. Every row has a date and a score."""
    from datetime import date

    points = {row.key: (float(date.fromisoformat(row.date).toordinal()), row.bpb or 0.0) for row in rows}
    best: list[tuple[float, float]] = []
    for day, bpb in sorted((points[row.key] for row in rows if row.status != "local"), key=lambda at: (at[0], -at[1])):
        if not best or bpb < best[-1][1]:
            best.append((day, bpb))
    kinds: dict[str, list[Row]] = {"row": [], "disputed": [], "yours": []}
    for row in rows:
        kinds["yours" if row.status == "local" else "disputed" if row.disputed else "row"].append(row)
    shown = {kind: members for kind, members in kinds.items() if members}
    panel = Panel(
        "day of the score",
        "bits per byte",
        {"record so far": stairs(best, max(day for day, _ in points.values()))},
        x_dates=True,
        scatter={kind: [points[row.key] for row in members] for kind, members in shown.items()},
        hollow=("disputed",),
        texts={kind: [f"{row.label} {row.score} {row.date} {row.author}: {row.run}" for row in members]
               for kind, members in shown.items()},
    )  # fmt: skip
    paint = {"record so far": "#4593e0", "row": "#4593e0", "disputed": "#dc5252", "yours": "#a066d3"}
    return Chart("Score of the record track over time", [panel], paint=paint, width=1200)
