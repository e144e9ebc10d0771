"""Results of runs that golf did not start: put where golf's own lie, and into the run store; only those of the script that is here."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from golf.challenge import SCRIPT
from golf.errors import Exit, GolfError
from golf.files import sha256_of, write_atomically
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


@dataclass(frozen=True)
class Stated:
    """What the user states where the logs say nothing: (ranks, device), and seeds for logs that print none, in their order."""

    hardware: tuple[int, str] | None = None
    seeds: tuple[int, ...] = ()


def hardware_of(text: str | None) -> tuple[int, str] | None:
    """(ranks, device) of `8x NVIDIA H100 80GB HBM3`; GolfError for what has no number and name."""
    found = re.fullmatch(r"\s*(\d{1,4})\s*[x×]\s*(\S.*?)\s*", text or "")
    if text is not None and (found is None or int(found[1]) < 1):
        raise GolfError(
            f"`--hardware {text}` names no machine", "a number of GPUs and their name: `8x NVIDIA H100 80GB HBM3`"
        )
    return (int(found[1]), found[2]) if found else None


def seeds_given(text: str | None) -> tuple[int, ...]:
    """The numbers of `1337,42`; GolfError for anything else, and for one number twice."""
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts) or len(set(parts)) < len(parts):
        raise GolfError(f"`--seeds {text}` is no list of different seeds", "for example `--seeds 1337,42,7`")
    return tuple(int(part) for part in parts)


def with_hardware(run: RunResult, stated: tuple[int, str] | None) -> RunResult:
    """`run` on the stated hardware where its log names none; GolfError (10) where it names another."""
    if stated is None:
        return run
    ranks, device = stated
    if run.world_size not in (None, ranks):
        raise GolfError(
            f"a log says that {run.world_size} ranks ran, not {ranks}",
            "state what the logs leave out, not what they contradict",
            Exit.REFUSED,
        )
    if run.gpu is not None and device.lower().replace("nvidia ", "") not in run.gpu.lower():
        raise GolfError(
            f"a log names {run.gpu}, not {device}",
            "state what the logs leave out, not what they contradict",
            Exit.REFUSED,
        )
    return replace(run, world_size=ranks, gpu=run.gpu or device)


def store_results(
    submission: Path, script: bytes, results: dict[int, tuple[Path, RunResult]], *, track: str, root: Path,
    models: dict[int, Path] | None = None, remarks: Sequence[str] = (),
) -> None:  # fmt: skip
    """Put finished runs of `script` where golf's own would lie, and into the run store.

    Of a log with several runs only the lines of the one that counts are kept. remarks: what the results' reader should know.
    """
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
            _keep_log(log, run, place / f"train_seed{seed}.log")
            if models and seed in models:
                shutil.copyfile(models[seed], place / ARTIFACT)
            result = as_result(run, seed)
            if remarks:
                result["remarks"] = [*result.get("remarks", ()), *remarks]
            # of a submission that was removed by hand the store still has the runs: their files are gone
            store.forget([was.id for was in store.runs(submission=submission.name, seed=seed) if was.folder == place])
            row = store.start(folder=place, submission=submission.name, set_id=folder.name, seed=seed, script_sha256=digest,
                              smoke=False, track=track, device=result["device"], world_size=run.world_size)  # fmt: skip
            store.move(row.id, "finished", result=result, stop_reason=run.stop_reason)


def _keep_log(log: Path, run: RunResult, target: Path) -> None:
    """Copy a log whole; of one with several runs the lines of `run` alone."""
    from golf.logs import counting, read_log
    from golf.logs.text import decode

    if len(counting(read_log(log))) < 2:
        shutil.copyfile(log, target)
        return
    lines = decode(log.read_bytes())[0].split("\n")[run.first_line - 1 : run.last_line]
    write_atomically(target, ("\n".join(lines) + "\n").encode())


NOTHING_STATED = Stated()


def adopt_results(
    submission: Path,
    logs: Sequence[Path],
    artifacts: Sequence[Path],
    script: Path | None,
    stated: Stated = NOTHING_STATED,
) -> Adopted:
    """Results of another machine for one's own submission: taken only when the script that ran there is, byte for byte, the one here,
    and when the logs are of it: its code bytes, parameters, vocabulary and hyper-parameters.

    Raises GolfError: no script to compare, another script, logs of another one, a log without a finished run, a seed twice.
    """

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
    results = _runs_of(logs, stated)
    from golf.record.identity import why_foreign

    for seed, (log, run) in results.items():
        if why := why_foreign(submission, ours, run):
            raise GolfError(
                f"`{log}` (seed {seed}) is of another script: {'; '.join(why)}",
                "results belong to the script that made them: import that script's folder instead",
                Exit.REFUSED,
            )
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


def _runs_of(logs: Sequence[Path], stated: Stated) -> dict[int, tuple[Path, RunResult]]:
    """Seed → (log, run) of every complete run in the logs; a log that prints no seed takes the next of the stated ones."""
    from golf.logs import counting, read_log

    results: dict[int, tuple[Path, RunResult]] = {}
    given = list(stated.seeds)
    for log in logs:
        for run in counting(read_log(log)) or (None,):
            if run is None or not run.complete:
                raise GolfError(f"`{log}` holds no finished run", "`golf logs show` says what it holds", Exit.REFUSED)
            if run.seed is None and not given:
                raise GolfError(
                    f"`{log}` prints no seed",
                    "name it: `--seeds 42` (of the logs that print none, in their order)",
                    Exit.REFUSED,
                )
            seed = given.pop(0) if run.seed is None else run.seed
            if seed in results:
                raise GolfError(f"`{log}` is seed {seed}, as is `{results[seed][0]}`", "one run per seed", Exit.REFUSED)
            results[seed] = (log, with_hardware(run, stated.hardware))
    return results


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
