"""A static page: style and script inside it, light and dark by the reader's setting, tables that sort and filter; it loads nothing."""

from collections.abc import Collection, Iterable, Sequence
from html import escape
from pathlib import Path


def document(title: str, body: str) -> str:
    """The page. body: HTML, with an input of the id `filter` where the rows of its tables shall be filtered."""
    here = Path(__file__).parent
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{style}</style></head><body><main><h1>{escape(title)}</h1>"
        f"{body}</main><script>\n{script}</script></body></html>\n"
    )


def sortable(heads: Sequence[str], rows: Iterable[str], numeric: Collection[str] = ()) -> str:
    """A table that a click on a head sorts. rows: each `<tr>…</tr>`; numeric: the heads whose columns sort as numbers."""
    cells = "".join(
        f'<th{" class=num" if name in numeric else ""} aria-sort="none"><button>{escape(name)}</button></th>'
        for name in heads
    )
    table = f'<table class="sortable"><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'<div class="wide">{table}</div>'
