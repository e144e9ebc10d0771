"""`golf repro`: run a record again as it was published, or read logs of runs made elsewhere, and explain the gap."""

from pathlib import Path
from typing import Annotated

import typer


def repro(
    name: Annotated[str, typer.Argument(help="The record: a PR of the board, a record folder, or an import.")],
    repo: Annotated[
        Path | None, typer.Option(help="A local clone of the challenge's repository to take its folder from.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="The record's folder itself.")] = None,
    from_logs: Annotated[
        Path | None,
        typer.Option(
            "--from-logs",
            help="Logs of runs made elsewhere: a folder (with the script that ran, if it is there), a log, or a submission.",
        ),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds to run; default: the record's.")] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Show the flow on a small whole of its script, twice, on this CPU.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Lock what it needs, say what is missing here; run nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    md: Annotated[bool, typer.Option("--md", help="Print Markdown, for a comment on a pull request.")] = False,
) -> None:
    """Does a record come out again, and if not, why: REPRODUCED, HARDWARE, DATA, CODE, NOT REPRODUCED or CANNOT TELL.

    The gap is taken apart into shares that add up: steps, bytes, seeds, quantization, evaluation, and what nothing explains.

    $ golf repro pr1855 --repo ../parameter-golf --from-logs my-runs --md

    Exit codes: 0 reproduced, 5 not, 6 cannot tell, 10 this machine cannot run it.
    """
    from golf.cli.pages.repro import Wanted, run

    found = run(Wanted(name, repo, folder, from_logs, seeds, smoke, dry_run), json=json, md=md)
    if found:
        raise typer.Exit(found)
