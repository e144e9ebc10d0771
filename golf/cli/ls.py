"""`golf ls`: what there is."""

import typer

from golf.cli.output import print_json, print_table, talk


def ls(
    kind: str | None = typer.Argument(
        None, help="techniques, slots, chains, knobs, recipes, submissions, rules, runs or records."
    ),
    json: bool = typer.Option(False, "--json", help="As JSON."),
    md: bool = typer.Option(False, "--md", help="As a Markdown table."),
) -> None:
    """List what there is; without a word, the recipes and the submissions.

    $ golf ls techniques
    """
    from golf.cli.pages.ls import cells, listing

    tables = [listing(word) for word in ([kind] if kind else ["recipes", "submissions"])]
    if json:
        print_json({table.kind: list(table.rows) for table in tables})
        return
    for table in tables:
        if table.rows:
            rows = [cells(row, table.columns) for row in table.rows]
            print_table(None if kind else table.kind, table.columns, rows, right=table.right, md=md)
        else:
            talk(table.empty)
