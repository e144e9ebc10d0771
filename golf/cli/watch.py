"""`golf watch`: follow a run that is under way."""

from typing import Annotated

import typer

from golf.cli.output import print_json, talk


def watch(
    name: Annotated[str | None, typer.Argument(help="Submission; default: whatever runs.")] = None,
    once: Annotated[bool, typer.Option("--once", help="One look, then stop.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One look as JSON.")] = False,
) -> None:
    """Follow the run that is under way, live; Ctrl-C ends the watching, not the run.

    $ golf watch
    """
    from golf.cli.pages.live import view_for_terminal
    from golf.project import find_root, find_submission
    from golf.run.outlook import Outlook
    from golf.run.outlook import to_json as forecast_json
    from golf.run.status import follow, to_json, to_watch
    from golf.run.view import describe

    root = find_root()
    standing = to_watch(root, find_submission(name).name if name else None)
    outlook = Outlook(standing.run, root)
    if standing.is_live:
        outlook.note(standing.progress)
    if json:
        found = outlook.read(standing.progress) if standing.is_live else []
        print_json({**to_json(standing), "forecast": forecast_json(found[0]) if found else None})
        return
    if standing.is_live and not once:
        try:
            standing = follow(standing, view_for_terminal(), outlook)
        except KeyboardInterrupt:
            talk("the run goes on; `golf status` shows it")
            return
    print(f"{standing.run.submission} seed {standing.run.seed}  {standing.state}  {describe(standing.progress)}")
