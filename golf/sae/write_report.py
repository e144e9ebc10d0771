"""Write the report of a run: Markdown, one static page, and its pictures."""

from collections.abc import Sequence
from pathlib import Path

from golf.files import write_atomically
from golf.sae.plots import figures
from golf.sae.report import Report
from golf.sae.tables import sections

PLOTS = "plots"


def markdown(report: Report, pictures: Sequence[str]) -> str:
    """The report as Markdown, with the pictures that were drawn."""
    parts = [f"# {report.title}\n", *(f"- {name}: {text}" for name, text in report.facts()), ""]
    for title, remark, (columns, rows) in sections(report):
        parts += [f"## {title}\n", *([remark, ""] if remark else [])]
        parts += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        parts += ["| " + " | ".join(row) + " |" for row in rows]
        parts.append("")
    parts += ["## Pictures\n", *(f"![{name}]({PLOTS}/{name}.svg)\n" for name in pictures)]
    return "\n".join(parts)


def write_report(report: Report) -> list[Path]:
    """report.md, report.html and plots/ in the run's folder; SVG always, PNG where matplotlib is. Returns what was written."""
    from golf.figures.png import can_draw, save
    from golf.figures.svg import draw
    from golf.sae.page import page

    drawn = figures(report.measured, report.stats, report.students)
    folder = report.folder / PLOTS
    folder.mkdir(exist_ok=True)
    written = []
    for old in (path for path in folder.iterdir() if path.suffix in (".svg", ".png") and path.stem not in drawn):
        old.unlink()  # of an earlier report, with data that is no longer there
    for name, figure in drawn.items():
        write_atomically(folder / f"{name}.svg", draw(figure).encode())
        written.append(folder / f"{name}.svg")
        if can_draw():
            save(figure, folder / f"{name}.png")
            written.append(folder / f"{name}.png")
    for name, text in (("report.md", markdown(report, list(drawn))), ("report.html", page(report, drawn))):
        write_atomically(report.folder / name, text.encode())
        written.append(report.folder / name)
    return written
