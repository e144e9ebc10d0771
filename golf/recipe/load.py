"""`load_recipe`: a recipe by name, with what the command line takes out, puts in and changes."""

from collections.abc import Iterable
from pathlib import Path

from golf.recipe.exchange import with_technique, without_technique
from golf.recipe.knobs import parsed
from golf.recipe.read import read_recipe
from golf.recipe.recipe import Recipe, changed


def load_recipe(
    name: str | Path, overrides: Iterable[str] = (), with_: Iterable[str] = (), without: Iterable[str] = ()
) -> Recipe:
    """The recipe `name` (see `find_recipe`) with its ancestors, then `--without T`, `--with R:T` and `key=value` applied in turn.

    Raises GolfError for a file that is not there or not TOML, an unknown key (with the nearest), a key in another part's section,
    a wrong type, a chain with a member twice, and a recipe that extends itself. Imports no part.
    """
    recipe = read_recipe(name)
    for technique in without:
        recipe = without_technique(recipe, technique)
    for technique in with_:
        recipe = with_technique(recipe, technique)
    changes = dict(parsed(recipe.catalogue, text) for text in overrides)
    return changed(recipe, {knob.name: value for knob, value in changes.items()})
