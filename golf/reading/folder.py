"""A record folder as it lies there, anyone's: its files by what they are, its claims, its logs read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.files import files_below, own_files, read_json, read_text
from golf.logs import RunResult, Score, read_log
from golf.logs.result import LogFile
from golf.reading.claims import SeedClaim, claimed_track, headline, number, seed_claims

MOST_TEXT_BYTES = 4_000_000
SEED_IN_NAME = re.compile(r"seed[_-]?(\d+)", re.I)
DOCUMENTS = (".md", ".json", ".log", ".svg", ".png", ".toml", ".lock", ".tsv", ".csv")
README_NUMBER = re.compile(r"(?<![\d.])([01]\.\d{3,8})(?!\d)")


@dataclass(frozen=True)
class SeedLog:
    """A log of the folder with the run that counts in it."""

    path: Path
    name: str
    file: LogFile
    run: RunResult

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
        """The seed that the file's name states."""
        found = SEED_IN_NAME.search(self.path.name)
        return int(found[1]) if found else None


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
    def logs(self) -> tuple[SeedLog, ...]:
        """The logs that can be read and hold a run, in order of their names."""
        logs = []
        for path in log_files(self.path):
            try:
                file = read_log(path)
            except GolfError:
                continue
            if file.run is not None and (file.run.curve or file.run.scores or file.run.params):
                logs.append(SeedLog(path, path.relative_to(self.path).as_posix(), file, file.run))
        return tuple(logs)

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
    """The logs of a record folder, sorted: *.log and *.txt in it and in its sub-folders, without requirements.txt."""
    found = [path for path in files_below(folder) if path.suffix in (".log", ".txt")]
    return sorted(path for path in found if path.name != "requirements.txt")
