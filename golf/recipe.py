"""Recipes: a TOML file that fixes every choice of a submission, with one parent, becomes one frozen `Recipe`.

A recipe holds what it is (name, title, track, seeds, credits, source, published numbers, ruling) and sections of knobs. A
section is named after the part that declares its knobs, so a reader knows the file; knob names are unique, so `h` is flat.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from golf.catalogue import Catalogue, did_you_mean, load_catalogue
from golf.errors import GolfError
from golf.knobs import checked, knob_hint, parsed, refuse_out_of_bounds
from golf.recipe_files import ancestry, find_recipe, name_of, shipped_recipes

__all__ = [
    "Recipe",
    "changed",
    "diff",
    "find_recipe",
    "load_recipe",
    "refuse_values",
    "shipped_recipes",
    "smoke_recipe",
    "smoke_sizes",
]

TRACKS = ("10min_16mb", "non_record_16mb", "local")
# key: (type, inherited by a recipe that extends this one)
ABOUT: Mapping[str, tuple[type, bool]] = MappingProxyType(
    {
        "name": (str, False),
        "title": (str, False),
        "summary": (str, False),
        "extends": (str, False),
        "track": (str, True),
        "seeds": (list, True),
        "credits": (list, True),
        "authors": (list, False),
        "source": (str, False),
        "published": (dict, False),
        "ruling": (list, True),
        "legal_variant": (str, True),
        "entry": (str, True),
    }
)
TWIN_PASSES = 1800  # blocks that a small twin's training runs through, as the baseline's 200 steps over 9 layers do
DEFAULT_ENTRY = "golf.parts.entry:main"
OVERRIDE = "command line"
NO_PARTS = Catalogue("", MappingProxyType({}), MappingProxyType({}), MappingProxyType({}))


@dataclass(frozen=True)
class Recipe:
    """Every choice of a submission. values: knob → value, all knobs of all parts; origins: knob → the recipe that set it.

    own: the knobs that this recipe sets itself (with overrides): these must be read. chain: this recipe and its ancestors.
    catalogue: the parts that it chooses from, its submissions' techniques among them, as they were when it was loaded.
    full: of a small twin, the values of the recipe that it is the twin of where they differ.
    """

    name: str
    path: Path
    title: str = ""
    summary: str = ""
    track: str = "local"
    seeds: tuple[int, ...] = (1337, 42, 7)
    credits: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    source: str = ""
    published: Mapping[str, Any] = field(default_factory=dict)
    ruling: tuple[str, ...] = ()
    legal_variant: str = ""
    entry: str = DEFAULT_ENTRY
    chain: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    catalogue: Catalogue = field(default=NO_PARTS, repr=False, compare=False)
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    own: frozenset[str] = frozenset()
    full: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def package(self) -> str:
        """The package of the parts: `golf.parts`."""
        return self.entry.partition(":")[0].rpartition(".")[0]

    @property
    def extends(self) -> str | None:
        return self.chain[1] if len(self.chain) > 1 else None

    @property
    def twin(self) -> Mapping[str, Any]:
        """The other values that the composed file must work with too: the small twin's, or for a twin the full ones."""
        return smoke_sizes(self) if self.full is None else self.full


def load_recipe(
    name: str | Path, overrides: Iterable[str] = (), with_: Iterable[str] = (), without: Iterable[str] = ()
) -> Recipe:
    """The recipe `name` (see `find_recipe`) with its ancestors, then `--without T`, `--with R:T` and `key=value` applied in turn.

    Raises GolfError for a file that is not there or not TOML, an unknown key (with the nearest), a key in another part's section,
    a wrong type, a chain with a member twice, and a recipe that extends itself. Imports no part.
    """
    recipe = _assemble(ancestry(find_recipe(name)))
    with_, without = tuple(with_), tuple(without)
    if with_ or without:
        from golf.techniques import with_technique, without_technique

        for technique in without:
            recipe = without_technique(recipe, technique)
        for technique in with_:
            recipe = with_technique(recipe, technique)
    changes = dict(parsed(recipe.catalogue, text) for text in overrides)
    return changed(recipe, {knob.name: value for knob, value in changes.items()})


