"""Local files in the schemas of their publishers: JSON lines, read row by row, refused with the line and the missing field."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.files import parse_json


@dataclass(frozen=True)
class DataSet:
    """What a task reads: any of `files` in the data folder, one JSON object a line with `fields`; `published` says from where."""

    task: str
    files: tuple[str, ...]
    fields: tuple[str, ...]
    published: str


HELLASWAG = DataSet(
    "hellaswag",
    ("hellaswag_val.jsonl",),
    ("activity_label", "ctx_a", "ctx_b", "endings", "label"),
    "https://github.com/rowanz/hellaswag, `data/hellaswag_val.jsonl` (10,042 rows)",
)
LAMBADA = DataSet(
    "lambada",
    ("lambada_test.jsonl", "lambada_test_en.jsonl"),
    ("text",),
    "https://huggingface.co/datasets/EleutherAI/lambada_openai, the English test file (5,153 rows)",
)
TEXT = DataSet(
    "text_ppl",
    ("pile.jsonl", "text.jsonl"),
    ("text",),
    "https://huggingface.co/datasets/monology/pile-uncopyrighted or NeelNanda/pile-10k as JSON lines; any text will do",
)
STORIES = DataSet(
    "ce_bench",
    ("contrastive_stories.jsonl",),
    ("story1", "story2", "subject_title"),
    "https://huggingface.co/datasets/GulkoA/contrastive-stories-v4 as JSON lines (5,000 pairs)",
)


def find_file(folder: Path, data: DataSet) -> Path:
    """The task's file in `folder`; a GolfError names the file that is expected, and where it is published."""
    for name in data.files:
        if (folder / name).is_file():
            return folder / name
    raise GolfError(
        f"{data.task}: no {' or '.join(f'`{name}`' for name in data.files)} in {folder}",
        f"put it there as JSON lines with {', '.join(data.fields)}; published at {data.published}",
    )


def read_rows(path: Path, data: DataSet, limit: int | None = None) -> list[dict[str, Any]]:
    """The first `limit` rows (default: all); a GolfError names the line that is not such a row."""
    rows: list[dict[str, Any]] = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if limit is not None and len(rows) >= limit:
                    break
                if line.strip():
                    rows.append(_row(line, data.fields, f"{path}:{number}"))
    except (OSError, UnicodeDecodeError) as fault:
        raise GolfError(f"{path} cannot be read: {fault}", f"expected JSON lines, as of {data.published}") from None
    if not rows:
        raise GolfError(f"{path} holds no rows", f"expected JSON lines with {', '.join(data.fields)}")
    return rows


def _row(line: str, fields: Sequence[str], place: str) -> dict[str, Any]:
    try:
        row = parse_json(line)
    except ValueError:
        raise GolfError(f"{place} is not JSON: {line[:60].strip()!r}", "expected one object a line") from None
    missing = [name for name in fields if not isinstance(row, dict) or name not in row]
    if missing:
        raise GolfError(f"{place} has no {', '.join(missing)}", f"expected an object with {', '.join(fields)}")
    return dict(row)
