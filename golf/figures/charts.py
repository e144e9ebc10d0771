"""Charts as plain data, drawn by `golf.figures.svg` without any library and by `golf.figures.png` where matplotlib is installed."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise

Point = tuple[float, float]
Points = Sequence[Point]


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    lines: name → points, joined in their order (`stairs` makes a step line of them); scatter: name → points that are not joined;
    dots: the points of the lines are drawn too. hollow: names whose points are rings. texts: name → a tooltip for each point
    of a scatter, in place of its coordinates. guides: dashed lines in the order, and so in the colours, of `lines`; they have no
    entry in the legend. marks: vertical lines. x_dates: x is a day, `date.toordinal`. y_range: (lowest, highest), else from the points.
    rows: the lines lie one above the other, each under its name, and y has no numbers.
    """

    x_name: str
    y_name: str
    lines: Mapping[str, Points] = field(default_factory=dict)
    x_log: bool = False
    y_log: bool = False
    x_dates: bool = False
    dots: bool = False
    scatter: Mapping[str, Points] = field(default_factory=dict)
    hollow: Collection[str] = ()
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    guides: Mapping[str, Points] = field(default_factory=dict)
    marks: Mapping[str, float] = field(default_factory=dict)
    y_range: tuple[float, float] | None = None
    rows: bool = False

    @property
    def points(self) -> list[Point]:
        """Every point that the axes can show."""
        every = (*self.lines.values(), *self.scatter.values(), *self.guides.values())
        return [point for line in every for point in self.drawable(line)]

    def shows(self, point: Point) -> bool:
        """Whether a point is finite, and positive where its axis is logarithmic."""
        x, y = point
        return math.isfinite(x) and math.isfinite(y) and (x > 0 or not self.x_log) and (y > 0 or not self.y_log)

    def drawable(self, points: Points) -> list[Point]:
        """Those of the points that the axes can show."""
        return [point for point in points if self.shows(point)]

    def x_text(self, value: float) -> str:
        """A place on the x axis as its label says it."""
        return day_text(value) if self.x_dates else short(value)


@dataclass(frozen=True)
class Chart:
    """Panels side by side under one title; lines of one name share a colour, `note` says what the picture cannot.

    paint: name → colour, where the colour itself says something; the others are spread over the hues.
    width: of the SVG in its units, else as wide as its panels need.
    """

    title: str
    panels: Sequence[Panel]
    note: str = ""
    paint: Mapping[str, str] = field(default_factory=dict)
    width: float | None = None

    @property
    def names(self) -> list[str]:
        """Every line's and scatter's name once, in order."""
        return list(dict.fromkeys(name for panel in self.panels for name in (*panel.lines, *panel.scatter)))

    @property
    def colours(self) -> dict[str, str]:
        """Name → colour."""
        return {**dict(zip(self.names, colours(len(self.names)), strict=True)), **self.paint}

    @property
    def empty(self) -> bool:
        """Whether no panel has a point to show."""
        return not any(panel.points for panel in self.panels)


@dataclass(frozen=True)
class Bars:
    """Horizontal bars of one measure. from_zero=False magnifies close values, and the picture says where its axis begins."""

    title: str
    unit: str
    values: Mapping[str, float]
    from_zero: bool = True
    digits: int = 5

    @property
    def empty(self) -> bool:
        """Whether there is no bar."""
        return not self.values

    @property
    def begin(self) -> float:
        """Where the axis begins: 0, or half the spread below the lowest value."""
        if self.from_zero or self.empty:
            return 0.0
        low, high = min(self.values.values()), max(self.values.values())
        return low - 0.5 * (high - low or 0.01)

    @property
    def note(self) -> str:
        """The unit, and where the axis begins unless at 0."""
        return self.unit if self.from_zero else f"{self.unit}; the axis begins at {self.text(self.begin)}"

    def text(self, value: float) -> str:
        """A value as it stands beside its bar."""
        return f"{value:,.{self.digits}f}"