def changed(recipe: Recipe, values: Mapping[str, Any], origin: str = OVERRIDE) -> Recipe:
    """The recipe with other values of some knobs, already of the right type; they count as its own."""
    if not values:
        return recipe
    return replace(
        recipe,
        values=MappingProxyType({**recipe.values, **values}),
        origins=MappingProxyType({**recipe.origins, **dict.fromkeys(values, origin)}),
        own=recipe.own | values.keys(),
    )


def refuse_values(recipe: Recipe) -> None:
    """GolfError where a value breaks its knob's bound, or where the small twin's would; whoever set it."""
    for values, where in ((recipe.values, recipe.name), (recipe.twin, f"the small twin of {recipe.name}")):
        for name, value in values.items():
            refuse_out_of_bounds(recipe.catalogue, recipe.catalogue.knobs[name], value, where)


def with_folders(recipe: Recipe, folders: Iterable[Path]) -> Recipe:
    """The recipe with the techniques of other submissions to choose from, too, their knobs at their defaults."""
    new = tuple(folder for folder in folders if folder not in recipe.folders)
    if not new:
        return recipe
    catalogue = load_catalogue(recipe.package, (*recipe.folders, *new))
    added = {
        n: checked(catalogue, k, k.default, "its default") for n, k in catalogue.knobs.items() if n not in recipe.values
    }
    return replace(
        recipe,
        folders=(*recipe.folders, *new),
        catalogue=catalogue,
        values=MappingProxyType({**added, **recipe.values}),
        origins=MappingProxyType({**dict.fromkeys(added, "default"), **recipe.origins}),
    )


def smoke_sizes(recipe: Recipe) -> dict[str, Any]:
    """Knob → value of the small twin: what `class Smoke` of the parts declares, never larger than the recipe's own.

    A twin keeps its layers and loops, so one that runs through more blocks a step takes as many steps fewer (`TWIN_PASSES`): no
    twin takes minutes on two cores.
    """
    sizes: dict[str, Any] = {}
    for name, knob in recipe.catalogue.knobs.items():
        if knob.smoke is not None:
            number = type(knob.smoke) in (int, float)
            sizes[name] = min(recipe.values[name], knob.smoke) if number else knob.smoke
    if "iterations" in sizes:
        sizes["iterations"] = max(min(sizes["iterations"], round(TWIN_PASSES / max(_passes(recipe.values), 1))), 1)
    return sizes


def _passes(values: Mapping[str, Any]) -> float:
    """How many blocks a step of training runs through, on average: the layers, and what loops or a recycled core run again."""
    passes = float(values.get("num_layers", 0))
    if str(values.get("order", "")).endswith("looped"):
        again = values["loop_extra"] * (values["loop_last"] - values["loop_first"] + 1)
        passes += again * (1 - values["loop_from"])
    if values.get("core"):
        passes += values.get("recycle_repeats", 0) * len(values.get("recycle_layers", ()))
    return passes


def smoke_recipe(recipe: Recipe) -> Recipe:
    """The recipe at the sizes of its small twin; what it sets itself stays what must be read."""
    sizes = smoke_sizes(recipe)
    return replace(changed(recipe, sizes, "smoke"), own=recipe.own, full={name: recipe.values[name] for name in sizes})


