"""`golf record`: the PR-ready folder, its check, and its pull request."""

from pathlib import Path
from typing import Annotated

import typer


def record(
    name: str | None = typer.Argument(None, help="A submission with finished runs; default: the one of this folder."),
    check: Annotated[Path | None, typer.Option("--check", help="Check this record folder instead, anyone's.")] = None,
    pr: bool = typer.Option(False, "--pr", help="Write title and body of the pull request; --clone dry-runs it."),
    clone: Annotated[
        Path | None, typer.Option("--clone", help="With --pr: a git clone of the upstream repository to try it in.")
    ] = None,
    title: str | None = typer.Option(None, "--name", help="The record's name; default: the recipe's title."),
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder to put it in; default: records/<track>.")
    ] = None,
    date: str | None = typer.Option(
        None, "--date", help="Its date, e.g. 2026-04-20; default: today (UTC), or the day that an import says."
    ),
    seeds: str | None = typer.Option(
        None, "--seeds", help="Only these seeds, e.g. 1337,42,7; default: all of the set."
    ),
    set_id: str | None = typer.Option(
        None, "--set", help="The set of runs (first digits); default: the current script's, else the newest."
    ),
    hardware: str | None = typer.Option(
        None, "--hardware", help="What the runs ran on, where no log names it, e.g. '8x NVIDIA H100 80GB HBM3'."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be written, write nothing."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Write the record of a submission from its measured runs: README, submission.json, logs, script, plots.

    $ golf record mine --name "SP1024 baseline"
    """
    from golf.cli.pages.record import Request, run

    code = run(Request(name, check, pr, clone, title, out, date, seeds, set_id, dry_run, json, hardware))
    if code:
        raise typer.Exit(code)
