"""How commands speak: results on stdout, talk on stderr, plain when not a terminal, `--json` with a schema number."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from golf.strangers import json_text

SCHEMA = 1
json_was_printed = False


def print_json(report: Mapping[str, Any]) -> None:
    """Print `report` as one JSON object that starts with `"schema": 1`; numbers that are none (nan, inf) are null."""
    global json_was_printed  # noqa: PLW0603 - the net asks it: a document is never followed by a second one
    print(json_text({"schema": SCHEMA, **report}, indent=2))
    json_was_printed = True


def talk(message: str) -> None:
    """A progress line or remark for the person at the terminal (stderr)."""
    print(message, file=sys.stderr, flush=True)


def print_table(
    title: str | None,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    md: bool = False,
) -> None:
    """Print a table on stdout: drawn by rich on a terminal, aligned plain text in a pipe, Markdown with `md`.

    right: names of the columns that hold numbers.
    """
    if md:
        _print_markdown(columns, rows, right)
    elif sys.stdout.isatty():
        _print_rich(title, columns, rows, right)
    else:
        _print_plain(title, columns, rows, right)


def _print_rich(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _print_plain(
    title: str | None, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]
) -> None:
    widths = [max([len(name), *(len(row[i]) for row in rows)]) for i, name in enumerate(columns)]
    if title:
        print(title)
    for row in [columns, *rows]:
        cells = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(row, widths, columns, strict=True)
        ]
        print("  ".join(cells).rstrip())


def _print_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    print("| " + " | ".join(columns) + " |")
    print("|" + "|".join("---:" if name in right else "---" for name in columns) + "|")
    for row in rows:
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
