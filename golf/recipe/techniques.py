"""Techniques: a part in `techniques/`, or a row of recipes/techniques.toml for what is only a knob of the skeleton.

`--with R:T` copies T from recipe R with its knobs and its place in the chain; `--without T` takes it out.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from golf.errors import GolfError
from golf.recipe.catalogue import Catalogue, did_you_mean
from golf.recipe.knobs import checked
from golf.recipe.recipe import Recipe

PLACE = re.compile(r"(?:slot|chain) `(\w+)`")  # how a technique's docstring says where it goes


@dataclass(frozen=True)
class Technique:
    """One technique. off: for a row, its knobs with the values that switch it off; None for a part with code of its own."""

    name: str
    summary: str
    knobs: tuple[str, ...]
    off: Mapping[str, Any] | None = None
    pr: str = ""
    authors: tuple[str, ...] = ()

    def used_in(self, recipe: Recipe) -> bool:
        """Whether a recipe's values choose it."""
        if self.off is not None:
            return any(recipe.values.get(knob, value) != value for knob, value in self.off.items())
        return bool(entries(recipe, self.name))


@lru_cache(maxsize=1)
def rows() -> Mapping[str, Mapping[str, Any]]:
    """The rows of recipes/techniques.toml by name."""
    path = files("golf") / "recipes" / "techniques.toml"
    if not path.is_file():
        return MappingProxyType({})
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    for name, row in table.items():
        known = {"knobs", "off", "pr", "authors", "summary"}
        if not isinstance(row, dict) or set(row) - known or set(row.get("knobs", ())) != set(row.get("off", ())):
            raise GolfError(
                f"techniques.toml: row `{name}` has another form", f"its keys are {', '.join(sorted(known))}"
            )
    return MappingProxyType(table)


def techniques(catalogue: Catalogue) -> dict[str, Technique]:
    """Every technique that a catalogue's recipes may choose, by name, sorted."""
    found = {
        stem: Technique(stem, part.summary, tuple(k.name for k in part.knobs))
        for stem, part in catalogue.parts.items()
        if part.technique
    }
    for name, row in rows().items():
        if all(knob in catalogue.knobs for knob in row["knobs"]):
            off = {k: checked(catalogue, catalogue.knobs[k], v, "techniques.toml") for k, v in row["off"].items()}
            authors = tuple(row.get("authors", ()))
            found[name] = Technique(name, row["summary"], tuple(row["knobs"]), off, str(row.get("pr", "")), authors)
    return dict(sorted(found.items()))


def find_technique(catalogue: Catalogue, name: str) -> Technique:
    """A technique by its name, or by the name of a class or function in its file. GolfError with the nearest."""
    known = techniques(catalogue)
    bare = name.removeprefix("user:").partition(".")[0]
    if bare in known:
        return known[bare]
    definition = catalogue.definitions.get(bare)
    if definition is not None and definition.part in known:
        return known[definition.part]
    raise GolfError(
        f"no technique is called `{name}`", did_you_mean(bare, list(known)) or "`golf ls techniques` lists them"
    )


def entries(recipe: Recipe, technique: str) -> dict[str, tuple[str, ...]]:
    """Slot or chain → the entries in it that come from a technique's file."""
    return dict(recipe.plugged.get(technique, {}))
