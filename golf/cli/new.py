"""`golf new`: a submission folder from a recipe."""

from typing import Annotated

import typer


def new(
    name: Annotated[str, typer.Argument(help="What to call it: submissions/NAME.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Values that differ from the recipe's.")
    ] = None,
    parent: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="RECIPE",
            help="Where it starts from: a recipe, a PR, its address, a record folder, or words.",
        ),
    ] = "baseline",
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="[RECIPE:]TECHNIQUE", help="A technique, as another recipe has it or as it comes."
        ),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", metavar="TECHNIQUE", help="A technique to take out.")
    ] = None,
) -> None:
    """Start a submission from a recipe, and say how the rules see what it starts from.

    $ golf new mine --from pr1809_legal --without ttt_sgd num_layers=10
    """
    from golf.board.asked import asked_recipe
    from golf.cli.pages.compose import tell_new
    from golf.compose.submission import new_submission

    tell_new(*new_submission(name, asked_recipe(parent), with_ or (), without or (), overrides or ()), with_ or ())
