"""Charts as data, and what SVG and PNG make of them."""

import math
import re
import xml.etree.ElementTree as ET
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest

from golf.figures.charts import Bars, Chart, Figure, Panel, days, labels, stairs, ticks
from golf.figures.page import document, sortable
from golf.figures.svg import draw

DAY = float(date(2026, 3, 18).toordinal())
FIGURES: dict[str, Figure] = {
    "lines": Chart("Loss & more", [Panel("s", "nats", {"seed 1": [(0, 2.0), (1, 1.5)], "seed 2": [(0, 2.1), (1, math.nan)]})]),
    "days": Chart(
        "Score",
        [
            Panel(
                "day",
                "bpb",
                {"record": stairs([(DAY, 1.2), (DAY + 3, 1.1)], DAY + 40)},
                x_dates=True,
                scatter={"row": [(DAY, 1.2), (DAY + 3, math.inf), (DAY + 40, 1.3)], "disputed": [(DAY + 5, 1.0)]},
                hollow=("disputed",),
                texts={"row": ["the <first>", "not shown", "the last"]},
            )
        ],
        paint={"row": "#123456"},
        width=1200,
    ),
    "bars": Bars("Bytes", "bytes", {"code": 71_354.0, "tensors <lzma>": 234_567.0}, digits=0),
    "close bars": Bars("BPB", "bits per byte", {"before": 2.65248, "after": 2.65272}, from_zero=False),
    "one bar": Bars("BPB", "bits per byte", {"only": 1.0}, from_zero=False),
    "zero": Bars("Nothing yet", "bytes", {"code": 0.0}),
    "no bars": Bars("Bytes", "bytes", {}),
    "no lines": Chart("Loss", [Panel("s", "nats", {})]),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_well_formed_svg_for_light_and_dark_readers(name):
    text = draw(FIGURES[name])
    root = ET.fromstring(text)
    assert root.tag.endswith("svg") and root.get("aria-label") == FIGURES[name].title
    assert "prefers-color-scheme:dark" in text and "nan" not in text and "inf" not in text
    assert ("no data" in text) == FIGURES[name].empty


@pytest.mark.parametrize("name", [name for name, figure in FIGURES.items() if not figure.empty])
def test_every_figure_is_drawn_as_png_too(name, tmp_path):
    pytest.importorskip("matplotlib")
    from golf.figures.png import save

    save(FIGURES[name], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_point_of_a_scatter_says_what_it_is_and_rings_are_hollow():
    text = draw(FIGURES["days"])
    titles = re.findall(r"<circle[^>]*><title>([^<]*)</title>", text)
    assert titles == ["the &lt;first&gt;", "the last", "disputed: 03-23, 1"], (
        "a point that is not shown takes its text along"
    )
    assert text.count('fill="none" stroke=') >= 2, "a ring in the picture, and one in the legend"
    assert 'fill="#123456"' in text and 'width="1200"' in text


def test_a_step_line_holds_each_value_until_the_next():
    assert stairs([(0, 3.0), (2, 1.0)], 5) == [(0, 3.0), (2, 3.0), (2, 1.0), (5, 1.0)]
    assert stairs([], 5) == []


def test_bars_begin_at_zero_or_say_where():
    assert FIGURES["bars"].begin == 0 and "axis" not in FIGURES["bars"].note
    close = FIGURES["close bars"]
    assert close.begin == pytest.approx(2.65236) and close.note == "bits per byte; the axis begins at 2.65236"
    lengths = [float(rect) for rect in re.findall(r'class="bar"[^>]* width="([\d.]+)"', draw(close))]
    assert lengths[1] / lengths[0] == pytest.approx(3, rel=1e-2), "0.00036 and 0.00012 beyond where the axis begins"


def test_ticks_are_round_and_days_are_days():
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10] and ticks(1, 1) == [1, 1.2, 1.4, 1.6, 1.8, 2]
    assert labels([1.05, 1.1, 1.15]) == ["1.05", "1.10", "1.15"] and labels([0, 5, 10]) == ["0", "5", "10"]
    assert labels([0, 5e6]) == ["0", "5M"]
    assert labels([4.188, 4.1882, 4.1884]) == ["4.1880", "4.1882", "4.1884"]
    assert labels([4.188, 4.18825, 4.1885]) == ["4.18800", "4.18825", "4.18850"]
    assert labels([15_999_600, 15_999_800, 16_000_000]) == ["15.9996M", "15.9998M", "16M"]
    assert labels([0.02]) == ["0.02"] and labels([]) == []
    assert labels([0, 2.5e-4, 5e-4, -7.5e-5]) == ["0", "2.5e-4", "5e-4", "-7.5e-5"]
    assert days(DAY - 0.5, DAY + 9) == [DAY + day for day in range(10)]
    assert len(days(DAY, DAY + 400)) <= 10 and days(DAY, DAY) == [DAY]


class Loads(HTMLParser):
    """What a page would load, and how many tables it has."""

    def __init__(self):
        super().__init__()
        self.loaded, self.tables = [], 0

    def handle_starttag(self, tag, attrs):
        self.loaded += [value for name, value in attrs if name == "src" or (name == "href" and tag == "link")]
        self.tables += tag == "table"


def test_a_page_loads_nothing_and_its_numbers_sort_as_numbers():
    text = document("A & B", sortable(("name", "bytes"), ["<tr><td>a</td><td>1</td></tr>"], {"bytes"}))
    page = Loads()
    page.feed(text)
    assert page.loaded == [] and page.tables == 1
    assert "<title>A &amp; B</title>" in text and "aria-sort" in text and "addEventListener" in text
    assert "<th class=num aria-sort" in text and text.count("class=num") == 1


def test_style_and_script_are_files_that_editors_read():
    figures = Path(__file__).parents[2] / "golf" / "figures"
    assert {path.name for path in figures.glob("*.[cj]s*")} == {"chart.css", "page.css", "page.js"}
