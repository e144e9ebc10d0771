"""Write a record folder: gathered, put together beside its place, verified, and moved there whole."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from golf.board.views import day
from golf.challenge import CAP_BYTES, SCRIPT, TRACK_FOLDERS
from golf.errors import Exit, GolfError
from golf.files import json_text
from golf.project import author as who
from golf.project import find_root, is_adopted
from golf.recipe import Recipe
from golf.record.claims import claims_of, torch_of
from golf.record.evidence import Evidence, gather
from golf.record.imported import Imported
from golf.record.pictures import charts, draw_all
from golf.record.readme import readme_of, with_compliance
from golf.record.requirements import requirements


@dataclass(frozen=True)
class Wishes:
    """What the user may choose. author: (name, GitHub id), by default `golf.project.author()`; date: by default today.

    Of an imported submission both are by default what its folder says.
    """

    name: str | None = None
    out: Path | None = None
    date: str | None = None
    author: tuple[str, str] | None = None
    set_id: str | None = None
    seeds: Sequence[int] | None = None
    verify: bool = True
    hardware: tuple[int, str] | None = None


@dataclass(frozen=True)
class Plan:
    """A record that can be written: where, from what, under which name."""

    evidence: Evidence
    folder: Path
    title: str
    author: tuple[str, str]
    date: str


def plan_record(submission: Path, wishes: Wishes) -> Plan:
    """Check everything that can be wrong before a file is written.

    Raises GolfError: unfinished or same-seed runs, nobody to credit, over the cap, derived beyond [quant], a folder in the way.
    """
    evidence = gather(submission, wishes.set_id, wishes.seeds, wishes.hardware)
    _check_derived(evidence)
    if evidence.worst_bytes is not None and evidence.worst_bytes > CAP_BYTES and evidence.challenge:
        raise GolfError(f"`{submission.name}` weighs {evidence.worst_bytes:,} bytes at its worst seed; the cap is {CAP_BYTES:,}",
                        f"make it fit: `golf package {submission.name} --fit`", Exit.OVER_BYTES)  # fmt: skip
    theirs, made = _of_strangers(submission)
    date = day(wishes.date or made or datetime.now(UTC).date().isoformat())
    title = wishes.name or (evidence.recipe.title if evidence.recipe and evidence.recipe.title else submission.name)
    short = re.sub(r"[^A-Za-z0-9._-]+", "_", wishes.name or submission.name).strip("_") or "Record"
    parent = wishes.out or find_root(submission) / "records" / TRACK_FOLDERS[evidence.track]
    folder = parent / f"{date}_{short}"
    if folder.exists():
        raise GolfError(
            f"`{folder}` exists; a record is never overwritten",
            "give another name: `--name …`, or move it away",
            Exit.REFUSED,
        )
    return Plan(evidence, folder, title, wishes.author or theirs or who(), date)


def _of_strangers(submission: Path) -> tuple[tuple[str, str] | None, str]:
    """((author, GitHub id), date) of an imported submission, as its own folder says: it is their record, of that day."""
    if not is_adopted(submission):
        return None, ""
    found = Imported(submission)
    author, date = found.author_and_date
    return ((author, str((found.original.claims or {}).get("github_id") or author)) if author else None), date


def _check_derived(evidence: Evidence) -> None:
    """Runs quantized again after training must agree in what was changed, and change nothing but quantization."""
    changes = [dict(seed.derived or {}) for seed in evidence.seeds]
    if any(change != changes[0] for change in changes):
        raise GolfError(f"the seeds of `{evidence.submission.name}` were packaged with different settings: {changes}",
                        f"package them alike: `golf package {evidence.submission.name} key=value`", Exit.REFUSED)  # fmt: skip
    if not changes[0] or evidence.recipe is None:
        return
    knobs, allowed = evidence.recipe.catalogue.knobs, _quantizing(evidence.recipe, changes[0])
    outside = [key for key in changes[0] if key not in knobs or knobs[key].part not in allowed]
    if outside:
        raise GolfError(f"derived results changed {', '.join(f'`{key}`' for key in outside)}, which is not in [quant]",
                        "train with these values: `golf run`", Exit.REFUSED)  # fmt: skip


def _quantizing(recipe: Recipe, changes: Mapping[str, Any]) -> set[str]:
    """The parts whose knobs may change after training: [quant], the container, and the techniques that [quant] now names."""
    catalogue, values = recipe.catalogue, {**recipe.values, **changes}
    kinds = {name: knob.kind for name, knob in catalogue.knobs.items() if knob.part == "quant" and name in values}
    named = [str(values[name]) for name, kind in kinds.items() if kind == "Slot" and values[name]]
    named += [str(member) for name, kind in kinds.items() if kind == "Chain" for member in values[name]]
    return {"quant", "artifact", *(catalogue.find(reference, "[quant]").part for reference in named)}


def write_record(submission: Path, wishes: Wishes) -> Path:
    """Write the record of `submission`; the folder. It appears whole, by a rename, or not at all."""
    plan = plan_record(submission, wishes)
    aside = plan.folder.with_name(f".{plan.folder.name}.{os.getpid()}.tmp")
    # under the names that it will have: rules on a folder's name and place judge it there
    place = plan.folder.absolute()
    scratch = aside.joinpath(*place.relative_to(place.anchor).parts[-3:])
    try:
        scratch.mkdir(parents=True)
        fill(scratch, plan, verify=wishes.verify)
        if plan.folder.exists():
            raise GolfError(
                f"`{plan.folder}` has appeared meanwhile; a record is never overwritten",
                "give another name: `--name …`",
                Exit.REFUSED,
            )
        scratch.rename(plan.folder)
    except OSError as fault:
        raise GolfError(
            f"cannot write `{plan.folder}`: {fault.strerror}", "is the disk full or the folder read-only?", Exit.REFUSED
        ) from fault
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return plan.folder


def fill(folder: Path, plan: Plan, *, verify: bool) -> None:
    """Put the files of the record into the empty `folder`."""
    evidence = plan.evidence
    techniques = technique_names(evidence.recipe)
    (folder / SCRIPT).write_bytes(evidence.shipped.script)
    for name, path in {**evidence.shipped.files, **evidence.shipped.beside}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    for seed in evidence.seeds:
        shutil.copyfile(seed.log, folder / seed.log.name)
    claims = claims_of(
        evidence,
        name=plan.title,
        author=plan.author[0],
        github_id=plan.author[1],
        date=plan.date,
        techniques=techniques,
    )
    (folder / "submission.json").write_text(json_text(claims, 2, ascii_only=False) + "\n", encoding="utf-8")
    (folder / "requirements.txt").write_text(_requirements(evidence), encoding="utf-8")
    shown = draw_all(folder, charts(evidence))
    text = readme_of(evidence, plan.title, shown, plan.date)
    (folder / "README.md").write_text(text, encoding="utf-8")
    verdict = _verify(folder, evidence) if verify else None
    (folder / "README.md").write_text(with_compliance(text, verdict), encoding="utf-8")


def _requirements(evidence: Evidence) -> str:
    """The authors' own list for an imported script, else what the script imports; pinned where it ran on this machine's torch."""
    own = evidence.submission / "original" / "requirements.txt"
    if is_adopted(evidence.submission) and own.is_file():
        return own.read_text(encoding="utf-8", errors="replace")
    beside = {Path(name).stem for name in (*evidence.shipped.files, *evidence.shipped.beside)}
    return requirements(evidence.script, local=beside, torch=torch_of(evidence)[0])


def _verify(folder: Path, evidence: Evidence) -> Any:
    try:
        from golf.rules import verify_folder
    except ImportError:
        return None
    return verify_folder(folder, track=evidence.track, quick=True)


def technique_names(recipe: Any) -> tuple[str, ...]:
    """The technique modules that a recipe's slots and chains select, sorted."""
    if recipe is None:
        return ()
    names = set()
    modules = {part.stem for part in recipe.catalogue.parts.values() if part.technique}
    for key, value in recipe.values.items():
        knob = recipe.catalogue.knobs.get(key)
        if knob is None or knob.kind not in ("Slot", "Chain"):
            continue
        for reference in (value,) if isinstance(value, str) else value:
            stem = str(reference).rpartition(":")[2].split(".")[0]
            if stem in modules:
                names.add(stem)
    return tuple(sorted(names))
