"""Plots of a record as SVG, written here: they need no library, look right on GitHub, and follow the reader's colour scheme."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, log10

Series = Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Chart:
    """What a plot shows: lines (`series`, over `x_name`) or horizontal bars (`values`); `y_name` is the measure's unit."""

    title: str
    y_name: str
    x_name: str = ""
    series: Series = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    from_zero: bool = True
    digits: int = 5

    def svg(self) -> str:
        """The plot as SVG."""
        if self.series:
            return lines(self.title, self.x_name, self.y_name, self.series)
        return bars(self.title, self.y_name, self.values, from_zero=self.from_zero, digits=self.digits)


WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 46, 48
COLOURS = ("#0a7bbf", "#d1570a", "#2b8a3e", "#9c36b5", "#c92a2a", "#5f6b00", "#0b7285", "#862e9c")
STYLE = (
    "<style>.bg{fill:#fff}.ink{fill:#1f2328}.dim{fill:#59636e}.grid{stroke:#d1d9e0;stroke-width:1}"
    "text{font:12px system-ui,sans-serif}.title{font-size:15px;font-weight:600}"
    "@media(prefers-color-scheme:dark){.bg{fill:#0d1117}.ink{fill:#f0f6fc}.dim{fill:#9198a1}.grid{stroke:#3d444d}}</style>"
)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about `wanted` of them."""
    if high <= low:
        high = low + 1
    raw = (high - low) / wanted
    power = 10.0 ** floor(log10(raw))
    step = next(power * unit for unit in (1, 2, 2.5, 5, 10) if power * unit >= raw)
    count = floor(high / step + 1e-9) - ceil(low / step - 1e-9)
    return [round(ceil(low / step - 1e-9) * step + index * step, 10) for index in range(count + 1)]


def _frame(title: str, body: str, height: int = HEIGHT) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(title)}">{STYLE}<rect class="bg" width="{WIDTH}" height="{height}"/>'
        f'<text class="ink title" x="{LEFT}" y="22">{escape(title)}</text>{body}</svg>\n'
    )


def _number(value: float) -> str:
    return f"{value:,.6f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}"


def lines(title: str, x_name: str, y_name: str, series: Series) -> str:
    """A line chart; one colour and one legend entry per series."""
    points = [point for line in series.values() for point in line]
    if not points:
        return _frame(title, f'<text class="dim" x="{LEFT}" y="80">no data</text>')
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    y_low, y_high = min(y for _, y in points), max(y for _, y in points)
    pad = (y_high - y_low) * 0.06 or 0.05
    y_low, y_high = y_low - pad, y_high + pad
    x_high = x_high if x_high > x_low else x_low + 1

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM),
        )

    parts = []
    for value in ticks(y_low, y_high):
        _, y = at(x_low, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="dim" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>')
    for value in ticks(x_low, x_high, 6):
        x, _ = at(value, y_low)
        parts.append(
            f'<text class="dim" x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_number(value)}</text>'
        )
    for (name, line), colour in zip(series.items(), COLOURS * 9, strict=False):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in _thinned(line)))
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"><title>{escape(name)}</title></polyline>'
        )
    parts.append(_legend(list(series)))
    parts.append(
        f'<text class="dim" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_name)}</text>'
    )
    parts.append(
        f'<text class="dim" transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>'
    )
    return _frame(title, "".join(parts))


def _thinned(line: Sequence[tuple[float, float]], most: int = 500) -> Sequence[tuple[float, float]]:
    """Every k-th point and the last, where there are more than a chart shows."""
    return line if len(line) <= most else [*line[:: ceil(len(line) / most)], line[-1]]


def _legend(names: Sequence[str]) -> str:
    parts, x = [], float(WIDTH - RIGHT)
    for name, colour in reversed(list(zip(names, COLOURS * 9, strict=False))):
        x -= 7.2 * len(name) + 26
        parts.append(
            f'<rect x="{x:.0f}" y="29" width="12" height="4" fill="{colour}"/><text class="ink" x="{x + 16:.0f}" y="35">{escape(name)}</text>'
        )
    return "".join(parts)


def bars(title: str, unit: str, values: Mapping[str, float], *, from_zero: bool = True, digits: int = 5) -> str:
    """Horizontal bars, longest names at the left; `from_zero=False` magnifies close values and says so."""
    if not values:
        return _frame(title, f'<text class="dim" x="{LEFT}" y="80">no data</text>')
    height = TOP + 26 * len(values) + 30
    left = min(320, 28 + int(7.4 * max(map(len, values))))
    low = 0.0 if from_zero else min(values.values()) - (max(values.values()) - min(values.values()) or 0.01) * 0.5
    span = (max(values.values()) - low) or 1.0
    parts = []
    for index, (name, value) in enumerate(values.items()):
        y = TOP + 26 * index
        length = (value - low) / span * (WIDTH - left - RIGHT - 90)
        text = f"{value:,.0f}" if digits == 0 else f"{value:.{digits}f}"
        parts.append(f'<text class="ink" x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{left}" y="{y}" width="{max(length, 1):.1f}" height="18" rx="2" fill="{COLOURS[0]}"/>')
        parts.append(f'<text class="dim" x="{left + length + 6:.1f}" y="{y + 14}">{text}</text>')
    note = unit if from_zero else f"{unit}; the axis begins at {low:.{digits}f}"
    parts.append(f'<text class="dim" x="{left}" y="{height - 10}">{escape(note)}</text>')
    return _frame(title, "".join(parts), height)
