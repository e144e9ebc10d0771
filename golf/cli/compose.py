"""`golf compose`: from recipe.toml to train_gpt.py."""

from pathlib import Path
from typing import Annotated

import typer


def compose(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME] [KEY=VALUE]...", help="The submission, the folder's without it; values to try."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every submission of the project.")] = False,
    pack: Annotated[bool, typer.Option("--pack", help="Minified, compressed and wrapped: fewer bytes count.")] = False,
    dense: Annotated[bool, typer.Option("--dense", help="Packed as latin-1: fewer still, but no UTF-8.")] = False,
    readable: Annotated[bool, typer.Option("--readable", help="Back to the readable form.")] = False,
    diff: Annotated[
        str | None, typer.Option("--diff", metavar="PARENT", help="Print what differs from PARENT.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 where a script is not its recipe's.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write the script there, without a lock.")] = None,
) -> None:
    """Write the submission's train_gpt.py from its recipe: one readable file that needs nothing of golf.

    With values to try, the script goes to stdout (or --out) and the submission stays as it is.

    $ golf compose mine --diff baseline
    """
    from golf.cli.pages.compose import Request, run

    form = "dense" if dense else "packed" if pack else "readable" if readable else None
    run(Request(tuple(names or ()), every, form, diff, check, out))
