"""D10 on R03: script and artifact alone, in an empty folder, score what the log says.

`golf package` proves it and writes a manifest; for the same bytes that is cited. Else an artifact of this project's own is scored
here, unless the short form is asked for. A stranger's script is never run outside the sandbox, which has no data.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from golf.challenge import SCRIPT
from golf.errors import GolfError
from golf.files import parse_json
from golf.rules.execution import is_ours
from golf.rules.findings import Result, State
from golf.rules.runs import Run
from golf.rules.subject import Subject

MODEL = "model.golf"


@dataclass(frozen=True)
class Proof:
    """The artifact of one seed scored alone: its BPB, the log's, and who says so."""

    seed: int | None
    alone_bpb: float
    logged_bpb: float
    says: str

    @property
    def line(self) -> str:
        difference = self.alone_bpb - self.logged_bpb
        return f"seed {self.seed}: alone {self.alone_bpb:.8f}, logged {self.logged_bpb:.8f} ({difference:+.1e} BPB), {self.says}"


@dataclass(frozen=True)
class Package:
    """A manifest that `golf package` wrote, beside the files that it names."""

    path: Path
    table: dict[str, Any]

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Name → sha256, of the files that still are what the manifest says."""
        from golf.files import sha256_of_file

        named = {str(file["name"]): str(file["sha256"]) for file in self.table["files"]}
        whole = {name: self.path.parent / name for name in named if (self.path.parent / name).is_file()}
        return {name: named[name] for name, file in whole.items() if sha256_of_file(file) == named[name]}

    def is_of(self, script_sha256: str) -> bool:
        """Whether it ships this script, readable or packed."""
        shipped = self.hashes.get(SCRIPT)
        return shipped is not None and script_sha256 in (shipped, self.table.get("script_sha256"))

    def proof(self, run: Run, model: Path | None) -> Proof | None:
        """What it measured of a run; None where it has another artifact."""
        from golf.files import sha256_of_file

        kept = self.hashes.get(f"seed_{run.seed}/{MODEL}")
        if kept is None or run.val_bpb is None or (model is not None and sha256_of_file(model) != kept):
            return None
        for one in self.table["alone"]:
            if one["seed"] == run.seed:
                return Proof(
                    run.seed,
                    math.nan if one["val_bpb"] is None else float(one["val_bpb"]),
                    run.val_bpb,
                    "by its package's manifest",
                )
        return None


def artifact(subject: Subject) -> Iterable[Result]:
    """Every seed's artifact reproduces its score alone, by a manifest or by a run of it here."""
    models = dict(_models(subject))
    if subject.script is None or not subject.scored_runs:
        return
    packages = list(_packages(subject))
    if not models and not packages:
        return  # nothing of the artifact is here
    proofs, untold = [], []
    for run in subject.scored_runs:
        model = models.get(run.file)
        try:
            found = (one for package in packages if (one := package.proof(run, model)) is not None)
            proof = next(found, None) or _alone(subject, run, model)
            proofs.append(proof)
        except GolfError as fault:
            untold.append(f"seed {run.seed}: {fault.message}")
    yield from _judge(proofs, untold)


def _judge(proofs: list[Proof], untold: list[str]) -> Iterator[Result]:
    from golf.artifact.alone import TOLERANCE_BPB

    lines = tuple(proof.line for proof in proofs)
    broken = [proof for proof in proofs if not abs(proof.alone_bpb - proof.logged_bpb) <= TOLERANCE_BPB]
    if broken:
        yield Result(State.FAIL, f"D10: the artifact alone does not score what the log says: {broken[0].line}", lines)
    elif untold:
        yield Result(State.UNKNOWN, f"D10: {untold[0]}", (*untold[1:], *lines))
    elif proofs:
        seeds = f"{len(proofs)} seed{'s' if len(proofs) > 1 else ''}"
        message = f"D10: script and artifact alone score what the log says ({seeds}, within {TOLERANCE_BPB} BPB)"
        yield Result(State.PASS, message, lines)


def _models(subject: Subject) -> Iterator[tuple[str, Path]]:
    """(log, artifact) of the runs that have one beside their log, and are the only run there."""
    base = subject.run_set if subject.kind == "submission" else subject.folder
    if base is None:
        return
    folders = [(base / run.file).parent for run in subject.scored_runs]
    for run, folder in zip(subject.scored_runs, folders, strict=True):
        if (folder / MODEL).is_file() and folders.count(folder) == 1:
            yield run.file, folder / MODEL


def _packages(subject: Subject) -> Iterator[Package]:
    """The packages of this project that ship the subject's script; a manifest that a stranger brings along proves nothing."""
    from golf.files import sha256_of_file
    from golf.project import find_root

    if subject.kind == "submission":
        places = [subject.run_set / "package" / "manifest.json"] if subject.run_set else []
    else:
        root = find_root(subject.folder)
        inside = subject.folder.resolve().is_relative_to(root / "records")
        places = sorted(root.glob("submissions/*/runs/*/package/manifest.json")) if inside else []
    script = sha256_of_file(subject.script) if subject.script else ""
    for place in places:
        try:
            package = Package(place, parse_json(place.read_text(encoding="utf-8")))
            if package.is_of(script):
                yield package
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no manifest, or not one of ours


def _alone(subject: Subject, run: Run, model: Path | None) -> Proof:
    """Score one artifact in an empty folder; GolfError says why that cannot or shall not be done here."""
    from golf.artifact.alone import evaluate_alone
    from golf.artifact.package import local_files
    from golf.data.source import find_tokenizer
    from golf.project import find_root
    from golf.rules.local_data import folders
    from golf.run.launch import Inputs
    from golf.run.machine import this_machine

    script, way = subject.script, "`golf package` proves it where the data and the device of the run are"
    if model is None or script is None or run.val_bpb is None:
        raise GolfError("its artifact is not here", way)
    if not is_ours(subject):
        raise GolfError("a stranger's script is not run on its artifact: it would have to run outside the sandbox", way)
    if subject.quick and not subject.execute:
        raise GolfError("the artifact was not scored alone; leave out `--quick`, or run `golf package`", way)
    places, machine = folders(subject), this_machine()
    if not places or run.vocab_size is None:
        raise GolfError("the validation shards that its log names are not on this machine", way)
    if (run.device or run.gpu or "cpu") != "cpu" and not machine.gpus:
        raise GolfError(f"it was scored on {run.device or run.gpu}, and here is no GPU", way)
    inputs = Inputs(places[0].resolve(), find_tokenizer(run.vocab_size, places[0], find_root()).resolve())
    score = evaluate_alone(
        script.read_bytes(), model, inputs, seed=run.seed or 0, nproc=run.world_size or 1, machine=machine,
        files=local_files(script),
    )  # fmt: skip
    return Proof(run.seed, score.val_bpb, run.val_bpb, f"scored here in {score.seconds:.0f} s")
