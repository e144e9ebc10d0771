"""Whose script it is: ours is what golf composes, and nothing else is executed unasked.

Neither a `golf.lock` nor the look of a script proves anything: a stranger's folder can hold both. So the recipe that the folder
names is composed again, and the script must be that code: readable, minified, or its small twin. Composing reads parts as text and
runs none of them. A technique that lies outside this project is a stranger's too.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.recipe.knobs import assignments
from golf.rules.subject import Subject

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def why_not_ours(subject: Subject) -> str | None:
    """Why a script is not one that golf composed; None when composing gives it again. Composed once per subject."""
    return subject.once("why_not_ours", _why_not_ours)


def _why_not_ours(subject: Subject) -> str | None:
    if subject.source is None:
        return "there is no script"
    if subject.kind == "script":
        return "it is a script without a submission"
    text = subject.source.main.text
    why = "it has no recipe or no golf.lock that it could be composed from"
    for recipe, overrides in named_recipes(subject):
        try:
            if _gives(_forms(recipe, overrides), text):
                return None
            why = "composing its recipe does not give it: it was edited, or composed by another golf"
        except GolfError as fault:
            why = fault.message
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as fault:
            why = f"its recipe cannot be composed: {fault}"
    return why


def _gives(forms: Iterator[str], text: str) -> bool:
    """Whether one of the composed forms is this text, or does what it does."""
    code = None
    for form in forms:
        if form == text:
            return True
        try:
            code = code or _code(text)
        except (SyntaxError, MemoryError):
            return False
        if code == _code(form):
            return True
    return False


def _code(text: str) -> str:
    """What a script does: without comments and without the words on top, where a submission's name and authors stand."""
    tree = ast.parse(text)
    if tree.body and isinstance(tree.body[0], ast.Expr) and isinstance(tree.body[0].value, ast.Constant):
        del tree.body[0]
    return ast.dump(tree)


def named_recipes(subject: Subject) -> Iterator[tuple[str | Path, list[str]]]:
    """(recipe, overrides) that the folder says its script was composed from."""
    from golf.project import is_adopted

    if subject.kind == "submission":
        if (subject.folder / "golf.lock").is_file() and not is_adopted(subject.folder):
            yield subject.folder / "recipe.toml", _overrides(next((run.derived for run in subject.stored_runs), None))
        return
    told = (subject.claims or {}).get("golf")
    if isinstance(told, dict) and isinstance(told.get("recipe"), str) and NAME.fullmatch(told["recipe"]):
        from golf.project import find_root

        derived = _overrides(told.get("derived"))
        submission = find_root(subject.folder) / "submissions" / told["recipe"]
        if (submission / "recipe.toml").is_file() and not is_adopted(submission):
            yield submission / "recipe.toml", derived
        yield told["recipe"], derived


def _overrides(changes: Any) -> list[str]:
    """`key=value` of changed keys, as the command line takes them."""
    return assignments(changes) if isinstance(changes, dict) else []


def _forms(name: str | Path, overrides: list[str]) -> Iterator[str]:
    """What composing gives, in the forms that ship, the quick ones first; GolfError for a technique that is not this project's."""
    from golf.compose import compose, rescale
    from golf.compose.pack import minify
    from golf.project import find_root
    from golf.recipe import load_recipe, smoke_sizes

    recipe = load_recipe(name, overrides)
    here = find_root().resolve()
    for folder in recipe.folders:
        if not folder.resolve().is_relative_to(here):
            raise GolfError(f"its techniques in {folder} are not this project's", "`--execute` runs them in a sandbox")
    text = compose(recipe)
    twin = rescale(text, smoke_sizes(recipe))
    yield text
    yield twin
    yield rescale(twin, {"vocab_size": recipe.values.get("vocab_size", 0)})  # on shards of its own vocabulary
    small = minify(text)
    yield small
    yield minify(twin)
    yield rescale(
        small, smoke_sizes(recipe)
    )  # the twin of a packed submission: values written as `rescale` writes them
