"""What a run starts from: a submission's script, checked against its recipe, and what the recipe says about it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.run.layout import SCRIPT, set_id, sha256_of


@dataclass(frozen=True)
class Source:
    """A script to run. `script` are its exact bytes: the submission's own, or its small twin's with `smoke`."""

    folder: Path
    script: bytes
    smoke: bool
    seeds: tuple[int, ...]
    ruling: tuple[str, ...]
    track: str
    vocab_size: int
    recipe: str  # the resolved values as JSON
    remark: str | None = None  # what to say before it runs

    @property
    def name(self) -> str:
        """The submission's name: its folder."""
        return self.folder.name

    @property
    def script_sha256(self) -> str:
        """sha256 of the script: what a run is bound to."""
        return sha256_of(self.script)

    @property
    def set_id(self) -> str:
        """The name of the folder of this script's runs."""
        return set_id(self.script_sha256, smoke=self.smoke)


def read_source(folder: Path, *, smoke: bool, trains: bool = True) -> Source:
    """The script of the submission in `folder`, or its small twin.

    trains: False for a script that has run before: what ran is what counts, also when a newer golf would compose it otherwise.
    GolfError: no script, a script that its recipe no longer gives (drift), a recipe that does not load.
    """
    path = folder / SCRIPT
    if not path.is_file():
        raise GolfError(f"{folder.name} has no {SCRIPT}", f"compose it: `golf compose {folder.name}`", Exit.REFUSED)
    script = path.read_bytes()
    if not script.strip():
        raise GolfError(f"{path} is empty", f"compose it: `golf compose {folder.name}`", Exit.REFUSED)
    recipe = load(folder)
    remark = None
    if trains:
        remark = check_drift(folder)
    if smoke:
        script = small_twin(recipe, script)
    return Source(
        folder=folder,
        script=script,
        smoke=smoke,
        seeds=tuple(recipe.seeds) or (1337,),
        ruling=tuple(recipe.ruling),
        track=recipe.track,
        vocab_size=vocabulary_of(script, recipe.values),
        remark=remark,
        recipe=json.dumps({"name": recipe.name, "values": dict(recipe.values)}, default=str, sort_keys=True),
    )


def load(folder: Path) -> Any:
    """The resolved recipe of a submission."""
    from golf.recipe import load_recipe

    return load_recipe(folder / "recipe.toml")


def check_drift(folder: Path) -> str | None:
    """Refuse a script that is not what its recipe composes to: the record would not be what was run.

    Returns what to say of a script that another version of the composer made: it is run as it is.
    """
    from golf.compose.submission import check_submission

    drift = check_submission(folder)
    if not drift.ok:
        raise GolfError(drift.message, f"see the difference: `golf compose {folder.name} --check`; "
                        f"compose again: `golf compose {folder.name}`", Exit.REFUSED)  # fmt: skip
    return drift.message if drift.state != "same" else None


def readable_of(script: bytes) -> str:
    """The script's text, unpacked without running it."""
    from golf.compose.unpack import unpack

    return unpack(script)


def small_twin(recipe: Any, script: bytes) -> bytes:
    """The unpacked script with smaller values in its `class h`, and no other difference."""
    from golf.compose import rescale
    from golf.recipe import smoke_sizes

    return rescale(readable_of(script), smoke_sizes(recipe)).encode()


def vocabulary_of(script: bytes, values: Mapping[str, Any]) -> int:
    """The vocabulary that the script was composed for: its own `class h` says it; else the recipe's values."""
    from golf.compose import scalars

    try:
        return int(scalars(readable_of(script)).get("vocab_size", values.get("vocab_size", 1024)))
    except GolfError:  # not one of ours
        return int(values.get("vocab_size", 1024))
