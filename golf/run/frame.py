"""The run store as pandas tables, and any table written to a file: for whoever wants to analyse more than golf's pages show.

pandas is imported in the functions: nothing that only reads or shows runs pays for it.
"""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golf.errors import Exit, GolfError
from golf.files import json_text, write_atomically
from golf.project import find_root
from golf.run.schema import Run
from golf.run.store import has_store, open_store

if TYPE_CHECKING:
    import pandas

_STORE_COLUMNS = tuple(Run.__dataclass_fields__)
_TIMES = ("started_at", "finished_at")
WRITERS = {
    ".parquet": lambda table, file: table.to_parquet(file, index=False),
    ".csv": lambda table, file: table.to_csv(file, index=False),
    ".jsonl": lambda table, file: table.to_json(file, orient="records", lines=True, date_format="iso"),
}


def frame(root: Path | str | None = None, submission: str | None = None) -> "pandas.DataFrame":
    """Every run of a project, one row each in the order of their starts; no rows where nothing was run.

    root: the project's folder, default the one that the current folder lies in. submission: only its runs.

    Columns: those of the store (`golf.run.schema.Run`) without `result`, then the fields of the runs' `golf_result` lines
    (`golf.parts.log.RESULT_FIELDS` has their units), under their own names. A field that the store has too (seed, device,
    world_size) is the store's, filled from the result where the store has none; the result's schema is left out. What is
    unknown is missing, not 0. Times are UTC; lists and tables (`derived`, `reports`) are JSON text.

    Raises GolfError: a damaged store, or pandas is not installed.
    """
    pandas = pandas_of_the_user()
    return _typed(pandas.DataFrame([_row(run) for run in _runs(root, submission)]))


def curves(root: Path | str | None = None, submission: str | None = None) -> "pandas.DataFrame":
    """The training curves of a project, one row for each run and step that logged anything.

    Columns: run (the id of `frame`), submission, set_id, seed, step, then a column for each metric (train_loss and val_loss
    in nats/token, val_bpb in bits/byte, train_seconds …), missing where a step did not log it. Arguments and errors: as `frame`.
    """
    pandas = pandas_of_the_user()
    place = _root(root)
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    if has_store(place):
        with open_store(place) as store:
            for run in store.runs(submission):
                head = {"run": run.id, "submission": run.submission, "set_id": run.set_id, "seed": run.seed}
                for step, name, value in store.every_metric(run.id):
                    rows.setdefault((run.id, step), {**head, "step": step})[name] = value
    return _typed(pandas.DataFrame(list(rows.values())))


def write_table(table: "pandas.DataFrame", path: Path) -> None:
    """Write a table to .parquet, .csv or .jsonl, whole or not at all. GolfError for another ending, parquet without pyarrow, or
    a place that cannot be written."""
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        raise GolfError(f"`{path.name}` names no format that golf writes", f"end it in {', '.join(WRITERS)}")
    file = BytesIO()
    try:
        write(table, file)
    except ImportError as fault:
        raise GolfError(f"{path.suffix} needs a package that is missing: {fault}",
                        "`pip install pyarrow`, or write .csv", Exit.REFUSED) from fault  # fmt: skip
    try:
        write_atomically(path, file.getvalue())
    except OSError as fault:
        raise GolfError(
            f"cannot write `{path}`: {fault.strerror or fault}", "name a file in a folder that exists", Exit.REFUSED
        ) from fault


def pandas_of_the_user() -> Any:
    """The module pandas; GolfError where it is not installed."""
    try:
        import pandas
    except ImportError as fault:
        raise GolfError("tables need pandas, which is not installed", "`pip install pandas`", Exit.REFUSED) from fault
    return pandas


def _root(root: Path | str | None) -> Path:
    return find_root() if root is None else Path(root)


def _runs(root: Path | str | None, submission: str | None) -> Iterable[Run]:
    place = _root(root)
    if not has_store(place):
        return []
    with open_store(place) as store:
        return store.runs(submission)


def _row(run: Run) -> dict[str, Any]:
    row = {name: getattr(run, name) for name in _STORE_COLUMNS if name != "result"}
    for name, value in (run.result or {}).items():
        if name != "schema" and row.get(name) is None:
            row[name] = value
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: Any) -> Any:
    """A value as one cell holds it."""
    if isinstance(value, Path):
        return str(value)
    return json_text(value) if isinstance(value, dict | list | tuple) else value


def _typed(table: "pandas.DataFrame") -> "pandas.DataFrame":
    """With types that know missing values: integers stay integers, times are times."""
    pandas = pandas_of_the_user()
    table = table.convert_dtypes()
    for name in set(_TIMES) & set(table.columns):
        table[name] = pandas.to_datetime(table[name], utc=True, format="ISO8601")
    return table
