"""`golf compare`: is B better than A, and what is different."""

import typer


def compare(
    a: str = typer.Argument(help="A submission, record folder, log, recipe or PR: what was there before."),
    b: str = typer.Argument(help="The same: what is new."),
    code: bool = typer.Option(False, "--code", help="Show the code diff, packed scripts unpacked."),
    pool: bool = typer.Option(
        False, "--pool", help="Several runs of a seed count each, e.g. a reproduction beside the original."
    ),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
    md: bool = typer.Option(False, "--md", help="Print Markdown tables."),
) -> None:
    """Numbers with spread and one-sided tests in every unit, configuration diff, code diff.

    $ golf compare pr1493 mine
    """
    from golf.board.compare import compare as compare_sides
    from golf.board.sides import side_of
    from golf.cli.pages.compare import as_json, print_comparison

    comparison = compare_sides(side_of(a, pool=pool), side_of(b, pool=pool))
    if json:
        as_json(comparison, code)
    else:
        print_comparison(comparison, code=code, md=md)
