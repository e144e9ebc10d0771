"""The whole way from a recipe to a composed file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from golf.errors import GolfError
from golf.recipe import Recipe, refuse_values
from golf.recipe.partfile import Definition, Part

if TYPE_CHECKING:
    from golf.compose.shake import Live

# what golf's own tools ask of a composed module by name (golf.rules.dynamic, golf.models): these keep their parameters, and so does
# every member of these chains
OPEN = ("build", "Env", "Stream", "load_artifact", "load_weights", "read_container")
OPEN_KNOBS = ("reports",)


@dataclass(frozen=True)
class Composition:
    """A composed file. parts: in the file's order; definitions: (what, its folded text); read: knobs that have an effect.

    twin_faults: why the small twin cannot run, as sentences with file and line; empty where it can.
    """

    recipe: Recipe
    text: str
    parts: tuple[Part, ...]
    definitions: tuple[tuple[Definition, str], ...]
    scalars: Mapping[str, Any]
    read: frozenset[str]
    twin_faults: tuple[str, ...] = ()


def composition(recipe: Recipe) -> Composition:
    """The composed file with what it is made of. Raises GolfError, see `golf.compose.compose`."""
    from golf.compose.chapters import (
        chapters,
        parts_in_order,
    )  # what is kept (golf.compose.kept) is read without libcst
    from golf.compose.emit import render
    from golf.compose.lint import lint, refuse

    refuse_values(recipe)
    live = trimmed(recipe)
    mine = tuple(part.stem for part in recipe.catalogue.parts.values() if part.user)
    if mine:
        refuse(lint(recipe.catalogue, mine))
    read = live.knobs | live.decided
    _refuse_unread(recipe, read)
    found = chapters(recipe, live)
    parts = parts_in_order(recipe, live, found)
    text = render(recipe, live, found)
    definitions = [(live.definitions[name], live.text_of(name)) for chapter in found for name in chapter.definitions]
    kept = {name: recipe.values[name] for name in sorted(live.knobs)}
    return Composition(recipe, text, tuple(parts), tuple(definitions), kept, frozenset(read), tuple(live.twin_faults))


def trimmed(recipe: Recipe) -> "Live":
    """What the entry point reaches, trimmed; what this leaves unreached is shaken off, until nothing changes."""
    from golf.compose.shake import shake
    from golf.compose.trim import trim

    open_names = {*OPEN, recipe.entry.partition(":")[2]}
    for knob in OPEN_KNOBS:
        open_names |= {recipe.catalogue.find(name, knob).names[0] for name in recipe.values.get(knob, ())}
    values = {name: (value, recipe.twin.get(name, value)) for name, value in recipe.values.items()}
    live = shake(recipe)
    while True:
        texts = {name: live.text_of(name) for name in live.definitions}
        fewer = trim(texts, frozenset(open_names), values)
        if fewer == texts:
            return live
        live = shake(recipe, fewer)


def _refuse_unread(recipe: Recipe, read: set[str]) -> None:
    unread = sorted(recipe.own - read - {"name"})
    if not unread:
        return
    knob = recipe.catalogue.knobs[unread[0]]
    shown = recipe.catalogue.parts[knob.part].shown
    others = f" (and {', '.join(f'`{u}`' for u in unread[1:])})" if len(unread) > 1 else ""
    raise GolfError(
        f"`{knob.name}` of {recipe.name} is read by nothing in the composed file{others}",
        f"remove it, or choose the technique that reads it  [{shown}]",
    )
