"""`golf show`: one thing whole."""

import typer

from golf.cli.output import print_json, print_lines, print_table


def show(
    name: str | None = typer.Argument(
        None,
        help="A recipe, submission, technique, slot, chain or knob; the current folder's submission without it.",
    ),
    every: bool = typer.Option(False, "--all", help="A recipe's defaults too."),
    params: bool = typer.Option(
        False, "--params", help="Every parameter: shape, optimizer, learning rate, weight decay, bits."
    ),
    json: bool = typer.Option(False, "--json", help="As JSON."),
    md: bool = typer.Option(False, "--md", help="With --params: the table as Markdown."),
) -> None:
    """Show one thing whole: a recipe with the origin of each value; a technique, slot, chain or knob with what to write.

    $ golf show attn_out
    """
    from golf.cli.pages.show import show as page_of
    from golf.project import find_submission

    wanted = name or str(find_submission(None))
    if params:
        _params(wanted, json, md)
        return
    page = page_of(wanted, every)
    if json:
        print_json(page.facts)
    else:
        print_lines(page.lines)


def _params(name: str, json: bool, md: bool) -> None:
    from dataclasses import asdict

    from golf.recipe import load_recipe
    from golf.recipe.params import COLUMNS, parameters, table
    from golf.record.imported import refuse_imported

    refuse_imported(name, "a table of the parameters")
    recipe = load_recipe(name)
    if json:
        print_json({"recipe": recipe.name, "parameters": [asdict(parameter) for parameter in parameters(recipe)]})
        return
    right = ("values", "base lr", "wd", "bits")
    print_table(f"{recipe.name}: parameters", COLUMNS, table(recipe), right=right, md=md)
