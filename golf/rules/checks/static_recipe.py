"""What the recipe of a script that golf composed says of it: R23, R42, R47. A fact that its knobs state, with the recipe that set them.

A recipe can accuse its own script, never clear it: whoever edits the script leaves the recipe as it was. Nothing of it is run.
"""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.recipe import Recipe, load_recipe, shipped_recipes
from golf.rules.findings import Result, State
from golf.rules.subject import Subject

PHASED, APART, SMEARED = "ttt_phased", "ttt_lora", "smear_input"
RULE_WORDS = {
    "R23": ("order", "phase", "queue"),
    "R42": ("mask", "smear", "document's start"),
    "R47": ("order", "hint", "queue"),
}


def recipe_of(subject: Subject) -> Recipe | None:
    """The recipe that lies beside a script, or that a record of golf names; None where there is none that can be read."""
    return subject.once("recipe", _recipe_of)


def _recipe_of(subject: Subject) -> Recipe | None:
    from golf.project import is_adopted
    from golf.rules.ownership import named_recipes

    beside = (subject.path.parent if subject.kind == "script" else subject.folder) / "recipe.toml"
    if is_adopted(beside.parent):
        return None
    found: list[tuple[str | Path, list[str]]] = [(beside, [])] if beside.is_file() else []
    for name, overrides in (*named_recipes(subject), *found):
        try:
            return load_recipe(name, overrides)
        except (GolfError, OSError, ValueError, TypeError, KeyError, RecursionError):
            continue
    return None


def _fact(code: str, subject: Subject) -> Iterable[Result]:
    recipe = recipe_of(subject)
    if recipe is None:
        return
    for knob, says in FACTS[code](recipe):
        setter = recipe.origins.get(knob, recipe.name)
        yield Result(
            State.UNKNOWN, f"its own recipe says so: {says} (`{knob}` of recipe {setter})", tuple(_unsaid(recipe, code)),
            file="recipe.toml", strict=State.FAIL,
        )  # fmt: skip


def _unsaid(recipe: Recipe, code: str) -> Iterable[str]:
    """What the recipe, or one that it extends, tells of the row's script on a rule."""
    shipped = shipped_recipes()
    for name in recipe.chain:
        rows = recipe.unsaid if name == recipe.name else _rows_of(shipped[name]) if name in shipped else ()
        for row in rows:
            if row.get("kind") in ("missing mask", "order") and any(
                word in row.get("says", "") for word in RULE_WORDS[code]
            ):
                yield f"recipe {name}: {row['says']} ({row['evidence']})"


@cache
def _rows_of(path: Path) -> tuple[Mapping[str, str], ...]:
    """What a shipped recipe's own file says that its row leaves out."""
    return tuple(tomllib.loads(path.read_text(encoding="utf-8")).get("unsaid", ()))


def _last_report(values: Any) -> str:
    return str((values.get("reports") or ("",))[-1]).partition(".")[0]


def _smear(recipe: Recipe) -> Iterable[tuple[str, str]]:
    if SMEARED in recipe.plugged and recipe.values.get("smear_bos_mask") is False:
        yield "smear_bos_mask", "the smear gate lets a document's last token into the next document's first"


def _order(recipe: Recipe) -> Iterable[tuple[str, str]]:
    values = recipe.values
    last = _last_report(values)
    if last == PHASED:
        yield "reports", "documents are scored in a queue by length, and the weights learn from those scored before"
    elif last == APART and values.get("lora_warm_a"):
        yield "lora_warm_a", "documents are scored in a queue by length, and adapters start from what those before left"


def _one_order(recipe: Recipe) -> Iterable[tuple[str, str]]:
    if recipe.values.get("tilt") and _last_report(recipe.values) in (PHASED, APART):
        yield (
            "tilt",
            "hints follow the stream, and scores the queue by length: no one order has every score depend on earlier ones only",
        )


FACTS = {"R23": _order, "R42": _smear, "R47": _one_order}
boundary, order, one_order = (partial(_fact, code) for code in ("R42", "R23", "R47"))
