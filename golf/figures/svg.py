"""Charts and heatmaps as SVG: no library, light and dark by the reader's setting, a tooltip on every point and cell."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from textwrap import wrap

from golf.figures.charts import (
    Bars,
    Chart,
    Figure,
    Heatmap,
    Panel,
    Points,
    day_text,
    days,
    decades,
    labels,
    short,
    ticks,
)

STYLE = f"<style>\n{Path(__file__).with_name('chart.css').read_text(encoding='utf-8')}</style>"
PANEL_WIDTH, PANEL_HEIGHT = 440, 300
WIDE = 760  # of a chart with a single panel
LEFT, RIGHT, TOP, BOTTOM = 74, 26, 12, 46
HEAD, LEGEND_ROW, CHARACTER = 34, 20, 6.9  # heights, and the width of a letter


def draw(figure: Figure) -> str:
    """The figure as one SVG document."""
    if isinstance(figure, Bars):
        return bars(figure)
    return heatmap(figure) if isinstance(figure, Heatmap) else chart(figure)


def _document(title: str, body: str, width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="{escape(title)}">{STYLE}<rect class="bg" width="{width:.0f}" height="{height:.0f}"/>'
        f'<text class="ink title" x="16" y="22">{escape(title)}</text>{body}</svg>\n'
    )


def chart(figure: Chart) -> str:
    """Panels side by side, one legend above them, the note below."""
    paint = figure.colours
    width = figure.width or (WIDE if len(figure.panels) == 1 else PANEL_WIDTH * len(figure.panels))
    panel_width = width / len(figure.panels)
    legend, legend_height = _legend(figure, paint, width)
    top = HEAD + legend_height
    body = [legend]
    for index, panel in enumerate(figure.panels):
        body.append(
            f'<g transform="translate({index * panel_width:.0f} {top:.0f})">{_panel(panel, paint, panel_width)}</g>'
        )
    notes = _wrapped(figure.note, int((width - 32) / 6.2))
    for row, line in enumerate(notes):
        body.append(f'<text class="dim" x="16" y="{top + PANEL_HEIGHT + 16 + 16 * row}">{escape(line)}</text>')
    return _document(figure.title, "".join(body), width, top + PANEL_HEIGHT + 8 + 16 * len(notes) + (6 if notes else 0))


def _legend(figure: Chart, paint: dict[str, str], width: float) -> tuple[str, float]:
    joined = {name for panel in figure.panels for name in panel.lines}
    hollow = {name for panel in figure.panels for name in panel.hollow}
    parts, x, y = [], 16.0, HEAD + 8.0
    for name in figure.names:
        step = CHARACTER * len(name) + 34
        if x + step > width - 8 and x > 16:
            x, y = 16.0, y + LEGEND_ROW
        if name in joined:
            parts.append(f'<rect x="{x:.0f}" y="{y - 6:.0f}" width="14" height="4" rx="2" fill="{paint[name]}"/>')
        else:
            parts.append(f'<circle cx="{x + 7:.0f}" cy="{y - 4:.0f}" r="4" {_look(paint[name], name in hollow)}/>')
        parts.append(f'<text class="ink" x="{x + 19:.0f}" y="{y:.0f}">{escape(name)}</text>')
        x += step
    return "".join(parts), (y - HEAD + 10 if figure.names else 0.0)


def _look(colour: str, hollow: bool) -> str:
    return f'fill="none" stroke="{colour}" stroke-width="2"' if hollow else f'fill="{colour}"'


def _wrapped(text: str, letters: int) -> list[str]:
    return wrap(text, max(letters, 20))


class _Axis:
    """Values to pixels, with ticks. pad: room beyond the values, as a share of their spread."""

    def __init__(
        self, values: Sequence[float], begin: float, end: float, pad: float, *, log: bool = False, dates: bool = False
    ) -> None:
        low, high = min(values), max(values)
        if log:
            low, high = math.log10(low), math.log10(high)
        room = (high - low) * pad or (0.05 if log else abs(high) * 0.05 or 0.5)
        self.low, self.high, self.begin, self.end = low - room, high + room, begin, end
        self.log, self.dates = log, dates

    def at(self, value: float) -> float:
        place = math.log10(value) if self.log else value
        return self.begin + (place - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self, wanted: int) -> list[tuple[float, str]]:
        """(place, label) of each tick."""
        if self.dates:
            return [(day, day_text(day)) for day in days(self.low, self.high)]
        if self.log:
            return [(value, short(value)) for value in decades(10**self.low, 10**self.high)]
        values = ticks(self.low, self.high, wanted)
        return list(zip(values, labels(values), strict=True))


def _panel(panel: Panel, paint: dict[str, str], width: float) -> str:
    points = panel.points
    names = (
        f'<text class="dim" x="{(LEFT + width - RIGHT) / 2:.0f}" y="{PANEL_HEIGHT - 8}" text-anchor="middle">{escape(panel.x_name)}</text>'
        f'<text class="dim" transform="translate(15 {(TOP + PANEL_HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(panel.y_name)}</text>'
    )
    if not points:
        return (
            f'{names}<text class="dim" x="{width / 2:.0f}" y="{PANEL_HEIGHT / 2}" text-anchor="middle">no data</text>'
        )
    x_values = [x for x, _ in points] + [value for value in panel.marks.values() if value > 0 or not panel.x_log]
    x_pad = 0.05 if panel.dots else 0.02
    x_axis = _Axis(x_values, LEFT, width - RIGHT, x_pad, log=panel.x_log, dates=panel.x_dates)
    y_values = [y for _, y in points] if panel.y_range is None else list(panel.y_range)
    y_pad = 0.06 if panel.y_range is None else 0.0
    y_axis = _Axis(y_values, PANEL_HEIGHT - BOTTOM, TOP, y_pad, log=panel.y_log)
    parts = [names]
    for value, label in () if panel.rows else y_axis.ticks(5):
        y = y_axis.at(value)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="dim" x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
        )
    for value, label in x_axis.ticks(5):
        x = x_axis.at(value)
        parts.append(
            f'<text class="dim" x="{x:.1f}" y="{PANEL_HEIGHT - BOTTOM + 17}" text-anchor="middle">{label}</text>'
        )
    for name, value in panel.marks.items():
        x = x_axis.at(value)
        parts.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{PANEL_HEIGHT - BOTTOM}" '
            f'style="stroke:{paint.get(name, "")}"><title>{escape(name)} at {value:,.1f}</title></line>'
        )

    def places(line: Points) -> list[tuple[float, float]]:
        return [(x_axis.at(x), y_axis.at(y)) for x, y in panel.drawable(line)]

    for colour, (name, line) in zip(paint.values(), panel.guides.items(), strict=False):
        parts.append(_polyline(name, places(line), colour, ' stroke-dasharray="5 4" opacity="0.7"'))
    for name, line in panel.lines.items():
        if len(panel.drawable(line)) > 1:
            parts.append(_polyline(name, places(line), paint[name], ""))
        if panel.rows and panel.drawable(line):
            x, y = places(line)[len(line) // 2]
            parts.append(f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{escape(name)}</text>')
        if panel.dots or len(panel.drawable(line)) == 1:
            parts += _dots(panel, name, line, places(line), paint[name])
    for name, line in panel.scatter.items():
        parts += _dots(panel, name, line, places(line), paint[name])
    return "".join(parts)


def _dots(panel: Panel, name: str, line: Points, places: Points, colour: str) -> list[str]:
    texts = panel.texts.get(name) or [f"{name}: {panel.x_text(x)}, {y:.5g}" for x, y in line]
    shown = [text for text, point in zip(texts, line, strict=True) if panel.shows(point)]
    look = _look(colour, name in panel.hollow)
    return [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" {look}><title>{escape(text)}</title></circle>'
        for (x, y), text in zip(places, shown, strict=True)
    ]


def _polyline(name: str, places: Points, colour: str, more: str) -> str:
    kept = places if len(places) <= 600 else [*places[:: math.ceil(len(places) / 600)], places[-1]]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in kept)
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.7" stroke-linejoin="round"{more}>'
        f"<title>{escape(name)}</title></polyline>"
    )


def bars(figure: Bars) -> str:
    """Horizontal bars, names at the left, values at the right."""
    left = min(320.0, 28 + 7.4 * max(map(len, figure.values), default=8))
    room = WIDE - left - RIGHT - 90  # the longest bar; its value stands right of it
    span = max(figure.values.values(), default=0.0) - figure.begin or 1.0
    parts = []
    for row, (name, value) in enumerate(figure.values.items()):
        y, length = HEAD + 12 + 26 * row, max((value - figure.begin) / span * room, 1)
        text = escape(figure.text(value))
        parts.append(
            f"<g><title>{escape(name)}: {text} {escape(figure.unit)}</title>"
            f'<text class="ink" x="{left - 8:.0f}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="bar" x="{left:.0f}" y="{y}" width="{length:.1f}" height="18" rx="2"/>'
            f'<text class="dim" x="{left + length + 6:.1f}" y="{y + 14}">{text}</text></g>'
        )
    bottom = HEAD + 12 + 26 * max(len(figure.values), 1)
    note = figure.note if figure.values else "no data"
    parts.append(f'<text class="dim" x="{left:.0f}" y="{bottom + 14}">{escape(note)}</text>')
    return _document(figure.title, "".join(parts), WIDE, bottom + 30)


def heatmap(figure: Heatmap) -> str:
    """A table of cells, each column shaded on its own scale: blue from worst to best, grey where neither is better."""
    left = max([28 + CHARACTER * len(row) for row in figure.rows], default=60.0)
    cell_width = max([72.0, *(CHARACTER * max(len(column.name), 8) + 10 for column in figure.columns)])
    cell_height, top = 26, HEAD + 30
    parts = []
    for place, column in enumerate(figure.columns):
        x = left + place * cell_width
        parts.append(
            f'<text class="dim" x="{x + cell_width / 2:.0f}" y="{top - 9}" text-anchor="middle">{escape(column.name)}</text>'
        )
        for row, (value, shade) in enumerate(zip(column.values, column.shades(), strict=True)):
            y = top + row * cell_height
            kind = 'class="none"' if shade is None else f'class="cell{"" if column.better else " plain"}"'
            opacity = 1 if shade is None else 0.08 + 0.62 * shade
            text = column.text(value)
            parts.append(
                f"<g><title>{escape(figure.rows[row])}, {escape(column.name)}: {escape(text)}</title>"
                f'<rect {kind} x="{x + 1:.0f}" y="{y + 1}" width="{cell_width - 2:.0f}" height="{cell_height - 2}" rx="4" opacity="{opacity:.2f}"/>'
                f'<text class="ink" x="{x + cell_width / 2:.0f}" y="{y + 17}" text-anchor="middle">{escape(text)}</text></g>'
            )
    for row, name in enumerate(figure.rows):
        parts.append(
            f'<text class="ink" x="{left - 10:.0f}" y="{top + row * cell_height + 17}" text-anchor="end">{escape(name)}</text>'
        )
    width = left + cell_width * len(figure.columns) + 16
    notes = _wrapped(figure.note, int((width - 32) / 6.2))
    bottom = top + cell_height * len(figure.rows)
    for row, line in enumerate(notes):
        parts.append(f'<text class="dim" x="16" y="{bottom + 20 + 16 * row}">{escape(line)}</text>')
    return _document(figure.title, "".join(parts), width, bottom + 12 + 16 * len(notes) + (8 if notes else 0))
