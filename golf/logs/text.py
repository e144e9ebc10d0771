"""Bytes of a log → clean numbered lines: encodings, line ends, ANSI colours, timestamps, launcher prefixes, code dumps.

Nothing is dropped silently: what was repaired is named in `Text.notes`.
"""

import json
import re
from array import array
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass

ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# epoch, [time], [date time] LEVEL:, ISO time with or without zone, [rank0]:, [default0]:, [modal], >>>; any, one after another
PREFIX = re.compile(
    r"(?:\d{10}\.\d{3,6}\s+(?=\S)"
    r"|\[\d\d:\d\d:\d\d(?:[.,]\d+)?\]\s?"
    r"|\[\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[,.]\d+)?Z?\]\s*(?:-\s+)?(?:(?:INFO|WARNING|DEBUG)\s*:?\s*(?:-\s+)?)?"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\s+(?:\[?(?:INFO|WARNING|DEBUG)\]?\s*:?\s*(?:-\s+)?)?"
    r"|\[(?:default|rank)?\d+\]:\s?"
    r"|\[modal\]\s"
    r"|>{2,}\s+)+"
)
SEPARATOR = re.compile(r"={20,}\s*$")
CODE = re.compile(r"(?:import \w[\w., ]*$|from [\w.]+ import |def \w+\(|class \w+[(:]|@\w+|if __name__ == )")
LOGGED = re.compile(r"step:\d+/\d+ |\d+/\d+ (?:train|val)_loss|model_params:\s*\d|final_\w+ val_|stopping_early: ")
REMOVED = "[code dump removed]"
PROGRESS = re.compile(r"\d%\|.*(?:it/s|s/it|\?)")  # of tqdm
JSON_NAMES = (
    "event",
    "name",
    "label",
    "tag",
    "type",
    "phase",
    "stage",
    "metric",
)  # of a JSON line's key that says what it is
MOST_JSON_LINES, MOST_JSON_CHARACTERS = (
    20_000,
    2_000,
)  # that are read as JSON; a run of 20,000 steps logs a tenth of them
MAX_LINE = 20_000  # characters: no log line is near it, a packed script in a log is


@dataclass(frozen=True)
class Text:
    """A log's lines without prefixes, and what had to be repaired to get them.

    rows: every line of the file. kept: numbers, from 1, of those that are read: lines of code dumps and blank lines are left out, of
    tables all but the rows that name a GPU.
    dumps: numbers of the first line of each code dump.
    """

    rows: list[str]
    kept: "array[int]"
    dumps: tuple[int, ...]
    encoding: str
    notes: tuple[str, ...]
    total_lines: int

    @property
    def lines(self) -> Iterator[tuple[int, str]]:
        """(line number in the file from 1, text) of what is read; a list of all of them would weigh more than the log."""
        return ((number, part) for number in self.kept for part in self.rows[number - 1].split("\n"))

    @property
    def first_line(self) -> int:
        """The number of the first line that is read; 1 where none is."""
        return self.kept[0] if self.kept else 1


def decode(raw: bytes) -> tuple[str, str, list[str]]:
    """Text of `raw`, the name of its encoding, and notes on what was repaired."""
    notes: list[str] = []
    if raw.startswith(BOM_UTF8):
        text, name = raw[3:].decode("utf-8", "replace"), "utf-8 with BOM"
    elif raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        text, name = raw.decode("utf-16", "replace"), "utf-16"
    elif _looks_utf16(raw):
        little = raw[1:200:2].count(0) > raw[0:200:2].count(0)
        text, name = raw.decode("utf-16-le" if little else "utf-16-be", "replace"), "utf-16 without BOM"
    else:
        text, name = raw.decode("utf-8", "replace"), "utf-8"
    if "\ufffd" in text:
        notes.append(f"{text.count(chr(0xFFFD))} byte sequences are not {name}; they were replaced")
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
        notes.append("line ends are CRLF")
    if "\r" in text:
        text = text.replace("\r", "\n")
        notes.append("progress lines overwrite each other with bare CR; each is read as a line")
    if "\x1b" in text:
        text = ANSI.sub("", text)
        notes.append("ANSI colours were removed")
    return text, name, notes


def _looks_utf16(raw: bytes) -> bool:
    head = raw[:400]
    return len(head) >= 8 and max(head[0::2].count(0), head[1::2].count(0)) > len(head) // 4


def clean(raw: bytes) -> Text:
    """The lines of a log, see `Text`."""
    text, encoding, notes = decode(raw)
    rows = _rows(text, notes)
    total_lines = len(rows) - (not text or text.endswith("\n"))
    del text  # the rows are a second copy of it
    skipped, dumps = find_code(rows)
    kept = array("L")
    prefixed = from_json = 0
    strip = PREFIX.match
    for number, row in enumerate(rows, 1):
        if not row or number in skipped or row.isspace() or (row[0] in "|+=*" and not _speaks(row)):
            continue
        if "%|" in row and PROGRESS.search(row):
            continue
        if row[0] in "0123456789[>" and (match := strip(row)):
            prefixed += 1
            rows[number - 1] = row[match.end() :]
            if match.end() == len(row):
                continue
        if row[0] == "{" and from_json < MOST_JSON_LINES and (told := of_json(rows[number - 1])):
            rows[number - 1] = told
            from_json += 1
        kept.append(number)
    if from_json:
        more = ", no more are" if from_json == MOST_JSON_LINES else ""
        notes.append(f"{from_json} lines are JSON; each is read as `label name:value`{more}")
    if prefixed:
        notes.append(f"{prefixed} lines carry a timestamp or launcher prefix; it was removed")
    if skipped:
        notes.append(f"{len(skipped)} lines of source code in the log were left out")
    return Text(rows, kept, dumps, encoding, tuple(notes), total_lines)


