"""A record folder as it lies there, anyone's: its files by what they are, its claims, its logs read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.files import files_below, own_files, read_json, read_text
from golf.logs import RunResult, Score, counting, read_log
from golf.logs.backing import as_claimed
from golf.logs.result import LogFile
from golf.logs.runs import configuration
from golf.reading.claims import (
    MOST_SEEDS,
    SeedClaim,
    claimed_scores,
    claimed_track,
    headline,
    number,
    seed_claims,
    seeds_left_out,
)

MOST_TEXT_BYTES = 4_000_000
MOST_LOGS = 200
NO_LOGS = ("requirements.txt", "readme.txt", "license.txt", "notes.txt")
SEED_IN_NAME = re.compile(r"seed[_-]?(\d+)", re.I)
NUMBER_IN_NAME = re.compile(r"(?:^|[_-])s(\d{1,9})(?=[_.-]|$)|(?:log|run|train)[_-](\d{1,9})(?=\.|$)", re.I)
DOCUMENTS = (".md", ".json", ".log", ".svg", ".png", ".toml", ".lock", ".tsv", ".csv")
README_NUMBER = re.compile(r"(?<![\d.])([01]\.\d{3,8})(?!\d)")


@dataclass(frozen=True)
class SeedLog:
    """A run of the folder. name: of its log, with the run's first line where the log holds several."""

    path: Path
    name: str
    file: LogFile
    run: RunResult
    alone: bool = True

    @property
    def seed(self) -> int | None:
        """The seed that the log prints."""
        return self.run.seed

    @property
    def val_bpb(self) -> float | None:
        """The score."""
        return self.run.val_bpb if self.run.score is not None else None

    @property
    def scores(self) -> Sequence[Score]:
        """Every evaluation in the log."""
        return self.run.scores

    @property
    def complete(self) -> bool:
        """Whether the log shows the run's end."""
        return self.run.complete

    @property
    def seed_in_name(self) -> int | None:
        """The seed that the file's name states; None where the file holds several runs."""
        found = SEED_IN_NAME.search(self.path.name) if self.alone else None
        return int(found[1]) if found else None

    @property
    def number_in_name(self) -> int | None:
        """A number in the file's name that may be a seed, as in train_s42.log or log_1337.txt: for logs that state none."""
        found = NUMBER_IN_NAME.search(self.path.name) if self.alone else None
        return int(found[1] or found[2]) if found else None

    @cached_property
    def configuration(self) -> Mapping[str, str]:
        """What was run, whatever the seed."""
        return configuration(self.run)


@dataclass(frozen=True)
class Folder:
    """A record folder; everything is read when first asked for."""

    path: Path

    @cached_property
    def claims_path(self) -> Path | None:
        """submission.json, or the one JSON file whose name begins with submission."""
        found = own_files(self.path, "submission*.json")
        return found[0] if found else None

    @cached_property
    def claims_text(self) -> str:
        return (read_text(self.claims_path, MOST_TEXT_BYTES) or "") if self.claims_path else ""

    @cached_property
    def claims(self) -> dict[str, Any] | None:
        """The claims; None when there are none or they cannot be parsed."""
        return read_json(self.claims_path, MOST_TEXT_BYTES)[0] if self.claims_path else None

    @cached_property
    def readme(self) -> str | None:
        path = next((path for path in own_files(self.path, "*") if path.name.lower() == "readme.md"), None)
        return read_text(path, MOST_TEXT_BYTES) if path else None

    @cached_property
    def scripts(self) -> dict[str, int]:
        """Python files of the folder → bytes."""
        return {path.name: path.stat().st_size for path in own_files(self.path, "*.py")}

    @cached_property
    def shipped_bytes(self) -> int:
        """Everything that is no documentation and no evidence: scripts and the files that they may read."""
        logs = {log.path for log in self.logs}
        return sum(
            path.stat().st_size
            for path in own_files(self.path, "*")
            if path not in logs and path.suffix not in DOCUMENTS and path.name != "requirements.txt"
        )

    @cached_property
    def log_paths(self) -> list[Path]:
        """Every log, also those beyond `MOST_LOGS`; see `log_files`."""
        return log_files(self.path)

    @cached_property
    def logs(self) -> tuple[SeedLog, ...]:
        """The runs in the logs that can be read, each complete one (see `counting`), in order of the logs' names."""
        return tuple(log for logs in self._read.values() if not isinstance(logs, str) for log in logs)

    @cached_property
    def unread(self) -> Mapping[str, str]:
        """Name of a log without a run → why."""
        return {name: why for name, why in self._read.items() if isinstance(why, str)}

    @cached_property
    def _read(self) -> Mapping[str, "tuple[SeedLog, ...] | str"]:
        found: dict[str, tuple[SeedLog, ...] | str] = {}
        claimed = claimed_scores(self.claims)
        for path in self.log_paths[:MOST_LOGS]:
            name = path.relative_to(self.path).as_posix()
            try:
                file = read_log(path)
            except GolfError as fault:
                found[name] = fault.message
                continue
            runs = [run for run in counting(file) if run.curve or run.scores or run.params]
            found[name] = (
                tuple(
                    SeedLog(
                        path,
                        name if len(runs) == 1 else f"{name}:{run.first_line}",
                        file,
                        as_claimed(run, claimed),
                        len(runs) == 1,
                    )
                    for run in runs
                )
                or "no line of it is a known log line"
            )
        return found

    @property
    def track(self) -> str:
        """10min_16mb, non_record_16mb or local, from the claims or else the parent folder."""
        return claimed_track(self.claims, self.path.resolve().parent.name)

    @cached_property
    def seed_claims(self) -> Mapping[str, SeedClaim]:
        """What the claims say per seed, from any of the structures in use."""
        return seed_claims(self.claims)

    @property
    def headline(self) -> float | None:
        """The claimed bits per byte of the whole record."""
        return headline(self.claims)

    def number(self, *names: str) -> float | None:
        """The first of the named claims that is a number."""
        return number(self.claims or {}, *names)

    def digits(self, value: float) -> int:
        """Decimals of `value` as the claims' text prints it (trailing zeros count)."""
        spellings = re.findall(rf"{re.escape(repr(value))}0*", self.claims_text)
        return max((len(text.partition(".")[2]) for text in spellings), default=len(repr(value).partition(".")[2]))


def open_folder(path: Path) -> Folder:
    """The record folder at `path`; GolfError when there is none."""
    if not path.is_dir():
        raise GolfError(f"`{path}` is no folder", "name a record folder: records/<track>/<date>_<name>")
    return Folder(path)


def log_files(folder: Path) -> list[Path]:
    """The logs of a record folder, sorted: *.log and *.txt in it and in its sub-folders, without requirements.txt and its like."""
    found = [path for path in files_below(folder) if path.suffix.lower() in (".log", ".txt")]
    return sorted(path for path in found if path.name.lower() not in NO_LOGS)


def left_out(log_paths: Sequence[Path], claims: Mapping[str, Any] | None) -> list[str]:
    """What of a record folder with these logs is more than any record has, and so is not read."""
    logs, seeds = len(log_paths) - MOST_LOGS, seeds_left_out(claims)
    return [
        *([f"{logs + MOST_LOGS:,} logs, of which the first {MOST_LOGS} by name are read"] if logs > 0 else []),
        *([f"{seeds + MOST_SEEDS:,} claimed seeds, of which the first {MOST_SEEDS} are read"] if seeds else []),
    ]
