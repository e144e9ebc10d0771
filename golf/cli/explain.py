"""`golf explain`: one rule whole."""

import typer


def explain(
    code: str = typer.Argument(help="A rule's code, for example R38."),
    pack: str = typer.Option("pgolf-2026-05", help="The rule pack: a contest state."),
    json: bool = typer.Option(False, "--json", help="The rule as JSON."),
) -> None:
    """A rule with its statement, source, severity, checks, real examples and the way out.

    $ golf explain R38
    """
    from golf.cli.output import print_json, print_lines
    from golf.rules.explain import as_dict, page
    from golf.rules.pack import find_rule

    rule = find_rule(code, pack)
    if json:
        print_json(as_dict(rule, pack))
    else:
        print_lines(page(rule, pack))
