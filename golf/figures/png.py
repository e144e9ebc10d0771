"""The same charts as PNG, where matplotlib (`pip install 'parameter-golf[plot]'`) is there; never needed."""

from pathlib import Path
from textwrap import wrap
from typing import Any

from golf.figures.charts import Chart, Figure, Heatmap, Panel, colours, decades, short

DOTS_PER_INCH = 130
INK, DIM = "#1f2328", "#59636e"


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
    else:
        _chart(canvas, figure)
    canvas.savefig(path, metadata={"Software": "golf"})


def _inches(figure: Figure) -> tuple[float, float]:
    if isinstance(figure, Heatmap):
        return 1.6 + 0.95 * len(figure.columns), 1.3 + 0.3 * len(figure.rows)
    return (7.6 if len(figure.panels) == 1 else 4.6 * len(figure.panels)), 4.2


def _chart(canvas: Any, figure: Chart) -> None:
    paint = dict(zip(figure.names, colours(len(figure.names)), strict=True))
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
            ncols=min(len(ordered), int(0.95 * _inches(figure)[0])),
            fontsize=8,
            frameon=False,
            title=note,
            title_fontsize=8,
        )
        legend.get_title().set_color(DIM)


def _panel(axis: Any, panel: Panel, paint: dict[str, str]) -> dict[str, Any]:
    axis.set_xlabel(panel.x_name, fontsize=9, color=DIM)
    axis.set_ylabel(panel.y_name, fontsize=9, color=DIM)
    axis.tick_params(labelsize=8, colors=DIM)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#d1d9e0", linewidth=0.7)
    if panel.x_log:
        axis.set_xscale("log")
    if panel.y_log:
        axis.set_yscale("log")
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter(lambda value, place: short(value))
        side.set_minor_formatter("")
    if panel.y_range:
        axis.set_ylim(*panel.y_range)
    for name, value in panel.marks.items():
        axis.axvline(value, color=paint.get(name, DIM), linewidth=0.8, linestyle=":")
    for colour, points in zip(paint.values(), map(panel.drawable, panel.guides.values()), strict=False):
        if points:
            axis.plot(*zip(*points, strict=True), color=colour, linewidth=1.1, linestyle="--", alpha=0.7)
    handles = {}
    _log_ticks(axis, panel)
    for name, points in panel.shown().items():
        if points:
            line = "none" if panel.without_line else "-"
            marker = "o" if panel.dots or panel.without_line or len(points) == 1 else None
            x, y = zip(*points, strict=True)
            (handles[name],) = axis.plot(
                x, y, color=paint[name], linewidth=1.4, linestyle=line, marker=marker, markersize=4
            )
    return handles


def _log_ticks(axis: Any, panel: Panel) -> None:
    from matplotlib.ticker import FixedLocator

    points = [point for line in panel.shown().values() for point in line]
    for place, side, log in ((0, axis.xaxis, panel.x_log), (1, axis.yaxis, panel.y_log)):
        values = [point[place] for point in points]
        if log and values:
            side.set_major_locator(FixedLocator(decades(min(values), max(values))))


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
