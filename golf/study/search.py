"""A search: trials that Optuna's tree-structured Parzen estimator proposes from the results of those before (`pip install 'parameter-golf[fleet]'`).

Trials come in batches, each proposed from the finished ones alone, by a sampler seeded with their number. So the run store is all
the memory there is: the same study asked for twice, or stopped and gone on with, is the same trials.
TPE: Bergstra et al., NeurIPS 2011; for two objectives Ozaki et al., JAIR 2022.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from golf.compose.kept import kept_composition
from golf.errors import Exit, GolfError
from golf.recipe import load_recipe
from golf.study.axes import Axis, Choices, parse_axes
from golf.study.make import source_of
from golf.study.results import Standing, standings
from golf.study.study import Study, Trial, trial_names

OBJECTIVES = ("bpb", "bytes")
STARTUP = 10  # trials that are drawn at random before there is anything to learn from
TRIES = 100  # proposals in a row that were there before, until the axes count as used up


def import_optuna() -> Any:
    """The module optuna, silent. GolfError (10): not installed."""
    try:
        import optuna
    except ImportError as fault:
        raise GolfError("`--search` needs Optuna, which is not installed", "`pip install 'parameter-golf[fleet]'`, or draw at random: `--random 20`", Exit.REFUSED) from fault  # fmt: skip
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def parse_objectives(text: str) -> tuple[str, ...]:
    """`bpb` or `bpb,bytes`. GolfError for another objective, or none that is BPB."""
    names = tuple(word.strip() for word in text.split(","))
    if not set(names) <= set(OBJECTIVES) or "bpb" not in names or len(set(names)) != len(names):
        raise GolfError(f"`--objective {text}` is none", "there are `bpb` and `bpb,bytes`")
    return tuple(sorted(names))


def wanted_trials(study: Study) -> int | None:
    """How many trials a search shall have; None for a study whose trials were all known from the start."""
    count = study.asked.get("search")
    return None if count is None else int(count)


def is_searched(study: Study) -> bool:
    """Whether a study has all the trials that it shall have."""
    count = wanted_trials(study)
    return count is None or len(study.trials) >= count or study.is_used_up


def next_batch(study: Study, root: Path, trial_of: Callable[[Choices], Trial]) -> Study:
    """The study with its next batch of trials, each of which composes; unchanged but for `is_used_up` where the axes have no more."""
    count, batch = wanted_trials(study) or 0, int(study.asked.get("batch") or 1)
    axes = parse_axes(study.asked["over"])
    optuna = import_optuna()
    memory = _memory(optuna, study, axes, standings(study, root))
    trials, refused = list(study.trials), list(study.refused)
    names, tries = trial_names(study.name, count), 0
    distributions = {axis.name: _distribution(optuna, axis) for axis in axes}
    want = min(len(trials) + batch, count)
    while len(trials) < want and tries < TRIES:
        # a sampler of its own for every proposal: what it draws depends on what was proposed before, and on nothing else
        memory.sampler = _sampler(optuna, int(study.asked.get("draw_seed") or 0), len(trials) + len(refused) + tries)
        asked = memory.ask(distributions)
        choices = {axis.name: _text(axis, asked.params[axis.name]) for axis in axes}
        there = [dict(trial.choices) for trial in trials]
        if choices in there or choices in refused:
            memory.tell(asked, state=optuna.trial.TrialState.FAIL)
            tries += 1
            continue
        fault, trial = _composed(choices, trial_of)
        if trial is None or fault is not None:
            refused.append(choices)
            memory.tell(asked, state=optuna.trial.TrialState.FAIL)
            tries += 1
            continue
        trials.append(replace(trial, name=names[len(trials)]))
        tries = 0
    return replace(study, trials=tuple(trials), refused=tuple(refused), is_used_up=len(trials) < want)


def _composed(choices: Choices, trial_of: Callable[[Choices], Trial]) -> tuple[str | None, Trial | None]:
    """Why a proposal cannot be a trial, or the trial."""
    try:
        trial = trial_of(choices)
        kept_composition(load_recipe(source_of(trial.parent), trial.overrides, trial.with_, trial.without))
    except GolfError as fault:
        return fault.message, None
    return None, trial


def _memory(optuna: Any, study: Study, axes: Sequence[Axis], found: Sequence[Standing]) -> Any:
    """An Optuna study that holds what the trials so far came to: scores, or that they were stopped or failed."""
    objectives = study.asked.get("objective") or ["bpb"]
    memory = optuna.create_study(directions=["minimize"] * len(objectives))
    by_name = {one.trial.name: one for one in found}
    states = optuna.trial.TrialState
    for trial in study.trials:
        values = _values(by_name[trial.name], objectives)
        params = {axis.name: _value(axis, trial.choices[axis.name]) for axis in axes}
        kept: dict[str, Any] = {
            "params": params,
            "distributions": {axis.name: _distribution(optuna, axis) for axis in axes},
        }
        if values is None:
            kept["state"] = states.FAIL
        else:
            kept |= {"state": states.COMPLETE, "values": values}
        memory.add_trial(optuna.trial.create_trial(**kept))
    return memory


def _values(one: Standing, objectives: Sequence[str]) -> list[float] | None:
    """What a trial came to; None without all seeds, or with a number that is none."""
    if not one.is_whole or one.bpb is None or not math.isfinite(one.bpb.mean):
        return None
    if "bytes" in objectives and one.total_bytes is None:
        return None
    return [one.bpb.mean if name == "bpb" else float(one.total_bytes or 0) for name in objectives]


def _sampler(optuna: Any, seed: int, number: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # constant_liar is called experimental: trials of a batch shall not be one place
        return optuna.samplers.TPESampler(
            seed=(seed * 1_000_003 + number) % (1 << 32), n_startup_trials=STARTUP, constant_liar=True
        )


def _distribution(optuna: Any, axis: Axis) -> Any:
    if not axis.is_range:
        return optuna.distributions.CategoricalDistribution(axis.values)
    if axis.whole:
        return optuna.distributions.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return optuna.distributions.FloatDistribution(axis.low, axis.high, log=axis.log)


def _text(axis: Axis, value: Any) -> str:
    """A proposed value as its trial says it."""
    return axis.text_of(float(value)) if axis.is_range else str(value)


def _value(axis: Axis, text: str) -> Any:
    """The value of a trial's text: what was rounded to six digits may lie just outside the range."""
    if not axis.is_range:
        return text
    value = min(max(float(text), axis.low), axis.high)
    return int(value) if axis.whole else value