@dataclass(frozen=True)
class Column:
    """A column of a heatmap: its values, how they are written, and whether more is better (+1), worse (−1) or neither (0)."""

    name: str
    values: Sequence[float | None]
    digits: int = 3
    better: int = 0
    percent: bool = False

    def text(self, value: float | None) -> str:
        """A value as the cell shows it."""
        if value is None:
            return "–"
        if self.percent:
            return f"{100 * value:.{self.digits}f}%"
        if value != 0 and not 1e-3 <= abs(value) < 1e6:
            return f"{value:.2e}"
        whole = max(math.floor(math.log10(abs(value))), 0) if value else 0
        return f"{value:,.{max(self.digits - whole, 0)}f}"

    def shades(self) -> list[float | None]:
        """Where each value lies between the column's worst (0) and best (1); None for no value, ½ where all are equal."""
        known = [value for value in self.values if value is not None]
        low, high = min(known, default=0.0), max(known, default=0.0)
        return [
            None if value is None else 0.5 if high == low else _flip((value - low) / (high - low), self.better)
            for value in self.values
        ]


def _flip(share: float, better: int) -> float:
    return 1 - share if better < 0 else share


@dataclass(frozen=True)
class Heatmap:
    """Rows by columns, each column on its own scale."""

    title: str
    rows: Sequence[str]
    columns: Sequence[Column]
    note: str = ""

    @property
    def empty(self) -> bool:
        """Whether no cell has a value."""
        return all(value is None for column in self.columns for value in column.values)


Figure = Chart | Bars | Heatmap


def stairs(points: Points, until: float) -> list[Point]:
    """The corners of a step line: each point's value holds until the next point's place, the last one's until `until`."""
    places = [*(x for x, _ in points[1:]), until]
    return [corner for (x, y), end in zip(points, places, strict=False) for corner in ((x, y), (end, y))]


def colours(count: int) -> list[str]:
    """`count` colours along one path of hues at even lightness, so that the order of layers can be seen on white and on black."""
    hues = [250 - 235 * index / max(count - 1, 1) for index in range(count)]
    return [_oklch(0.64, 0.15, hue) for hue in hues]


def _oklch(light: float, chroma: float, hue: float) -> str:
    """The nearest sRGB hex of a colour in OKLCH."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    cone = (light + 0.3963377774 * a + 0.2158037573 * b, light - 0.1055613458 * a - 0.0638541728 * b)
    long, medium, short = cone[0] ** 3, cone[1] ** 3, (light - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _gamma(min(max(value, 0.0), 1.0))):02x}" for value in linear)


def _gamma(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * float(value ** (1 / 2.4)) - 0.055


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about `wanted` of them."""
    if high <= low:
        high = low + 1
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * unit for unit in (1, 2, 2.5, 5, 10) if power * unit >= raw)
    count = math.floor(high / step + 1e-9) - math.ceil(low / step - 1e-9)
    return [round(math.ceil(low / step - 1e-9) * step + index * step, 10) for index in range(count + 1)]


def days(low: float, high: float, wanted: int = 9) -> list[float]:
    """Days at equal distances, the first of them the first day, at most `wanted` + 1."""
    first, last = math.ceil(low), math.floor(high)
    return [float(day) for day in range(first, last + 1, max(1, math.ceil((last - first) / wanted)))]


def day_text(day: float) -> str:
    """A day, as `date.toordinal` counts them, as month and day: 04-27."""
    return date.fromordinal(round(day)).isoformat()[5:]


def decades(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: powers of ten, thinned where they are many, with 2 and 5 between where they are few.

    Where even those are too few, round numbers at equal distances.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps: Sequence[float] = (1, 2, 5) if last - first <= 2 else (1,)
    every = max(1, math.ceil((last - first) / 7))
    found = [step * 10.0**power for power in range(first, last + 1, every) for step in steps]
    shown = [tick for tick in found if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    return shown if len(shown) >= 3 or last - first > 2 else ticks(low, high, 5)


def short(value: float, digits: int = 4) -> str:
    """A tick's label: 50M, 0.002, 2.5e-4; of so many digits at most."""
    size = abs(value)
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= unit:
            return f"{value / unit:.{digits}g}{name}"
    if size and size < 1e-3:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{float(mantissa):g}e{int(power)}"
    return f"{value:.{digits}g}"


def labels(values: Sequence[float]) -> list[str]:
    """The labels of a linear axis's ticks: as `short`, with the digits that tell them apart, equally many decimals where any has some."""
    gap = min((abs(after - before) for before, after in pairwise(values)), default=0.0)
    enough = (d for d in range(4, 12) if all(abs(float(f"{value:.{d}g}") - value) <= gap / 100 for value in values))
    digits = next(enough, 12)
    texts = [short(value, digits) for value in values]
    if not all(text.lstrip("-").replace(".", "", 1).isdigit() for text in texts):
        return texts
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    return [f"{value:.{decimals}f}" for value in values]
