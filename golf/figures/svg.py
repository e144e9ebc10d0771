"""Charts and heatmaps as SVG: no library, light and dark by the reader's setting, a tooltip on every point and cell."""

import math
from collections.abc import Sequence
from html import escape

from golf.figures.charts import Chart, Figure, Heatmap, Panel, colours, decades, short
from golf.figures.curves import ticks

STYLE = (
    "<style>.bg{fill:#fff}.ink{fill:#1f2328}.dim{fill:#59636e}.grid{stroke:#d1d9e0;stroke-width:1}.none{fill:#eef1f4}"
    ".mark{stroke:#59636e;stroke-width:1;stroke-dasharray:2 4}.cell{fill:#2563c9}.cell.plain{fill:#6b7280}"
    "text{font:12px system-ui,sans-serif}.title{font-size:15px;font-weight:600}"
    "@media(prefers-color-scheme:dark){.bg{fill:#0d1117}.ink{fill:#f0f6fc}.dim{fill:#9198a1}.grid{stroke:#30363d}"
    ".none{fill:#1b2028}.mark{stroke:#9198a1}.cell{fill:#4f8ff7}.cell.plain{fill:#9ca3af}}</style>"
)
PANEL_WIDTH, PANEL_HEIGHT = 440, 300
WIDE = 760  # of a chart with a single panel
LEFT, RIGHT, TOP, BOTTOM = 74, 26, 12, 46
HEAD, LEGEND_ROW, CHARACTER = 34, 20, 6.9  # heights, and the width of a letter


def draw(figure: Figure) -> str:
    """The figure as one SVG document."""
    return heatmap(figure) if isinstance(figure, Heatmap) else chart(figure)


def _document(title: str, body: str, width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="{escape(title)}">{STYLE}<rect class="bg" width="{width:.0f}" height="{height:.0f}"/>'
        f'<text class="ink title" x="16" y="22">{escape(title)}</text>{body}</svg>\n'
    )


def chart(figure: Chart) -> str:
    """Panels side by side, one legend above them, the note below."""
    names = figure.names
    paint = dict(zip(names, colours(len(names)), strict=True))
    panel_width = WIDE if len(figure.panels) == 1 else PANEL_WIDTH
    width = panel_width * len(figure.panels)
    legend, legend_height = _legend(names, paint, width)
    top = HEAD + legend_height
    body = [legend]
    for index, panel in enumerate(figure.panels):
        body.append(f'<g transform="translate({index * panel_width} {top})">{_panel(panel, paint, panel_width)}</g>')
    notes = _wrapped(figure.note, int((width - 32) / 6.2))
    for row, line in enumerate(notes):
        body.append(f'<text class="dim" x="16" y="{top + PANEL_HEIGHT + 16 + 16 * row}">{escape(line)}</text>')
    return _document(figure.title, "".join(body), width, top + PANEL_HEIGHT + 8 + 16 * len(notes) + (6 if notes else 0))


def _legend(names: Sequence[str], paint: dict[str, str], width: float) -> tuple[str, float]:
    parts, x, y = [], 16.0, HEAD + 8.0
    for name in names:
        step = CHARACTER * len(name) + 34
        if x + step > width - 8 and x > 16:
            x, y = 16.0, y + LEGEND_ROW
        parts.append(
            f'<rect x="{x:.0f}" y="{y - 6:.0f}" width="14" height="4" rx="2" fill="{paint[name]}"/>'
            f'<text class="ink" x="{x + 19:.0f}" y="{y:.0f}">{escape(name)}</text>'
        )
        x += step
    return "".join(parts), (y - HEAD + 10 if names else 0.0)


def _wrapped(text: str, letters: int) -> list[str]:
    from textwrap import wrap

    return wrap(text, max(letters, 20))


