"""The run store: one SQLite file per project (`.golf/golf.db`, WAL), one row per run, every transition one transaction.

A row is added before its process starts and is only ever moved on, so that a kill at any moment leaves either the state before
or the state after. Folders are kept relative to the project, so that a project may be moved.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from golf.errors import Exit, GolfError
from golf.files import json_text
from golf.run.schema import MIGRATIONS, NEXT_STATES, SCHEMA_VERSION, Run, now

BUSY_SECONDS = 30.0
_COLUMNS = tuple(Run.__dataclass_fields__)


class Store:
    """The open store of the project at `root`. Every method is one transaction; faults are GolfErrors."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.path = self.root / ".golf" / "golf.db"
        with self._guard():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute("PRAGMA journal_mode = WAL")
            # FULL: a power cut after a commit does not take the commit back; commits are rare here
            self._db.execute("PRAGMA synchronous = FULL")
        self._migrate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the store is not used afterwards."""
        self._db.close()

    def runs(
        self,
        submission: str | None = None,
        state: str | Iterable[str] | None = None,
        newest: int | None = None,
        **equal: object,
    ) -> list[Run]:
        """The runs, oldest first; narrowed to a submission, to one state or several, to equal columns, and to the newest of these."""
        wanted: dict[str, object] = {key: value for key, value in equal.items() if value is not None}
        if submission is not None:
            wanted["submission"] = submission
        unknown = set(wanted) - set(_COLUMNS)
        assert not unknown, f"no column {unknown}"
        clauses = [f"{key} = ?" for key in wanted]
        values = list(wanted.values())
        if state is not None:
            states = (state,) if isinstance(state, str) else tuple(state)
            clauses.append(f"state IN ({', '.join('?' * len(states))})")
            values += states
        where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
        with self._guard():
            last = "" if newest is None else f" DESC LIMIT {int(newest)}"
            rows = self._db.execute(f"SELECT * FROM runs{where} ORDER BY id{last}", values).fetchall()
        return [self._run(row) for row in (rows if newest is None else reversed(rows))]

    def runs_like(self, prefix: str) -> list[Run]:
        """The runs of every submission whose name begins with `prefix`, oldest first."""
        with self._guard():
            rows = self._db.execute(
                "SELECT * FROM runs WHERE substr(submission, 1, ?) = ? ORDER BY id", (len(prefix), prefix)
            ).fetchall()
        return [self._run(row) for row in rows]

    def run(self, run_id: int) -> Run:
        """The run with this id."""
        with self._guard():
            row = self._db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
        if row is None:
            raise GolfError(f"no run {run_id} in {self.path}", "`golf status` lists the runs")
        return self._run(row)

    def start(self, *, aside: str | None = None, folder: Path, **columns: object) -> Run:
        """Add a run in state `started`. A former run in the same folder is given the folder name `aside` in the same
        transaction; moving the folder itself is the caller's next step (`resume.settle` repeats it after a kill)."""
        row = {**columns, "state": "started", "folder": self._relative(folder), "started_at": now()}
        row["derived"] = None if row.get("derived") is None else json_text(row["derived"])
        names = ", ".join(row)
        with self._guard(), self._transaction():
            if aside is not None:
                moved = self._relative(folder.with_name(aside))
                self._db.execute("UPDATE runs SET folder = ? WHERE folder = ?", (moved, row["folder"]))
            cursor = self._db.execute(
                f"INSERT INTO runs ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values())
            )
        assert cursor.lastrowid is not None
        return self.run(cursor.lastrowid)

    def move(self, run_id: int, state: str, **columns: object) -> Run:
        """Move a run to `state`, with other columns, in one transaction. A finished run never moves again."""
        changes = {"state": state, **columns}
        if state in ("finished", "failed", "stopped"):
            changes.setdefault("finished_at", now())
        if isinstance(changes.get("result"), Mapping):
            changes["result"] = json_text(changes["result"])
        with self._guard(), self._transaction():
            row = self._db.execute("SELECT state FROM runs WHERE id = ?", (run_id,)).fetchone()
            if row is None or (state != row["state"] and state not in NEXT_STATES[row["state"]]):
                was = row["state"] if row is not None else "absent"
                raise GolfError(f"run {run_id} is {was} and cannot become {state}", "`golf status` lists the runs")
            self._set(run_id, changes)
        return self.run(run_id)

    def note(self, run_id: int, **columns: object) -> None:
        """Change columns of a run, but not its state."""
        assert "state" not in columns, "states change by `move`"
        with self._guard(), self._transaction():
            self._set(run_id, columns)

    def record(self, run_id: int, points: Iterable[tuple[int, str, float]]) -> None:
        """Keep metrics (step, name, value); a later value of the same step and name wins."""
        rows = [(run_id, step, name, value) for step, name, value in points]
        if rows:
            with self._guard(), self._transaction():
                self._db.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?)", rows)

    def metrics(self, run_id: int, name: str) -> list[tuple[int, float]]:
        """(step, value) of one metric, by step."""
        with self._guard():
            rows = self._db.execute(
                "SELECT step, value FROM metrics WHERE run_id = ? AND name = ? ORDER BY step", (run_id, name)
            )
            return [(int(row["step"]), float(row["value"])) for row in rows]

    def every_metric(self, run_id: int) -> list[tuple[int, str, float | None]]:
        """(step, name, value) of everything that a run logged, by step; None for a value that is no number."""
        with self._guard():
            rows = self._db.execute(
                "SELECT step, name, value FROM metrics WHERE run_id = ? ORDER BY step, name", (run_id,)
            )
            return [(int(row["step"]), str(row["name"]), row["value"]) for row in rows]

    def forget(self, run_ids: Iterable[int]) -> None:
        """Remove runs and their metrics."""
        with self._guard(), self._transaction():
            self._db.executemany("DELETE FROM runs WHERE id = ?", [(run_id,) for run_id in run_ids])

    def _set(self, run_id: int, changes: Mapping[str, object]) -> None:
        assignments = ", ".join(f"{key} = ?" for key in changes)
        self._db.execute(f"UPDATE runs SET {assignments} WHERE id = ?", [*changes.values(), run_id])

    def _relative(self, folder: Path) -> str:
        """Relative to the project where it lies inside it, else absolute."""
        whole = folder.resolve()
        return whole.relative_to(self.root).as_posix() if whole.is_relative_to(self.root) else whole.as_posix()

    def _run(self, row: sqlite3.Row) -> Run:
        values = {key: row[key] for key in _COLUMNS}
        values["derived"] = json.loads(values["derived"]) if values["derived"] else None
        values["result"] = json.loads(values["result"]) if values["result"] else None
        return Run(**{**values, "smoke": bool(values["smoke"]), "folder": self.root / values["folder"]})

    def _migrate(self) -> None:
        with self._guard():
            version = self._version()
            if version > SCHEMA_VERSION:
                raise GolfError(f"{self.path} has schema {version}; this golf reads up to {SCHEMA_VERSION}",
                                "a newer golf made it: install that one", Exit.REFUSED)  # fmt: skip
            while version < SCHEMA_VERSION:
                with self._transaction():
                    version = self._version()  # another process may have come first
                    if version < SCHEMA_VERSION:
                        for statement in MIGRATIONS[version].split(";"):
                            self._db.execute(statement)
                        version += 1
                        self._db.execute(f"PRAGMA user_version = {version}")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Say what is wrong with the file in one sentence."""
        try:
            yield
        except sqlite3.OperationalError as fault:
            raise GolfError(
                f"the run store {self.path} cannot be used: {fault}",
                "is the disk full, the folder read-only, or another golf stuck? logs and artifacts are not affected",
                Exit.REFUSED,
            ) from fault
        except sqlite3.IntegrityError as fault:
            raise GolfError(
                f"the run store {self.path} has a run in this folder already: {fault}",
                "another golf started it: `golf status`",
                Exit.REFUSED,
            ) from fault
        except sqlite3.DatabaseError as fault:
            raise GolfError(
                f"the run store {self.path} is damaged: {fault}",
                f"move it away (`mv {self.path} {self.path}.damaged`): logs and artifacts under runs/ are not affected",
                Exit.REFUSED,
            ) from fault
        except OSError as fault:
            raise GolfError(f"the run store {self.path} cannot be opened: {fault}",
                            "make the folder writable", Exit.REFUSED) from fault  # fmt: skip


def open_store(root: Path) -> Store:
    """The store of the project at `root`, made if missing. Raises GolfError: damaged, newer than this golf, unwritable."""
    return Store(root)


def has_store(root: Path) -> bool:
    """Whether anything was ever run in the project at `root`: reads ask before they open, which would make a store."""
    return (root / ".golf" / "golf.db").is_file()
