"""`golf sweep`: trials over axes of choices."""

from pathlib import Path
from typing import Annotated

import typer


def sweep(
    base: Annotated[
        str | None,
        typer.Argument(
            help="What the trials start from: a submission, a recipe, a PR; default: the submission of the current folder."
        ),
    ] = None,
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS=A,B",
            help="What varies: knob=A,B; knob=LOW..HIGH[:log]; slot=+T,-T; TECHNIQUE=on,off; from=RECIPE,RECIPE.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="What to call the study; default: of what is asked, so the same again is the same study."),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Comma-separated; default: 1337,42,7. Every trial runs them all.")
    ] = None,
    random: Annotated[
        int | None, typer.Option(metavar="N", help="Draw N trials at random instead of the whole grid.")
    ] = None,
    draw_seed: Annotated[int, typer.Option(help="Of the random draws.")] = 0,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Stop a trial whose first seed is not among the best third at 1/9 and 1/3 of its steps."
        ),
    ] = False,
    trials: Annotated[int | None, typer.Option(help="Budget: begin at most so many trials.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Budget: wall seconds, all calls together.")] = None,
    dollars: Annotated[float | None, typer.Option(help="Budget: dollars at --rate.")] = None,
    rate: Annotated[float | None, typer.Option(help="Price of this machine in $/h.")] = None,
    engine: Annotated[
        str,
        typer.Option(metavar="local|ray", help="Where trials run: on this machine, or on a Ray cluster (RAY_ADDRESS)."),
    ] = "local",
    parallel: Annotated[int, typer.Option(help="Runs at a time, each on GPUs of its own (one, unless --nproc).")] = 1,
    nproc: Annotated[int | None, typer.Option(help="Processes of a run: 1, 2, 4, 8.")] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Run small twins.")] = False,
    iterations: Annotated[int | None, typer.Option(help="Training steps at most.")] = None,
    max_wallclock_seconds: Annotated[float | None, typer.Option(help="Training clock; 0 counts steps.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="Run what this rule forbids, e.g. R38.")] = None,
    data_path: Annotated[Path | None, typer.Option(help="Folder of fineweb_*.bin shards.")] = None,
    tokenizer_path: Annotated[Path | None, typer.Option(help="SentencePiece .model file.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a study that was begun; --name alone says which.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Show what a study has found so far; run nothing.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the trials and what they cost at most; make and run nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="The study as JSON.")] = False,
    md: Annotated[bool, typer.Option("--md", help="The table as Markdown.")] = False,
) -> None:
    """Run trials over axes of choices, all seeds each; every trial is a submission of its own, and the study a page.

    $ golf sweep mine --over matrix_lr=0.018,0.022 --over xsa=on,off --smoke

    Exit codes: 6 a trial has no result, 10 refused before start: trials that cannot compose are all listed.
    """
    from golf.cli.pages.study import run_study, show_sweep, tell_plan
    from golf.errors import GolfError
    from golf.project import find_root
    from golf.run.plan import Wishes
    from golf.study.drive import Budget, Outcome
    from golf.study.sweep import Asked, find_sweep

    wishes = Wishes(nproc=nproc, smoke=smoke, allow=tuple(allow or ()), data_path=data_path, tokenizer_path=tokenizer_path,
                    max_wallclock_seconds=max_wallclock_seconds, iterations=iterations, parallel=parallel if engine == "local" else 1, resume=True)  # fmt: skip
    asked = Asked(
        base,
        tuple(over or ()),
        name,
        seeds,
        random,
        draw_seed,
        prune,
        resume,
        wishes,
        Budget(trials, seconds, dollars, rate),
    )
    root = find_root()
    study, begun = find_sweep(asked, root)
    if dry_run:
        tell_plan(study, asked, json=json, md=md)
        return
    if show and not begun:
        raise GolfError(
            f"the study {study.name} was not begun", "leave out `--show` to run it; `--name` names one that was"
        )
    outcome = Outcome() if show else run_study(study, begun, asked, root, engine, parallel)
    code = show_sweep(study, outcome, asked, root, json=json, md=md)
    if code:
        raise typer.Exit(code)
