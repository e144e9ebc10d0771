"""What is known of an imported submission: its own script, what it needs, and the results that came with it; nothing of a recipe."""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from golf.challenge import CAP_BYTES, SCRIPT
from golf.errors import Exit, GolfError
from golf.files import sha256_of_file
from golf.project import find_root, find_submission, is_adopted
from golf.reading.claims import author_and_date, headline
from golf.reading.folder import Folder
from golf.reading.needs import Needs, needs_of
from golf.reading.script import Source, find_script, read_source
from golf.recipe import Recipe, load_recipe


@dataclass(frozen=True)
class Result:
    """A run that came with the import. Bytes as its log adds them up; None for what the log does not say."""

    seed: int
    val_bpb: float | None
    total_bytes: int | None
    code_bytes: int | None
    model_bytes: int | None
    params: int | None
    steps: int | None
    device: str | None
    world_size: int | None


@dataclass(frozen=True)
class Imported:
    """An imported submission; everything is read when first asked for."""

    folder: Path

    @cached_property
    def recipe(self) -> Recipe:
        return load_recipe(self.folder / "recipe.toml")

    @cached_property
    def original(self) -> Folder:
        """The folder as it came."""
        return Folder(self.folder / "original")

    @cached_property
    def shipped(self) -> Source | None:
        """The script as it came, packed where its authors packed it, with the local files that it uses."""
        script = find_script(self.original.path)
        return None if script is None else read_source(script, self.original.path)

    @property
    def readable_bytes(self) -> int:
        """Of the readable script."""
        return (self.folder / SCRIPT).stat().st_size

    @property
    def code_bytes(self) -> int | None:
        """What counts as code: the script as it came and the local code that it runs; None where no script came."""
        return None if self.shipped is None else self.shipped.shipped_bytes + self.shipped.helper_bytes

    @cached_property
    def needs(self) -> Needs:
        return needs_of(self.folder / SCRIPT)

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """The finished runs of the store, by seed."""
        from golf.run.store import has_store, open_store

        root = find_root(self.folder)
        if not has_store(root):
            return ()
        with open_store(root) as store:
            runs = {run.seed: run for run in store.runs(submission=self.folder.name, state="finished") if run.result}
        return tuple(
            Result(
                seed, **{name: (run.result or {}).get(name) for name in Result.__dataclass_fields__ if name not in ("seed", "device", "world_size")},
                device=run.device, world_size=run.world_size,
            )
            for seed, run in sorted(runs.items())
        )  # fmt: skip

    @property
    def author_and_date(self) -> tuple[str, str]:
        """Who made it and when, as its folder says; "" for what it does not."""
        author, date = author_and_date(self.original.claims, self.recipe.source.rpartition(" ")[2])
        return author or ", ".join(self.recipe.authors), date

    def facts(self) -> dict[str, Any]:
        """Plain data for `--json`; null is unknown."""
        author, date = self.author_and_date
        scores = [one.val_bpb for one in self.results if one.val_bpb is not None]
        totals = [one.total_bytes for one in self.results if one.total_bytes is not None]
        return {
            "name": self.folder.name, "imported": True, "title": self.recipe.title, "author": author or None, "date": date or None,
            "track": self.recipe.track, "source": self.recipe.source, "claimed_val_bpb": headline(self.original.claims),
            "script": {
                "readable_bytes": self.readable_bytes, "lines": (self.folder / SCRIPT).read_text("utf-8", "replace").count("\n"),
                "sha256": sha256_of_file(self.folder / SCRIPT), "shipped_bytes": None if self.shipped is None else self.shipped.shipped_bytes,
                "packed": None if self.shipped is None else self.shipped.packed, "code_bytes": self.code_bytes,
                "files": [] if self.shipped is None else [path.name for path in (*self.shipped.helpers, *self.shipped.data)],
            },
            "needs": self.needs.names, "results": [asdict(one) for one in self.results],
            "val_bpb": fmean(scores) if scores else None, "artifact_bytes_max": max(totals) if totals else None,
            "cap_bytes": CAP_BYTES, "techniques": None,
        }  # fmt: skip


def imported(name: str | None) -> Imported | None:
    """The imported submission of that name (None: of the current folder); None where the name is of something else."""
    try:
        folder = find_submission(name)
    except GolfError:
        return None
    return Imported(folder) if is_adopted(folder) else None


def refuse_imported(name: str | None, what: str) -> None:
    """GolfError (10) where the submission is imported: golf knows no parts of its script that it could compose, weigh or predict."""
    if (found := imported(name)) is not None:
        raise GolfError(
            f"`{found.folder.name}` was imported: {what} of its script is unknown to golf, which composed nothing of it",
            f"`golf show {found.folder.name}` and `golf size {found.folder.name}` say what is known",
            Exit.REFUSED,
        )
