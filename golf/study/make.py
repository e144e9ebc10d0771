"""The trials of a study become submissions: every one composed before anything runs, or all faults listed and nothing left behind."""

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from golf.compose.composition import Composition
from golf.compose.kept import kept_composition
from golf.compose.submission import new_submission, recipe_text
from golf.errors import Exit, GolfError
from golf.files import json_text, sha256_of
from golf.project import find_submission, is_adopted
from golf.recipe import Recipe, load_recipe, shipped_recipes
from golf.recipe.knobs import knob_hint
from golf.recipe.techniques import entries, find_technique, techniques
from golf.run.plan import forbids
from golf.study.axes import FROM, Choices
from golf.study.study import Study, Trial

SHOWN_FAULTS = 20


def base_of(name: str | None, root: Path, asked: Callable[[str], str]) -> str:
    """What trials start from, as `golf new --from` takes it: a submission of the project before a recipe of its name.

    asked: what a PR's number, an address or words mean. GolfError: an imported script, which no recipe varies.
    """
    if name is None:
        folder = find_submission()
        name = folder.name if folder.parent == root / "submissions" else str(folder)
    folder = root / "submissions" / name
    if not (folder / "recipe.toml").is_file():
        return asked(name)
    if is_adopted(folder):
        raise GolfError(
            f"`{name}` was imported: golf knows no knobs in its script",
            "start from a recipe: `golf ls recipes`",
            Exit.REFUSED,
        )
    return f"submissions/{name}"


def source_of(parent: str) -> str | Path:
    """Where the recipe of a trial's parent lies: the shipped one before a submission of its name, as `golf new` has it."""
    return shipped_recipes().get(parent, parent)


def trial_of(base: str, choices: Choices, asked: Callable[[str], str]) -> Trial:
    """The trial that these choices make of the base; its name comes later. GolfError for a choice that names nothing."""
    parent = asked(choices[FROM]) if FROM in choices else base
    recipe = load_recipe(source_of(parent))
    with_, without, overrides = list[str](), list[str](), list[str]()
    for axis, value in choices.items():
        if axis == FROM:
            continue
        knob = recipe.catalogue.knobs.get(axis.rpartition(".")[2])
        if knob is not None and knob.kind in ("Slot", "Chain") and value[:1] in ("+", "-"):
            _switch(recipe, value[1:].strip(), value[0] == "+", with_, without)
            _refuse_elsewhere(recipe, axis, value)
        elif knob is not None:
            bare = knob.kind == "Chain" and value.startswith("[") and '"' not in value
            overrides.append(f"{axis}={value.strip('[]') if bare else value}")
        elif axis.removeprefix("user:") in techniques(recipe.catalogue):
            if value not in ("on", "off"):
                raise GolfError(
                    f"`{axis}={value}`: `{axis}` is a technique", f"it is on or off: `--over {axis}=on,off`"
                )
            _switch(recipe, axis, value == "on", with_, without)
        else:
            raise GolfError(
                f"`{axis}` is neither a knob nor a technique of {recipe.name}", knob_hint(recipe.catalogue, axis)
            )
    return Trial("", dict(choices), parent, tuple(with_), tuple(without), tuple(overrides))


def _switch(recipe: Recipe, name: str, on: bool, with_: list[str], without: list[str]) -> None:
    """Put a technique in or take it out, unless it is so already: one of the two values is the base itself."""
    bare = name.rpartition(":")[2] if not name.startswith("user:") else name
    if find_technique(recipe.catalogue, bare).used_in(recipe) != on:
        (with_ if on else without).append(name)


def _refuse_elsewhere(recipe: Recipe, axis: str, value: str) -> None:
    """GolfError where the technique that an axis takes in or out goes into another slot or chain than it says."""
    name = find_technique(recipe.catalogue, value[1:].strip().rpartition(":")[2]).name
    varied = load_recipe(recipe.path, with_=[value[1:].strip()] if not entries(recipe, name) else [])
    places = list(entries(varied, name))
    if places and axis.rpartition(".")[2] not in places:
        raise GolfError(
            f"`{name}` goes into {', '.join(f'`{place}`' for place in places)}, not into `{axis}`",
            f"`--over {name}=on,off`",
        )


def base_sha256(parents: Collection[str]) -> str:
    """Of the resolved values of everything that trials start from."""
    values = {parent: dict(load_recipe(source_of(parent)).values) for parent in sorted(set(parents))}
    return sha256_of(json_text(values).encode())


