"""What the run store holds: the tables, the states of a run and how they follow each other, and a run as a value."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
STATES = ("started", "trained", "exported", "finished", "failed", "stopped")
UNFINISHED = ("started", "trained", "exported")  # a process should be there

_SCHEMA_1 = """
CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  submission TEXT NOT NULL,
  set_id TEXT NOT NULL,
  seed INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('started', 'trained', 'exported', 'finished', 'failed', 'stopped')),
  script_sha256 TEXT NOT NULL,
  recipe TEXT,
  derived TEXT,
  smoke INTEGER NOT NULL DEFAULT 0,
  track TEXT NOT NULL,
  device TEXT,
  world_size INTEGER,
  data_sha256 TEXT,
  tokenizer_sha256 TEXT,
  folder TEXT NOT NULL UNIQUE,
  started_at TEXT NOT NULL,
  finished_at TEXT,
  exit_code INTEGER,
  stop_reason TEXT,
  result TEXT,
  pid INTEGER
);
CREATE INDEX runs_by_submission ON runs (submission, set_id, seed);
CREATE TABLE metrics (
  run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  step INTEGER NOT NULL,
  name TEXT NOT NULL,
  value REAL,
  PRIMARY KEY (run_id, name, step)
) WITHOUT ROWID;
"""
# MIGRATIONS[n] takes a store of schema n to n + 1; a store starts at 0, empty
MIGRATIONS: dict[int, str] = {0: _SCHEMA_1}

NEXT_STATES = {
    "started": ("trained", "exported", "finished", "failed", "stopped"),
    "trained": ("exported", "finished", "failed", "stopped"),
    "exported": ("finished", "failed", "stopped"),
    "failed": ("started", "trained", "exported", "finished", "stopped"),  # resumed, or its end was found in the log
    "stopped": ("started", "trained", "exported", "finished", "failed"),
    "finished": (),
}


@dataclass(frozen=True)
class Run:
    """One run of one seed, as the store knows it; `folder` is absolute, `result` the merged golf_result lines."""

    id: int
    submission: str
    set_id: str
    seed: int
    state: str
    script_sha256: str
    recipe: str | None
    derived: dict[str, Any] | None
    smoke: bool
    track: str
    device: str | None
    world_size: int | None
    data_sha256: str | None
    tokenizer_sha256: str | None
    folder: Path
    started_at: str
    finished_at: str | None
    exit_code: int | None
    stop_reason: str | None
    result: dict[str, Any] | None
    pid: int | None

    @property
    def log(self) -> Path:
        """Everything that the script printed."""
        return self.folder / f"train_seed{self.seed}.log"


def now() -> str:
    """The time as the store writes it: UTC, ISO 8601, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
