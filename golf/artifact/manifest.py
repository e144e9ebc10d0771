"""The package as files: what ships, and a manifest that names every file with its bytes and sha256."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golf import __version__
from golf.artifact.alone import TOLERANCE_BPB, Comparison, Score
from golf.artifact.ledger import Ledger
from golf.artifact.ledger import to_json as ledger_json
from golf.challenge import CAP_BYTES, SCRIPT
from golf.errors import Exit
from golf.files import json_text, link_or_copy, parse_json, sha256_of, sha256_of_file, write_atomically
from golf.run.layout import ARTIFACT
from golf.run.plan import Plan
from golf.run.schema import Run

if TYPE_CHECKING:
    from golf.artifact.fitted import Fitted
    from golf.artifact.ledger import FullLedger

FOLDER = "package"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Package:
    """What would ship: its folder (None before it is written), its bytes, and its score measured alone."""

    runs: tuple[Run, ...]
    ledger: Ledger
    shipped: bytes
    comparisons: tuple[Comparison, ...]
    folder: Path | None
    kept: bool = False  # scored alone before, from the same bytes
    fitted: "Fitted | None" = None  # how `--fit` came to these settings
    full: "FullLedger | None" = None  # every file and tensor, where they were asked for

    @property
    def exit_code(self) -> Exit:
        """3 over the cap; 1 when a score in a log is not its artifact's."""
        if self.ledger.headroom < 0:
            return Exit.OVER_BYTES
        return Exit.OK if all(one.agrees for one in self.comparisons) else Exit.RULE_BROKEN


def file_hashes(shipped: bytes, files: Sequence[Path], models: dict[int, Path]) -> dict[str, str]:
    """Name in the package → sha256 of what belongs there."""
    return {
        SCRIPT: sha256_of(shipped),
        **{file.name: sha256_of_file(file) for file in files},
        **{f"seed_{seed}/{ARTIFACT}": sha256_of_file(model) for seed, model in models.items()},
    }


def kept_comparisons(
    plan: Plan, package: Package, files: Sequence[Path], models: dict[int, Path]
) -> tuple[Comparison, ...] | None:
    """The scores of an earlier packaging of exactly these bytes on these data; None when there is none, or files are missing."""
    folder = plan.set_folder / FOLDER
    try:
        manifest = parse_json((folder / MANIFEST).read_text())
        hashes = {file["name"]: file["sha256"] for file in manifest["files"]}
        there = {name: sha256_of_file(folder / name) for name in hashes}
        scores = {one["seed"]: one for one in manifest["alone"]}
        same = hashes == there == file_hashes(package.shipped, files, models) and manifest["data"] == _data_json(plan)
        if not same or manifest["golf"] != __version__:
            return None
        return tuple(_comparison(run, scores[run.seed]) for run in package.runs)
    except (OSError, ValueError, KeyError, TypeError):  # no manifest, or not one of ours
        return None


def _comparison(run: Run, kept: dict[str, Any]) -> Comparison:
    score = Score(float(kept["val_bpb"]), float(kept["val_loss"]), float(kept["seconds"]), None)
    return Comparison(run.seed, score, float((run.result or {})["val_bpb"]))


def write_package(plan: Plan, package: Package, files: Sequence[Path], models: dict[int, Path]) -> Path:
    """Write `package/`: the script, its files, a model per seed, and last the manifest, which names them all."""
    folder = plan.set_folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)  # an older manifest must not describe new files
    write_atomically(folder / SCRIPT, package.shipped)
    written = [folder / SCRIPT]
    for file in files:
        link_or_copy(file, folder / file.name)
        written.append(folder / file.name)
    for stale in folder.glob("seed_*"):
        if stale.name.removeprefix("seed_") not in map(str, models):
            shutil.rmtree(stale)
    for seed, model in models.items():
        target = folder / f"seed_{seed}" / ARTIFACT
        target.parent.mkdir(exist_ok=True)
        link_or_copy(model, target)
        written.append(target)
    manifest = to_json(plan, package)
    manifest["files"] = [
        {"name": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
        for path in written
    ]
    write_atomically(folder / MANIFEST, (json_text({"schema": 1, **manifest}, 2) + "\n").encode())
    return folder


def to_json(plan: Plan, package: Package) -> dict[str, Any]:
    """The package for `--json` and its manifest."""
    return {
        "golf": __version__,
        "submission": plan.source.name,
        "set": plan.source.set_id,
        "smoke": plan.source.smoke,
        "track": package.runs[0].track,
        "challenge_result": package.runs[0].track != "local",
        "derived": package.runs[0].derived,
        "script_sha256": plan.source.script_sha256,
        "data": _data_json(plan),
        "bytes": ledger_json(package.ledger),
        "fits": package.ledger.worst.shipped_total <= CAP_BYTES,
        "alone": [
            {
                "seed": one.seed, "val_bpb": one.alone.val_bpb, "val_loss": one.alone.val_loss,
                "logged_bpb": one.logged_bpb, "difference_bpb": one.difference_bpb,
                "tolerance_bpb": TOLERANCE_BPB, "agrees": one.agrees, "seconds": one.alone.seconds,
            }
            for one in package.comparisons
        ],
    }  # fmt: skip


def _data_json(plan: Plan) -> dict[str, str]:
    return {"name": plan.data.name, "sha256": plan.data.sha256, "tokenizer_sha256": plan.data.tokenizer_sha256}
