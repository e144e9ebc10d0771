"""`golf leaderboard`: the official history, and this project beside it."""

from pathlib import Path
from typing import Annotated

import typer


def leaderboard(
    technique: str | None = typer.Option(None, "--technique", help="Only rows that use it, e.g. xsa."),
    author: str | None = typer.Option(None, "--author", help="Only rows of this author (part of the name)."),
    at: str | None = typer.Option(None, "--at", help="The board as of a day, ranks too, e.g. 2026-04-20."),
    as_listed: bool = typer.Option(
        False, "--as-listed", help="With --at: the rows that the contest's README showed on that day."
    ),
    status: str | None = typer.Option(
        None, "--status", help="merged, row, no_row, withdrawn, base, local or disputed."
    ),
    track: str | None = typer.Option(
        None,
        "--track",
        help="10min_16mb (default with the local ones), non_record_16mb, local, or one of golf's own: fixed_steps …",
    ),
    wins: str | None = typer.Option(
        None, "--wins", help="Would these seeds win, at --at and at the end? A submission, record folder, log or PR."
    ),
    tree: bool = typer.Option(False, "--tree", help="The lineage: each row under the one that it was built on."),
    lineage: bool = typer.Option(
        False, "--lineage", help="The lineage as recipes: each row under the one whose recipe its recipe extends."
    ),
    techniques: bool = typer.Option(
        False, "--techniques", help="Who uses which technique, with what before and after."
    ),
    export: Annotated[
        Path | None, typer.Option("--export", help="Write to a file: .csv, .json, .md or .html (one static page).")
    ] = None,
    wide: bool = typer.Option(False, "--wide", help="Bytes, steps, ms a step, seconds of evaluation and a link too."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
    md: bool = typer.Option(False, "--md", help="Print Markdown tables."),
) -> None:
    """Who did what, with which techniques, what it gave, and whether it counted.

    $ golf leaderboard --technique xsa --at 2026-04-20
    """
    from golf.board.tracks import side_tracks
    from golf.cli.pages.leaderboard import Query, run
    from golf.project import find_root

    if track is not None and (side := side_tracks(find_root()).get(track)) is not None:
        from golf.cli.pages import tracks

        raise typer.Exit(tracks.run(side, json=json, md=md))
    code = run(
        Query(technique, author, at, status, track, as_listed), wins, tree, lineage, techniques, export, json, md, wide
    )
    if code:
        raise typer.Exit(code)
