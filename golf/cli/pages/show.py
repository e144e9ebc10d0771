"""One thing whole: the pages of `golf show`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from golf.board.asked import asked_recipe
from golf.cli.pages.imported import lines_of as lines_of_import
from golf.cli.pages.knobs import KINDS, facts_of, kind_of, lines_of
from golf.cli.pages.ls import project_recipes, user_catalogues
from golf.errors import GolfError
from golf.files import toml
from golf.project import submission_names
from golf.recipe import Recipe, load_recipe, shipped_recipes
from golf.recipe.catalogue import Catalogue, did_you_mean, load_catalogue
from golf.recipe.knobs import knob_hint
from golf.recipe.places import Place, places_of
from golf.recipe.techniques import Technique, entries, find_technique, rows, techniques
from golf.record.imported import imported


@dataclass(frozen=True)
class Page:
    """A page: its facts as data for `--json`, and its lines."""

    facts: Mapping[str, Any]
    lines: tuple[str, ...]


def show(name: str, every: bool = False) -> Page:
    """The page of `technique:NAME`, `recipe:NAME`, `slot:NAME` (or chain, knob), or whatever bears the name.

    every: a recipe's defaults too. Raises GolfError with the nearest name.
    """
    kind, colon, bare = name.partition(":")
    if colon and kind in ("technique", "recipe", *KINDS):
        if kind == "recipe":
            return recipe_page(load_recipe(asked_recipe(bare)), every)
        return technique_page(bare) if kind == "technique" else knob_page(bare)
    if (adopted := imported(name)) is not None and not colon:
        return Page(adopted.facts(), tuple(lines_of_import(adopted)))
    known = [*shipped_recipes(), *submission_names()]
    if "github.com/" in name:
        return recipe_page(load_recipe(asked_recipe(name)), every)
    if name in known or "/" in name or name.endswith(".toml"):
        return recipe_page(load_recipe(name), every)
    catalogues = [load_catalogue(), *user_catalogues().values()]
    knobs = dict.fromkeys(knob for catalogue in catalogues for knob in catalogue.knobs)
    for page in (technique_page, knob_page):
        try:
            found = page(name)
        except GolfError:
            continue
        if page is technique_page and name in knobs:
            of = kind_of(next(c.knobs[name] for c in catalogues if name in c.knobs))
            return Page(found.facts, (*found.lines, "", f"there is a {of} of this name too: `golf show {of}:{name}`"))
        return found
    if any(letter.isdigit() for letter in name):  # no technique is called by a number: a PR or a record folder
        return recipe_page(load_recipe(asked_recipe(name)), every)
    hint = did_you_mean(name.removeprefix("user:"), [*known, *(t for c in catalogues for t in techniques(c)), *knobs])
    raise GolfError(
        f"there is no recipe, submission, technique, slot, chain or knob `{name}`",
        hint or "`golf ls` and `golf ls techniques` list what there is",
    )


def knob_page(name: str) -> Page:
    """A knob, slot or chain of the parts or of a submission's own techniques. Raises GolfError with the nearest."""
    own = user_catalogues()
    catalogue = next((c for c in (load_catalogue(), *own.values()) if name in c.knobs), None)
    if catalogue is None:
        raise GolfError(f"no part has a knob, slot or chain `{name}`", knob_hint(load_catalogue(), name))
    recipes = [r for r in (*map(load_recipe, shipped_recipes()), *project_recipes()) if name in r.values]
    facts = facts_of(catalogue, name, recipes, own)
    return Page(facts, tuple(lines_of(facts)))


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
        "unsaid": [dict(fact) for fact in row_of(recipe).unsaid],
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
    if (row := row_of(recipe)).unsaid:
        whose = "its README" if row is recipe else f"the README of {row.name}, which it extends,"
        yield from ("", f"what {whose} does not say:", *unsaid_lines(row))
    section, width = None, max([len(f"{v['knob']} = {toml(v['value'])}") for v in values], default=0)
    for value in sorted(values, key=lambda v: v["part"]):
        if value["part"] != section:
            section = value["part"]
            yield from ("", f"[{section}]")
        meaning = f": {value['meaning']}" if value["meaning"] else ""
        text = f"{value['knob']} = {toml(value['value'])}"
        yield f"{text:{min(width, 60)}}  # {value['origin']}{meaning}"


