"""Results of runs that golf did not start: put where golf's own lie, and into the run store; only those of the script that is here."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from golf.challenge import SCRIPT
from golf.errors import Exit, GolfError
from golf.files import sha256_of
from golf.logs import RunResult
from golf.logs.result import as_result
from golf.project import find_root
from golf.run.layout import ARTIFACT, set_id


@dataclass(frozen=True)
class Adopted:
    """What was taken over. seeds: those with results now in the store."""

    folder: Path
    seeds: tuple[int, ...]
    layers: tuple[str, ...]
    notes: tuple[str, ...]


def store_results(
    submission: Path, script: bytes, results: dict[int, tuple[Path, RunResult]], *, track: str, root: Path,
    models: dict[int, Path] | None = None,
) -> None:  # fmt: skip
    """Put finished runs of `script` where golf's own would lie, and into the run store."""
    from golf.run.store import open_store

    digest = sha256_of(script)
    folder = submission / "runs" / set_id(digest, smoke=False)
    if not results:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SCRIPT).write_bytes(script)
    with open_store(root) as store:
        for seed, (log, run) in results.items():
            place = folder / f"seed_{seed}"
            if place.exists():
                raise GolfError(
                    f"seed {seed} of `{submission.name}` has a run already: {place}",
                    "leave that log out, or `golf clean` the old run",
                    Exit.REFUSED,
                )
            place.mkdir(parents=True)
            shutil.copyfile(log, place / f"train_seed{seed}.log")
            if models and seed in models:
                shutil.copyfile(models[seed], place / ARTIFACT)
            result = as_result(run, seed)
            row = store.start(folder=place, submission=submission.name, set_id=folder.name, seed=seed, script_sha256=digest,
                              smoke=False, track=track, device=result["device"], world_size=run.world_size)  # fmt: skip
            store.move(row.id, "finished", result=result, stop_reason=run.stop_reason)


def adopt_results(submission: Path, logs: Sequence[Path], artifacts: Sequence[Path], script: Path | None) -> Adopted:
    """Results of another machine for one's own submission: taken only when the script that ran there is, byte for byte, the one here.

    Raises GolfError: no script to compare, another script, a log without a finished run, a seed twice.
    """
    from golf.logs import read_log

    ours = (submission / SCRIPT).read_bytes() if (submission / SCRIPT).is_file() else b""
    theirs = script or next((log.parent / SCRIPT for log in logs if (log.parent / SCRIPT).is_file()), None)
    if theirs is None or not theirs.is_file():
        raise GolfError(
            "no script to compare: which train_gpt.py ran there?",
            "name it: `--script train_gpt.py`, or put it beside the logs",
            Exit.REFUSED,
        )
    if theirs.read_bytes() != ours:
        raise GolfError(f"`{theirs}` is not `{submission.name}`'s train_gpt.py: sha256 {sha256_of(theirs.read_bytes())[:12]} and {sha256_of(ours)[:12]}",
                        "results belong to the script that made them: import that script's folder instead", Exit.REFUSED)  # fmt: skip
    results: dict[int, tuple[Path, RunResult]] = {}
    for log in logs:
        run = read_log(log).run
        if run is None or not run.complete or run.seed is None:
            raise GolfError(
                f"`{log}` holds no finished run with a seed", "`golf logs show` says what it holds", Exit.REFUSED
            )
        if run.seed in results:
            raise GolfError(
                f"`{log}` is seed {run.seed}, as is `{results[run.seed][0]}`", "one log per seed", Exit.REFUSED
            )
        results[run.seed] = (log, run)
    models = match_artifacts(artifacts, results)
    tracks = {track_of(run) for _, run in results.values()}
    store_results(
        submission,
        ours,
        results,
        track=tracks.pop() if len(tracks) == 1 else "local",
        root=find_root(submission),
        models=models,
    )
    return Adopted(submission, tuple(results), (), ())


def match_artifacts(artifacts: Sequence[Path], results: dict[int, tuple[Path, RunResult]]) -> dict[int, Path]:
    """Each artifact to its seed: by `seed_N` or `seedN` in its path, and by the size that the log prints."""
    models = {}
    for path in artifacts:
        found = re.search(r"seed_?(\d+)", path.as_posix())
        seed = int(found[1]) if found else None
        if seed not in results or seed is None:
            raise GolfError(
                f"`{path}` belongs to no seed of these logs", "name it seed_<seed>/model.golf", Exit.REFUSED
            )
        printed, weighed = results[seed][1].model_bytes, path.stat().st_size
        if printed is not None and printed != weighed:
            raise GolfError(
                f"`{path}` has {weighed:,} bytes; the log of seed {seed} prints {printed:,}",
                "name the artifact of that run",
                Exit.REFUSED,
            )
        models[seed] = path
    return models


def track_of(run: RunResult) -> str:
    """10min_16mb for eight H100s, non_record_16mb is never guessed, else local."""
    result = run.result or {}
    device = str(result.get("device") or run.gpu or "")
    return "10min_16mb" if "H100" in device and run.world_size == 8 else "local"
