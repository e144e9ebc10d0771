"""Runs as the unit of evidence: which runs of a file count, which are one run printed twice, which share a configuration."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from math import isnan

from golf.logs.result import LogFile, RunResult, same_run

# printed by every log and different from run to run or from machine to machine: no configuration
NOT_CONFIGURATION = frozenset(
    (
        *("seed", "run_id", "logfile", "rank", "local_rank", "is_main_process", "artifact_dir", "datasets_dir", "name"),
        *("data_path", "data_dir", "train_files", "val_files", "tokenizer_path", "model_path", "quantized_model_path"),
    )
)
PLACES = ("_path", "_dir", "_file", "_files", "_logfile")


def is_configuration(name: str) -> bool:
    """Whether a hyper-parameter of this name says what was trained, not where its files lay."""
    return name not in NOT_CONFIGURATION and not name.endswith(PLACES)


def configuration(run: RunResult) -> dict[str, str]:
    """What was run, whatever the seed: parameters, vocabulary, code bytes, GPU, ranks, hyper-parameters; only what the log states."""
    facts = {
        "parameters": run.params, "vocabulary": run.vocab_size, "code_bytes": run.code_bytes, "gpu": run.gpu,
        "world_size": run.world_size, "max_wallclock_seconds": run.max_wallclock_seconds, "iterations": run.iterations,
        "train_batch_tokens": run.train_batch_tokens, "train_seq_len": run.train_seq_len,
    }  # fmt: skip
    table = {name: str(value) for name, value in facts.items() if value is not None}
    return table | {name: text for name, text in run.hyperparameters.items() if is_configuration(name)}


def fingerprint(run: RunResult) -> str:
    """Twelve digits of the sha256 of `configuration`: equal for seeds of one configuration that print the same facts."""
    text = json.dumps(configuration(run), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def one_configuration(one: RunResult, two: RunResult) -> bool:
    """Whether no fact that both logs state differs; a fact that one of them leaves out says nothing."""
    left, right = configuration(one), configuration(two)
    return all(left[name] == right[name] for name in left.keys() & right.keys())


def groups(runs: Iterable[RunResult]) -> list[list[RunResult]]:
    """The runs by configuration, in order of first appearance."""
    found: list[list[RunResult]] = []
    for run in runs:
        home = next((group for group in found if all(one_configuration(run, other) for other in group)), None)
        if home is None:
            found.append([run])
        else:
            home.append(run)
    return found


def counting(file: LogFile) -> tuple[RunResult, ...]:
    """The runs of a file that are evidence: each complete one that is not printed twice, else the one that counts at all."""
    complete = [run for run in file.runs if run.complete and run.score is not None and not isnan(run.score.val_bpb)]
    kept = distinct(complete)
    return tuple(kept) or (() if file.run is None else (file.run,))


def distinct(runs: Sequence[RunResult]) -> list[RunResult]:
    """Without those that another one prints too; of two prints of one run the one that says more stays, in the place of the first."""
    kept: list[RunResult] = []
    for run in runs:
        twin = next((place for place, other in enumerate(kept) if same_run(run, other)), None)
        if twin is None:
            kept.append(run)
        elif _says(run) > _says(kept[twin]):
            kept[twin] = run
    return kept


def _says(run: RunResult) -> tuple[int, int]:
    return len(run.scores), len(run.curve)
