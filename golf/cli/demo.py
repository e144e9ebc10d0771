"""`golf demo`: from nothing to a record and a board."""

from pathlib import Path
from typing import Annotated

import typer

from golf.project import DEMO


def demo(
    folder: Annotated[Path, typer.Argument(help="Where the demo's project goes.")] = Path(DEMO),
    recipe: Annotated[str, typer.Option("--from", metavar="RECIPE", help="The recipe to travel with.")] = "baseline",
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "1337,42,7",
) -> None:
    """The whole journey on embedded data: new, run three seeds, package, verify, record, leaderboard.

    $ golf demo

    A small twin of the recipe trains on the CIA World Factbook, one to four minutes for two cores; a second demo keeps what
    is there. Nothing that it prints is a challenge result.
    """
    from golf.cli.output import talk
    from golf.cli.pages.demo import Demo, travel

    seconds = travel(Demo(folder, recipe, seeds))
    talk(f"\nthe journey took {seconds:.0f} s; its project is {folder.resolve()}: look around with `cd {folder}`")
    talk("next: `golf new mine --from pr1493`, then change submissions/mine/recipe.toml")
