"""`golf show`: one thing whole."""

import typer

from golf.cli.output import print_json


def show(
    name: str | None = typer.Argument(
        None, help="A recipe, a submission or a technique; the current folder's submission without it."
    ),
    every: bool = typer.Option(False, "--all", help="A recipe's defaults too."),
    json: bool = typer.Option(False, "--json", help="As JSON."),
) -> None:
    """Show a recipe with the origin of each value, or a technique with its source, knobs and users.

    $ golf show technique:xsa
    """
    from golf.project import find_submission
    from golf.showing import show as page_of

    page = page_of(name or str(find_submission(None) / "recipe.toml"), every)
    if json:
        print_json(page.facts)
    else:
        print("\n".join(page.lines))
