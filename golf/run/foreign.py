"""Scripts that golf did not compose: started as they are, with the files that they ship, and judged by their log alone.

They know no phases and print no golf_result line: a run is finished when its log gives a score of the artifact; one that was
stopped starts again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golf.challenge import SCRIPT
from golf.errors import GolfError
from golf.files import files_below, write_atomically
from golf.run.launch import Inputs
from golf.run.layout import SeedFolder
from golf.run.schema import Run

if TYPE_CHECKING:
    from golf.logs import RunResult

# what lies beside a script and is not read by it: golf's own files, evidence, and models that a run would write anew
NOT_READ = (
    *(".*", "__pycache__", SCRIPT, "recipe.toml", "golf.lock", "runs", "original", "techniques", "logs"),
    *("*.log", "*.md", "*.png", "*.svg", "*.ptz", "final_model*", "requirements*.txt", "submission*.json"),
)
DATA_DIR = "./data/"  # the default of the scripts that read DATA_DIR instead of DATA_PATH


@dataclass(frozen=True)
class Heard:
    """What the log of a foreign run says at its end. fault: why the run is not finished; None: `result` are its numbers."""

    fault: str | None = None
    wrong_seed: bool = False
    result: dict[str, Any] | None = None


def shipped_beside(folder: Path) -> Iterator[Path]:
    """The files in `folder` and below it that a script there may read, itself left out."""
    return files_below(folder, skip=NOT_READ)


def lay_out(submission: Path, place: SeedFolder, inputs: Inputs, vocab_size: int) -> None:
    """Put what the script ships beside it and into its working folder, where its authors had it; and the data under the names
    `data/datasets/fineweb10B_sp<V>` and `data/tokenizers/fineweb_<V>_bpe.model` for those that know no DATA_PATH."""
    for path in shipped_beside(submission):
        for folder in (place.set_folder, place.path):
            write_atomically(folder / path.relative_to(submission), path.read_bytes())
    write_atomically(place.path / SCRIPT, place.script.read_bytes())
    for name, target in (
        (f"datasets/fineweb10B_sp{vocab_size}", inputs.data_path),
        (f"tokenizers/fineweb_{vocab_size}_bpe.model", inputs.tokenizer_path),
    ):
        link = place.path / DATA_DIR / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(target.resolve())


def hear(run: Run, exit_code: int | None) -> Heard:
    """Judge a foreign run whose script has ended by what golf.logs reads in its log."""
    from golf.logs import read_log

    try:
        found = read_log(run.log).run
    except GolfError as fault:
        return Heard(fault.message)
    if found is None:
        return Heard("its log has no line of a known form")
    if found.seed is not None and found.seed != run.seed:
        return Heard(f"asked for seed {run.seed}, the script printed seed {found.seed}", wrong_seed=True)
    of_artifact = found.score is not None and not found.score.before_the_artifact
    if not found.complete or not of_artifact or not isfinite(found.val_bpb or 0.0):
        return Heard(f"its log has no final score: {found.score_why}")
    return Heard(result=_result(run, found, exit_code))


def _result(run: Run, found: "RunResult", exit_code: int | None) -> dict[str, Any]:
    """The log's numbers as the fields of a golf_result line, the code weighed on disk, and what to know about them."""
    from golf.logs.result import as_result
    from golf.reading.script import read_source

    result = as_result(found, run.seed)
    script = read_source(run.folder.parent / SCRIPT)
    code_bytes = script.shipped_bytes + sum(path.stat().st_size for path in script.helpers)
    remarks = [f"the score is that of {found.score_why}"]
    if found.seed is None:
        remarks.append("its log prints no seed: whether SEED reached the script is unknown")
    if exit_code == -1:
        remarks.append("its exit code is unknown: the golf that started it was gone")
    if found.code_bytes not in (None, code_bytes):
        remarks.append(f"its log counts {found.code_bytes:,} bytes of code; {code_bytes:,} are on disk")
    if found.total_bytes is None and found.model_bytes is not None:
        result["total_bytes"] = found.model_bytes + code_bytes
        remarks.append("its log prints no total: its model's bytes plus the code on disk")
    return {
        **result,
        "seed": found.seed,
        "device": result.get("device") or run.device,
        "world_size": result.get("world_size") or run.world_size,
        "code_bytes": code_bytes,
        "remarks": remarks,
    }
