"""Write the report of a run or a grid: Markdown, one static page, and its pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from golf.errors import GolfError
from golf.figures.charts import Figure
from golf.files import parse_json, write_atomically
from golf.sae.grid_report import GRID_REMARK, GRID_TITLE, Point, curves, grid_table
from golf.sae.plots import figures
from golf.sae.report import Report
from golf.sae.tables import markdown_table, sections

PLOTS = "plots"


def markdown(report: Report, pictures: Sequence[str]) -> str:
    """The report as Markdown, with the pictures that were drawn."""
    parts = [f"# {report.title}\n", *(f"- {name}: {text}" for name, text in report.facts()), ""]
    for title, remark, (columns, rows) in sections(report):
        parts += [f"## {title}\n", *([remark, ""] if remark else [])]
        parts += [*markdown_table(columns, rows), ""]
    parts += ["## Pictures\n", *(f"![{name}]({PLOTS}/{name}.svg)\n" for name in pictures)]
    return "\n".join(parts)


def write_report(report: Report) -> list[Path]:
    """report.md, report.html and plots/ in the run's folder; SVG always, PNG where matplotlib is. Returns what was written."""
    from golf.sae.page import page

    drawn = figures(report.measured, report.stats, report.students)
    written = _pictures(report.folder / PLOTS, drawn)
    pages = _feature_pages(report.folder)
    written += pages
    links = {path.name: path.stem.removeprefix("features_") for path in pages}
    for name, text in (("report.md", markdown(report, list(drawn))), ("report.html", page(report, drawn, links))):
        write_atomically(report.folder / name, text.encode())
        written.append(report.folder / name)
    return written


def write_grid(folder: Path, points: Sequence[Point]) -> list[Path]:
    """The same of a grid: the table of all its dictionaries with the Pareto fronts, and the curves over L0."""
    from golf.sae.page import grid_page

    drawn = curves(points)
    written = _pictures(folder / PLOTS, drawn)
    columns, rows = grid_table(points)
    lines = [
        f"# {GRID_TITLE}\n",
        *markdown_table(columns, rows),
        "",
        f"{GRID_REMARK}\n",
        *(f"![{name}]({PLOTS}/{name}.svg)\n" for name in drawn),
    ]
    for name, text in (("report.md", "\n".join(lines)), ("report.html", grid_page(points, drawn))):
        write_atomically(folder / name, text.encode())
        written.append(folder / name)
    return written


def _feature_pages(folder: Path) -> list[Path]:
    """`features_layer{LL}.html` of every layer whose features were told; pages of others go."""
    from golf.sae.feature_page import feature_page

    for old in folder.glob("features_layer*.html"):
        old.unlink()
    written = []
    for path in sorted(folder.glob("features_layer*.json")):
        try:
            said = parse_json(path.read_text())
            where = f"layer {said['layer']}" + ("" if said["place"] == "resid" else f" ({said['place']})")
            remark = f"The most important by E[z²], on {said['held_out']['tokens']:,} held-out tokens ({said['held_out']['origin']})."
            text = feature_page(f"Features of {where}", remark, said["features"])
        except (ValueError, KeyError, TypeError) as fault:
            raise GolfError(f"{path} is damaged: {fault!r}", "measure again: `golf sae eval --features 24`") from None
        written.append(path.with_suffix(".html"))
        write_atomically(written[-1], text.encode())
    return written


def _pictures(folder: Path, drawn: Mapping[str, Figure]) -> list[Path]:
    from golf.figures.write import write_figures

    folder.mkdir(exist_ok=True)
    for old in (path for path in folder.iterdir() if path.suffix in (".svg", ".png") and path.stem not in drawn):
        old.unlink()  # of an earlier report, with data that is no longer there
    return write_figures(folder, drawn)
