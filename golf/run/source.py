"""What a run starts from: a submission's script, checked against its recipe, and what the recipe says about it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from golf.challenge import SCRIPT
from golf.errors import Exit, GolfError
from golf.files import sha256_of
from golf.run.layout import set_id


@dataclass(frozen=True)
class Source:
    """A script to run. `script` are its exact bytes: the submission's own, or its small twin's with `smoke`.

    of_sha256: the submission's own script, also where its small twin runs.
    """

    folder: Path
    script: bytes
    smoke: bool
    seeds: tuple[int, ...]
    ruling: tuple[str, ...]
    track: str
    vocab_size: int
    recipe: str  # the resolved values as JSON
    of_sha256: str = ""
    remark: str | None = None  # what to say before it runs
    foreign: bool = False  # an imported script, its authors' own
    side_car: bool | None = (
        None  # whether it counts bytes by a side-car; None for an imported script, which golf does not know
    )
    full_vocab_size: int = 0  # of the recipe, whatever its small twin has

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
        return set_id(self.script_sha256, smoke=self.smoke, foreign=self.foreign)


def read_source(folder: Path, *, smoke: bool) -> Source:
    """The script of the submission in `folder`, or its small twin, to be run.

    GolfError: no script, a script that its recipe no longer gives (drift), a recipe that does not load.
    """
    from golf.project import is_adopted

    if is_adopted(folder):
        return _imported(folder, smoke=smoke)
    script = own_script(folder)
    recipe = load(folder)
    remark = check_drift(folder, smoke=smoke)
    return replace(
        _source(folder, recipe, small_twin(recipe, script) if smoke else script, script, smoke), remark=remark
    )


def source_that_ran(folder: Path, script: bytes, *, smoke: bool) -> Source:
    """A script that ran before, as it ran: a newer golf may compose or scale it otherwise, and that does not matter."""
    return _source(folder, load(folder), script, own_script(folder), smoke)


def _imported(folder: Path, *, smoke: bool) -> Source:
    """An imported script as its authors ran it, packed where they packed it. GolfError (10): a small twin, an edited script."""
    from golf.compose.lock import read_lock
    from golf.reading.script import find_script

    name, own, lock = folder.name, own_script(folder), read_lock(folder)
    if smoke:
        raise GolfError(f"{name} was imported: golf knows no sizes in its script to scale down",
                        "cut the run instead: `--iterations N` or `--max-wallclock-seconds S`", Exit.REFUSED)  # fmt: skip
    if lock is None or sha256_of(own) != lock.script_sha256:
        raise GolfError(f"{name}/{SCRIPT} was edited since it was imported", "a script of your own is a submission of its own: "
                        "put it in a folder and `golf import FOLDER --name NAME`", Exit.REFUSED)  # fmt: skip
    came = find_script(folder / "original") if (folder / "original").is_dir() else None
    remark = "an imported script runs as its authors wrote it, with your rights; what its README sets, it takes from your shell"
    source = _source(folder, load(folder), came.read_bytes() if came else own, own, smoke=False)
    return replace(source, remark=remark, foreign=True, side_car=None)


def own_script(folder: Path) -> bytes:
    """The submission's train_gpt.py; GolfError (10) when there is none."""
    path = folder / SCRIPT
    content = path.read_bytes() if path.is_file() else b""
    if not content.strip():
        what = "is empty" if path.is_file() else "does not exist"
        raise GolfError(f"{folder.name}/{SCRIPT} {what}", f"compose it: `golf compose {folder.name}`", Exit.REFUSED)
    return content


def _source(folder: Path, recipe: Any, script: bytes, own: bytes, smoke: bool) -> Source:
    return Source(
        folder=folder,
        script=script,
        smoke=smoke,
        seeds=tuple(recipe.seeds) or (1337,),
        ruling=tuple(recipe.ruling),
        track=recipe.track,
        vocab_size=vocabulary_of(script, recipe.values),
        side_car=counts_by_side_car(recipe.values),
        full_vocab_size=int(recipe.values.get("vocab_size", 0)),
        recipe=json.dumps({"name": recipe.name, "values": dict(recipe.values)}, default=str, sort_keys=True),
        of_sha256=sha256_of(own),
    )


def load(folder: Path) -> Any:
    """The resolved recipe of a submission."""
    from golf.recipe import load_recipe

    return load_recipe(folder / "recipe.toml")


def check_drift(folder: Path, *, smoke: bool = False) -> str | None:
    """Refuse a script that is not what its recipe composes to: the record would not be what was run; and a twin that cannot run.

    Returns what to say of a script that another version of the composer made: it is run as it is.
    """
    from golf.compose.submission import check_submission

    drift = check_submission(folder)
    if not drift.ok:
        raise GolfError(drift.message, f"see the difference: `golf compose {folder.name} --check`; "
                        f"compose again: `golf compose {folder.name}`", Exit.REFUSED)  # fmt: skip
    if smoke and drift.twin_faults:
        raise GolfError(f"the small twin of {folder.name} cannot run: {drift.twin_faults[0]}",
                        "the recipe itself can: run it at full size, or choose values that its twin shares", Exit.REFUSED)  # fmt: skip
    return drift.message if drift.state != "same" else None


def readable_of(script: bytes) -> str:
    """The script's text, unpacked without running it."""
    from golf.reading.unpack import unpack

    return unpack(script)


def small_twin(recipe: Any, script: bytes, vocab_size: int | None = None) -> bytes:
    """The unpacked script with smaller values in its `class h`, and no other difference. vocab_size: where its data have another."""
    from golf.compose import rescale
    from golf.recipe import smoke_sizes

    twin = rescale(readable_of(script), smoke_sizes(recipe)).encode()
    return twin if vocab_size is None else with_vocabulary(twin, vocab_size)


def with_vocabulary(script: bytes, vocab_size: int) -> bytes:
    """A small twin for data of another vocabulary; the same bytes where it has that."""
    from golf.compose import rescale

    if vocabulary_of(script, {}) == vocab_size:
        return script
    return rescale(readable_of(script), {"vocab_size": vocab_size}).encode()


def counts_by_side_car(values: Mapping[str, Any]) -> bool | None:
    """Whether a recipe reads its tokens' bytes from a side-car; None where its own technique counts them."""
    way = str(values.get("target_bytes", "table_bytes")).rpartition(".")[2]
    return {"side_car_bytes": True, "table_bytes": False}.get(way)


def reads_side_car(script: bytes) -> bool | None:
    """Whether a script has golf's reader of a side-car in it; None where it does not, which says nothing."""
    try:
        return "def side_car_bytes(" in readable_of(script) or None
    except GolfError:
        return None


def vocabulary_of(script: bytes, values: Mapping[str, Any]) -> int:
    """The vocabulary that the script was composed for: its own `class h` says it; else the recipe's values."""
    from golf.compose import scalars

    try:
        return int(scalars(readable_of(script)).get("vocab_size", values.get("vocab_size", 1024)))
    except GolfError:  # not one of ours
        return int(values.get("vocab_size", 1024))
