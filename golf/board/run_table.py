"""Every run of a project as a table for pandas: one row a run, a column a fact, with units in the names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.run.frame import pandas_of_the_user, write_table

FORMATS = (".parquet", ".csv")
# of the store's row, then of its result
OF_THE_RUN = ("submission", "set_id", "seed", "state", "smoke", "track", "device", "world_size", "started_at", "finished_at", "stop_reason",
              "script_sha256", "data_sha256", "tokenizer_sha256")  # fmt: skip
OF_THE_RESULT = (
    "val_bpb", "val_loss", "pre_quant_val_bpb", "pre_quant_val_loss", "steps", "train_seconds", "step_ms", "eval_seconds", "train_loss",
    "total_bytes", "model_bytes", "code_bytes", "params", "vocab_size", "peak_memory_mib", "train_seq_len", "train_batch_tokens",
    "iterations", "max_wallclock_seconds", "val_tokens", "torch",
)  # fmt: skip
COLUMNS = (*OF_THE_RUN, *OF_THE_RESULT, "fingerprint", "folder")


def run_rows(root: Path, submission: str | None = None) -> list[dict[str, Any]]:
    """One dictionary a run of the store, oldest first; None for what a run has not (yet). Bytes, seconds, nats per token, bits per byte."""
    from golf.run.store import has_store, open_store

    if not has_store(root):
        return []
    with open_store(root) as store:
        runs = store.runs(submission=submission) if submission else store.runs()
    rows = []
    for run in sorted(runs, key=lambda run: run.id):
        result = run.result or {}
        row = {name: getattr(run, name) for name in OF_THE_RUN}
        row |= {name: result.get(name) for name in OF_THE_RESULT}
        rows.append(row | {"fingerprint": _fingerprint(run.log), "folder": _below(run.folder, root)})
    return rows


def _below(folder: Path, root: Path) -> str:
    try:
        return folder.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return folder.as_posix()


def _fingerprint(log: Path) -> str | None:
    """Of the configuration that the run's log states, see `golf.logs.runs`; None where no log can be read."""
    from golf.logs import read_log
    from golf.logs.runs import fingerprint

    try:
        run = read_log(log).run
    except GolfError:
        return None
    return None if run is None else fingerprint(run)


def write_runs(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the rows as Parquet or CSV, by the suffix; GolfError for another suffix, a folder that is not there, or without pandas."""
    if path.suffix not in FORMATS:
        raise GolfError(f"`{path.name}` names no known format", f"end it with one of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise GolfError(f"cannot write `{path}`: no such folder", "name a file in a folder that exists", Exit.REFUSED)
    pandas = pandas_of_the_user()
    write_table(pandas.DataFrame(list(rows), columns=list(COLUMNS)).convert_dtypes(), path)
