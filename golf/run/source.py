"""What a run starts from: a submission's script, checked against its recipe, and what the recipe says about it."""

import json
import re
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
    if trains:
        check_drift(folder, recipe, script)
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
        recipe=json.dumps({"name": recipe.name, "values": dict(recipe.values)}, default=str, sort_keys=True),
    )


def load(folder: Path) -> Any:
    """The resolved recipe of a submission."""
    from golf.recipe import load_recipe

    return load_recipe(folder / "recipe.toml")


def check_drift(folder: Path, recipe: Any, script: bytes) -> None:
    """Refuse a script that is not what its recipe composes to: the record would not be what was run."""
    from golf.compose import compose

    if compose(recipe).encode() != script:
        raise GolfError(f"{folder.name}/{SCRIPT} is not what its recipe composes to",
                        f"see the difference: `golf compose {folder.name} --check`; "
                        f"compose again: `golf compose {folder.name}`", Exit.REFUSED)  # fmt: skip


def small_twin(recipe: Any, script: bytes) -> bytes:
    """The script with smaller values in its `class h`, and no other difference."""
    from golf.compose import rescale
    from golf.recipe import smoke_sizes

    return str(rescale(script.decode(), smoke_sizes(recipe))).encode()


def vocabulary_of(script: bytes, values: Any) -> int:
    """The vocabulary that the script was composed for: its own `class h` says it last."""
    match = re.search(rb"^\s+vocab_size\s*(?::\s*int\s*)?=\s*([\d_]+)", script, re.MULTILINE)
    return int(match[1]) if match else int(values.get("vocab_size", 1024))
