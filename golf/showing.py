"""One thing whole: the pages of `golf show`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from golf.catalogue import Catalogue, did_you_mean
from golf.errors import GolfError
from golf.knobs import toml
from golf.project import submission_names
from golf.recipe import Recipe, load_recipe, shipped_recipes
from golf.techniques import Technique, entries, find_technique, rows, techniques


@dataclass(frozen=True)
class Page:
    """A page: its facts as data for `--json`, and its lines."""

    facts: Mapping[str, Any]
    lines: tuple[str, ...]


def show(name: str, every: bool = False) -> Page:
    """The page of `technique:NAME`, `recipe:NAME`, or whatever bears the name. every: a recipe's defaults too.

    Raises GolfError with the nearest name.
    """
    kind, colon, bare = name.partition(":")
    if colon and kind in ("technique", "recipe"):
        return technique_page(bare) if kind == "technique" else recipe_page(load_recipe(bare), every)
    known = [*shipped_recipes(), *submission_names()]
    if name in known or "/" in name or name.endswith(".toml"):
        return recipe_page(load_recipe(name), every)
    try:
        return technique_page(name)
    except GolfError:
        everything = [*known, *techniques(_catalogue())]
        hint = did_you_mean(name, everything) or "`golf ls` and `golf ls techniques` list what there is"
        raise GolfError(f"there is no recipe, submission or technique `{name}`", hint) from None


def _catalogue() -> Catalogue:
    from golf.catalogue import load_catalogue

    return load_catalogue()


def recipe_page(recipe: Recipe, every: bool = False) -> Page:
    """A recipe with the origin of each value."""
    catalogue = recipe.catalogue
    values = [
        {
            "knob": n,
            "value": v,
            "origin": recipe.origins[n],
            "part": catalogue.knobs[n].part,
            "meaning": catalogue.knobs[n].meaning,
        }
        for n, v in recipe.values.items()
        if every or recipe.origins[n] != "default"
    ]
    facts = {
        "name": recipe.name,
        "title": recipe.title,
        "summary": recipe.summary,
        "extends": list(recipe.chain[1:]),
        "track": recipe.track,
        "seeds": list(recipe.seeds),
        "authors": list(recipe.authors),
        "credits": list(recipe.credits),
        "source": recipe.source,
        "ruling": list(recipe.ruling),
        "legal_variant": recipe.legal_variant or None,
        "published": dict(recipe.published),
        "techniques": [t.name for t in techniques(catalogue).values() if t.used_in(recipe)],
        "values": values,
    }
    return Page(facts, tuple(_recipe_lines(recipe, facts, values)))


def _recipe_lines(recipe: Recipe, facts: Mapping[str, Any], values: list[dict[str, Any]]) -> Iterator[str]:
    yield f"{recipe.name}  {recipe.title}".rstrip()
    if recipe.summary:
        yield recipe.summary
    yield ""
    about = ("track", "seeds", "extends", "authors", "credits", "source", "ruling", "legal_variant", "techniques")
    for key in about:
        if facts[key]:
            yield f"{key.replace('_', ' '):14}{', '.join(map(str, facts[key])) if isinstance(facts[key], list) else facts[key]}"
    for key, value in recipe.published.items():
        yield f"{'published' if key == next(iter(recipe.published)) else '':14}{key} = {value}"
    section, width = None, max([len(f"{v['knob']} = {toml(v['value'])}") for v in values], default=0)
    for value in sorted(values, key=lambda v: v["part"]):
        if value["part"] != section:
            section = value["part"]
            yield from ("", f"[{section}]")
        meaning = f": {value['meaning']}" if value["meaning"] else ""
        text = f"{value['knob']} = {toml(value['value'])}"
        yield f"{text:{min(width, 60)}}  # {value['origin']}{meaning}"


def technique_page(name: str) -> Page:
    """A technique: what, from whom, knobs with defaults, where it plugs in, with whom it shares a slot, who uses it."""
    catalogue = _catalogue()
    technique = find_technique(catalogue, name)
    recipes = [load_recipe(recipe) for recipe in shipped_recipes()]
    users = [recipe for recipe in recipes if technique.used_in(recipe)]
    points = {knob: list(mine) for recipe in users for knob, mine in entries(recipe, technique.name).items()}
    facts = {
        "name": technique.name,
        "summary": technique.summary,
        "text": _text(catalogue, technique),
        "knobs": [_knob(catalogue, knob, technique) for knob in technique.knobs],
        "file": catalogue.parts[technique.name].shown if technique.off is None else None,
        "plugs_into": points,
        "excludes": _rivals(catalogue, recipes, technique, points),
        "used_by": [recipe.name for recipe in users],
        "pr": technique.pr or None,
        "authors": list(technique.authors),
        "source_bytes": len(catalogue.parts[technique.name].text.encode()) if technique.off is None else 0,
    }
    return Page(facts, tuple(_technique_lines(facts)))


def _text(catalogue: Catalogue, technique: Technique) -> str:
    if technique.off is not None:
        return str(rows()[technique.name]["summary"])
    return catalogue.parts[technique.name].doc


def _knob(catalogue: Catalogue, name: str, technique: Technique) -> dict[str, Any]:
    knob = catalogue.knobs[name]
    off = {"off": technique.off[name]} if technique.off is not None else {}
    return {"knob": name, "type": knob.kind, "default": knob.default, "part": knob.part, "meaning": knob.meaning, **off}


def _rivals(catalogue: Catalogue, recipes: list[Recipe], technique: Technique, points: Mapping[str, Any]) -> list[str]:
    """What other recipes put into the slots that this technique fills: a slot holds one."""
    found = set[str]()
    for knob in points:
        if catalogue.knobs[knob].kind == "Slot":
            chosen = {recipe.values[knob] for recipe in recipes} | {catalogue.knobs[knob].default}
            found |= {catalogue.find(v, knob).part for v in chosen if v}
    return sorted(found - {technique.name})


def _technique_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"technique:{facts['name']}"
    yield from ("", *str(facts["text"]).splitlines(), "")
    for key in ("file", "pr", "authors", "used_by", "excludes", "source_bytes"):
        value = facts[key]
        if value:
            yield f"{key.replace('_', ' '):14}{', '.join(value) if isinstance(value, list) else value}"
    for point, members in facts["plugs_into"].items():
        yield f"{'plugs into':14}{point} = {toml(members)}"
    for knob in facts["knobs"]:
        off = f", off at {toml(knob['off'])}" if "off" in knob else ""
        yield f"{'knob':14}{knob['knob']} = {toml(knob['default'])}  # {knob['type']} of [{knob['part']}]{off}  {knob['meaning']}".rstrip()
