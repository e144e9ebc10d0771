"""The calls that other commands make: run a submission, or say what a run would cost."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from golf.errors import GolfError
from golf.project import find_root, find_submission
from golf.run.before import check_before
from golf.run.launch import Launcher, torchrun
from golf.run.machine import this_machine
from golf.run.nodes import join
from golf.run.outlook import Outlook
from golf.run.outlook import stop_if_worse as judge_by_forecast
from golf.run.plan import Plan, Wishes, find_data, make_plan
from golf.run.report import Report, make_report
from golf.run.session import Session, nowhere
from golf.run.source import read_source
from golf.run.steps import decide
from golf.run.store import has_store, open_store
from golf.run.track import refuse_missing
from golf.run.view import Silent, View
from golf.run.watch import interrupts

__all__ = ["Wishes", "checked_rate", "estimate", "join_run", "plan_run", "run_submission"]


def plan_run(name: str | None, wishes: Wishes) -> Plan:
    """The plan of a run; GolfError says what is missing, or why it is refused (10)."""
    folder = find_submission(name)
    root = find_root(folder)
    source = read_source(folder, smoke=wishes.smoke)
    return make_plan(
        root, source, wishes, this_machine(), lambda: find_data(source.vocab_size, wishes, root, source.side_car)
    )


def run_submission(
    name: str | None,
    wishes: Wishes,
    *,
    stop_if_worse: float | None = None,
    dollars_per_hour: float | None = None,
    trackers: Sequence[str] = (),
    view: View | None = None,
    launcher: Launcher = torchrun,
    at: Callable[[str], None] = nowhere,
) -> Report:
    """Run a submission over seeds and judge what came out.

    name: of the submission (None: of the current folder). stop_if_worse: BPB; a seed whose forecast is above it is ended, and later ones
    are not started. trackers: who is told of the runs, of `golf.run.track.TRACKERS`. view: who shows progress (None: nobody). Raises GolfError as `Session.run`, KeyboardInterrupt after Ctrl-C.
    """
    if stop_if_worse is not None and not 0 < stop_if_worse < float("inf"):
        raise GolfError(f"a bound of {stop_if_worse:g} BPB would stop every run", "for example `--stop-if-worse 1.085`")
    rate = checked_rate(dollars_per_hour)
    refuse_missing(trackers)
    plan, shown = plan_run(name, wishes), view or Silent()
    if plan.source.remark is not None:
        shown.say(plan.source.remark)
    check_before(plan, shown.say)
    with open_store(plan.root) as store:
        session = Session(plan, store, shown, launcher, at, trackers=tuple(trackers))
        if stop_if_worse is not None:
            bound = stop_if_worse
            session = replace(
                session, judge_of=lambda run: judge_by_forecast(Outlook(run, plan.root), bound, rate), condemns=True
            )
        finished = session.run()
        return make_report(store, finished)


def join_run(name: str | None, wishes: Wishes, *, view: View | None = None) -> None:
    """Lend this machine to a run that node 0 carries out, as `golf.run.nodes.join`."""
    plan, shown = plan_run(name, wishes), view or Silent()
    with interrupts() as stop:
        join(plan, shown.say, stop, wishes.stall_seconds)


def estimate(
    name: str | None, wishes: Wishes, dollars_per_hour: float | None
) -> tuple[list[list[str]], dict[str, Any]]:
    """What a run would do, seed by seed, with seconds at most and dollars at the given rate: (rows, report)."""
    plan = plan_run(name, wishes)
    steps = [(seed, "fresh") for seed in plan.seeds]
    if has_store(plan.root):
        with open_store(plan.root) as store:
            steps = [(step.seed, step.what) for step in decide(plan, store)]
    dollars_per_hour = checked_rate(dollars_per_hour)
    seeds: list[dict[str, Any]] = []
    for seed, what in steps:
        seconds = None if plan.source.smoke else 0.0 if what == "keep" else plan.seconds_per_seed
        dollars = None if dollars_per_hour is None or seconds is None else seconds * dollars_per_hour / 3600
        seeds.append({"seed": seed, "what": what, "seconds": seconds, "dollars": dollars})
    rows = [
        [str(row["seed"]), str(row["what"]), _cell(row["seconds"], "{:.0f}"), _cell(row["dollars"], "{:.2f}")]
        for row in seeds
    ]
    known = [row["dollars"] for row in seeds if row["dollars"] is not None]
    report = {
        "submission": plan.source.name, "set": plan.source.set_id, "track": plan.track,
        "machine": plan.machine.describe(plan.nproc), "rate_dollars_per_hour": dollars_per_hour,
        "seeds": seeds, "dollars": sum(known) if known else None,
    }  # fmt: skip
    if known:
        rows.append(["all", "", "", f"{sum(known):.2f}"])
    return rows, report


def checked_rate(dollars_per_hour: float | None) -> float | None:
    """The rate as a number of dollars; GolfError for a negative one, inf and nan."""
    if dollars_per_hour is not None and not 0 <= dollars_per_hour < float("inf"):
        what = "negative" if dollars_per_hour < 0 else "no price"
        raise GolfError(f"a rate of {dollars_per_hour} $/h is {what}", "for example `--rate 20.0`")
    return dollars_per_hour


def _cell(value: float | None, form: str) -> str:
    return "?" if value is None else form.format(value)
