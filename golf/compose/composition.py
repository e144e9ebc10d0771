"""The whole way from a recipe to a composed file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from golf.errors import GolfError
from golf.recipe import Recipe, refuse_values
from golf.recipe.partfile import Definition, Part


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
    from golf.compose.emit import render  # what is kept (golf.compose.kept) is read without libcst
    from golf.compose.lint import lint, refuse
    from golf.compose.shake import module_order, shake

    refuse_values(recipe)
    live = shake(recipe)
    mine = tuple(part.stem for part in recipe.catalogue.parts.values() if part.user)
    if mine:
        refuse(lint(recipe.catalogue, mine))
    read = live.knobs | live.decided
    _refuse_unread(recipe, read)
    parts = module_order(recipe.catalogue, live)
    text = render(recipe, live, parts)
    definitions = [(definition, live.text_of(name)) for name, definition in live.definitions.items()]
    order = {part.stem: i for i, part in enumerate(parts)}
    definitions.sort(key=lambda pair: (order[pair[0].part], pair[0].line))
    kept = {name: recipe.values[name] for name in sorted(live.knobs)}
    return Composition(recipe, text, tuple(parts), tuple(definitions), kept, frozenset(read), tuple(live.twin_faults))


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
