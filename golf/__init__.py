"""golf: from an idea for the Parameter Golf challenge to a record that survives review.

What a notebook or a script needs, each imported when it is first asked for:

    load_recipe     a recipe by name or path, every choice resolved
    namespace       a recipe as a model sees it: `golf.parts.model.GPT(namespace(recipe))`
    compose_script  the text of one self-contained train_gpt.py
    run_submission  train, export and evaluate over seeds, under the clocks
    frame, curves   what the run store holds, as pandas tables
    read_log        any log of the challenge as numbers with their lines
    verify_folder   the rules on a submission, a record folder or a script
    write_record    the folder for the pull request
    official        the challenge's board, row by row
    Sample, welch   seeds as mean and sd, and the one-sided test between two of them
    open_source     any language model behind one interface
    GolfError       the one error: a sentence, the way out, and an exit code
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from golf.board import official
    from golf.compose import compose as compose_script
    from golf.errors import GolfError
    from golf.logs import read_log
    from golf.models.open import open_source
    from golf.recipe import load_recipe
    from golf.recipe.namespace import namespace
    from golf.record import write_record
    from golf.rules import verify_folder
    from golf.run.api import run_submission
    from golf.run.frame import curves, frame
    from golf.stats import Sample, welch

__version__ = "0.1.0"
__all__ = [
    "GolfError",
    "Sample",
    "compose_script",
    "curves",
    "frame",
    "load_recipe",
    "namespace",
    "official",
    "open_source",
    "read_log",
    "run_submission",
    "verify_folder",
    "welch",
    "write_record",
]
_PLACES = {
    "GolfError": "golf.errors",
    "Sample": "golf.stats",
    "compose_script": "golf.compose:compose",
    "curves": "golf.run.frame",
    "frame": "golf.run.frame",
    "load_recipe": "golf.recipe",
    "namespace": "golf.recipe.namespace",
    "official": "golf.board",
    "open_source": "golf.models.open",
    "read_log": "golf.logs",
    "run_submission": "golf.run.api",
    "verify_folder": "golf.rules",
    "welch": "golf.stats",
    "write_record": "golf.record",
}


def __getattr__(name: str) -> Any:
    """A public name, from the room that holds it."""
    if name not in _PLACES:
        raise AttributeError(f"module `golf` has no attribute `{name}`")
    module, _, own = _PLACES[name].partition(":")
    return getattr(import_module(module), own or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
