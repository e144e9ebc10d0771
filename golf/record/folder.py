"""A record folder as it lies there, anyone's: its files by what they are, its claims, its logs read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from golf.board.gather import log_files
from golf.errors import GolfError
from golf.logs import RunResult, read_log
from golf.logs.result import LogFile
from golf.strangers import own_files, read_json, read_text

MOST_TEXT_BYTES = 4_000_000
SEED_IN_NAME = re.compile(r"seed[_-]?(\d+)", re.I)
DOCUMENTS = (".md", ".json", ".log", ".svg", ".png", ".toml", ".lock", ".tsv", ".csv")
README_NUMBER = re.compile(r"(?<![\d.])([01]\.\d{3,8})(?!\d)")


@dataclass(frozen=True)
class SeedClaim:
    """What submission.json says of one seed."""

    val_bpb: float | None
    val_loss: float | None
    artifact_bytes: int | None
    steps: int | None
    digits: int


@dataclass(frozen=True)
class SeedLog:
    """A log of the folder with the run that counts in it."""

    path: Path
    name: str
    file: LogFile
    run: RunResult

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
        words = f"{(self.claims or {}).get('track', '')} {self.path.resolve().parent.name}".replace("-", "_").lower()
        return "local" if "local" in words else "non_record_16mb" if "non_record" in words else "10min_16mb"

    @cached_property
    def seed_claims(self) -> Mapping[str, SeedClaim]:
        """What the claims say per seed, from any of the structures in use."""
        claims = self.claims or {}
        for key in ("seed_results", "per_seed", "seeds", "val_bpb_seeds"):
            value = claims.get(key)
            if isinstance(value, dict):
                return {
                    str(seed): _claim(entry) for seed, entry in value.items() if isinstance(entry, dict | int | float)
                }
            if (
                isinstance(value, list)
                and value
                and all(isinstance(entry, dict) and "seed" in entry for entry in value)
            ):
                return {str(entry["seed"]): _claim(entry) for entry in value}
        scores, seeds = claims.get("seed_scores"), claims.get("seeds")
        if isinstance(scores, list) and isinstance(seeds, list) and len(scores) == len(seeds):
            return {str(seed): _claim(score) for seed, score in zip(seeds, scores, strict=True)}
        return {}

    def number(self, *names: str) -> float | None:
        """The first of the named claims that is a number."""
        for name in names:
            value = (self.claims or {}).get(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        return None

    def digits(self, value: float) -> int:
        """Decimals of `value` as the claims' text prints it (trailing zeros count)."""
        spellings = re.findall(rf"{re.escape(repr(value))}0*", self.claims_text)
        return max((len(text.partition(".")[2]) for text in spellings), default=len(repr(value).partition(".")[2]))


def _claim(entry: Any) -> SeedClaim:
    if not isinstance(entry, dict):
        return SeedClaim(float(entry), None, None, None, len(repr(float(entry)).partition(".")[2]))

    def number(*names: str) -> float | None:
        return next((float(entry[name]) for name in names if isinstance(entry.get(name), int | float)), None)

    bpb, size, steps = number("val_bpb", "bpb"), number("artifact_bytes", "bytes_total"), number("steps")
    return SeedClaim(
        bpb, number("val_loss"), None if size is None else int(size), None if steps is None else int(steps),
        len(repr(bpb).partition(".")[2]) if bpb is not None else 0,
    )  # fmt: skip


def open_folder(path: Path) -> Folder:
    """The record folder at `path`; GolfError when there is none."""
    if not path.is_dir():
        raise GolfError(f"`{path}` is no folder", "name a record folder: records/<track>/<date>_<name>")
    return Folder(path)
