"""What there is: the tables of `golf ls`. Everything is read from files; no part is imported."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from golf.challenge import SCRIPT
from golf.errors import GolfError
from golf.files import toml
from golf.project import find_root, submission_names
from golf.recipe import Recipe, load_recipe, shipped_recipes
from golf.recipe.catalogue import Catalogue, did_you_mean, load_catalogue
from golf.recipe.techniques import Technique, techniques


@dataclass(frozen=True)
class Listing:
    """One table: rows of plain values by column, with the columns that hold numbers."""

    kind: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    right: tuple[str, ...] = ()
    empty: str = ""  # what to say when there is nothing


def listing(kind: str) -> Listing:
    """The table of one kind, by its word. GolfError for another word."""
    if kind not in MAKERS:
        raise GolfError(f"there is no list of `{kind}`", did_you_mean(kind, list(MAKERS)))
    return MAKERS[kind]()


def list_techniques() -> Listing:
    """Every technique with the recipes that use it: those that ship, and the submissions' own as `user:NAME`."""
    recipes = [load_recipe(name) for name in shipped_recipes()]
    rows = [_technique_row(technique, recipes, "") for technique in techniques(_catalogue(recipes)).values()]
    mine = project_recipes()
    for submission, catalogue in user_catalogues().items():
        own = [t for t in techniques(catalogue).values() if t.off is None and catalogue.parts[t.name].user]
        rows += [_technique_row(t, [r for r in mine if r.path.parent.name == submission], "user:") for t in own]
    return Listing(
        "techniques", ("technique", "what", "used by"), tuple(rows), empty="no technique ships with this golf"
    )


def _technique_row(technique: Technique, recipes: Sequence[Recipe], prefix: str) -> dict[str, Any]:
    return {
        "technique": prefix + technique.name,
        "what": technique.summary,
        "knobs": list(technique.knobs),
        "used by": [recipe.name for recipe in recipes if technique.used_in(recipe)],
    }


def project_recipes() -> list[Recipe]:
    """The recipes of the project's submissions; one that does not load is left out (`golf ls submissions` says why)."""
    found = []
    for name in submission_names():
        with suppress(GolfError):
            found.append(load_recipe(find_root() / "submissions" / name / "recipe.toml"))
    return found


def user_catalogues() -> dict[str, Catalogue]:
    """Submission → the parts with its own techniques among them, for each that has any; one that does not parse is left out."""
    found = {}
    for name in submission_names():
        folder = find_root() / "submissions" / name / "techniques"
        if folder.is_dir():
            with suppress(GolfError):
                found[name] = load_catalogue(folders=(folder,))
    return found


def list_points(kind: str) -> Listing:
    """Every slot, or every chain: where it stands in a recipe, what it holds by default, what it is called with."""
    from golf.recipe.places import points

    rows = []
    for name, catalogue in {"": load_catalogue(), **user_catalogues()}.items():
        for knob in points(catalogue):
            if knob.kind == kind and catalogue.parts[knob.part].user == bool(name):
                default = knob.default if kind == "Slot" else list(knob.default)
                rows.append({"name": knob.name, "section": knob.part, "default": default, "what": knob.meaning})
    word = {"Slot": "slots", "Chain": "chains"}[kind]
    columns = ("name", "section", "default", "what")
    return Listing(word, columns, tuple(rows), empty=f"no part has {word}")


def list_knobs() -> Listing:
    """Every number, flag, text and list that a recipe may set; slots and chains have tables of their own."""
    rows = []
    for name, catalogue in {"": load_catalogue(), **user_catalogues()}.items():
        for part in catalogue.parts.values():
            for knob in part.knobs:
                if knob.kind not in ("Slot", "Chain") and part.user == bool(name):
                    rows.append(
                        {"knob": knob.name, "section": part.stem, "type": knob.kind, "default": knob.default,
                         "value": toml(knob.default), "what": knob.meaning}
                    )  # fmt: skip
    return Listing("knobs", ("knob", "section", "type", "value", "what"), tuple(rows), empty="no part has knobs")


def _catalogue(recipes: Sequence[Recipe]) -> Catalogue:
    return recipes[0].catalogue if recipes else load_catalogue()


def list_recipes() -> Listing:
    """The recipes that ship, with their score as published."""
    rows = []
    for name in shipped_recipes():
        recipe = load_recipe(name)
        rows.append(
            {
                "recipe": name,
                "extends": recipe.extends or "",
                "val_bpb": recipe.published.get("val_bpb"),
                "ruling": list(recipe.ruling),
                "title": recipe.title,
            }
        )
    return Listing(
        "recipes", ("recipe", "extends", "val_bpb", "ruling", "title"), tuple(rows), ("val_bpb",), "no recipe ships"
    )


def list_submissions() -> Listing:
    """The project's submissions; one whose recipe does not load says why."""
    rows = []
    for name in submission_names():
        folder = find_root() / "submissions" / name
        script = folder / SCRIPT
        try:
            recipe = load_recipe(folder / "recipe.toml")
            about = {"extends": recipe.extends or "", "title": recipe.title}
        except GolfError as fault:
            about = {"extends": "", "title": f"does not load: {fault.message}"}
        rows.append({"submission": name, **about, "code bytes": script.stat().st_size if script.is_file() else None})
    hint = "no submissions here: `golf new mine --from baseline` makes one"
    return Listing("submissions", ("submission", "extends", "code bytes", "title"), tuple(rows), ("code bytes",), hint)


def list_rules() -> Listing:
    """The rules of the current pack."""
    rows: list[dict[str, Any]] = _others("golf.rules", "list_rules")
    return Listing("rules", ("code", "severity", "authority", "title"), tuple(rows), empty="no rule pack ships")


def list_runs() -> Listing:
    """The project's runs, newest last."""
    root = find_root()
    # opening the store would make it
    found = _others("golf.run.store", "open_store", root).runs() if (root / ".golf" / "golf.db").is_file() else ()
    rows = [
        {
            "submission": run.submission,
            "set": run.set_id,
            "seed": run.seed,
            "state": run.state,
            "val_bpb": (run.result or {}).get("val_bpb"),
        }
        for run in found
    ]
    columns = ("submission", "set", "seed", "state", "val_bpb")
    return Listing(
        "runs", columns, tuple(rows), ("seed", "val_bpb"), "nothing was run here yet: `golf run NAME --smoke`"
    )


def list_records() -> Listing:
    """The project's record folders."""
    root = find_root() / "records"
    rows = [{"track": p.parent.parent.name, "record": p.parent.name} for p in sorted(root.glob("*/*/submission.json"))]
    return Listing("records", ("track", "record"), tuple(rows), empty="no records here: `golf record NAME` writes one")


def _others(module: str, function: str, *arguments: Any) -> Any:
    """What another part of golf lists; GolfError where this golf does not have it."""
    try:
        return getattr(import_module(module), function)(*arguments)
    except (ImportError, AttributeError) as fault:
        raise GolfError(f"this golf has no {module.removeprefix('golf.')}", "a newer one may") from fault


MAKERS: Mapping[str, Callable[[], Listing]] = {
    "slots": lambda: list_points("Slot"),
    "chains": lambda: list_points("Chain"),
    "knobs": list_knobs,
    "techniques": list_techniques,
    "recipes": list_recipes,
    "submissions": list_submissions,
    "rules": list_rules,
    "runs": list_runs,
    "records": list_records,
}
KINDS = tuple(MAKERS)


def cells(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """A row as a table shows it."""
    return [_cell(row.get(column)) for column in columns]


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10_000:
        return f"{value:,}"
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
