"""The same charts as PNG, where matplotlib (`pip install 'parameter-golf[plot]'`) is there; never needed."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap
from typing import Any

from golf.figures.charts import Bars, Chart, Figure, Heatmap, Panel, days, decades, short

DOTS_PER_INCH = 130
INK, DIM, GRID = "#1f2328", "#59636e", "#d1d9e0"


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def save(figure: Figure, path: Path) -> None:
    """Draw `figure` into the file `path`, without a display and without changing matplotlib's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=_inches(figure), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(canvas)
    canvas.suptitle(figure.title, fontsize=12, fontweight="bold", color=INK, x=0.01, ha="left")
    if isinstance(figure, Heatmap):
        _heatmap(canvas.subplots(), figure)
        canvas.supxlabel(figure.note, fontsize=8, color=DIM, wrap=True)
    elif isinstance(figure, Bars):
        _bars(canvas.subplots(), figure)
    else:
        _chart(canvas, figure)
    canvas.savefig(path, metadata={"Software": "golf"})


def _inches(figure: Figure) -> tuple[float, float]:
    if isinstance(figure, Heatmap):
        return 1.6 + 0.95 * len(figure.columns), 1.3 + 0.3 * len(figure.rows)
    if isinstance(figure, Bars):
        return 7.6, 1.0 + 0.27 * len(figure.values)
    return (7.6 if len(figure.panels) == 1 else 4.6 * len(figure.panels)), 4.2


def _chart(canvas: Any, figure: Chart) -> None:
    paint = figure.colours
    axes = canvas.subplots(1, len(figure.panels), squeeze=False)[0]
    handles: dict[str, Any] = {}
    for axis, panel in zip(axes, figure.panels, strict=True):
        handles |= _panel(axis, panel, paint)
    if handles:
        ordered = [name for name in figure.names if name in handles]
        note = "\n".join(wrap(figure.note, int(16 * _inches(figure)[0])))
        legend = canvas.legend(
            [handles[name] for name in ordered],
            ordered,
            loc="outside lower center",
            ncols=min(len(ordered), int(0.95 * _inches(figure)[0]), _fitting(ordered, _inches(figure)[0])),
            fontsize=8,
            frameon=False,
            title=note,
            title_fontsize=8,
        )
        legend.get_title().set_color(DIM)


def _fitting(names: Sequence[str], inches: float) -> int:
    """Columns of a legend that fit: its letters take a fifteenth of an inch, a mark and a gap six letters."""
    return max(int(15 * inches / (max(map(len, names)) + 6)), 1)


def _panel(axis: Any, panel: Panel, paint: dict[str, str]) -> dict[str, Any]:
    axis.set_xlabel(panel.x_name, fontsize=9, color=DIM)
    axis.set_ylabel(panel.y_name, fontsize=9, color=DIM)
    axis.tick_params(labelsize=8, colors=DIM)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(GRID)
    axis.grid(axis="y", color=GRID, linewidth=0.7)
    if panel.x_log:
        axis.set_xscale("log")
    if panel.y_log:
        axis.set_yscale("log")
    axis.xaxis.set_major_formatter(lambda value, place: panel.x_text(value))
    axis.yaxis.set_major_formatter(lambda value, place: short(value))
    for side in (axis.xaxis, axis.yaxis):
        side.set_minor_formatter("")
    if panel.y_range:
        axis.set_ylim(*panel.y_range)
    for name, value in panel.marks.items():
        axis.axvline(value, color=paint.get(name, DIM), linewidth=0.8, linestyle=":")
    for colour, points in zip(paint.values(), map(panel.drawable, panel.guides.values()), strict=False):
        if points:
            axis.plot(*zip(*points, strict=True), color=colour, linewidth=1.1, linestyle="--", alpha=0.7)
    _fixed_ticks(axis, panel)
    handles = {}
    for name, line in panel.lines.items():
        if points := panel.drawable(line):
            marker = "o" if panel.dots or len(points) == 1 else None
            x, y = zip(*points, strict=True)
            (handles[name],) = axis.plot(x, y, color=paint[name], linewidth=1.4, marker=marker, markersize=4)
    for name, line in panel.scatter.items():
        if points := panel.drawable(line):
            x, y = zip(*points, strict=True)
            face = "none" if name in panel.hollow else paint[name]
            (drawn,) = axis.plot(x, y, "o", color=paint[name], markerfacecolor=face, markersize=4)
            handles.setdefault(name, drawn)
    return handles


def _fixed_ticks(axis: Any, panel: Panel) -> None:
    """The ticks that matplotlib would choose otherwise: of logarithmic axes, and days."""
    from matplotlib.ticker import FixedLocator

    points = panel.points
    for place, side, log in ((0, axis.xaxis, panel.x_log), (1, axis.yaxis, panel.y_log)):
        values = [point[place] for point in points]
        if values and log:
            side.set_major_locator(FixedLocator(decades(min(values), max(values))))
        elif values and place == 0 and panel.x_dates:
            side.set_major_locator(FixedLocator(days(min(values), max(values))))


def _bars(axis: Any, figure: Bars) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(GRID)
    axis.tick_params(labelsize=8, colors=DIM, length=0)
    axis.xaxis.set_major_formatter(lambda value, place: short(value))
    lengths = [value - figure.begin for value in figure.values.values()]
    drawn = axis.barh(list(figure.values), lengths, left=figure.begin, height=0.7, color="#2f7fd1")
    axis.bar_label(drawn, [figure.text(value) for value in figure.values.values()], padding=4, fontsize=8, color=DIM)
    axis.invert_yaxis()
    axis.margins(x=0.18)
    axis.set_xlim(left=figure.begin)
    axis.set_xlabel(figure.note, fontsize=8, color=DIM)


def _heatmap(axis: Any, figure: Heatmap) -> None:
    axis.set_xlim(0, len(figure.columns))
    axis.set_ylim(len(figure.rows), 0)
    axis.set_xticks([place + 0.5 for place in range(len(figure.columns))], [column.name for column in figure.columns])
    axis.set_yticks([place + 0.5 for place in range(len(figure.rows))], figure.rows)
    axis.tick_params(length=0, labelsize=8, labeltop=True, labelbottom=False, colors=INK)
    axis.spines[:].set_visible(False)
    for place, column in enumerate(figure.columns):
        colour = "#2563c9" if column.better else "#6b7280"
        for row, (value, shade) in enumerate(zip(column.values, column.shades(), strict=True)):
            alpha = 0.04 if shade is None else 0.08 + 0.62 * shade
            axis.add_patch(_rectangle(place, row, colour, alpha))
            axis.text(place + 0.5, row + 0.5, column.text(value), ha="center", va="center", fontsize=8, color=INK)


def _rectangle(place: int, row: int, colour: str, alpha: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((place + 0.02, row + 0.04), 0.96, 0.92, facecolor=colour, alpha=alpha, edgecolor="none")