def of_json(row: str) -> str:
    """A line that is one flat JSON object as other logs write it: `label step:N val_loss:…`, milliseconds with their unit; settings one a
    line. "" for any other line."""
    if len(row) > MOST_JSON_CHARACTERS or not row.rstrip().endswith("}"):
        return ""
    try:
        table = json.loads(row)
    except (ValueError, RecursionError):
        return ""
    label = next((table[name] for name in JSON_NAMES if isinstance(table.get(name), str)), "")
    values = {
        name: value for name, value in table.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if not any("loss" in name or "bpb" in name for name in values):
        return "\n".join(f"{name}:{value}" for name, value in values.items())
    words = [f"step:{values.pop('step')}"] if "step" in values else [label.strip()]
    for name, value in values.items():
        words.append(f"{name.removesuffix('_ms')}:{value:.15g}ms" if name.endswith("_ms") else f"{name}:{value}")
    return " ".join(words).strip()


def _speaks(row: str) -> bool:
    """Whether a row of a table or a rule across the page says something: a device of nvidia-smi, a launcher's banner with a seed."""
    return "NVIDIA " in row if row[0] == "|" else "seed" in row.lower()


def _rows(text: str, notes: list[str]) -> list[str]:
    """The lines without trailing blanks, without a margin that all of them have, and none of them endless."""
    rows = [row.rstrip() for row in text.split("\n")]
    margin = min((len(row) - len(row.lstrip(" \t")) for row in rows if row), default=0)
    if margin:
        rows = [row[margin:] for row in rows]
        notes.append(f"every line is indented by {margin}; it was removed")
    endless = sum(len(row) > MAX_LINE for row in rows)
    if endless:
        rows = [row[:MAX_LINE] for row in rows]
        notes.append(f"{endless} lines longer than {MAX_LINE:,} characters were cut")
    return rows


def find_code(rows: list[str]) -> tuple[frozenset[int], tuple[int, ...]]:
    """Numbers of the lines that belong to dumps of source code, and each dump's first line.

    A dump begins at its first unindented Python statement (or the docstring right before it) and ends with the body of its last;
    a `=====` line or a line of the log also ends it. Fewer than three statements are no dump.
    """
    skipped: set[int] = set()
    starts: list[int] = []
    for first, end in _blocks(rows):
        for found in _code_groups(rows, first, end):
            if len(found) == 1 and rows[found[0]].startswith(REMOVED):
                starts.append(found[0] + 1)
            elif len(found) >= 3:
                start = _docstring_before(rows, first, found[0])
                starts.append(start + 1)
                skipped.update(range(start + 1, _code_end(rows, found[-1], end) + 1))
    return frozenset(skipped), tuple(starts)


def _code_groups(rows: list[str], first: int, end: int) -> Iterator[list[int]]:
    """Indices of the top-level Python statements, grouped where a line of the log lies between them."""
    group: list[int] = []
    for index in range(first, end):
        row = rows[index]
        if not row:
            continue
        if _is_code(row):
            group.append(index)
        elif group and LOGGED.match(row):
            yield group
            group = []
        elif row.startswith(REMOVED):
            yield [index]
    if group:
        yield group


def _is_code(row: str) -> bool:
    return bool(row) and row[0] in "ifdc@" and CODE.match(row) is not None


def _blocks(rows: list[str]) -> Iterator[tuple[int, int]]:
    """(first, end) of the stretches between `=====` lines, as indices from 0."""
    first = 0
    for index, row in enumerate(rows):
        if row.startswith("====") and SEPARATOR.match(row):
            yield first, index
            first = index + 1
    yield first, len(rows)


def _docstring_before(rows: list[str], first: int, code: int) -> int:
    """Where the docstring that ends just before `code` begins, else `code`."""
    index = code - 1
    while index >= first and not rows[index].strip():
        index -= 1
    if index < first or not rows[index].rstrip().endswith(('"""', "'''")):
        return code
    quote = rows[index].rstrip()[-3:]
    for start in range(index, max(first, index - 200) - 1, -1):
        if rows[start].startswith(quote) and (start < index or rows[start].count(quote) == 2):
            return start
    return code


def _code_end(rows: list[str], last: int, end: int) -> int:
    """Index after the body of the last top-level statement: the first unindented line that is no code."""
    for index in range(last + 1, end):
        row = rows[index]
        if row and row[0] not in " \t)]}#@" and not _is_code(row):
            return index
    return end