def row_of(recipe: Recipe) -> Recipe:
    """The recipe where it was published, else the shipped one that it extends at once: a submission runs the same code."""
    shipped, parent = shipped_recipes(), recipe.chain[1] if len(recipe.chain) > 1 else ""
    ships = recipe.name in shipped and recipe.name != parent
    if recipe.published or recipe.unsaid or ships or parent not in shipped:
        return recipe
    return load_recipe(shipped[parent])


def unsaid_lines(recipe: Recipe) -> Iterator[str]:
    """What the row's code does that its README does not say, one fact a line, with its evidence."""
    for fact in recipe.unsaid:
        yield f"{fact['kind']}: {fact['says']} [{fact['evidence']}]"


def technique_page(name: str) -> Page:
    """A technique: what, from whom, knobs with defaults, where it plugs in, with whom it shares a slot, who uses it."""
    catalogue, technique = _find(name)
    recipes = [load_recipe(recipe) for recipe in shipped_recipes()]
    mine = [recipe for recipe in project_recipes() if technique.name in techniques(recipe.catalogue)]
    users = [recipe for recipe in (*recipes, *mine) if technique.used_in(recipe)]
    points = {knob: list(held) for recipe in users for knob, held in entries(recipe, technique.name).items()}
    places = [] if technique.off is not None else places_of(catalogue, technique.name, users)
    facts = {
        "name": technique.name,
        "summary": technique.summary,
        "text": _text(catalogue, technique),
        "knobs": [_knob(catalogue, knob, technique) for knob in technique.knobs],
        "file": catalogue.parts[technique.name].shown if technique.off is None else None,
        "plugs_into": points,
        "fits": {} if points else _by_knob(places),
        "example": _example(catalogue, technique, places),
        "excludes": _rivals(catalogue, recipes, technique, points),
        "used_by": list(dict.fromkeys(recipe.name for recipe in users)),
        "pr": technique.pr or None,
        "authors": list(technique.authors),
        "source_bytes": len(catalogue.parts[technique.name].text.encode()) if technique.off is None else 0,
    }
    return Page(facts, tuple(_technique_lines(facts)))


def _find(name: str) -> tuple[Catalogue, Technique]:
    """A technique that ships, or a submission's own, with the catalogue that knows it."""
    try:
        return load_catalogue(), find_technique(load_catalogue(), name)
    except GolfError:
        for catalogue in user_catalogues().values():
            try:
                return catalogue, find_technique(catalogue, name)
            except GolfError:
                continue
        raise


def _by_knob(places: list[Place]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for place in places:
        found.setdefault(place.knob.name, []).append(place.entry)
    return found


def _example(catalogue: Catalogue, technique: Technique, places: list[Place]) -> list[str]:
    """Lines for recipe.toml that choose a technique: one entry of each place, or of the first where the places are alternatives."""
    if technique.off is not None:
        rows = {catalogue.knobs[knob].part: [] for knob in technique.knobs}  # type: dict[str, list[str]]
        for knob in technique.knobs:
            rows[catalogue.knobs[knob].part].append(f"{knob} = {toml(catalogue.knobs[knob].default)}")
        return [line for section, lines in rows.items() for line in (f"[{section}]", *lines)]
    first = {place.entry: place for place in reversed(places)}
    lines: list[str] = []
    for place in first.values() if len({p.knob.name for p in first.values()}) == len(first) else places[:1]:
        value = place.entry if place.knob.kind == "Slot" else (place.entry,)
        lines += [f"[{place.knob.part}]", f"{place.knob.name} = {toml(value)}"]
    return lines


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
    for paragraph in str(facts["text"]).split("\n\n"):
        yield from ("", " ".join(paragraph.split()))
    yield ""
    for key in ("file", "pr", "authors", "used_by", "excludes", "source_bytes"):
        value = facts[key]
        if value:
            yield f"{key.replace('_', ' '):14}{', '.join(value) if isinstance(value, list) else value}"
    for key in ("plugs_into", "fits"):
        for point, members in facts[key].items():
            yield f"{key.replace('_', ' '):14}{point} = {', '.join(members)}"
    for knob in facts["knobs"]:
        off = f", off at {toml(knob['off'])}" if "off" in knob else ""
        yield f"{'knob':14}{knob['knob']} = {toml(knob['default'])}  # {knob['type']} of [{knob['part']}]{off}  {knob['meaning']}".rstrip()
    if facts["example"]:
        yield from ("", "in recipe.toml:", "", *facts["example"])
