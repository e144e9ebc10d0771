"""`golf ablate`: which techniques are real."""

from pathlib import Path
from typing import Annotated

import typer


def ablate(
    base: Annotated[
        str | None,
        typer.Argument(
            help="What is taken apart: a submission, a recipe, a PR; default: the submission of the current folder."
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="TECHNIQUE", help="Leave it out; default: each one that can be left out alone."),
    ] = None,
    add: Annotated[list[str] | None, typer.Option(metavar="[RECIPE:]TECHNIQUE", help="Put it in.")] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Also every two of the dropped ones together.")] = False,
    aa: Annotated[
        int | None,
        typer.Option("--aa", help="A/A pairs: the base on other seeds, the noise floor; default: as many as seeds."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the study; default: of what is asked.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Comma-separated, two at least; default: 1337,42,7.")] = None,
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
    show: Annotated[bool, typer.Option("--show", help="Judge what has run so far; run nothing.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the trials and what they cost at most; make and run nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="The table as JSON.")] = False,
    md: Annotated[bool, typer.Option("--md", help="The table as Markdown, for a pull request.")] = False,
) -> None:
    """Leave one technique out at a time, or put one in, on the same seeds, and say which differences are real.

    Differences are paired by seed; intervals are 95 % each; "real" is by Holm's test over all rows; A/A pairs give the noise floor.

    $ golf ablate mine --drop xsa --add sparse_gate --seeds 1,2,3,4,5 --smoke

    Exit codes: 6 a trial has no result, 10 refused before start: trials that cannot compose are all listed.
    """
    from golf.cli.output import talk
    from golf.cli.pages.study import run_study, show_ablation, tell_plan
    from golf.errors import GolfError
    from golf.project import find_root
    from golf.run.plan import Wishes
    from golf.study.ablation import Wanted, find_ablation
    from golf.study.drive import Budget, Outcome
    from golf.study.sweep import Asked

    wishes = Wishes(nproc=nproc, smoke=smoke, allow=tuple(allow or ()), data_path=data_path, tokenizer_path=tokenizer_path,
                    max_wallclock_seconds=max_wallclock_seconds, iterations=iterations, parallel=parallel if engine == "local" else 1, resume=True)  # fmt: skip
    asked = Asked(
        base, (), name, seeds, resume=resume or show, wishes=wishes, budget=Budget(trials, seconds, dollars, rate)
    )
    root = find_root()
    study, begun, remarks = find_ablation(asked, Wanted(tuple(drop or ()), tuple(add or ()), pairs, aa), root)
    for remark in remarks:
        talk(remark)
    if dry_run:
        tell_plan(study, asked, json=json, md=md)
        return
    if show and not begun:
        raise GolfError(
            f"the study {study.name} was not begun", "leave out `--show` to run it; `--name` names one that was"
        )
    outcome = Outcome() if show else run_study(study, begun, asked, root, engine, parallel)
    code = show_ablation(study, outcome, asked, root, json=json, md=md)
    if code:
        raise typer.Exit(code)
