"""An audit at the terminal."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.audit.find import Subject, folders_below, parse_pulls, pulls_of
from golf.audit.page import COLUMNS, RIGHT, broken_of, cells_of, counts_of, page
from golf.audit.run import FOLDER, ROWS, Options, audit
from golf.cli.output import print_json, print_lines, print_table, talk
from golf.engine import engine_named
from golf.errors import Exit, GolfError
from golf.files import write_atomically
from golf.project import find_root
from golf.rules import load_pack
from golf.rules.checks import KINDS
from golf.study.study import refuse_name

PATIENCE_SECONDS = 5.0
SHOWN = 12
CUT = {"subject": 24, "author": 8, "broken": 12, "could not tell": 8}


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    folders: tuple[Path, ...]
    repo: Path | None
    prs: str | None
    name: str
    processes: int
    only: tuple[str, ...]
    pack: str
    quick: bool
    execute: bool
    again: bool
    engine: str = "local"


def run(asked: Asked, *, json: bool, md: bool) -> Exit:
    """Judge, show the table, write the page; 6 where a subject could not be judged."""
    refuse_name(asked.name)
    load_pack(asked.pack)
    for kind in asked.only:
        if kind not in KINDS:
            raise GolfError(f"no kind of check `{kind}`", f"there are: {', '.join(KINDS)}")
    root = find_root()
    subjects = _subjects(asked, root)
    options = Options(asked.pack, asked.only, asked.quick, asked.execute)
    mapper = engine_named(asked.engine).run_all
    begun, last = time.monotonic(), [time.monotonic()]

    def on_row(row: dict[str, Any], number: int, of: int) -> None:
        if time.monotonic() - last[0] > PATIENCE_SECONDS or number == of:
            last[0] = time.monotonic()
            rate = number / max(time.monotonic() - begun, 1e-9)
            talk(f"{number} of {of}, {rate:.2f} a second; {row['subject']}")

    try:
        rows = audit(
            root,
            asked.name,
            subjects,
            options,
            processes=asked.processes,
            again=asked.again,
            mapper=mapper,
            on_row=on_row,
        )
    except KeyboardInterrupt:
        talk("stopped; the same command goes on")
        raise
    folder = root / FOLDER / asked.name
    write_atomically(folder / "index.html", page(asked.name, rows).encode())
    if json:
        print_json({"audit": asked.name, "verdicts": counts_of(rows), "broken": broken_of(rows), "rows": rows})
    else:
        print_table(None, COLUMNS, [cells_of(row) for row in rows], right=RIGHT, cut=CUT, md=md)
        print_lines(
            [
                "",
                f"{len(rows)} subjects: "
                + ", ".join(f"{count} {verdict}" for verdict, count in counts_of(rows).items()),
            ]
        )
        if broken := broken_of(rows):
            print_lines(["broken   " + ", ".join(f"{code} {count}" for code, count in list(broken.items())[:SHOWN])])
    talk(f"rows: {folder / ROWS}; page: {folder / 'index.html'}")
    return Exit.UNKNOWN if any(row.get("fault") for row in rows) else Exit.OK


def _subjects(asked: Asked, root: Path) -> list[Subject]:
    if (asked.repo is None) != (asked.prs is None):
        raise GolfError(
            "pull requests are of a clone: `--repo` and `--prs` go together",
            "`--repo ../parameter-golf --prs 1500-2138`",
        )
    if not asked.folders and asked.repo is None:
        raise GolfError(
            "nothing to audit",
            "name folders: `golf audit records`; or a clone: `--repo ../parameter-golf --prs 1500-2138`",
        )
    found = folders_below(asked.folders) if asked.folders else []
    if asked.repo is not None and asked.prs is not None:
        pulls, absent, empty = pulls_of(
            asked.repo.resolve(), parse_pulls(asked.prs), root / FOLDER / asked.name / "folders"
        )
        for numbers, what in (
            (absent, "not in the clone (`git fetch origin '+refs/pull/*/head:refs/pull/*/head'`)"),
            (empty, "add no record folder"),
        ):
            if numbers:
                told = ", ".join(f"#{number}" for number in numbers[:SHOWN]) + (
                    f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
                )
                talk(f"{told}: {what}")
        found += pulls
    return found
