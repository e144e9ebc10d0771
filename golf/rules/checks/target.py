"""Contests that ask for a loss and not for a size: the last validation loss of every run against `target_nats` of the pack."""

from collections.abc import Iterable

from golf.rules.findings import Result, State
from golf.rules.subject import Subject
from golf.stats import Sample, one_sample, p_text


def reached(subject: Subject) -> Iterable[Result]:
    """The mean of the runs' last validation losses, nats per token, is at most the target."""
    sample, target = _losses(subject), float(subject.limits["target_nats"])
    if sample is not None:
        state = State.PASS if sample.mean <= target else State.FAIL
        yield Result(state, f"mean of {sample.n} runs {sample.mean:.5f}, target {target}", _listed(subject))


def shown(subject: Subject) -> Iterable[Result]:
    """A one-sample t-test over the runs shows that their mean is below the target."""
    sample, target = _losses(subject), float(subject.limits["target_nats"])
    if sample is None:
        return
    test = one_sample(sample, target)
    if test is None:
        yield Result(State.UNKNOWN, f"{sample.n} run{'s' * (sample.n > 1)} without a spread: no test can be made")
        return
    state = State.PASS if test.p < subject.limits["p_target"] else State.FAIL
    yield Result(
        state, f"p {p_text(test.p)} over {sample.n} runs, {subject.limits['p_target']} asked", _listed(subject),
        figures={"p": test.p, "mean_nats": sample.mean, "sd_nats": sample.sd, "n": sample.n},
    )  # fmt: skip


def whole(subject: Subject) -> Iterable[Result]:
    """Every run came to its end and was validated there."""
    for run in subject.runs:
        if run.crash or not run.complete:
            yield Result(State.FAIL, f"{run.name}: {run.crash or 'its log breaks off'}", (), run.file)
        elif run.last_val_loss is None:
            yield Result(State.FAIL, f"{run.name}: its log has no validation", (), run.file)
    if subject.runs and all(run.complete and not run.crash and run.last_val_loss is not None for run in subject.runs):
        yield Result(State.PASS, f"{len(subject.runs)} whole logs")


def _losses(subject: Subject) -> Sample | None:
    """Of all runs, whole or not: a run that is left out is a choice."""
    losses = [run.last_val_loss for run in subject.runs if run.last_val_loss is not None]
    return Sample.of(losses) if losses else None


def _listed(subject: Subject) -> tuple[str, ...]:
    return tuple(f"{run.name}: {run.last_val_loss}" for run in subject.runs if run.last_val_loss is not None)
