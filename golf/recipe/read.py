"""Read a recipe: its file and its ancestors become one `Recipe`, every key known and of its type."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from golf.challenge import TRACKS
from golf.errors import GolfError
from golf.recipe.catalogue import Catalogue, did_you_mean, load_catalogue
from golf.recipe.files import ancestry, find_recipe, name_of
from golf.recipe.knobs import checked, knob_hint
from golf.recipe.recipe import DEFAULT_ENTRY, Recipe

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
        "unsaid": (list, False),
    }
)


def read_recipe(name: str | Path) -> Recipe:
    """The recipe `name` (see `find_recipe`) with its ancestors. Raises GolfError as `load_recipe`."""
    return _assemble(ancestry(find_recipe(name)))


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
    values = dict(_defaults(catalogue))
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
    unsaid = tuple(MappingProxyType(row) for row in about.get("unsaid", ()))
    fields |= {"name": name, "published": MappingProxyType(about.get("published", {})), "unsaid": unsaid}
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


@lru_cache(maxsize=64)
def _defaults(catalogue: Catalogue) -> Mapping[str, Any]:
    """Knob → default, each of its type and within its bound."""
    return MappingProxyType(
        {name: checked(catalogue, knob, knob.default, "its default") for name, knob in catalogue.knobs.items()}
    )


def _is_about(key: str, value: Any) -> bool:
    """Whether a key says what a recipe is; `[entry]` is a section, for it is a part too."""
    return key in ABOUT and (key in ("published", "unsaid") or not isinstance(value, dict))


def _about(file: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """The keys outside the sections that say what a recipe is, each of its type."""
    about = {key: value for key, value in table.items() if _is_about(key, value)}
    for key, value in about.items():
        wanted = ABOUT[key][0]
        if key == "unsaid":
            _refuse_unsaid(file, value)
            continue
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


def _refuse_unsaid(file: Path, value: Any) -> None:
    """GolfError where the facts that a row's README leaves out are not tables of a kind, a sentence and its evidence."""
    wanted = {"kind", "says", "evidence"}
    rows = value if isinstance(value, list) else [value]
    if not all(
        isinstance(row, dict) and row.keys() == wanted and all(type(v) is str for v in row.values()) for row in rows
    ):
        raise GolfError(f"`unsaid` in {file} is {value!r}", "it is a list of tables with `kind`, `says` and `evidence`")


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
