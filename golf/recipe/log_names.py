"""Knob ↔ hyper-parameter of a public log ↔ environment name: `log_names.toml`, and how values are compared across them."""

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from golf.recipe.recipe import Recipe
from golf.recipe.techniques import techniques


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Mapping[str, Any]]:
    path = files("golf.recipe").joinpath("log_names.toml")
    return MappingProxyType(tomllib.loads(path.read_text(encoding="utf-8")))


def log_names(knob: str) -> tuple[str, ...]:
    """The names under which public logs print a knob; its own name where the table has none."""
    return tuple(_table()["knobs"].get(knob, (knob,)))


def environment_name(knob: str) -> str:
    """The variable by which public scripts take a knob's value."""
    return log_names(knob)[0].upper()


def live_values(recipe: Recipe) -> dict[str, Any]:
    """The knobs that a recipe reads: those of the skeleton and of the techniques that it uses."""
    unused = {
        knob
        for technique in techniques(recipe.catalogue).values()
        if not technique.used_in(recipe)
        for knob in technique.knobs
    }
    used = {
        knob
        for technique in techniques(recipe.catalogue).values()
        if technique.used_in(recipe)
        for knob in technique.knobs
    }
    return {name: value for name, value in recipe.values.items() if name not in unused - used}


def in_log_names(recipe: Recipe, printed: Mapping[str, str]) -> dict[str, str]:
    """A recipe's values under the names that a log prints, as text: of the hyper-parameters in `printed` those that golf has a knob for."""
    values, found = live_values(recipe), dict[str, str]()
    for knob, value in values.items():
        for name in log_names(knob):
            if name in printed:
                found.setdefault(name, as_text(value))
    for name, (knob, member) in _table()["switches"].items():
        if name in printed and knob in recipe.values:
            held = recipe.values[knob]
            members = held if isinstance(held, tuple) else (held,)
            found[name] = str(any(str(one).startswith(member) for one in members))
    return found


def as_text(value: Any) -> str:
    """A knob's value as logs print one."""
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def same_value(one: str, two: str) -> bool:
    """Whether two texts are one value: 4 and 4.0, 1 and True, (3, 4) and 3,4."""
    left, right = (_plain(text) for text in (one, two))
    try:
        return float(left) == float(right)
    except ValueError:
        return left == right


def _plain(text: str) -> str:
    plain = re.sub(r"[\s'\"]", "", text).strip("()[]").strip(",")
    return {"True": "1", "False": "0", "None": ""}.get(plain, plain)
