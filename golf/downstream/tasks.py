"""Which tasks there are, and running some of them on one model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from golf.downstream.hellaswag import hellaswag
from golf.downstream.lambada import lambada
from golf.downstream.perplexity import text_perplexity
from golf.downstream.rows import HELLASWAG, LAMBADA, TEXT, DataSet, find_file, read_rows
from golf.downstream.score import Model
from golf.errors import GolfError


@dataclass(frozen=True)
class Task:
    """A data set and what is measured on it."""

    data: DataSet
    measure: Callable[[Model, Sequence[Mapping[str, Any]]], dict[str, float | int]]


TASKS = {
    "hellaswag": Task(HELLASWAG, hellaswag),
    "lambada": Task(LAMBADA, lambada),
    "text_ppl": Task(TEXT, text_perplexity),
}


def named_tasks(names: str) -> list[str]:
    """Tasks of a comma-separated list; a GolfError names the nearest for one that does not exist. `pile_ppl` is `text_ppl`."""
    wanted = ["text_ppl" if name == "pile_ppl" else name for part in names.split(",") if (name := part.strip())]
    for name in wanted:
        if name not in TASKS:
            near = get_close_matches(name, TASKS, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(TASKS)}"
            raise GolfError(f"no task is called `{name}`", hint)
    return list(dict.fromkeys(wanted)) or list(TASKS)


def run_tasks(
    model: Model, names: Sequence[str], folder: Path, limit: int | None = None
) -> dict[str, dict[str, float | int | str]]:
    """The measures of each task on its file in `folder`, every file found and read before anything is scored."""
    files = {name: find_file(folder, TASKS[name].data) for name in names}
    rows = {name: read_rows(path, TASKS[name].data, limit) for name, path in files.items()}
    return {name: {"file": str(files[name]), **TASKS[name].measure(model, rows[name])} for name in names}
