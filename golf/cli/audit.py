"""`golf audit`: verify over many."""

from pathlib import Path
from typing import Annotated

import typer


def audit(
    folders: Annotated[list[Path] | None, typer.Argument(help="Record folders, or folders of them.")] = None,
    repo: Annotated[Path | None, typer.Option(help="A local clone of the challenge's repository; with --prs.")] = None,
    prs: Annotated[
        str | None, typer.Option(help="Pull requests of the clone, merged or not: 1500-2138 or 1493,1855.")
    ] = None,
    name: Annotated[str, typer.Option(help="What to call the audit; its rows stay in audits/NAME.")] = "all",
    processes: Annotated[int, typer.Option(help="Folders at a time, each in a process of its own.")] = 1,
    engine: Annotated[
        str,
        typer.Option(
            metavar="local|ray",
            help="Where: on this machine, or on a Ray cluster (RAY_ADDRESS) with golf on its nodes.",
        ),
    ] = "local",
    only: Annotated[
        str, typer.Option(help="Kinds of checks: folder,json,log,static,stats,execute.")
    ] = "folder,json,log,static,stats",
    pack: Annotated[str, typer.Option(help="The rule pack: a contest state.")] = "pgolf-2026-05",
    quick: Annotated[bool, typer.Option("--quick", help="With --execute: the short form.")] = False,
    execute: Annotated[
        bool, typer.Option("--execute", help="Also run each script whole and small in the box.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Judge also what was judged before.")] = False,
    json: Annotated[bool, typer.Option("--json", help="All rows as JSON.")] = False,
    md: Annotated[bool, typer.Option("--md", help="The table as Markdown.")] = False,
) -> None:
    """Judge many records by the rules: a table, JSON lines and one page. Stopped, it goes on where it was.

    $ golf audit records --processes 2

    $ golf audit --repo ../parameter-golf --prs 1500-2138 --processes 8

    Exit codes: 0 all were judged, whatever the verdicts; 6 some could not be.
    """
    from golf.cli.pages.audit import Asked, run

    kinds = tuple(dict.fromkeys([*(kind.strip() for kind in only.split(",")), *(["execute"] if execute else [])]))
    code = run(
        Asked(tuple(folders or ()), repo, prs, name, processes, kinds, pack, quick, execute, again, engine),
        json=json,
        md=md,
    )
    if code:
        raise typer.Exit(code)
