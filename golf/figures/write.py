"""Charts as files: SVG always, PNG where matplotlib is."""

from collections.abc import Mapping
from pathlib import Path

from golf.figures.charts import Figure
from golf.figures.png import can_draw, save
from golf.figures.svg import draw
from golf.files import write_atomically


def write_figure(figure: Figure, path: Path) -> Path:
    """Draw a chart into `path` by its name's end, `.svg` or `.png` (which needs matplotlib); returns it."""
    if path.suffix == ".svg":
        write_atomically(path, draw(figure).encode())
    else:
        save(figure, path)
    return path


def write_figures(folder: Path, drawn: Mapping[str, Figure]) -> list[Path]:
    """Every chart of {stem of its file: chart} as SVG, and as PNG where matplotlib is; what was written, in order."""
    ends = (".svg", ".png") if can_draw() else (".svg",)
    return [write_figure(figure, folder / f"{stem}{end}") for stem, figure in drawn.items() for end in ends]
