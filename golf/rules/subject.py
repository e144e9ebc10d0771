"""What is to be judged: a record folder, a submission with its runs, or a single script, read once and lazily."""

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from golf.challenge import TRACKS
from golf.errors import GolfError
from golf.files import own_files, read_json, read_text
from golf.reading.choice import runs_that_count
from golf.reading.claims import SeedClaim, claimed_scores, claimed_track, headline, seed_claims
from golf.reading.folder import MOST_LOGS, log_files
from golf.reading.script import Source, read_source
from golf.rules.code import Code
from golf.rules.pack import Pack
from golf.rules.runs import Run, read_runs
from golf.run.sets import set_that_counts, stored_runs, track_of

if TYPE_CHECKING:
    from golf.run.schema import Run as StoredRun

SCRIPT_NAMES = ("train_gpt.py", "train_gpt*.py", "train_*.py", "train*.py")
MAX_TEXT_BYTES = 4_000_000
Answer = TypeVar("Answer")


@dataclass
class Subject:
    """Everything that the detectors may ask about.

    kind: "record" (logs and submission.json), "submission" (golf's own: recipe and runs) or "script".
    execute: the user allows running the script in the sandbox. quick: the short form of executed checks.
    """

    path: Path
    pack: Pack
    kind: str
    execute: bool = False
    quick: bool = False
    wanted_track: str | None = None
    only: frozenset[str] | None = None
    power: float = 0.8  # of the seeds that R14 asks for
    rate: float | None = None  # dollars an hour
    deep: bool = False  # every experiment
    unsafe: bool = False  # run a stranger's script although a wall is missing
    notes: list[str] = field(default_factory=list)
    acts: dict[str, Any] = field(default_factory=dict, repr=False)  # what was done once, see `once`

    def once(self, name: str, make: Callable[[Self], Answer]) -> Answer:
        """What `make` answers of this subject, asked the first time only."""
        if name not in self.acts:
            self.acts[name] = make(self)
        found: Answer = self.acts[name]
        return found

    @property
    def folder(self) -> Path:
        return self.path.parent if self.kind == "script" else self.path

    @property
    def limits(self) -> dict[str, Any]:
        return self.pack.limits

    @cached_property
    def script(self) -> Path | None:
        """The training script: what the runs ran for a submission, else train_gpt.py or the nearest name."""
        if self.kind == "script":
            return self.path
        if self.kind == "submission" and self.run_set is not None and (self.run_set / "train_gpt.py").is_file():
            return self.run_set / "train_gpt.py"
        for pattern in SCRIPT_NAMES:
            if found := own_files(self.folder, pattern):
                return found[0]
        return None

    @cached_property
    def source(self) -> Source | None:
        """The script unpacked and parsed, with the local files that it uses; None without a script."""
        return read_source(self.script) if self.script else None

    @cached_property
    def code(self) -> Code | None:
        """The shape of the source, with the settings of the run; None where nothing parses."""
        if self.source is None or self.source.main.tree is None:
            return None
        return Code(self.source.modules, self.run_settings)

    @cached_property
    def run_settings(self) -> dict[str, str]:
        """Settings that differ from the script's defaults: what the README's first command sets, then what the log prints."""
        runs = self.scored_runs or self.runs
        blocks = re.findall(r"```.*?```", self.readme or "", re.DOTALL)
        command = next((block for block in blocks if "torchrun" in block), "")
        named = {
            name.lower(): value.strip("'\"") for name, value in re.findall(r"\b([A-Z][A-Z0-9_]{2,})=(\S+)", command)
        }
        return self._shown_settings | named | (runs[0].config if runs else {})

    @cached_property
    def _shown_settings(self) -> dict[str, str]:
        """What run scripts, README tables, families' log lines and settings files beside the script set."""
        if self.kind == "script" or self.source is None:
            return {}
        from golf.harness.settings import names_read, published

        texts = [module.text for module in self.source.modules]
        found = {name.lower(): value for name, value in published(self.folder, names_read(texts)).items()}
        for path in own_files(self.folder, "*.json"):
            if path.name in " ".join(texts) and not path.name.startswith("submission"):
                table = read_json(path)[0] or {}
                found |= {
                    str(key).lower(): str(value) for key, value in table.items() if isinstance(value, int | float | str)
                }
        return found

    @cached_property
    def run_set(self) -> Path | None:
        """The set of a submission's runs that is judged, see `set_that_counts`."""
        return set_that_counts(self.folder)

    @cached_property
    def stored_runs(self) -> "list[StoredRun]":
        """The run store's rows of that set."""
        return stored_runs(self.folder, self.run_set) if self.kind == "submission" and self.run_set else []

    @cached_property
    def runs(self) -> list[Run]:
        """Every run whose log is here, duplicates of one log left out."""
        base = self.run_set if self.kind == "submission" else self.folder
        logs = self.log_paths if self.kind == "submission" else self.log_paths[:MOST_LOGS]
        return read_runs(base, logs, claimed_scores(self.claims)) if base else []

    @cached_property
    def log_paths(self) -> list[Path]:
        """The logs of a record folder, also those beyond `MOST_LOGS`, or of a submission's set of runs; a script has none."""
        if self.kind == "record":
            return log_files(self.folder)
        return sorted(self.run_set.glob("seed_*/train_seed*.log")) if self.kind == "submission" and self.run_set else []

    @cached_property
    def claims_path(self) -> Path | None:
        found = own_files(self.folder, "submission*.json") if self.kind != "script" else []
        return found[0] if found else None

    @cached_property
    def claims(self) -> dict[str, Any] | None:
        """submission.json as a table; None when there is none or it is no JSON object (see `claims_fault`)."""
        return self._claims[0]

    @property
    def claims_fault(self) -> str | None:
        return self._claims[1]

    @cached_property
    def _claims(self) -> tuple[dict[str, Any] | None, str | None]:
        if self.claims_path is None:
            return None, None
        return read_json(self.claims_path)

    @cached_property
    def readme(self) -> str | None:
        found = (
            []
            if self.kind == "script"
            else [*own_files(self.folder, "README*"), *own_files(self.folder, "*[Rr][Ee][Aa][Dd][Mm][Ee]*.md")]
        )
        return next((text for path in found if (text := read_text(path, MAX_TEXT_BYTES)) is not None), None)

    @cached_property
    def track(self) -> str:
        """The track whose rules apply: the pack's where it is of another contest, what is asked for, else what the folder,
        submission.json and the runs' hardware say."""
        if self.pack.contest:
            return self.pack.contest
        if self.wanted_track:
            return self.wanted_track
        claimed = claimed_track(self.claims, self.folder.resolve().parent.name)
        if claimed == "local" or any(run.not_the_challenge for run in self.runs):
            return "local"
        if self.kind == "submission" and self.run_set is not None:
            if stored := track_of(self.run_set, self.stored_runs, TRACKS):
                return stored
        if claimed == "non_record_16mb":
            return claimed
        if self.kind == "submission" and not self.runs:
            return self._recipe_track or "10min_16mb"
        return "10min_16mb"

    @cached_property
    def _recipe_track(self) -> str | None:
        import tomllib

        try:
            track = tomllib.loads((self.folder / "recipe.toml").read_text(encoding="utf-8")).get("track")
        except (OSError, ValueError):
            return None
        return track if track in TRACKS else None

    @cached_property
    def date(self) -> datetime.date | None:
        """When it was submitted: the `date` of submission.json, else of the folder's name."""
        for text in (str((self.claims or {}).get("date", "")), self.folder.name):
            if match := re.match(r"(\d{4})-(\d\d)-(\d\d)", text):
                try:
                    return datetime.date(*(int(part) for part in match.groups()))
                except ValueError:
                    continue
        return None

    @cached_property
    def scored_runs(self) -> list[Run]:
        """One run per seed that backs the claim (all seeds when submission.json names none), see `runs_that_count`."""
        return list(runs_that_count(self.runs, self.seed_claims, headline(self.claims)).values())

    @cached_property
    def seed_claims(self) -> Mapping[str, SeedClaim]:
        """What submission.json says per seed, whatever its form."""
        return seed_claims(self.claims)


