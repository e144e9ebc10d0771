"""The report as one static page: pictures inside, tables that sort and filter, light and dark; it loads nothing."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from golf import __version__
from golf.figures.charts import Figure
from golf.figures.page import document, sortable
from golf.figures.svg import draw
from golf.sae.grid_report import GRID_REMARK, GRID_TITLE, Point, grid_table
from golf.sae.measured import COLUMNS, table_rows
from golf.sae.tables import Table, sections

if TYPE_CHECKING:
    from golf.sae.report import Report

ORDER = (
    ("2_metrics_heatmap",),
    ("1_training_curves",),
    ("7_snapshot_progress",),
    ("8_loss_floor_predictions",),
    ("6_ce_recovered",),
    ("3_l0_vs_fvu", "4_density_hist"),
    ("5_importance_rank",),
)


def page(report: "Report", figures: Mapping[str, Figure], links: Mapping[str, str] | None = None) -> str:
    """The whole page. links: {file beside it: what it is}, pages of features."""
    features = ", ".join(f'<a href="{escape(file)}">{escape(what)}</a>' for file, what in (links or {}).items())
    features = f"<dt>features</dt><dd>{features}</dd>" if features else ""
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{_inline(text)}</dd>" for name, text in report.facts())
    rows = [[_figure(figures[name]) for name in names if name in figures] for names in ORDER]
    pictures = [f'<div class="pair">{"".join(row)}</div>' if len(row) > 1 else "".join(row) for row in rows]
    tables = [
        f"<section><h2>{escape(title)}</h2>{f'<p class=dim>{escape(remark)}</p>' if remark else ''}{table(columns_and_rows)}</section>"
        for title, remark, columns_and_rows in sections(report)
    ]
    return document(
        report.title,
        f'<dl>{facts}{features}</dl><p class="dim">Written by golf {__version__}. Click a column to sort; hover a point for its numbers.</p>'
        f"{tables[0]}<section><h2>Pictures</h2>{''.join(pictures)}</section>{''.join(tables[1:])}"
        '<section><h2>Every snapshot</h2><p><input id="filter" type="search" placeholder="filter all rows: final, 50K …" '
        f'aria-label="filter rows"></p>{table(_everything(report))}</section>',
    )


def grid_page(points: Sequence[Point], figures: Mapping[str, Figure]) -> str:
    """The whole page of a grid."""
    drawn = "".join(_figure(figure) for figure in figures.values())
    return document(
        GRID_TITLE,
        f"<p>{escape(GRID_REMARK)}</p>{drawn}<section><h2>Every dictionary</h2>"
        '<p><input id="filter" type="search" placeholder="filter: layer 3, topk, CE …" aria-label="filter rows"></p>'
        f"{table(grid_table(points))}</section>",
    )


def _figure(figure: Figure) -> str:
    return f"<figure>{draw(figure)}</figure>"


def _inline(text: str) -> str:
    """Escaped text with `code`."""
    parts = text.split("`")
    return "".join(f"<code>{escape(part)}</code>" if place % 2 else escape(part) for place, part in enumerate(parts))


def table(columns_and_rows: Table) -> str:
    """A sortable table; columns whose cells are all numbers sort as numbers and stand to the right."""
    columns, rows = columns_and_rows
    numeric = [all(_is_number(row[place]) for row in rows) for place in range(len(columns))]
    kinds = [' class="num"' if number else "" for number in numeric]
    lines = (
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return sortable(columns, lines, [name for name, number in zip(columns, numeric, strict=True) if number])


def _is_number(text: str) -> bool:
    return (
        text in ("", "–")
        or text.lstrip("+-−").replace(",", "").rstrip("%").replace(".", "", 1).replace("e-", "").isdigit()
    )


def _everything(report: "Report") -> tuple[Sequence[str], list[list[str]]]:
    """Every column of the table on disk that any row fills."""
    rows = table_rows(report.measured)
    shown = [name for name in COLUMNS if any(row[name] is not None for row in rows)]
    return [name.replace("_", " ") for name in shown], [[_cell(row[name]) for name in shown] for row in rows]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}" if abs(value) < 1e5 else f"{value:.0f}"
    return str(value)
