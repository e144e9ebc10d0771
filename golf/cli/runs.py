"""`golf runs`: every run of the project, as a table or a file."""

from pathlib import Path
from typing import Annotated

import typer


def runs(
    name: str | None = typer.Argument(None, help="Only the runs of this submission; default: all of the project."),
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Write them to a file: .parquet or .csv, a column a fact (needs pandas)."),
    ] = None,
    json: bool = typer.Option(False, "--json", help="Print JSON."),
    md: bool = typer.Option(False, "--md", help="Print a Markdown table."),
) -> None:
    """Every run with its seed, score, bytes and clocks: to look at, or for a notebook.

    $ golf runs --to runs.parquet
    """
    from golf.board.run_table import run_rows, write_runs
    from golf.cli.output import print_json, print_table, talk
    from golf.project import find_root, find_submission

    root = find_root()
    rows = run_rows(root, find_submission(name).name if name else None)
    if to is not None:
        write_runs(rows, to)
        talk(f"{to}: {len(rows)} runs")
        return
    if json:
        print_json({"runs": rows})
        return
    columns = (
        "submission",
        "set_id",
        "seed",
        "state",
        "val_bpb",
        "total_bytes",
        "steps",
        "step_ms",
        "train_seconds",
        "device",
        "started_at",
    )
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    print_table(None, columns, cells, right=columns[4:9], md=md)
    if not rows:
        talk("no runs in this project: `golf run NAME --smoke`")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5f}" if value < 100 else f"{value:,.1f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) and value > 99_999 else str(value)