def find_subject(path: str | Path, pack: Pack, **options: Any) -> Subject:
    """The subject at `path`: a folder or a .py file, or the name of a submission of this project; GolfError when it is none."""
    place = Path(path)
    if not place.exists():
        from golf.project import find_submission

        place = find_submission(str(path))
    if place.is_file():
        if place.suffix != ".py":
            raise GolfError(f"{place} is no Python script", "name a record folder, a submission or a train_gpt.py")
        return Subject(place, pack, "script", **options)
    if (place / "recipe.toml").is_file():
        return Subject(place, pack, "submission", **options)
    if not place.is_dir() or not any(place.iterdir()):
        raise GolfError(f"nothing to verify in {place}", "name a record folder, a submission or a train_gpt.py")
    return Subject(_record_in(place), pack, "record", **options)


def _record_in(place: Path) -> Path:
    """The record folder itself, or the only one of a pull request's whole tree; GolfError where a tree holds several."""
    if any(place.glob("*.py")) or (place / "submission.json").is_file():
        return place
    within = sorted(each for each in place.glob("records/track_*/*") if each.is_dir())
    if len(within) > 1:
        raise GolfError(
            f"{place} holds {len(within)} record folders", f"name one of them: {within[-1].relative_to(place)}"
        )
    return within[0] if within else place


def names(items: Sequence[object], limit: int = 6) -> str:
    """A short list for a message."""
    shown = ", ".join(str(item) for item in items[:limit])
    return shown + (f" and {len(items) - limit} more" if len(items) > limit else "")