def diff(before: Recipe, after: Recipe) -> dict[str, tuple[Any, Any]]:
    """Knob → (value before, value after) where two recipes differ; None for a knob that one of them does not know."""
    names = [*before.values, *(name for name in after.values if name not in before.values)]
    pairs = {name: (before.values.get(name), after.values.get(name)) for name in names if name != "name"}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _assemble(line: list[tuple[Path, dict[str, Any]]]) -> Recipe:
    path, leaf = line[0]
    about: dict[str, Any] = {}
    parent = ""
    for file, table in reversed(line):
        mine = _about(file, table)
        names = [f"{parent}: {', '.join(about['authors'])}"] if about.get("authors") else []
        credited = dict.fromkeys([*about.get("credits", []), *names, *mine.get("credits", [])])
        kept = {key: value for key, value in about.items() if ABOUT[key][1]}
        about, parent = {**kept, **mine, "credits": list(credited)}, name_of(file, table)
    folders = tuple(file.parent / "techniques" for file, _ in line if file.name == "recipe.toml")
    folders = tuple(folder for folder in folders if folder.is_dir())
    catalogue = load_catalogue(about.get("entry", DEFAULT_ENTRY).partition(":")[0].rpartition(".")[0], folders)
    values = {name: checked(catalogue, knob, knob.default, "its default") for name, knob in catalogue.knobs.items()}
    origins = dict.fromkeys(values, "default")
    own: dict[str, Any] = {}
    for file, table in reversed(line):
        own = _knob_values(catalogue, file, table)
        values |= own
        origins |= dict.fromkeys(own, name_of(file, table))
    about.pop("extends", None)
    name = name_of(path, leaf)
    if "name" in values:
        values["name"] = name
    fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in about.items()}
    fields |= {"name": name, "published": MappingProxyType(about.get("published", {}))}
    return Recipe(
        path=path,
        chain=tuple(name_of(*entry) for entry in line),
        folders=folders,
        catalogue=catalogue,
        values=MappingProxyType(values),
        origins=MappingProxyType(origins),
        own=frozenset(own),
        **fields,
    )


def _is_about(key: str, value: Any) -> bool:
    """Whether a key says what a recipe is; `[entry]` is a section, for it is a part too."""
    return key in ABOUT and (key == "published" or not isinstance(value, dict))


def _about(file: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """The keys outside the sections that say what a recipe is, each of its type."""
    about = {key: value for key, value in table.items() if _is_about(key, value)}
    for key, value in about.items():
        wanted = ABOUT[key][0]
        inner = int if key == "seeds" else str
        members = value if isinstance(value, list) else []
        if type(value) is not wanted or any(type(member) is not inner for member in members):
            kind = f"list of {inner.__name__}" if wanted is list else wanted.__name__
            raise GolfError(f"`{key}` in {file} is {value!r}", f"it is a {kind}")
    if about.get("track", TRACKS[0]) not in TRACKS:
        raise GolfError(f"`track` in {file} is {about['track']!r}", f"it is one of {', '.join(TRACKS)}")
    if len(set(about.get("seeds", ()))) != len(about.get("seeds", ())):
        raise GolfError(f"`seeds` in {file} holds a seed twice", "three different seeds are three runs")
    if about.get("entry", DEFAULT_ENTRY).count(":") != 1:
        raise GolfError(f"`entry` in {file} is {about['entry']!r}", f'write it as "{DEFAULT_ENTRY}"')
    return about


def _knob_values(catalogue: Catalogue, file: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """What the sections of one file set, each key known, in its own section and of its type."""
    values: dict[str, Any] = {}
    for section, entries in table.items():
        if _is_about(section, entries):
            continue
        if not isinstance(entries, dict):
            knob = catalogue.knobs.get(section)
            hint = f"put it under [{knob.part}]" if knob else did_you_mean(section, [*ABOUT, *catalogue.knobs])
            raise GolfError(f"`{section}` in {file} stands outside a section", hint)
        if section not in catalogue.parts and not any(key in catalogue.knobs for key in entries):
            raise GolfError(f"no part is called `{section}` [{file}]", did_you_mean(section, list(catalogue.parts)))
        for key, value in entries.items():
            if key not in catalogue.knobs:
                raise GolfError(f"no part has a knob `{key}` [{file}]", knob_hint(catalogue, key))
            knob = catalogue.knobs[key]
            if knob.part != section:
                raise GolfError(
                    f"`{key}` stands under [{section}] in {file}", f"it is a knob of [{knob.part}]: move it there"
                )
            values[key] = checked(catalogue, knob, value, str(file))
    if "name" in values:
        raise GolfError(f"`name` in {file} stands in a section", "a recipe's name stands at its top")
    return values
