"""A study at the terminal: what it would run, what it does, and what it found."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from golf.challenge import EVAL_CAP_SECONDS, TRAIN_CAP_SECONDS
from golf.cli.output import print_json, print_lines, print_table, talk
from golf.cli.pages.live import study_view_for_terminal
from golf.errors import Exit, GolfError
from golf.files import write_atomically
from golf.run.api import checked_rate
from golf.run.plan import SETUP_SECONDS
from golf.run.report import NOT_A_RESULT
from golf.run.track import refuse_missing
from golf.study.ablation import Row, Table, figure_svg, table_of
from golf.study.ablation import to_json as ablation_json
from golf.study.drive import Driver, Outcome
from golf.study.make import check_trials
from golf.study.page import write_page
from golf.study.results import COLUMNS, RIGHT, Standing, importance, rows_of, standings, to_json
from golf.study.search import wanted_trials
from golf.study.study import Study, folder_of, load, seconds_spent
from golf.study.sweep import Asked, carry_out, wishes_of

ENGINES = ("local", "ray")


def tell_plan(study: Study, asked: Asked, *, json: bool, md: bool) -> None:
    """The trials and what they cost at most; for a small twin nobody knows beforehand."""
    check_trials(study, smoke=asked.wishes.smoke, say=talk)
    searched = wanted_trials(study)
    runs = (
        sum(len(study.seeds_of(trial)) for trial in study.trials) if searched is None else searched * len(study.seeds)
    )
    cap, rate = asked.wishes.max_wallclock_seconds, checked_rate(asked.budget.rate)
    each = SETUP_SECONDS + (TRAIN_CAP_SECONDS if cap is None else cap) + EVAL_CAP_SECONDS
    seconds = None if asked.wishes.smoke else runs * each / asked.wishes.parallel
    dollars = None if rate is None or seconds is None else seconds * rate / 3600
    if json:
        print_json({
            "study": study.name, "kind": study.kind, "base": study.base, "asked": dict(study.asked), "runs": runs,
            "seconds_at_most": seconds, "rate_dollars_per_hour": rate, "dollars_at_most": dollars,
            "trials": [{"submission": trial.name, "choices": dict(trial.choices), "seeds": list(study.seeds_of(trial))} for trial in study.trials],
        })  # fmt: skip
        return
    rows = [[trial.name, trial.label, ", ".join(map(str, study.seeds_of(trial)))] for trial in study.trials]
    print_table(None, ("trial", "what", "seeds"), rows, md=md)
    cost = (
        ""
        if seconds is None
        else f", {seconds / 3600:.1f} h at most" + ("" if dollars is None else f", ${dollars:.2f} at most")
    )
    what = f"{searched or len(study.trials)} trials" + ("" if searched is None else " that the search proposes")
    talk(f"study {study.name}: {what}, {runs} runs{cost}; nothing was made")


def run_study(study: Study, begun: bool, asked: Asked, root: Path, engine: str, parallel: int) -> tuple[Study, Outcome]:
    """Carry a study out, shown on stderr; the study as it stands then. Ctrl-C ends it with the way to go on."""
    where = on_engine(engine, parallel)
    refuse_missing(asked.trackers)
    wishes, view = wishes_of(study, asked.wishes), study_view_for_terminal()
    driver = Driver(
        study, root, wishes, asked.budget, view, prune=bool(study.asked.get("prune")),
        stop_if_worse=study.asked.get("stop_if_worse"), trackers=asked.trackers, **where,
    )  # fmt: skip
    try:
        return carry_out(study, begun, asked, driver)
    except KeyboardInterrupt:
        view.end()
        verb = "sweep" if study.kind == "sweep" else "ablate"
        talk(f"stopped; go on with `golf {verb} --name {study.name} --resume`")
        raise
    finally:
        view.end()
        if (root / "studies" / study.name).is_dir():
            study = load(root, study.name)
            write_page(study, root, standings(study, root))


def found_so_far(study: Study, begun: bool) -> Outcome:
    """What `--show` shows: nothing is run. GolfError: a study that was not begun."""
    if not begun:
        raise GolfError(
            f"the study {study.name} was not begun", "leave out `--show` to run it; `--name` names one that was"
        )
    return Outcome()


def on_engine(engine: str, parallel: int) -> dict[str, Any]:
    """What a driver needs to start scripts on an engine. GolfError: no such engine, no Ray, no cluster."""
    if engine not in ENGINES:
        raise GolfError(f"no engine `{engine}`", f"there are: {', '.join(ENGINES)}")
    if engine == "local":
        return {}
    from golf.engine.ray_engine import RayScript, connect

    connect()
    return {"starter": RayScript, "width": parallel}


def show_sweep(study: Study, outcome: Outcome, asked: Asked, root: Path, *, json: bool, md: bool) -> Exit:
    """The table of a sweep and its page; 6 where a trial has no result."""
    found = standings(study, root)
    seconds, rate = seconds_spent(root, study.name), checked_rate(asked.budget.rate)
    if json:
        print_json({**to_json(study, found, seconds, rate), **outcome_json(outcome)})
    else:
        print_table(None, COLUMNS, rows_of(found), right=RIGHT, md=md)
        shares = importance(found)
        if shares:
            print_lines(["", "explains " + ", ".join(f"{axis} {share:.0%}" for axis, share in shares.items())
                         + " of the variance of mean BPB, each axis alone"])  # fmt: skip
    tell_outcome(study, outcome, found, seconds, rate)
    talk(f"page: {write_page(study, root, found)}")
    return Exit.UNKNOWN if outcome.failed or any(one.state == "failed" for one in found) else Exit.OK


def outcome_json(outcome: Outcome) -> dict[str, object]:
    """What a driver left undone, for `--json`."""
    return {
        "failed": [{"submission": name, "seed": seed, "why": why} for (name, seed), why in outcome.failed.items()],
        "not_started": [{"submission": name, "seed": seed} for name, seed in outcome.not_started],
    }


def tell_outcome(study: Study, outcome: Outcome, found: Sequence[Standing], seconds: float, rate: float | None) -> None:
    """Remarks under the table: what is missing, what it took, whether it counts."""
    whole = sum(one.is_whole for one in found)
    cost = "" if rate is None else f", ${seconds * rate / 3600:.2f} at ${rate:g}/h"
    talk(f"{whole} of {len(found)} trials have all their seeds; {seconds:.0f} s{cost}")
    if outcome.failed:
        names = sorted({name for name, _ in outcome.failed})
        talk(f"no result: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}; `golf status {names[0]}` says why")
    if outcome.not_started:
        talk(
            f"{len(outcome.not_started)} runs were not started: the budget is spent; a larger one and `--resume` go on"
        )
    if any(run.track == "local" for one in found for run in one.runs.values()):
        what = "small twins (--smoke), " if study.asked.get("smoke") else ""
        talk(f"{what}track local: {NOT_A_RESULT}")


ABLATION_COLUMNS = ("what", "n", "Δ BPB", "95 % interval", "p (Holm)", "Δ ms/step", "Δ bytes", "verdict")
ABLATION_RIGHT = ("n", "Δ BPB", "p (Holm)", "Δ ms/step", "Δ bytes")


def show_ablation(study: Study, outcome: Outcome, asked: Asked, root: Path, *, json: bool, md: bool) -> Exit:
    """The verdicts of an ablation, its figure and its page; 6 where a trial has no result."""
    seconds, rate = seconds_spent(root, study.name), checked_rate(asked.budget.rate)
    table, found = table_of(study, root, rate), standings(study, root)
    if json:
        print_json({**to_json(study, found, seconds, rate), **outcome_json(outcome), "ablation": ablation_json(table)})
    else:
        base = table.base.bpb
        spread = "" if base is None or base.sd is None else f" ± {base.sd:.5f}"
        together = ", those of the A/A pairs among them" if table.floor else ""
        mean = "unknown" if base is None else f"{base.mean:.5f}{spread} (n={base.n}{together})"
        print_lines([f"{study.base} on seeds {', '.join(map(str, study.seeds))}: BPB {mean}", ""])
        print_table(None, ABLATION_COLUMNS, ablation_rows(table), right=ABLATION_RIGHT, md=md)
        if table.least is not None:
            floor = f"A/A pairs differ by {table.floor.test.delta:+.5f}; " if table.floor else ""
            print_lines(
                ["", f"{floor}with these seeds a difference below about {table.least:.5f} BPB cannot be called real"]
            )
    if table.missing:
        talk(f"not judged, seeds are missing: {', '.join(table.missing)}")
    tell_outcome(study, outcome, found, seconds, rate)
    if table.rows:
        picture = folder_of(root, study.name) / "effects.svg"
        write_atomically(picture, figure_svg(table).encode())
        talk(f"figure: {picture}")
    extra = f"<section><figure>{figure_svg(table)}</figure></section>" if table.rows else ""
    talk(f"page: {write_page(study, root, found, extra)}")
    return Exit.UNKNOWN if outcome.failed or any(one.state == "failed" for one in found) else Exit.OK


def ablation_rows(table: Table) -> list[list[str]]:
    """The rows, largest gain first, the noise floor last."""
    rows = sorted(table.rows, key=lambda row: row.test.delta)
    return [_ablation_row(row) for row in [*rows, *([table.floor] if table.floor else [])]]


def _ablation_row(row: Row) -> list[str]:
    beyond = "" if row.beyond is None else f"; {row.beyond:+.5f} beyond the sum of the two"
    return [
        row.label, str(row.test.n), f"{row.test.delta:+.5f}", f"{row.test.interval[0]:+.5f} … {row.test.interval[1]:+.5f}",
        f"{row.test.p_holm:.4f}" if row.test.p_holm >= 0.0001 else f"{row.test.p_holm:.0e}", "" if row.step_ms is None else f"{row.step_ms:+.2f}",
        "" if row.bytes_ is None else f"{row.bytes_:+,}", row.verdict + beyond,
    ]  # fmt: skip
