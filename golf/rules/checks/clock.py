"""R05, R06, R07: the clocks, under the reading by which records were merged and under the letter."""

from collections.abc import Iterable

from golf.rules.findings import Result, State
from golf.rules.runs import Run
from golf.rules.subject import Subject, names


def _timed(subject: Subject) -> list[Run]:
    return subject.scored_runs or subject.runs


def train(subject: Subject) -> Iterable[Result]:
    """The training clock of every seed against its limit."""
    limit, slack = float(subject.limits["train_seconds"]), float(subject.limits["train_slack_seconds"])
    timed = [(run, run.train_seconds) for run in _timed(subject) if run.train_seconds is not None]
    if not timed:
        return
    lines = tuple(f"{run.name}: {seconds:.3f} s" for run, seconds in timed)
    run, worst = max(timed, key=lambda pair: pair[1])
    over = [run.file for run, seconds in timed if seconds > limit + slack]
    if over:
        yield Result(
            State.FAIL, f"trained {worst:.3f} s, limit {limit:.0f} s ({names(over)})", lines, run.file, run.train_line
        )
    else:
        strict = State.PASS if worst <= limit else State.FAIL
        remark = "" if worst <= limit else ": the step that crosses the cap is finished"
        yield Result(
            State.PASS,
            f"longest {worst:.3f} s of {limit:.0f} s{remark}",
            lines,
            run.file,
            run.train_line,
            strict=strict,
        )


def hardware(subject: Subject) -> Iterable[Result]:
    """Eight processes; a log that names another device or count is not a record's."""
    runs = _timed(subject)
    wrong = [run for run in runs if run.world_size not in (None, 8)]
    other = [run for run in runs if run.gpu is not None and "H100" not in run.gpu]
    for run in wrong:
        yield Result(State.FAIL, f"ran on {run.world_size} processes, not 8", (run.name,), run.file)
    for run in other:
        yield Result(State.FAIL, f"ran on {run.gpu}, not H100", (run.name,), run.file)


def calibration(subject: Subject) -> Iterable[Result]:
    """Training plus calibration on training data; merged records run up to five seconds over."""
    limit, slack = float(subject.limits["train_seconds"]), float(subject.limits["calibration_slack_seconds"])
    sums, unmeasured, generated, none = [], [], [], []
    for run in _timed(subject):
        if run.self_generated:
            generated.append(run)
        elif run.calibration_seconds is not None and run.train_seconds is not None:
            sums.append((run, run.train_seconds + run.calibration_seconds))
        elif run.calibration_started:
            unmeasured.append(run)
        elif run.train_seconds is not None:
            none.append(run)
    if sums:
        yield _over_calibration(sums, limit, slack)
    for run in unmeasured:
        yield Result(
            State.UNKNOWN,
            f"calibrates, but its log does not say for how long ({run.file})",
            file=run.file,
            line=run.calibration_line,
        )
    if generated and not sums:
        yield Result(State.PASS, "calibrates on text that the model generates: no data is read", file=generated[0].file)
    elif none and not (sums or unmeasured or generated):
        yield Result(State.PASS, "no calibration pass in the logs", file=none[0].file)


def _over_calibration(sums: list[tuple[Run, float]], limit: float, slack: float) -> Result:
    lines = tuple(
        f"{run.name}: {run.train_seconds:.3f} + {run.calibration_seconds} = {total:.1f} s" for run, total in sums
    )
    run, worst = max(sums, key=lambda pair: pair[1])
    message = f"training and calibration {worst:.1f} s, limit {limit:.0f} s"
    if worst > limit + slack:
        return Result(State.FAIL, message, lines, run.file, run.calibration_line)
    if worst > limit:
        return Result(
            State.PASS,
            f"{message}: within the {slack:.0f} s that merged records show",
            lines,
            run.file,
            run.calibration_line,
            State.FAIL,
        )
    return Result(State.PASS, message, lines, run.file, run.calibration_line)


def calibration_order(subject: Subject) -> Iterable[Result]:
    """R04 in the logs: calibration on training data that begins after the stop line reads it at eval time unless time was reserved."""
    if subject.track != "10min_16mb":
        return  # no clock, so nothing comes after it
    limit, slack = float(subject.limits["train_seconds"]), float(subject.limits["calibration_slack_seconds"])
    for run in _timed(subject):
        if run.self_generated or run.calibration_seconds is None or run.train_seconds is None:
            continue
        if run.train_seconds + run.calibration_seconds > limit + slack:
            yield Result(
                State.FAIL, f"reads training data for calibration until {run.train_seconds + run.calibration_seconds:.1f} s",
                (run.name,), run.file, run.calibration_line,
            )  # fmt: skip


def evaluation(subject: Subject) -> Iterable[Result]:
    """The scoring evaluation's seconds; strictly, every pass after the artifact and its compile warm-up too."""
    limit = float(subject.limits["eval_seconds"])
    timed = [(run, run.eval_seconds) for run in _timed(subject) if run.eval_seconds is not None]
    if not timed:
        return
    whole = {
        run.file: max(run.all_eval_seconds or 0.0, seconds) + (run.eval_compile_seconds or 0.0)
        for run, seconds in timed
    }
    lines = tuple(
        f"{run.name}: {seconds:.1f} s; with warm-up and diagnostics {whole[run.file]:.1f} s" for run, seconds in timed
    )
    run, worst = max(timed, key=lambda pair: pair[1])
    if worst > limit:
        yield Result(State.FAIL, f"evaluation took {worst:.1f} s, limit {limit:.0f} s", lines, run.file, run.eval_line)
        return
    strictly = max(whole.values())
    remark = "" if strictly <= limit else f"; {strictly:.1f} s with compile warm-up and diagnostic passes"
    strict = State.PASS if strictly <= limit else State.FAIL
    yield Result(State.PASS, f"longest {worst:.1f} s of {limit:.0f} s{remark}", lines, run.file, run.eval_line, strict)
