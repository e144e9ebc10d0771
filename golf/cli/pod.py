"""`golf pod`: rented machines: the task file for SkyPilot, and the handshake with the machine that one has."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from golf.cli.output import talk
from golf.errors import Exit, GolfError

if TYPE_CHECKING:
    from golf.pods.task import Order

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Rented machines: the SkyPilot task of a submission, and the handshake with a machine.",
)


@app.command()
def plan(
    name: Annotated[str | None, typer.Argument(help="Submission; default: the one of the current folder.")] = None,
    cloud: Annotated[
        str,
        typer.Option(metavar="CLOUD", help="runpod, lambda, vast, slurm, kubernetes or ssh; ssh/POOL, slurm/CLUSTER."),
    ] = "runpod",
    gpus: Annotated[
        str | None, typer.Option(metavar="KIND:N", help="GPUs, as SkyPilot names them; default: eight H100 SXM.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Comma-separated; default: the recipe's.")] = None,
    image: Annotated[str | None, typer.Option(help="Container image, as docker:NAME.")] = None,
    setup: Annotated[list[str] | None, typer.Option(help="A further line of the set-up.")] = None,
    rate: Annotated[float | None, typer.Option(help="Price of the machine in $/h.")] = None,
    budget: Annotated[float | None, typer.Option(help="Dollars at most; the task ends itself there.")] = None,
    data_path: Annotated[Path | None, typer.Option(help="Folder of fineweb_*.bin shards, which is sent.")] = None,
    tokenizer_path: Annotated[Path | None, typer.Option(help="SentencePiece .model file, which is sent.")] = None,
    shards: Annotated[
        int | None,
        typer.Option(help="Let the pod fetch FineWeb with so many train shards (0.2 GB each); nothing is sent.", min=1),
    ] = None,
    allow: Annotated[list[str] | None, typer.Option(help="Run what this rule forbids, e.g. R38.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; default: stdout.")] = None,
) -> None:
    """Write the SkyPilot task of a submission: machine, image, set-up, data, seeds, idle stop and cost cap.

    Starts nothing. Where SkyPilot is installed its own parser has read the task.

    $ golf pod plan mine --cloud runpod --rate 20 --budget 25

    Exit codes: 10 refused: the budget would not pay for the seeds, or what a run refuses.
    """
    from golf.files import write_atomically
    from golf.pods.run import plan_elsewhere
    from golf.pods.task import predicted_seconds, refuse_budget, task_text, validated
    from golf.run.plan import Wishes

    order = order_of(cloud, gpus, image, rate, budget, setup)
    wishes = Wishes(seeds=seeds, allow=tuple(allow or ()), data_path=data_path, tokenizer_path=tokenizer_path)
    planned, order = plan_elsewhere(name, wishes, order, shards)
    if not planned.data.official:
        talk(
            f"the data here are {planned.data.name}, not FineWeb: no challenge result; `--shards 80` lets the pod fetch it"
        )
    refuse_budget(order, planned, planned.seeds)
    text = task_text(order, planned, planned.seeds, script=(planned.source.folder / "train_gpt.py").resolve())
    try:
        fault = validated(text)
    except ImportError:
        talk("SkyPilot is not installed here: its parser has not read the task")
    else:
        if fault is not None:
            raise GolfError(
                f"SkyPilot does not take the task: {fault}", "another `--cloud`, `--gpus` or `--image`", Exit.REFUSED
            )
        talk("SkyPilot's parser takes the task")
    if out is None:
        print(text, end="")
    else:
        write_atomically(out, text.encode())
        talk(f"wrote {out}: `sky launch {out} --down`")
    seconds = predicted_seconds(planned, planned.seeds)
    cost = "" if rate is None else f", ${seconds * rate / 3600:.2f} at ${rate:g}/h"
    count = len(planned.seeds)
    talk(
        f"{count} seed{'s take' if count > 1 else ' takes'} {seconds / 60:.0f} minutes at most{cost} (predicted, not measured)"
    )


@app.command()
def check(
    name: Annotated[
        str | None, typer.Argument(help="Also run steps of this submission and hold its pace against its record.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of it.", min=20)] = 50,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Steps of its small twin: shows that it runs, no pace.")
    ] = False,
    data_path: Annotated[Path | None, typer.Option(help="Folder of fineweb_*.bin shards.")] = None,
    tokenizer_path: Annotated[Path | None, typer.Option(help="SentencePiece .model file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at the machine that one has before it costs more: GPUs, clocks, links, rates, disk, packages, data, pace.

    $ golf pod check mine

    Exit codes: 10 the machine fails, or is over 3 % slower than the record's own pace.
    """
    from golf.cli.pages.pod import check_machine

    code = check_machine(name, steps, smoke=smoke, data_path=data_path, tokenizer_path=tokenizer_path, json=json)
    if code:
        raise typer.Exit(code)


def order_of(
    cloud: str,
    gpus: str | None,
    image: str | None,
    rate: float | None,
    budget: float | None,
    setup: list[str] | None = None,
) -> "Order":
    """What is ordered, the contest's machine where nobody says otherwise; GolfError for a form of it that is none."""
    from golf.pods.task import Order, h100_sxm

    gpus = f"{h100_sxm(cloud)}:8" if gpus is None else gpus
    kind, colon, count = gpus.partition(":")
    if not kind or not colon or count not in ("1", "2", "4", "8"):
        raise GolfError(f"`{gpus}` names no GPUs", "kind and number, 1, 2, 4 or 8: `H100:8`")
    return Order(cloud, kind, int(count), image, rate, budget, tuple(setup or ()))
