"""`golf ablate`: which techniques are real."""

from typing import Annotated

import typer

from golf.cli import study_options


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
        typer.Option(
            "--aa", help="A/A pairs: the base on other seeds, the noise floor; as many as seeds (default), or 0."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the study; default: of what is asked.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Comma-separated, two at least; default: 1337,42,7.")] = None,
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
    show: Annotated[bool, typer.Option("--show", help="Judge what has run so far; run nothing.")] = False,
    dry_run: study_options.DryRun = False,
    json: Annotated[bool, typer.Option("--json", help="The table as JSON.")] = False,
    md: Annotated[bool, typer.Option("--md", help="The table as Markdown, for a pull request.")] = False,
) -> None:
    """Leave one technique out at a time, or put one in, on the same seeds, and say which differences are real.

    Differences are paired by seed; intervals are 95 % each; "real" is by Holm's test over all rows; A/A pairs give the noise floor.

    $ golf ablate mine --drop xsa --add sparse_gate --seeds 1,2,3,4,5 --smoke

    Exit codes: 6 a trial has no result, 10 refused before start: trials that cannot compose are all listed.
    """
    from golf.cli.output import talk
    from golf.cli.pages.study import found_so_far, run_study, show_ablation, tell_plan
    from golf.project import find_root
    from golf.study.ablation import Wanted, find_ablation
    from golf.study.drive import Budget
    from golf.study.sweep import Asked

    wishes = study_options.wishes(
        engine, parallel, allow, nproc=nproc, smoke=smoke, data_path=data_path, tokenizer_path=tokenizer_path,
        max_wallclock_seconds=max_wallclock_seconds, iterations=iterations,
    )  # fmt: skip
    asked = Asked(
        base,
        (),
        name,
        seeds,
        resume=resume or show,
        wishes=wishes,
        budget=Budget(trials, seconds, dollars, rate),
        trackers=study_options.checked_trackers(track or ()),
    )
    root = find_root()
    study, begun, remarks = find_ablation(asked, Wanted(tuple(drop or ()), tuple(add or ()), pairs, aa), root)
    for remark in remarks:
        talk(remark)
    if dry_run:
        tell_plan(study, asked, json=json, md=md)
        return
    if show:
        outcome = found_so_far(study, begun)
    else:
        study, outcome = run_study(study, begun, asked, root, engine, parallel)
    code = show_ablation(study, outcome, asked, root, json=json, md=md)
    if code:
        raise typer.Exit(code)
