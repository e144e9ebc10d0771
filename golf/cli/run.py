"""`golf run`: train, export and evaluate a submission over seeds."""

from pathlib import Path
from typing import Annotated

import typer

from golf.cli.output import print_json, print_table, talk
from golf.errors import Exit, GolfError


def run(
    name: Annotated[str | None, typer.Argument(help="Submission; default: the one of the current folder.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Comma-separated, e.g. 1337,42,7; default: the recipe's.")] = None,
    nproc: Annotated[
        int | None, typer.Option(help="Processes: 1, 2, 4, 8; default: every GPU; a twin 2 on a CPU.")
    ] = None,
    parallel: Annotated[int, typer.Option(help="Seeds at a time, each on GPUs of its own (one, unless --nproc).")] = 1,
    smoke: Annotated[
        bool,
        typer.Option(
            "--smoke", help="Run a small twin with the same techniques; an imported script whole and small, in a box."
        ),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on at seed and phase after a stop or a kill.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Run finished seeds once more; the old runs are kept.")
    ] = False,
    allow: Annotated[list[str] | None, typer.Option(help="Run what this rule forbids, e.g. R38.")] = None,
    data_path: Annotated[Path | None, typer.Option(help="Folder of fineweb_*.bin shards.")] = None,
    tokenizer_path: Annotated[Path | None, typer.Option(help="SentencePiece .model file.")] = None,
    max_wallclock_seconds: Annotated[float | None, typer.Option(help="Training clock; 0 counts steps.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Training steps at most.")] = None,
    tracks: Annotated[
        list[str] | None,
        typer.Option(
            "--track",
            metavar="TRACK|TRACKER",
            help="Run as a track of golf's own asks: fixed_steps, fixed_data, one_gpu, long, energy; or tell a tracker of it, "
            "offline: wandb, trackio, tensorboard.",
        ),
    ] = None,
    stall_seconds: Annotated[float, typer.Option(help="Silence after which a run counts as hung.")] = 1800.0,
    nnodes: Annotated[
        int, typer.Option(help="Nodes that one run is spread over, --nproc processes each; they share this folder.")
    ] = 1,
    node_rank: Annotated[int, typer.Option(help="Which node this is; 0 is the run, the others join it.")] = 0,
    master: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where node 0 listens; default: its name, a free port.")
    ] = None,
    stop_if_worse: Annotated[
        float | None,
        typer.Option(metavar="BPB", help="End it in training when its final BPB would be above this, by the forecast."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and what it costs; run nothing.")
    ] = False,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="sky|NxGPU",
            help="sky: on a rented machine, by SkyPilot; NxGPU, with --dry-run: what it would cost on 8xH100.",
        ),
    ] = None,
    cloud: Annotated[
        str,
        typer.Option(help="With --on sky: runpod, lambda, vast, slurm, kubernetes, ssh; ssh/POOL, slurm/CLUSTER."),
    ] = "runpod",
    gpus: Annotated[
        str | None,
        typer.Option(metavar="KIND:N", help="With --on sky: GPUs, as SkyPilot names them; default: eight H100 SXM."),
    ] = None,
    image: Annotated[str | None, typer.Option(help="With --on sky: a container image, as docker:NAME.")] = None,
    budget: Annotated[
        float | None, typer.Option(help="With --on sky: dollars at most, at --rate; the machine is taken down there.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Price of this machine in $/h: what it costs (--dry-run), what a stop saves.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    md: Annotated[bool, typer.Option("--md", help="The table as Markdown.")] = False,
) -> None:
    """Train, export and evaluate over seeds, under the clocks, with one row per seed at the end.

    $ golf run mine --seeds 1337,42,7 --smoke

    Exit codes: 3 over bytes, 4 over time, 6 a seed has no result, 10 refused before start.
    """
    from golf.cli.pages.live import view_for_terminal
    from golf.project import find_root
    from golf.run.api import Wishes, checked_rate, estimate, join_run, run_submission
    from golf.run.report import COLUMNS, remarks_of, rows_of, to_json
    from golf.run.track import TRACKERS, folder_of

    trackers = tuple(name for name in dict.fromkeys(tracks or ()) if name in TRACKERS)
    own = [name for name in tracks or () if name not in TRACKERS]
    track = own[0] if own else None
    if len(own) > 1:
        raise GolfError(
            f"a run has one track, not {', '.join(own)}", "give one `--track` of golf's own, and trackers beside it"
        )
    if track is not None:
        from golf.board.tracks import side_track

        set_by = side_track(track, find_root()).run
        iterations = iterations if iterations is not None else set_by.get("iterations")
        nproc = nproc if nproc is not None else set_by.get("nproc")
        if max_wallclock_seconds is None:
            max_wallclock_seconds = set_by.get("max_wallclock_seconds")
    wishes = Wishes(seeds, nproc, smoke, resume, again, tuple(allow or ()), data_path, tokenizer_path,
                    max_wallclock_seconds, iterations, stall_seconds, parallel, nnodes, node_rank, master)  # fmt: skip
    if on == "sky" and not dry_run:
        from golf.cli.pod import order_of
        from golf.pods.run import plan_elsewhere, run_on_pod

        order = order_of(cloud, gpus, image, rate, budget)
        planned, order = plan_elsewhere(name, wishes, order)
        found = run_on_pod(planned, order, bound=stop_if_worse, trackers=trackers, view=view_for_terminal())
        print_json(to_json(found)) if json else print_table(None, COLUMNS, rows_of(found), right=COLUMNS, md=md)
        for remark in remarks_of(found):
            talk(remark)
        raise typer.Exit(found.exit_code)
    if on == "sky":
        gpus = gpus or "H100:8"
        on = gpus.replace(":", "x") if gpus[:1].isdigit() else "x".join(reversed(gpus.split(":")))
    if on is not None:
        from golf.run.elsewhere import foresee, rows_and_report

        if not dry_run:
            raise GolfError(f"`--on {on}` starts nothing there", "add `--dry-run` to see what it would cost")
        found_elsewhere = foresee(name, wishes, on)
        rows, report = rows_and_report(found_elsewhere, str(name or "here"), checked_rate(rate))
        print_json(report) if json else print_table(None, ("per seed", "seconds", "$", "source"), rows, md=md)
        return
    if dry_run:
        rows, report = estimate(name, wishes, rate)
        print_json(report) if json else print_table(None, ("seed", "what", "seconds at most", "$"), rows, md=md)
        return
    if smoke:
        from golf.project import find_submission, is_adopted

        if is_adopted(folder := find_submission(name)):
            from golf.cli.pages.whole import print_whole

            first = (seeds or "").partition(",")[0].strip()
            raise typer.Exit(print_whole(folder, seed=int(first) if first.isdigit() else None, json=json, md=md))
    if node_rank:
        join_run(name, wishes, view=view_for_terminal())
        return
    try:
        found = run_submission(
            name,
            wishes,
            stop_if_worse=stop_if_worse,
            dollars_per_hour=rate,
            trackers=trackers,
            view=view_for_terminal(),
        )
    except KeyboardInterrupt:
        from golf.project import find_submission, is_adopted
        from golf.run.advice import way_on

        foreign = is_adopted(find_submission(name))
        talk(f"stopped; {way_on(name, smoke=smoke, foreign=foreign)} and the same options")
        raise typer.Exit(130) from None
    print_json(to_json(found)) if json else print_table(None, COLUMNS, rows_of(found), right=COLUMNS, md=md)
    for remark in remarks_of(found):
        talk(remark)
    for tracker in trackers:
        talk(f"{tracker}: what it keeps on this machine is in {folder_of(find_root(), tracker)}")
    if track is not None:
        talk(f"next: its place among this project's runs, `golf leaderboard --track {track}`")
    if found.exit_code != Exit.OK:
        raise typer.Exit(found.exit_code)
