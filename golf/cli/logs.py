"""`golf logs`: read anyone's log, follow a run's own."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Read any log of the challenge: every number with the line that it came from.", no_args_is_help=True
)


@app.command()
def show(
    files: Annotated[list[Path], typer.Argument(help="Log files, of any dialect and encoding, or folders of them.")],
    claim: float | None = typer.Option(None, "--claim", help="A claimed val_bpb: which line of the log backs it."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
    md: bool = typer.Option(False, "--md", help="Print Markdown tables."),
) -> None:
    """What a log says: seed, clocks, bytes, each stage's BPB, and which number backs the claim.

    $ golf logs show records/track_10min_16mb/2026-04-09_Mine/train_seed42.log
    """
    from golf.cli.output import print_json
    from golf.cli.pages.logs import as_json, print_log, read_folder
    from golf.logs import read_log

    logs = [log for given in files for log in (read_folder(given) if given.is_dir() else [read_log(given)])]
    if json:
        print_json({"logs": [as_json(log) for log in logs]})
    else:
        for log in logs:
            print_log(log, claim, md=md)


@app.command()
def follow(
    name: str | None = typer.Argument(None, help="A submission; default: the one of this folder."),
    seed: int | None = typer.Option(None, "--seed", help="Only this seed; default: the log written to last."),
    wait: bool = typer.Option(
        True, "--wait/--no-wait", help="Go on printing as the run writes; --no-wait prints what is there."
    ),
) -> None:
    """Print the log of a submission's newest run, and what it goes on to write.

    $ golf logs follow mine --seed 42
    """
    from golf.cli.pages.logs import follow_log
    from golf.project import find_submission

    follow_log(find_submission(name), seed, wait)
