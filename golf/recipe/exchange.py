"""Take a technique out of a recipe, or put one in, at its place in slots and chains and with its knobs."""

from dataclasses import replace
from typing import Any

from golf.errors import GolfError
from golf.recipe.catalogue import Catalogue
from golf.recipe.files import shipped_recipes
from golf.recipe.places import places_of
from golf.recipe.read import read_recipe
from golf.recipe.recipe import Recipe, changed, with_folders
from golf.recipe.techniques import PLACE, Technique, entries, find_technique, techniques


def without_technique(recipe: Recipe, name: str) -> Recipe:
    """The recipe with a technique taken out: of its chains and slots, and its knobs back at their defaults.

    Raises GolfError when the recipe does not use it, or when a slot has nothing else to fall back on.
    """
    catalogue, technique = recipe.catalogue, find_technique(recipe.catalogue, name)
    if not technique.used_in(recipe):
        using = [t.name for t in techniques(catalogue).values() if t.used_in(recipe)]
        raise GolfError(f"{recipe.name} does not use `{technique.name}`", f"it uses {', '.join(using) or 'none'}")
    if technique.off is not None:
        return changed(recipe, {k: v for k, v in technique.off.items() if recipe.values[k] != v}, f"without {name}")
    values: dict[str, Any] = {}
    for knob, mine in entries(recipe, technique.name).items():
        if catalogue.knobs[knob].kind == "Chain":
            values[knob] = tuple(v for v in recipe.values[knob] if v not in mine)
            continue
        values[knob] = catalogue.knobs[knob].default
        if values[knob] and catalogue.find(values[knob], knob).part == technique.name:
            raise GolfError(
                f"`{technique.name}` is what the slot `{knob}` holds by default", f"choose another: `{knob}=NAME`"
            )
    result = changed(recipe, values, f"without {name}")
    inherited = {k: catalogue.knobs[k].default for k in technique.knobs}
    result = changed(result, inherited, "default")
    return replace(result, own=(result.own | values.keys()) - set(technique.knobs))


def with_technique(recipe: Recipe, request: str) -> Recipe:
    """The recipe with technique T of recipe R, asked for as `R:T`: its entries, its knobs, its place in a chain.

    As `T` alone: at the one place where it goes, see `_placed_alone`. Raises GolfError when R does not use T, or T is already in.
    """
    origin, colon, name = request.partition(":")
    if not colon or origin == "user":
        return _placed_alone(recipe, find_technique(recipe.catalogue, request))
    source = read_recipe(origin)
    technique = find_technique(source.catalogue, name)
    if not technique.used_in(source):
        raise GolfError(f"{source.name} does not use `{technique.name}`", f"`golf show {technique.name}` says who does")
    recipe = with_folders(recipe, source.folders if _is_user(source, technique.name) else ())
    values: dict[str, Any] = {k: source.values[k] for k in technique.knobs}
    for knob, mine in (entries(source, technique.name) if technique.off is None else {}).items():
        if source.catalogue.knobs[knob].kind == "Slot":
            values[knob] = mine[0]
        else:
            values[knob] = recipe.values[knob]
            for member in mine:
                values[knob] = _placed(recipe.catalogue, values[knob], source.values[knob], member)
    values = {k: v for k, v in values.items() if recipe.values.get(k) != v}
    if not values:
        raise GolfError(f"{recipe.name} already has `{technique.name}` as {source.name} has it", None)
    return changed(recipe, values, source.name)


def _placed_alone(recipe: Recipe, technique: Technique) -> Recipe:
    """The recipe with a technique that was named without a recipe to take it from.

    Where the recipes that use it agree on its place it goes there, with their values of its knobs if they agree on those too, else
    with its own defaults; where none uses it, to the one place that it fits. GolfError with the choices otherwise.
    """
    name, catalogue = technique.name, recipe.catalogue
    shipped = [r for r in map(read_recipe, shipped_recipes()) if r.package == recipe.package]
    using = [r for r in shipped if technique.used_in(r)]
    knobs = [{k: r.values[k] for k in technique.knobs} for r in using]
    if (
        using
        and all(entries(r, name) == entries(using[0], name) for r in using)
        and (technique.off is None or _alike(knobs))
    ):
        found = with_technique(recipe, f"{using[0].name}:{name}")
        return (
            found if _alike(knobs) else changed(found, {k: catalogue.knobs[k].default for k in technique.knobs}, name)
        )
    if using:
        different = {
            repr((entries(r, name), mine)): r.name for r, mine in zip(reversed(using), reversed(knobs), strict=True)
        }
        shown = ", ".join(f"`--with {r}:{name}`" for r in sorted(different.values()))
        raise GolfError(f"the recipes use `{name}` in {len(different)} ways", f"say which: {shown}")
    places = places_of(catalogue, name)
    if not places:
        raise GolfError(f"`{name}` fits no slot and no chain", f"`golf show {name}` says what it is for")
    if len({place.knob.name for place in places}) < len(places) or (len(places) > 1 and not _named(catalogue, name)):
        ways = ", ".join(f"`{place.knob.name}={place.entry}`" for place in places)
        raise GolfError(f"`{name}` fits {len(places)} places", f"instead of `--with {name}`, say which: {ways}")
    values: dict[str, Any] = {}
    for place in places:
        chain = place.knob.kind == "Chain"
        held = recipe.values[place.knob.name]
        if place.entry in (held if chain else (held,)):
            raise GolfError(f"{recipe.name} already has `{name}`", None)
        values[place.knob.name] = (*held, place.entry) if chain else place.entry
    return changed(recipe, values, name)


def _alike(tables: list[dict[str, Any]]) -> bool:
    return all(table == tables[0] for table in tables)


def _named(catalogue: Catalogue, technique: str) -> bool:
    return bool(PLACE.search(catalogue.parts[technique].doc))


def _is_user(recipe: Recipe, technique: str) -> bool:
    return technique in recipe.catalogue.parts and recipe.catalogue.parts[technique].user


def _placed(catalogue: Catalogue, chain: tuple[str, ...], model: tuple[str, ...], member: str) -> tuple[str, ...]:
    """`chain` with `member` where it stands in `model`: after the nearest neighbour before it, else before the nearest after."""

    def name(reference: str) -> str:
        return reference.removeprefix("user:").rpartition(".")[2]

    names, at = [name(v) for v in chain], model.index(member)
    if name(member) in names:
        return chain
    for neighbour in reversed(model[:at]):
        if name(neighbour) in names:
            place = names.index(name(neighbour)) + 1
            return (*chain[:place], member, *chain[place:])
    for neighbour in model[at + 1 :]:
        if name(neighbour) in names:
            place = names.index(name(neighbour))
            return (*chain[:place], member, *chain[place:])
    return (*chain, member)
