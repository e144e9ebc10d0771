"""A study as a value and as a file: what is varied, over which seeds, in which trials; `studies/<name>/study.json`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.files import json_text, read_json, sha256_of, write_atomically
from golf.study.axes import Choices

SCHEMA = 1
FOLDER = "studies"
FILE = "study.json"
LOCK = ".driver.lock"
SPENT = "spent.json"
PAGE = "index.html"


@dataclass(frozen=True)
class Trial:
    """One submission of a study. choices: axis → value, as typed; the rest is how `golf new` makes it.

    seeds: those that it runs, where they are more than the study's (the repeated base of an ablation).
    """

    name: str
    choices: Choices
    parent: str
    with_: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """`matrix_lr=0.018 xsa=off`, or what an ablation calls it."""
        return label_of(self.choices)


def label_of(choices: Choices) -> str:
    """Choices as one says them: `matrix_lr=0.018 xsa=off`."""
    return " ".join(f"{axis}={value}" if value else axis for axis, value in choices.items()) or "as it is"


@dataclass(frozen=True)
class Study:
    """A study. asked: what the user asked for, as plain data: the study is another one when it differs.

    base_sha256: of the resolved values of what the trials start from, so that a base that changed since is seen. Of a search:
    refused, the proposals that cannot be composed; is_used_up, whether the axes have no more trials.
    """

    name: str
    kind: str  # "sweep", "ablation"
    base: str
    seeds: tuple[int, ...]
    trials: tuple[Trial, ...]
    asked: Mapping[str, Any] = field(default_factory=dict)
    base_sha256: str = ""
    refused: tuple[Choices, ...] = ()
    is_used_up: bool = False

    def seeds_of(self, trial: Trial) -> tuple[int, ...]:
        """The seeds of a trial."""
        return trial.seeds or self.seeds

    def trial(self, name: str) -> Trial:
        """The trial of this name."""
        return next(trial for trial in self.trials if trial.name == name)


def folder_of(root: Path, name: str) -> Path:
    """The folder of a study."""
    return root / FOLDER / name


def study_names(root: Path) -> list[str]:
    """The studies of a project."""
    return sorted(path.parent.name for path in (root / FOLDER).glob(f"*/{FILE}"))


def refuse_name(name: str) -> None:
    """GolfError for a name that no folder and no submission can have."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,80}", name):
        raise GolfError(f"`{name}` is no name for a study", "letters, digits, `_`, `-` and `.`")


def default_name(base: str, asked: Mapping[str, Any]) -> str:
    """`mine-3fa9c1`: of what is asked, so that the same study asked for twice is the same one."""
    stem = re.sub(r"[^A-Za-z0-9_.-]", "-", Path(base).name.removesuffix(".toml"))
    return f"{stem}-{sha256_of(json_text(asked).encode())[:6]}"


def trial_names(study: str, count: int) -> list[str]:
    """`lr-01`, `lr-02`, …: the submissions of a study, as many digits as the last one has."""
    width = max(2, len(str(count)))
    return [f"{study}-{number:0{width}}" for number in range(1, count + 1)]


def save(root: Path, study: Study) -> None:
    """Write a study's file, whole or not at all."""
    table = {"schema": SCHEMA, **asdict(study)}
    write_atomically(folder_of(root, study.name) / FILE, (json_text(table, 1, ascii_only=False) + "\n").encode())


def load(root: Path, name: str) -> Study:
    """The study of this name. GolfError: there is none, its file is damaged, or a newer golf wrote it."""
    path = folder_of(root, name) / FILE
    if not path.is_file():
        there = study_names(root)
        raise GolfError(f"no study is called `{name}`", f"there are: {', '.join(there)}" if there else "begin one: `golf sweep BASE --over knob=A,B --name NAME`, `golf ablate BASE --name NAME`")  # fmt: skip
    table, fault = read_json(path)
    if table is None:
        raise GolfError(f"{path} is damaged: {fault}", f"its trials are whole: move the file away and give the command of {name} again", Exit.REFUSED)  # fmt: skip
    if table.get("schema") != SCHEMA:
        raise GolfError(f"{path} has schema {table.get('schema')}; this golf reads {SCHEMA}", "a newer golf made it: install that one", Exit.REFUSED)  # fmt: skip
    try:
        trials = tuple(Trial(**{**row, **{key: tuple(row[key]) for key in ("with_", "without", "overrides", "seeds")}})
                       for row in table["trials"])  # fmt: skip
        return Study(
            table["name"],
            table["kind"],
            table["base"],
            tuple(table["seeds"]),
            trials,
            table["asked"],
            table["base_sha256"],
            tuple(table.get("refused", ())),
            bool(table.get("is_used_up")),
        )
    except (KeyError, TypeError) as fault:
        raise GolfError(
            f"{path} is damaged: {fault!r}", "move it away and give its command again", Exit.REFUSED
        ) from fault


def refuse_changed(before: Study, now: Study) -> None:
    """GolfError where a study is asked for by the name of another one, or its base changed: all that differs, in one sentence."""
    if before.kind != now.kind:
        raise GolfError(
            f"`{before.name}` is a{'n' * (before.kind[0] in 'aeiou')} {before.kind}",
            "choose another `--name`",
            Exit.REFUSED,
        )
    keys = [key for key in {**before.asked, **now.asked} if before.asked.get(key) != now.asked.get(key)]
    if keys:
        told = "; ".join(f"{key}: {_told(before.asked.get(key))} then, {_told(now.asked.get(key))} now" for key in keys)
        raise GolfError(f"the study {before.name} was begun with others: {told}", f"go on with what it was: `golf {_verb(before)} --name {before.name} --resume`; or choose another `--name`", Exit.REFUSED)  # fmt: skip
    if before.base_sha256 != now.base_sha256:
        raise GolfError(f"{before.base} changed since the study {before.name} began: its trials would start from two things",
                        "undo the change, or begin a study of another `--name`", Exit.REFUSED)  # fmt: skip


def _verb(study: Study) -> str:
    return "sweep" if study.kind == "sweep" else "ablate"


def _told(value: Any) -> str:
    return (
        "none"
        if value in (None, [], (), "")
        else ", ".join(map(str, value))
        if isinstance(value, list | tuple)
        else str(value)
    )


def seconds_spent(root: Path, name: str) -> float:
    """Wall seconds for which drivers of the study have been at work, all together."""
    table, _ = read_json(folder_of(root, name) / SPENT)
    return float((table or {}).get("seconds") or 0.0)


def note_spent(root: Path, name: str, seconds: float) -> None:
    """Keep the seconds spent so far."""
    write_atomically(folder_of(root, name) / SPENT, json_text({"seconds": round(seconds, 3)}).encode())


def named(trials: Sequence[Trial], study: str) -> tuple[Trial, ...]:
    """The trials with their names in the study."""
    return tuple(replace(trial, name=name) for trial, name in zip(trials, trial_names(study, len(trials)), strict=True))
