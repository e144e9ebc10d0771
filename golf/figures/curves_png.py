"""The plots of a record as PNG, for places that show no SVG. Needs matplotlib (the extra `plot`); without it there are none."""

from importlib.util import find_spec
from pathlib import Path

from golf.figures.curves import COLOURS, Chart

INCHES, DOTS_PER_INCH = 7.2, 200
INK, DIM, GRID = "#1f2328", "#59636e", "#d1d9e0"


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def write_png(chart: Chart, path: Path) -> None:
    """Draw a chart on white, as its SVG is on a light page."""
    from matplotlib.figure import Figure

    height = 3.6 if chart.series else 0.9 + 0.27 * len(chart.values)
    figure = Figure(figsize=(INCHES, height), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(chart.title, loc="left", fontsize=11, fontweight="bold", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(colors=DIM, labelsize=8, length=0)
    if chart.series:
        for (name, line), colour in zip(chart.series.items(), COLOURS * 9, strict=False):
            axes.plot([x for x, _ in line], [y for _, y in line], color=colour, linewidth=1.2, label=name)
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
        axes.set_xlabel(chart.x_name, fontsize=8, color=DIM)
        axes.set_ylabel(chart.y_name, fontsize=8, color=DIM)
    else:
        _bars(axes, chart)
    figure.savefig(path, metadata={"Software": None})


def _bars(axes: object, chart: Chart) -> None:
    names, values = list(chart.values), list(chart.values.values())
    spread = max(values) - min(values) or 0.01
    low = 0.0 if chart.from_zero else min(values) - 0.5 * spread
    drawn = axes.barh(names, [value - low for value in values], left=low, height=0.7, color=COLOURS[0])  # type: ignore[attr-defined]
    texts = [f"{value:,.0f}" if chart.digits == 0 else f"{value:.{chart.digits}f}" for value in values]
    axes.bar_label(drawn, texts, padding=4, fontsize=8, color=DIM)  # type: ignore[attr-defined]
    axes.invert_yaxis()  # type: ignore[attr-defined]
    axes.margins(x=0.18)  # type: ignore[attr-defined]
    axes.set_xlim(left=low)  # type: ignore[attr-defined]
    axes.set_xticks([])  # type: ignore[attr-defined]
    note = chart.y_name if chart.from_zero else f"{chart.y_name}; the axis begins at {low:.{chart.digits}f}"
    axes.set_xlabel(note, fontsize=8, color=DIM, loc="left")  # type: ignore[attr-defined]
