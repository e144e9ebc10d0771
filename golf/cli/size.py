"""`golf size`: where the bytes go."""

import typer


def size(
    name: str | None = typer.Argument(None, help="A submission or recipe; the current folder's submission without it."),
    versus: str | None = typer.Option(None, "--vs", metavar="RECIPE", help="Beside another's bytes."),
    definitions: bool = typer.Option(False, "--definitions", help="Every definition instead of every part."),
    techniques: bool = typer.Option(
        False, "--techniques", help="What each technique adds: composes once more without each (seconds)."
    ),
    artifact: bool = typer.Option(True, help="Predict the model's bytes too (imports torch)."),
    memory: bool = typer.Option(False, "--memory", help="Predict a rank's peak memory in training (imports torch)."),
    json: bool = typer.Option(False, "--json", help="As JSON."),
    md: bool = typer.Option(False, "--md", help="As Markdown tables."),
) -> None:
    """Show where the code bytes go and how large the artifact will be, before any run.

    $ golf size mine --vs baseline
    """
    if memory:
        from golf.cli.pages.size import show_memory

        show_memory(name, json=json, md=md)
        return
    from golf.cli.pages.size import Request, run

    run(Request(name, versus, definitions, techniques, artifact, json, md))
