"""Whether a log is of a submission: by what the log itself states, not by what its user says."""

from functools import lru_cache
from pathlib import Path

from golf.errors import GolfError
from golf.files import read_text
from golf.logs import RunResult
from golf.project import is_adopted
from golf.recipe import Recipe, load_recipe
from golf.recipe.log_names import in_log_names, same_value

# what a run may be started with in place of the script's own value, and what golf's own log says in other words
OF_THE_START = frozenset(
    ("seed", "iterations", "max_wallclock_seconds", "val_loss_every", "train_log_every", "world_size")
)


def why_foreign(submission: Path, script: bytes, run: RunResult) -> list[str]:
    """What in a log contradicts that it is of `submission`, whose script is `script`; empty where nothing does.

    Code bytes (unless the log counts a packed form of it), vocabulary, hyper-parameters that have a knob; and, of a log that counts no
    code, parameters (which takes torch and seconds).
    """
    found = []
    stated = {size for size in (run.code_bytes, run.code_compressed_bytes) if size is not None}
    if stated and len(script) not in stated and not stated & _sizes_of_forms(script):
        found.append(
            f"it counts {', '.join(f'{size:,}' for size in sorted(stated))} bytes of code, the script here has {len(script):,}"
        )
    recipe = None if is_adopted(submission) else _recipe(submission)
    if recipe is None:
        return found
    vocabulary = recipe.values.get("vocab_size")
    if run.vocab_size is not None and vocabulary not in (None, run.vocab_size):
        found.append(f"its vocabulary is {run.vocab_size:,}, the recipe's {vocabulary:,}")
    mine = in_log_names(recipe, run.hyperparameters)
    other = [
        name
        for name, value in mine.items()
        if name not in OF_THE_START and not same_value(value, run.hyperparameters[name])
    ]
    if other:
        found.append(
            "it ran "
            + ", ".join(f"{name}={run.hyperparameters[name]} (here {mine[name]})" for name in sorted(other)[:4])
            + (f" and {len(other) - 4} more" if len(other) > 4 else "")
        )
    if (
        not found
        and not stated
        and run.params is not None
        and (params := _parameters(submission, _text(submission))) not in (None, run.params)
    ):
        found.append(f"it counts {run.params:,} parameters, the recipe's model has {params:,}")
    return found


def _sizes_of_forms(script: bytes) -> set[int]:
    """Bytes of the packed forms of a readable script, which a log may count instead."""
    from golf.compose.pack import pack

    try:
        return {len(pack(script.decode(), dense=dense)) for dense in (False, True)}
    except (GolfError, UnicodeDecodeError):
        return set()


def _recipe(submission: Path) -> Recipe | None:
    try:
        return load_recipe(submission / "recipe.toml")
    except (GolfError, OSError):
        return None


@lru_cache(maxsize=8)
def _parameters(submission: Path, text: str) -> int | None:
    """How many parameters the model of a submission's recipe has, as its file reads now; None where that cannot be told here."""
    from golf.artifact.predict import predict

    recipe = _recipe(submission)
    try:
        return predict(recipe).params if recipe is not None and text else None
    except (GolfError, ImportError):
        return None


def _text(submission: Path) -> str:
    return read_text(submission / "recipe.toml", 1_000_000) or ""
