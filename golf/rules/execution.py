"""The executed checks of a script that golf composed, run once: its own evaluators on a stub model."""

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golf.rules.local_data import folders
from golf.rules.ownership import why_not_ours
from golf.rules.subject import Subject

SECONDS = 240.0  # wall time of the whole suite
SECONDS_QUICK = 120.0


@dataclass(frozen=True)
class Execution:
    """What the sandbox answered. suites: one per evaluator, the score last; fault: why there is none; touched: by kind, what it tried."""

    suites: tuple[dict[str, Any], ...] = ()
    fault: str | None = None
    touched: dict[str, list[str]] = field(default_factory=dict)
    byte_count: dict[str, Any] | None = None
    timer: dict[str, Any] | None = None  # D7: {"outcome": …} or {"fault": …}; None where no script of ours ran

    @property
    def suite(self) -> dict[str, Any] | None:
        """The checks of the evaluator that gives the score."""
        return self.suites[-1] if self.suites else None

    def outcome(self, check: str) -> dict[str, Any] | None:
        """The outcome of one check on the score's evaluator: keys check, holds, figure, detail, positions."""
        found: dict[str, Any] | None = (self.suite or {}).get("outcomes", {}).get(check)
        return found


def is_composed(text: str) -> bool:
    """Whether a script has the shape that golf composes: `class h`, a Trace, and an `evaluate` that runs reports."""
    if "class h:" not in text:
        return False
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    classes = {node.name for node in body if isinstance(node, ast.ClassDef)}
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    return {"h", "Trace", "Env", "Stream"} <= classes and {"evaluate", "scored_targets"} <= functions


def is_ours(subject: Subject) -> bool:
    """Whether golf composed the script: only then does it run unasked."""
    return why_not_ours(subject) is None


def execution_of(subject: Subject) -> Execution | None:
    """The executed checks, run once per subject; None where running was not asked for."""
    return subject.once("execution", execute)


def execute(subject: Subject) -> Execution | None:
    """Run the checks on a script that golf composed; None for any other: a stranger's is judged whole, see `golf.rules.trials`."""
    from golf.rules.sandbox import run_sandboxed

    source = subject.source
    if source is None:
        return None
    if not is_ours(subject):
        if not subject.execute and is_composed(source.main.text):
            subject.notes.append(
                f"not executed, though it looks composed: {why_not_ours(subject)}; `--execute` runs it in the box"
            )
        return None
    if not source.readable:
        return Execution(fault=f"not all code could be read: {source.faults[0]}")
    job = {"text": source.main.text, "quick": subject.quick, **_data(subject)}
    answer = run_sandboxed(job, SECONDS_QUICK if subject.quick else SECONDS)
    return Execution(
        tuple(answer.get("suites", ())),
        _short(answer.get("fault")),
        answer.get("touched", {}),
        answer.get("bytes"),
        answer.get("timer"),
    )


def _short(fault: str | None) -> str | None:
    return fault[:400] if fault else None


def _data(subject: Subject) -> dict[str, Any]:
    """The shards and the tokenizer of the runs, where they are on this machine, for the byte count."""
    from golf.errors import GolfError

    vocabularies = [run.vocab_size for run in subject.scored_runs if run.vocab_size]
    places: list[Path] = folders(subject)
    if not places or not vocabularies:
        return {}
    from golf.data.source import find_tokenizer
    from golf.project import find_root

    try:
        tokenizer = find_tokenizer(vocabularies[0], places[0], find_root())
    except GolfError:
        return {}
    return {
        "data_path": str(places[0].resolve()),
        "tokenizer_path": str(tokenizer.resolve()),
        "vocab_size": vocabularies[0],
    }
