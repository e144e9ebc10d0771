"""Runs as the unit of evidence: which runs of a file count, which are one run printed twice, which share a configuration."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from math import isnan

from golf.files import sha256_of
from golf.logs.result import LogFile, RunResult, evaluations, same_run

# names of hyper-parameters that every log prints and that differ from run to run or from machine to machine
RUN_ONLY = re.compile(
    r"seed|^s$|run_id|run_name|uuid|^(?:local_|global_)?rank$|logfile|log_|_dir$|path|files$|name$|port$|is_main|artifact|wandb"
    r"|(?:^|_)date$|time$|every$|host|device|distributed"
)
NOT_THE_MODEL = (
    "code_bytes",
    "gpu",
)  # an edit of a comment and another card of one kind do not make another configuration

# a print is compared with so many runs of its seed that share an evaluation with it, the last ones: no real file has more than a few
MOST_ALIKE = 64


def is_configuration(name: str) -> bool:
    """Whether a hyper-parameter of this name says what was trained, not where its files lay or how often it printed."""
    return RUN_ONLY.search(name) is None


def configuration(run: RunResult) -> dict[str, str]:
    """What was run, whatever the seed: parameters, vocabulary, code bytes, GPU, ranks, hyper-parameters; only what the log states."""
    facts = {
        "parameters": run.params, "vocabulary": run.vocab_size, "code_bytes": run.code_bytes, "gpu": run.gpu,
        "world_size": run.world_size, "train_batch_tokens": run.train_batch_tokens, "train_seq_len": run.train_seq_len,
    }  # fmt: skip
    table = {name: str(value) for name, value in facts.items() if value is not None}
    return table | {name: text for name, text in run.hyperparameters.items() if is_configuration(name)}


def fingerprint(run: RunResult) -> str:
    """Twelve digits of the sha256 of `configuration`: equal for seeds of one configuration that print the same facts."""
    text = json.dumps(configuration(run), sort_keys=True)
    return sha256_of(text.encode())[:12]


def differing(one: Mapping[str, str], two: Mapping[str, str]) -> list[str]:
    """Names that two configurations both state, and differently, so that another model was trained; what one leaves out says nothing."""
    return [name for name in one if name in two and one[name] != two[name] and name not in NOT_THE_MODEL]


def counting(file: LogFile) -> tuple[RunResult, ...]:
    """The runs of a file that are evidence: each complete one that is not printed twice, else the one that counts at all."""
    complete = [run for run in file.runs if run.complete and run.score is not None and not isnan(run.score.val_bpb)]
    kept = distinct(complete)
    return tuple(kept) or (() if file.run is None else (file.run,))


def distinct(runs: Sequence[RunResult]) -> list[RunResult]:
    """Without those that another one prints too; of two prints of one run the one that says more stays, in the place of the first."""
    kept: list[RunResult] = []
    # by seed (None where none is printed, "any" for all) and evaluation: prints of one run have an evaluation in common
    places: dict[tuple[object, tuple[str, float]], dict[int, None]] = {}
    for run in runs:
        shared, asked = evaluations(run), ("any",) if run.seed is None else (run.seed, None)
        keys = [(seed, one) for one in shared for seed in asked]
        near = {place for key in keys for place in islice(reversed(places.get(key, {})), MOST_ALIKE)}
        twin = next((place for place in sorted(near) if same_run(run, kept[place])), None)
        for one in shared:
            for seed in (run.seed, "any"):
                places.setdefault((seed, one), {})[len(kept) if twin is None else twin] = None
        if twin is None:
            kept.append(run)
        elif _says(run) > _says(kept[twin]):
            kept[twin] = run
    return kept


def _says(run: RunResult) -> tuple[int, int]:
    return len(run.scores), len(run.curve)
