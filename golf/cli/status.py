"""`golf status`: what runs and what ran."""

from typing import Annotated

import typer

from golf.cli.output import print_json, print_table, talk


def status(
    name: Annotated[str | None, typer.Argument(help="Only this submission.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also runs that later ones moved aside.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """What runs now and what ran, one row per seed, with the way to go on where one was cut off.

    $ golf status
    """
    from golf.project import find_root, find_submission
    from golf.run.status import COLUMNS, row_of, standings, to_json

    submission = find_submission(name).name if name else None
    found = standings(find_root(), submission, all_runs=every)
    if json:
        print_json({"runs": [to_json(standing) for standing in found]})
    elif found:
        print_table(None, COLUMNS, [row_of(standing) for standing in found], right=("seed", "step", "bpb"))
    else:
        talk("nothing was run here yet; start with `golf demo`, or `golf run NAME --smoke`")
