"""How a log is shown at the terminal."""

import sys
import time
from pathlib import Path

from golf.cli.output import print_table, talk
from golf.errors import GolfError
from golf.logs import counting
from golf.logs.agreement import agreement
from golf.logs.backing import backing
from golf.logs.read import read_log
from golf.logs.result import LogFile, RunResult
from golf.logs.runs import fingerprint


def print_log(log: LogFile, claim: float | None = None, md: bool = False) -> None:
    """Facts, evaluations and the score of every run of `log`, on stdout."""
    print(
        f"{log.path}: {log.bytes:,} bytes, {log.lines:,} lines, {log.encoding}, {len(log.runs)} run{'s' * (len(log.runs) != 1)}"
    )
    for note in log.notes:
        print(f"note: {note}")
    if not log.runs:
        print("no line of this file is a known log line")
    evidence = {run.index for run in counting(log)}
    for run in log.runs:
        if len(log.runs) > 1:
            counts = " (counts)" if run.index in evidence else " (not counted: not complete)"
            print(f"\nrun {run.index + 1}, lines {run.first_line}-{run.last_line}{counts}")
        print_run(run, claim, md)


def print_run(run: RunResult, claim: float | None, md: bool) -> None:
    """One run as a table of facts, a table of evaluations, and the verdict on the score."""
    print_table(None, ("fact", "value", "line"), facts(run), right=("line",), md=md)
    print()
    rows = [
        (score.stage, score.label, str(score.val_bpb), "" if score.val_loss is None else str(score.val_loss),
         "" if score.seconds is None else f"{score.seconds:.1f}", str(score.line))
        for score in run.scores
    ]  # fmt: skip
    numbers = ("val_bpb", "val_loss", "seconds", "line")
    if rows:
        print_table(None, ("stage", "label", "val_bpb", "val_loss", "seconds", "line"), rows, right=numbers, md=md)
    print(f"\nscore: {run.val_bpb if run.score else 'unknown'}  ({run.score_why})")
    if run.score is None and (last := run.last_loss) is not None:
        print(
            f"loss:  {last.val_loss} nats per token at step {last.step:,}, line {last.line}: the last validation of a log without BPB"
        )
    ratios = agreement(run)
    if ratios.agrees is not None:
        print(f"{'agree' if ratios.agrees else 'fault'}: {ratios.why}")
    for one in ratios.excepted:
        print(
            f"note:  line {one.score.line}: `{one.score.label}` has {one.bytes_per_token:.5f}; by its label a mixture or a part of the text"
        )
    if not run.complete:
        print("state: not complete" + (f", it ended with {run.crash}" if run.crash else ""))
    if claim is not None:
        digits = len(str(claim).partition(".")[2])
        hit = backing(run.scores, claim, digits)
        found = (
            f"backed by line {hit.line}, `{hit.label}` ({hit.stage}, {hit.val_bpb})"
            if hit
            else "backed by no line of this run"
        )
        print(f"claim: {claim} is {found}")
    for note in run.notes:
        print(f"note:  {note}")


def as_json(log: LogFile) -> dict[str, object]:
    """A log as plain data: `counts` are the indices of the runs that are evidence, `counts_alone` that of the one where only one can."""
    indices = {run.index for run in counting(log)}
    runs = [
        {
            **run.to_dict(),
            "counts": run.index in indices,
            "fingerprint": fingerprint(run),
            "agrees": agreement(run).agrees,
            "agreement": agreement(run).why,
        }
        for run in log.runs
    ]
    chosen = None if log.run is None else log.run.index
    return {**vars(log), "runs": runs, "counts": sorted(indices), "counts_alone": chosen}


def facts(run: RunResult) -> list[tuple[str, str, str]]:
    """(fact, value, line) of what the run's log states."""
    shown = (
        ("dialect", run.dialect), ("seed", run.seed), ("gpu", run.gpu), ("world_size", run.world_size), ("params", run.params),
        ("vocab_size", run.vocab_size), ("val_tokens", run.val_tokens), ("train_shards", run.train_shards),
        ("iterations", run.iterations), ("steps", run.steps), ("train_seconds", run.train_seconds), ("step_ms", run.step_ms),
        ("stop_reason", run.stop_reason), ("calibration_seconds", run.calibration_seconds), ("eval_seconds", run.eval_seconds),
        ("peak_memory_mib", run.peak_memory_mib), ("model_bytes", run.model_bytes), ("code_bytes", run.code_bytes),
        ("code_compressed_bytes", run.code_compressed_bytes), ("total_bytes", run.total_bytes), ("torch", run.torch),
    )  # fmt: skip
    line = {"eval_seconds": "total_eval_s", "calibration_seconds": "calibration_s"}
    return [
        (name, _shown(value), str(run.sources.get(line.get(name, name), "")))
        for name, value in shown
        if value is not None
    ]


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) and value >= 100_000 else str(value)


def read_folder(folder: Path) -> list[LogFile]:
    """The logs of a folder; what cannot be read is said and passed over. GolfError where nothing is left."""
    from golf.reading.folder import log_files

    logs = []
    for path in log_files(folder):
        try:
            logs.append(read_log(path))
        except GolfError as fault:
            talk(f"note: {fault.message}")
    if not logs:
        raise GolfError(f"`{folder}` has no log", "a log ends in .log or .txt")
    return logs


def follow_log(folder: Path, seed: int | None, wait: bool) -> None:
    """Print the newest run log under `folder`/runs (of `seed`), then what is appended, until interrupted."""
    pattern = f"runs/*/seed_{'*' if seed is None else seed}/train_seed*.log"
    logs = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not logs:
        raise GolfError(
            f"`{folder.name}` has no log" + ("" if seed is None else f" of seed {seed}"),
            f"run it: `golf run {folder.name} --smoke`",
        )
    with logs[-1].open(encoding="utf-8", errors="replace") as file:
        sys.stdout.write(file.read())
        while wait:
            sys.stdout.flush()
            try:
                time.sleep(0.5)
            except KeyboardInterrupt:
                return
            sys.stdout.write(file.read())
