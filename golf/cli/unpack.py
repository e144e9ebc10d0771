"""`golf unpack`: the readable source of a packed script."""

from pathlib import Path
from typing import Annotated

import typer


def unpack(
    file: Annotated[Path, typer.Argument(help="A packed train_gpt.py: ours, or anybody's.")],
    raw: Annotated[bool, typer.Option("--raw", help="As it was packed, not formatted.")] = False,
) -> None:
    """Print the source inside a packed script. Nothing of it is run.

    $ golf unpack submissions/mine/train_gpt.py > readable.py
    """
    from golf.cli.pages.compose import show_unpacked

    show_unpacked(file, raw)
