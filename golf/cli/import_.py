"""`golf import`: adopt a community record as a submission, or another machine's results for one's own."""

from pathlib import Path
from typing import Annotated

import typer


def import_(
    what: str = typer.Argument(
        help="A record folder to adopt; with --logs, the submission that the results belong to."
    ),
    name: str | None = typer.Option(
        None, "--name", help="The new submission's name; default: the folder's, without its date."
    ),
    logs: Annotated[
        list[Path] | None, typer.Option("--logs", help="Logs of finished runs elsewhere, one per seed; repeat it.")
    ] = None,
    artifacts: Annotated[
        list[Path] | None,
        typer.Option("--artifacts", help="Their model files, with seed_<seed> in the path; repeat it."),
    ] = None,
    script: Annotated[
        Path | None, typer.Option("--script", help="The train_gpt.py that ran there; default: the one beside the logs.")
    ] = None,
    seeds: str | None = typer.Option(
        None, "--seeds", help="Seeds of the logs that print none, in their order, e.g. 1337,42."
    ),
    hardware: str | None = typer.Option(
        None, "--hardware", help="What the runs ran on, where no log names it, e.g. '8x NVIDIA H100 80GB HBM3'."
    ),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Adopt anyone's record folder as a submission: script unpacked, results in the store.

    $ golf import records/track_10min_16mb/2026-04-09_Mine --name legal
    """
    from golf.cli.output import print_json, talk
    from golf.project import find_submission
    from golf.record.adopt import adopt_folder, report_of
    from golf.record.elsewhere import Stated, adopt_results, hardware_of, seeds_given

    stated = Stated(hardware=hardware_of(hardware), seeds=seeds_given(seeds))
    adopted = (
        adopt_results(find_submission(what), logs, artifacts or (), script, stated)
        if logs
        else adopt_folder(Path(what), name, stated=stated)
    )
    if json:
        print_json(report_of(adopted))
        return
    print(adopted.folder)
    talk(
        f"seeds with results: {', '.join(map(str, adopted.seeds)) or 'none'}"
        + (f"; unpacked: {', '.join(adopted.layers)}" if adopted.layers else "")
    )
    for note in adopted.notes:
        talk(f"note: {note}")
