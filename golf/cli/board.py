"""`golf board`: the field, every pull request of the challenge, and a fresher board from a clone."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Search every pull request of the challenge; refresh the board from a clone.", no_args_is_help=True
)


@app.command()
def search(
    words: Annotated[
        list[str] | None, typer.Argument(help="Words that must all occur: in title, author, techniques or remarks.")
    ] = None,
    technique: str | None = typer.Option(None, "--technique", help="A technique that its authors name, e.g. mamba."),
    author: str | None = typer.Option(None, "--author", help="Part of the author's name."),
    status: str | None = typer.Option(
        None, "--status", help="open, closed, merged, row, no_row, withdrawn or reverted."
    ),
    track: str | None = typer.Option(None, "--track", help="10min_16mb or non_record_16mb."),
    rule: str | None = typer.Option(None, "--rule", help="A rule that was held against it, e.g. R38."),
    below: float | None = typer.Option(None, "--below", help="Only claims under this BPB."),
    at: str | None = typer.Option(None, "--at", help="Only what was there on a day, e.g. 2026-04-20."),
    seeds: int | None = typer.Option(None, "--seeds", help="Only with the scores of so many seeds."),
    sort: str = typer.Option("claim", "--sort", help="claim, date or pr."),
    most: int = typer.Option(20, "--most", help="Rows to print; 0 for all."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
    md: bool = typer.Option(False, "--md", help="Print a Markdown table."),
) -> None:
    """Has anybody tried it, and what did it give: pull requests with their claims, beside the official rows.

    $ golf board search mamba --below 1.2
    """
    from golf.board.field import Wanted
    from golf.board.views import day, known_track
    from golf.cli.pages.field import run

    wanted = Wanted(
        tuple(words or ()),
        technique,
        author,
        status,
        known_track(track),
        rule,
        below,
        None if at is None else day(at),
        seeds,
        sort,
    )
    run(wanted, most, json, md)


@app.command()
def sync(
    repo: Annotated[Path, typer.Option("--repo", help="A local clone of the challenge's repository.")],
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Read the tables and record folders of a clone; this project's board then has their rows, seeds and measurements.

    $ golf board sync --repo ~/parameter-golf
    """
    from golf.board.sync import sync_board
    from golf.cli.output import print_json, talk
    from golf.project import find_root

    done = sync_board(repo, find_root())
    if json:
        print_json(vars(done) | {"file": str(done.file)})
        return
    print(done.file)
    talk(
        f"{done.rows} rows of {done.commit or 'an unknown commit'}: {done.new} new, {done.changed} changed, {done.with_seeds} with seeds"
    )
    for note in done.notes:
        talk(f"note: {note}")
