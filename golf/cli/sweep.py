"""`golf sweep`: trials over axes of choices."""

from typing import Annotated

import typer

from golf.cli import study_options


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
    search: Annotated[
        int | None, typer.Option(metavar="N", help="Let Optuna's TPE propose N trials, each from the results before.")
    ] = None,
    objective: Annotated[
        str, typer.Option(metavar="bpb|bpb,bytes", help="With --search: BPB alone, or BPB and bytes (a front).")
    ] = "bpb",
    draw_seed: Annotated[int, typer.Option(help="Of the random draws and of the search.")] = 0,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Stop a trial whose first seed is not among the best third at 1/9 and 1/3 of its steps."
        ),
    ] = False,
    stop_if_worse: Annotated[
        float | None,
        typer.Option(
            metavar="BPB", help="Stop a run, and its trial, when the forecast of its final BPB is above this."
        ),
    ] = None,
    trials: study_options.Trials = None,
    seconds: study_options.Seconds = None,
    dollars: study_options.Dollars = None,
    rate: study_options.Rate = None,
    engine: study_options.Engine = "local",
    parallel: study_options.Parallel = 1,
    track: study_options.Track = None,
    nproc: study_options.Nproc = None,
    smoke: study_options.Smoke = False,
    iterations: study_options.Iterations = None,
    max_wallclock_seconds: study_options.MaxWallclockSeconds = None,
    allow: study_options.Allow = None,
    data_path: study_options.DataPath = None,
    tokenizer_path: study_options.TokenizerPath = None,
    resume: study_options.Resume = False,
    show: Annotated[bool, typer.Option("--show", help="Show what a study has found so far; run nothing.")] = False,
    dry_run: study_options.DryRun = False,
    json: Annotated[bool, typer.Option("--json", help="The study as JSON.")] = False,
    md: Annotated[bool, typer.Option("--md", help="The table as Markdown.")] = False,
) -> None:
    """Run trials over axes of choices, all seeds each; every trial is a submission of its own, and the study a page.

    $ golf sweep mine --over matrix_lr=0.018,0.022 --over xsa=on,off --smoke

    Exit codes: 6 a trial has no result, 10 refused before start: trials that cannot compose are all listed.
    """
    from golf.cli.pages.study import found_so_far, run_study, show_sweep, tell_plan
    from golf.project import find_root
    from golf.study.drive import Budget
    from golf.study.sweep import Asked, find_sweep

    wishes = study_options.wishes(
        engine, parallel, allow, nproc=nproc, smoke=smoke, data_path=data_path, tokenizer_path=tokenizer_path,
        max_wallclock_seconds=max_wallclock_seconds, iterations=iterations,
    )  # fmt: skip
    asked = Asked(
        base,
        tuple(over or ()),
        name,
        seeds,
        random,
        draw_seed,
        search,
        objective,
        max(parallel, 1),
        prune,
        stop_if_worse,
        resume,
        wishes,
        Budget(trials, seconds, dollars, rate),
        study_options.checked_trackers(track or ()),
    )
    root = find_root()
    study, begun = find_sweep(asked, root)
    if dry_run:
        tell_plan(study, asked, json=json, md=md)
        return
    if show:
        outcome = found_so_far(study, begun)
    else:
        study, outcome = run_study(study, begun, asked, root, engine, parallel)
    code = show_sweep(study, outcome, asked, root, json=json, md=md)
    if code:
        raise typer.Exit(code)
