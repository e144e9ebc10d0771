"""The static page, in a real headless browser."""

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from golf.board import official
from golf.board.export import export_board

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs chromium")

# appended to a copy of the page: clicks as a user does, then leaves what it saw in the document
ACTIONS = """<script>
const first = () => [...document.querySelectorAll('table.sortable')[0].tBodies[0].rows].filter(row => !row.hidden).map(row => row.id);
const seen = [first()[0]];
const heads = [...document.querySelectorAll('table.sortable')[0].tHead.rows[0].cells];
const click = name => heads.find(head => head.textContent.trim() === name).querySelector('button').click();
click('bpb'); seen.push(first()[0]); click('bpb'); seen.push(first()[0]);
click('author'); seen.push(heads.find(head => head.textContent.trim() === 'author').getAttribute('aria-sort'));
const box = document.getElementById('filter'); box.value = 'caseops dexhunter'; box.dispatchEvent(new Event('input'));
seen.push(first().sort().join('+'));
document.body.innerHTML = '<pre id="seen">' + seen.join('|') + '</pre>';
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("board") / "board.html"
    export_board(official(), path)
    return path


def browse(*arguments: str, profile: Path) -> str:
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


class Links(HTMLParser):
    """Collects what a page would load, and the tags that are left open."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name == "src" or (name == "href" and tag == "link")]
        if tag not in ("meta", "input", "line", "circle", "path", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def test_the_page_loads_nothing_and_closes_what_it_opens(page: Path) -> None:
    links = Links()
    links.feed(page.read_text())
    assert links.loaded == [] and links.open == []
    assert "prefers-color-scheme:dark" in page.read_text()


def test_every_row_and_remark_is_on_the_page(page: Path) -> None:
    text = page.read_text()
    assert all(f'id="row-{row.key}"' in text for row in official() if row.status != "base")
    assert text.count('class="bad">disputed') == sum(row.disputed for row in official()) + 1


def test_the_table_says_what_the_seeds_measured_and_folds_what_is_long(page: Path) -> None:
    """n, sd, bytes, steps, milliseconds a step, seconds of evaluation; several remarks below their count and rules."""
    line = next(line for line in page.read_text().split("<tr ") if line.startswith('id="row-1855"'))
    for fact in ("3", "0.00111", "15,907,550", "4931.3", "121.57", "478"):
        assert f'<td class="num">{fact}</td>' in line
    assert "<details><summary>7 remarks " in line
    heads = page.read_text().partition("<thead>")[2].partition("</thead>")[0]
    assert heads.count("class=num") == 9


@needs_browser
@pytest.mark.slow
def test_a_click_on_a_header_sorts_and_the_filter_narrows(page: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.html"
    copy.write_text(page.read_text().replace("</body>", ACTIONS + "</body>"))
    shown = (
        browse("--dump-dom", copy.as_uri(), profile=tmp_path / "profile").partition('id="seen">')[2].partition("<")[0]
    )
    assert shown.split("|") == ["row-2135", "row-2135", "row-baseline", "ascending", "row-1736+row-1769"]


@needs_browser
@pytest.mark.slow
def test_the_page_is_dark_for_who_reads_dark(page: Path, tmp_path: Path) -> None:
    probe = "<script>document.body.innerHTML = '<pre id=\"seen\">' + getComputedStyle(document.body).backgroundColor + '</pre>';</script>"
    copy = tmp_path / "copy.html"
    copy.write_text(page.read_text().replace("</body>", probe + "</body>"))
    colours = {
        browse(*flags, "--dump-dom", copy.as_uri(), profile=tmp_path / str(len(flags)))
        .partition('id="seen">')[2]
        .partition("<")[0]
        for flags in ((), ("--force-dark-mode", "--blink-settings=preferredColorScheme=0"))
    }
    assert colours == {"rgb(255, 255, 255)", "rgb(17, 18, 20)"}
