"""A submission's folder: made from a recipe, composed, and checked for drift."""

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.challenge import SCRIPT
from golf.compose.composition import Composition
from golf.compose.kept import kept_composition
from golf.compose.lock import Lock, lock_of, lock_text, read_lock
from golf.compose.pack import pack
from golf.errors import Exit, GolfError
from golf.files import sha256_of, toml_text, write_atomically
from golf.project import ADOPTED, find_root
from golf.recipe import Recipe, diff, find_recipe, load_recipe, shipped_recipes


@dataclass(frozen=True)
class Written:
    """A submission after composing. changed: whether the script differs from what was there."""

    folder: Path
    composed: Composition
    script_bytes: int
    form: str
    changed: bool


@dataclass(frozen=True)
class Drift:
    """Whether a submission's script is what its recipe composes to. state: same, other version, edited, drift, missing."""

    name: str
    state: str
    message: str
    twin_faults: tuple[str, ...] = ()  # why its small twin cannot run

    @property
    def ok(self) -> bool:
        return self.state in ("same", "other version")


def script_of(composed: Composition, form: str) -> bytes:
    """The script's bytes in one of the forms: readable, packed, dense."""
    return composed.text.encode() if form == "readable" else pack(composed.text, dense=form == "dense")


def compose_submission(folder: Path, form: str | None = None) -> Written:
    """Compose a submission's recipe and write `train_gpt.py` and `golf.lock`; without a form, the one it has."""
    from golf.project import is_adopted

    if is_adopted(folder):
        raise GolfError(
            f"`{folder.name}` was imported: its script is its authors' own and would be overwritten",
            f"start one of your own from a recipe: `golf new NAME --from baseline`; its script stays {folder / SCRIPT}",
            Exit.REFUSED,
        )
    composed = kept_composition(load_recipe(folder / "recipe.toml"))
    lock = read_lock(folder)
    form = form or (lock.form if lock else "readable")
    return _write(folder, composed, form)


def _write(folder: Path, composed: Composition, form: str) -> Written:
    script, path = script_of(composed, form), folder / SCRIPT
    changed = not path.is_file() or path.read_bytes() != script
    write_atomically(path, script)
    write_atomically(folder / "golf.lock", lock_text(lock_of(composed, script, form)).encode())
    return Written(folder, composed, len(script), form, changed)


def check_submission(folder: Path) -> Drift:
    """Compose again and compare with what is there. Changes nothing."""
    lock, path, name = read_lock(folder), folder / SCRIPT, folder.name
    if not path.is_file() or lock is None:
        missing = SCRIPT if not path.is_file() else "golf.lock"
        return Drift(name, "missing", f"{name} has no {missing}: `golf compose {name}` writes it")
    script = path.read_bytes()
    if lock.golf == ADOPTED:
        same = sha256_of(script) == lock.script_sha256
        what = "as it came; its script is its authors' own and is not composed" if same else "edited since"
        return Drift(name, "same" if same else "edited", f"{name}: imported, {what}")
    composed = kept_composition(load_recipe(folder / "recipe.toml"))
    fresh = script_of(composed, lock.form)
    now = lock_of(composed, fresh, lock.form)
    if script == fresh and lock.script_sha256 == now.script_sha256:
        return Drift(name, "same", f"{name}: {len(script):,} bytes, as its recipe says", composed.twin_faults)
    if sha256_of(script) != lock.script_sha256:
        return Drift(
            name, "edited", f"{name}/{SCRIPT} was edited by hand: change recipe.toml, then `golf compose {name}`"
        )
    if lock.made_by != now.made_by:
        return Drift(
            name, "other version", f"{name} was composed by {_made_by(lock, now)}: `golf compose {name}` renews it"
        )
    why = "its recipe" if lock.recipe_sha256 != now.recipe_sha256 else "a part that it uses"
    return Drift(name, "drift", f"{name}/{SCRIPT} is older than {why}: `golf compose {name}` mends it")


def _made_by(lock: Lock, now: Lock) -> str:
    if lock.golf != now.golf:
        return f"golf {lock.golf} (this is {now.golf})"
    others = [f"{t} {v} (here {now.tools.get(t)})" for t, v in lock.tools.items() if now.tools.get(t) != v]
    return ", ".join(others) or f"composer {lock.composer} (this is {now.composer})"


def new_submission(
    name: str,
    parent: str,
    with_: Sequence[str] = (),
    without: Sequence[str] = (),
    overrides: Iterable[str] = (),
    root: Path | None = None,
) -> tuple[Written, Recipe]:
    """Make submissions/<name> from a recipe, with what differs from it; returns it and the recipe that it starts from.

    Raises GolfError (exit 10) when the folder is there already, and writes nothing when the recipe does not compose.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise GolfError(f"`{name}` is no name for a submission", "letters, digits, `_`, `-` and `.`")
    home = (root or find_root()) / "submissions"
    folder = home / name
    if folder.exists():
        raise GolfError(
            f"submissions/{name} is there already", "`golf new` never overwrites: choose another name", Exit.REFUSED
        )
    source = shipped_recipes().get(parent, parent)  # as `extends` reads it: the record, not a submission of its name
    before = load_recipe(source)
    after = load_recipe(source, overrides, with_, without)
    draft = home / f".new-{name}-{os.getpid()}"
    try:
        draft.mkdir(parents=True)
        _copy_techniques(before, after, draft / "techniques")
        (draft / "recipe.toml").write_text(recipe_text(name, parent, before, after), encoding="utf-8")
        written = _write(draft, kept_composition(load_recipe(draft / "recipe.toml")), "readable")
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if not any(home.iterdir()):
            home.rmdir()
    return Written(folder, written.composed, written.script_bytes, written.form, True), before


def _copy_techniques(before: Recipe, after: Recipe, target: Path) -> None:
    for folder in after.folders:
        if folder not in before.folders:
            shutil.copytree(folder, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def recipe_text(name: str, parent: str, before: Recipe, after: Recipe) -> str:
    """The recipe.toml of a new submission: its parent, and every value that differs, under the part that declares it."""
    shown = parent
    path = find_recipe(parent)
    if path.name == "recipe.toml" and ("/" in parent or Path(parent, "recipe.toml").is_file()):
        shown = f"submissions/{path.parent.name}"
    elif parent.endswith(".toml"):
        shown = str(path)
    sections: dict[str, dict[str, Any]] = {}
    for knob, (_, value) in diff(before, after).items():
        if after.origins.get(knob) != "default":
            sections.setdefault(after.catalogue.knobs[knob].part, {})[knob] = value
    return toml_text({"name": name, "title": "", "extends": shown, **sections})


def chosen(value: Any) -> str:
    """A value as tables show it."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
