"""Detectors: functions of a `Subject` that yield `Result`s about one rule. The packs name them as "module.function".

A module's KIND says what its detectors read; `--only` selects by it.
"""

from collections.abc import Callable, Iterable
from importlib import import_module

from golf.rules.findings import Result
from golf.rules.subject import Subject

KINDS = ("folder", "json", "log", "static", "stats", "execute")
MODULES = {
    "folder": "folder",
    "claims": "json",
    "size": "log",
    "clock": "log",
    "seeds": "log",
    "metric": "log",
    "artifact_log": "log",
    "significance": "stats",
    "target": "stats",
    "static_io": "static",
    "static_imports": "static",
    "static_data": "static",
    "static_fit": "static",
    "static_cache": "static",
    "static_ttt": "static",
    "static_windows": "static",
    "static_mix": "static",
    "static_sums": "static",
    "static_artifact": "static",
    "static_formula": "static",
    "static_recipe": "static",
    "executed": "execute",
    "experiments": "execute",
    "roundtrip": "execute",
}
NEEDS = {
    "folder": "the whole record folder",
    "json": "submission.json and the logs",
    "log": "the training logs",
    "static": "the script as readable source",
    "stats": "the scores of the seeds",
    "execute": "experiments on the whole script (`--execute`)",
}

Detector = Callable[[Subject], Iterable[Result]]


def kind_of(name: str) -> str:
    """What the detector called `name` reads: one of KINDS."""
    return MODULES[name.partition(".")[0]]


def find_detector(name: str) -> Detector:
    """The detector called "module.function"."""
    module, _, function = name.partition(".")
    detector: Detector = getattr(import_module(f"golf.rules.checks.{module}"), function)
    return detector
