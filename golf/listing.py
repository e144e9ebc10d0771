"""What there is: the tables of `golf ls`. Everything is read from files; no part is imported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from golf.errors import GolfError
from golf.project import find_root, submission_names
from golf.recipe import Recipe, load_recipe, shipped_recipes
from golf.techniques import techniques


@dataclass(frozen=True)
class Listing:
    """One table: rows of plain values by column, with the columns that hold numbers."""

    kind: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    right: tuple[str, ...] = ()
    empty: str = ""  # what to say when there is nothing


def listing(kind: str) -> Listing:
    """The table of one kind: techniques, recipes, submissions, rules, runs or records. GolfError for another word."""
    makers: Mapping[str, Callable[[], Listing]] = {
        "techniques": list_techniques,
        "recipes": list_recipes,
        "submissions": list_submissions,
        "rules": list_rules,
        "runs": list_runs,
        "records": list_records,
    }
    if kind not in makers:
        from golf.catalogue import did_you_mean

        raise GolfError(f"there is no list of `{kind}`", did_you_mean(kind, list(makers)))
    return makers[kind]()


def list_techniques() -> Listing:
    """Every technique with the shipped recipes that use it."""
    recipes = [load_recipe(name) for name in shipped_recipes()]
    rows = [
        {
            "technique": technique.name,
            "what": technique.summary,
            "knobs": list(technique.knobs),
            "used by": [recipe.name for recipe in recipes if technique.used_in(recipe)],
        }
        for technique in techniques(_catalogue(recipes)).values()
    ]
    return Listing(
        "techniques", ("technique", "what", "used by"), tuple(rows), empty="no technique ships with this golf"
    )


def _catalogue(recipes: Sequence[Recipe]) -> Any:
    from golf.catalogue import load_catalogue

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
        script = folder / "train_gpt.py"
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


def cells(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """A row as a table shows it."""
    return [_cell(row.get(column)) for column in columns]


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10_000:
        return f"{value:,}"
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
