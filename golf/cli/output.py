"""How commands speak: results on stdout, talk on stderr, plain when not a terminal, `--json` with a schema number."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from golf.files import json_text

SCHEMA = 1
json_was_printed = False


def print_json(report: Mapping[str, Any]) -> None:
    """Print `report` as one JSON object that starts with `"schema": 1`; numbers that are none (nan, inf) are null."""
    global json_was_printed  # noqa: PLW0603 - the net asks it: a document is never followed by a second one
    print(json_text({"schema": SCHEMA, **report}, indent=2))
    json_was_printed = True


def talk(message: str) -> None:
    """A progress line or remark for the person at the terminal (stderr), folded at its width."""
    print(as_wide_as_stderr(message), file=sys.stderr, flush=True)


def as_wide_as_stderr(text: str) -> str:
    """`text` with its lines folded at the width of the terminal that stderr is; as it is in a pipe or a file."""
    if not sys.stderr.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(folded(line, width) for line in text.split("\n"))


def print_table(
    title: str | None,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    cut: Mapping[str, int] | None = None,
    md: bool = False,
) -> None:
    """Print a table on stdout: as wide as the terminal, in a pipe one line a row however long, Markdown with `md`.

    right: names of the columns that hold numbers. cut: columns that a terminal gets shortened, and to how many characters at least;
    every row is one line then, and the last columns are left out where even that is too wide.
    """
    if md:
        _print_markdown(columns, rows, right)
        return
    width = terminal_columns()
    if width is None:
        _print_plain(title, columns, rows, right)
        return
    if title:
        print(title)
    if cut:
        widths, gap = fitting(columns, rows, cut, width)
        if len(widths) < len(columns):
            talk(f"{width} columns leave out {', '.join(columns[len(widths) :])}: `| cat`, --md and --json have all")
        columns = columns[: len(widths)]
        rows = [[_short(cell, room) for cell, room in zip(row, widths, strict=False)] for row in rows]
        print(
            *_row_lines(columns, columns, widths, right, gap),
            "─" * min(width, sum(widths) + gap * len(widths) - gap),
            sep="\n",
        )
        for row in rows:
            print(*_row_lines(columns, row, widths, right, gap), sep="\n")
        return
    for line in table_lines(columns, rows, right, width):
        print(line)


def fitting(
    columns: Sequence[str], rows: Sequence[Sequence[str]], cut: Mapping[str, int], width: int
) -> tuple[list[int], int]:
    """Widths of the first columns that make a row one line of `width`, and the gap between them, when the `cut` ones are shortened."""
    whole = [max([len(name), *(len(row[i]) for row in rows)]) for i, name in enumerate(columns)]
    least = [min(whole[i], cut.get(name, whole[i])) for i, name in enumerate(columns)]
    for count in range(len(columns), 0, -1):
        for gap in (2, 1):
            room = width - gap * (count - 1)
            if sum(least[:count]) > room and (count, gap) != (1, 1):
                continue
            widths = whole[:count]
            while sum(widths) > room and widths != least[:count]:
                widths[max(range(count), key=lambda i: widths[i] - least[i])] -= 1
            return widths, gap
    return [], 1


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)].rstrip() + "…"


def print_lines(lines: Iterable[str]) -> None:
    """Lines on stdout; those wider than the terminal go on below the start of their text. A pipe gets them whole."""
    width = terminal_columns()
    for line in lines:
        print(line if width is None else folded(line, width))


def terminal_columns() -> int | None:
    """How wide the terminal is that stdout is; None in a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def folded(line: str, width: int) -> str:
    """`line` in lines of at most `width`, those after the first indented as far as the text after its first word and a gap."""
    if len(line) <= width:
        return line
    key = re.match(r"\s*\S.{0,18}?\s{2,}(?=\S)|\s+", line)
    indent = len(key[0]) if key and len(key[0]) <= width // 2 else 0
    return "\n".join(
        textwrap.wrap(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    )


def table_lines(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str], width: int
) -> Iterator[str]:
    """A table no wider than `width`: columns of several words are wrapped at words; where even that is too wide, the first column

    stands on a line of its own above the others.
    """
    for gap in (2, 1):
        widths = _column_widths(columns, rows, width - gap * (len(columns) - 1))
        if widths:
            header = list(_row_lines(columns, columns, widths, right, gap))
            yield from (*header, "─" * min(width, sum(widths) + gap * (len(widths) - 1)))
            for row in rows:
                yield from _row_lines(columns, row, widths, right, gap)
            return
    rest = columns[1:]
    widths = _column_widths(rest, [row[1:] for row in rows], width - len(columns)) or [
        max(width // len(columns) - 1, 1) for _ in rest
    ]
    for row in [columns, *rows]:
        yield from textwrap.wrap(row[0], width) or [""]
        yield from (f"  {line}" for line in _row_lines(rest, row[1:], widths, right, 1))


def _column_widths(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Widths that add up to at most `room`, taken from the widest columns that can be wrapped; None where that is not possible."""
    cells = [[name, *(row[i] for row in rows)] for i, name in enumerate(columns)]
    widths = [max(map(len, column)) for column in cells]
    least = [max([len(word) for cell in column for word in cell.split()] or [0]) for column in cells]
    while sum(widths) > room:
        at = max(range(len(widths)), key=lambda i: (widths[i] > least[i], widths[i]))
        if widths[at] <= least[at]:
            return None
        widths[at] -= 1
    return widths


def _row_lines(
    columns: Sequence[str], row: Sequence[str], widths: Sequence[int], right: Sequence[str], gap: int
) -> Iterator[str]:
    wrapped = [
        (textwrap.wrap(cell, max(width, 1), break_on_hyphens=False) or [""]) if len(cell) > width else [cell]
        for cell, width in zip(row, widths, strict=True)
    ]
    for parts in zip_longest(*wrapped, fillvalue=""):
        aligned = [
            part.rjust(width) if name in right else part.ljust(width)
            for part, width, name in zip(parts, widths, columns, strict=True)
        ]
        yield (" " * gap).join(aligned).rstrip()


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
