"""A study at the terminal: what it would run, what it does, and what it found."""

from collections.abc import Sequence
from pathlib import Path

from golf.challenge import EVAL_CAP_SECONDS, TRAIN_CAP_SECONDS
from golf.cli.output import print_json, print_lines, print_table, talk
from golf.cli.pages.live import study_view_for_terminal
from golf.errors import Exit
from golf.run.api import checked_rate
from golf.run.plan import SETUP_SECONDS
from golf.run.report import NOT_A_RESULT
from golf.study.drive import Driver, Outcome
from golf.study.page import write_page
from golf.study.results import COLUMNS, RIGHT, Standing, importance, rows_of, standings, to_json
from golf.study.study import Study, seconds_spent
from golf.study.sweep import Asked, carry_out, wishes_of


def tell_plan(study: Study, asked: Asked, *, json: bool, md: bool) -> None:
    """The trials and what they cost at most; for a small twin nobody knows beforehand."""
    runs = sum(len(study.seeds_of(trial)) for trial in study.trials)
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
    talk(f"study {study.name}: {len(study.trials)} trials, {runs} runs{cost}; nothing was made")


def run_study(study: Study, begun: bool, asked: Asked, root: Path) -> Outcome:
    """Carry a study out, shown on stderr; Ctrl-C ends it with the way to go on."""
    wishes, view = wishes_of(study, asked.wishes), study_view_for_terminal()
    driver = Driver(study, root, wishes, asked.budget, view, prune=bool(study.asked.get("prune")))
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
            write_page(study, root, standings(study, root))


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