class _Axis:
    """Values to pixels, with ticks."""

    def __init__(self, values: Sequence[float], log: bool, begin: float, end: float, pad: float) -> None:
        low, high = min(values), max(values)
        if log:
            low, high = math.log10(low), math.log10(high)
        room = (high - low) * pad or (0.05 if log else abs(high) * 0.05 or 0.5)
        self.low, self.high, self.log, self.begin, self.end = low - room, high + room, log, begin, end

    def at(self, value: float) -> float:
        place = math.log10(value) if self.log else value
        return self.begin + (place - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self, wanted: int) -> list[float]:
        return decades(10**self.low, 10**self.high) if self.log else ticks(self.low, self.high, wanted)


def _panel(panel: Panel, paint: dict[str, str], width: float) -> str:
    shown = panel.shown()
    guides = [point for line in panel.guides.values() for point in panel.drawable(line)]
    points = [*(point for line in shown.values() for point in line), *guides]
    names = (
        f'<text class="dim" x="{(LEFT + width - RIGHT) / 2:.0f}" y="{PANEL_HEIGHT - 8}" text-anchor="middle">{escape(panel.x_name)}</text>'
        f'<text class="dim" transform="translate(15 {(TOP + PANEL_HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(panel.y_name)}</text>'
    )
    if not points:
        return (
            f'{names}<text class="dim" x="{width / 2:.0f}" y="{PANEL_HEIGHT / 2}" text-anchor="middle">no data</text>'
        )
    x_values = [x for x, _ in points] + [value for value in panel.marks.values() if value > 0 or not panel.x_log]
    x_axis = _Axis(x_values, panel.x_log, LEFT, width - RIGHT, 0.02 if not panel.dots else 0.05)
    y_values = [y for _, y in points] if panel.y_range is None else list(panel.y_range)
    y_axis = _Axis(y_values, panel.y_log, PANEL_HEIGHT - BOTTOM, TOP, 0.06 if panel.y_range is None else 0.0)
    parts = [names]
    for value in y_axis.ticks(5):
        y = y_axis.at(value)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="dim" x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>'
        )
    for value in x_axis.ticks(5):
        x = x_axis.at(value)
        parts.append(
            f'<text class="dim" x="{x:.1f}" y="{PANEL_HEIGHT - BOTTOM + 17}" text-anchor="middle">{short(value)}</text>'
        )
    for name, value in panel.marks.items():
        x = x_axis.at(value)
        parts.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{PANEL_HEIGHT - BOTTOM}" '
            f'style="stroke:{paint.get(name, "")}"><title>{escape(name)} at {value:,.1f}</title></line>'
        )
    for colour, (name, line) in zip(paint.values(), panel.guides.items(), strict=False):
        places = [(x_axis.at(x), y_axis.at(y)) for x, y in panel.drawable(line)]
        parts.append(_polyline(name, places, colour, ' stroke-dasharray="5 4" opacity="0.7"'))
    for name, line in shown.items():
        parts.append(_line(panel, name, [(x_axis.at(x), y_axis.at(y)) for x, y in line], line, paint[name]))
    return "".join(parts)


def _line(
    panel: Panel,
    name: str,
    places: Sequence[tuple[float, float]],
    values: Sequence[tuple[float, float]],
    colour: str,
) -> str:
    parts = []
    if not panel.without_line and len(places) > 1:
        parts.append(_polyline(name, places, colour, ""))
    if panel.dots or panel.without_line or len(places) == 1:
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"><title>{escape(name)}: {short(at)}, {value:.5g}</title></circle>'
            for (x, y), (at, value) in zip(places, values, strict=True)
        ]
    return "".join(parts)


def _polyline(name: str, places: Sequence[tuple[float, float]], colour: str, more: str) -> str:
    kept = places if len(places) <= 600 else [*places[:: math.ceil(len(places) / 600)], places[-1]]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in kept)
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.7" stroke-linejoin="round"{more}>'
        f"<title>{escape(name)}</title></polyline>"
    )


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