def refuse_rulings(parents: Collection[str], allow: Sequence[str]) -> None:
    """GolfError (10) where trials start from what a rule forbids and the user did not name the rule."""
    for parent in dict.fromkeys(parents):
        recipe = load_recipe(source_of(parent))
        codes = [code for code in recipe.ruling if forbids(code) and code not in allow]
        if codes:
            raise GolfError(f"{recipe.name} is ruled out by {', '.join(codes)}: the scores of its trials would not count",
                            f"read why: `golf explain {codes[0]}`; run them all the same: " + " ".join(f"`--allow {code}`" for code in codes), Exit.REFUSED)  # fmt: skip


def make_submissions(study: Study, root: Path, *, smoke: bool, say: Callable[[str], None]) -> None:
    """Make the submissions of all trials. GolfError (10) lists every trial that cannot compose, or whose small twin cannot run;
    then nothing that was made here stays.

    A submission that is there already is kept where it is what the trial would be: a study that was stopped here goes on.
    """
    made, faults, seen = list[Path](), dict[str, str](), dict[str, str]()
    try:
        for number, trial in enumerate(study.trials, 1):
            try:
                folder = root / "submissions" / trial.name
                there = folder.exists()
                after = load_recipe(source_of(trial.parent), trial.overrides, trial.with_, trial.without)
                twin = _refuse_twin(trial, after, seen)
                if twin is not None:
                    faults[trial.name] = twin
                elif there:
                    _refuse_another(folder, trial, after)
                else:
                    written, _ = new_submission(
                        trial.name, trial.parent, trial.with_, trial.without, trial.overrides, root
                    )
                    made.append(folder)
                    fault = _no_twin(written.composed, smoke=smoke)
                    if fault is not None:
                        faults[trial.name] = fault
                    if number % 10 == 0:
                        say(f"composed {number} of {len(study.trials)} trials")
            except GolfError as refused:
                faults[trial.name] = refused.message
        if faults:
            raise _listed(study, faults)
    except BaseException:
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def check_trials(study: Study, *, smoke: bool, say: Callable[[str], None]) -> None:
    """Compose every trial and make nothing. GolfError (10) as `make_submissions` raises it."""
    faults, seen = dict[str, str](), dict[str, str]()
    for number, trial in enumerate(study.trials, 1):
        try:
            recipe = load_recipe(source_of(trial.parent), trial.overrides, trial.with_, trial.without)
            fault = _refuse_twin(trial, recipe, seen) or _no_twin(kept_composition(recipe), smoke=smoke)
        except GolfError as refused:
            fault = refused.message
        if fault is not None:
            faults[trial.name] = fault
        if number % 10 == 0:
            say(f"composed {number} of {len(study.trials)} trials")
    if faults:
        raise _listed(study, faults)


def _no_twin(composed: Composition, *, smoke: bool) -> str | None:
    return f"its small twin cannot run: {composed.twin_faults[0]}" if smoke and composed.twin_faults else None


def _refuse_twin(trial: Trial, after: Recipe, seen: dict[str, str]) -> str | None:
    """Why a trial need not run: another one has all its values."""
    values = {name: value for name, value in after.values.items() if name != "name"}
    key = sha256_of(json_text(values).encode())
    first = seen.setdefault(key, trial.label)
    return None if first == trial.label else f"it is the same as the trial {first}"


def _refuse_another(folder: Path, trial: Trial, after: Recipe) -> None:
    """GolfError where a submission of a trial's name is not the trial."""
    before = load_recipe(source_of(trial.parent))
    held = (folder / "recipe.toml").read_text(encoding="utf-8") if (folder / "recipe.toml").is_file() else ""
    if held != recipe_text(trial.name, trial.parent, before, after):
        raise GolfError(f"submissions/{trial.name} is there already, and not as this trial would be")


def _listed(study: Study, faults: Mapping[str, str]) -> GolfError:
    told = [f"  {study.trial(name).label}: {fault}" for name, fault in list(faults.items())[:SHOWN_FAULTS]]
    more = [f"  and {len(faults) - SHOWN_FAULTS} more"] if len(faults) > SHOWN_FAULTS else []
    count = f"{len(faults)} of {len(study.trials)} trials cannot run, so none was started:"
    return GolfError("\n".join([count, *told, *more]), "leave these values out, or mend what they name", Exit.REFUSED)
