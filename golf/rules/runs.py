"""The runs of a submission as the rules need them: a thin view on `golf.logs`, one `Run` per log.

No log is parsed here; only counters that no result carries (n-gram gates, self-generated calibration) are looked up by name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golf.errors import GolfError
from golf.files import sha256_of_file
from golf.reading.folder import MOST_LOGS, log_files

if TYPE_CHECKING:
    from golf.logs import RunResult, Score

MAX_LOG_BYTES = 128_000_000
GATES = re.compile(r"\b(within_gate|word_gate|agree2plus)\s*[=:]\s*([\d,]+)")
SELF_GENERATED = re.compile(r"(?i)AR self-gen|autoregressive calibration|self-?generated calib")
CALIBRATION_STARTED = re.compile(r"(?i)^.*gptq:\s*(?:collecting|calibrating|generating)", re.MULTILINE)
PRECOMPUTE_OUTSIDE = re.compile(r"(?i)ngram_hint_precompute_outside\s*[:=]\s*(\w+)")


@dataclass(frozen=True)
class Run:
    """One run: what its log says, None for what it does not say. Seconds, bytes, nats per token, bits per byte.

    total_bytes: code plus model as the log adds them up; artifact_bytes: the artifact's size on this disk (golf's own runs).
    last_val_loss: of the last validation while training. eval_seconds: of the evaluation that is the score; all_eval_seconds: of every evaluation after the artifact, diagnostics included.
    """

    file: str
    seed: int | None = None
    seed_in_name: int | None = None
    world_size: int | None = None
    gpu: str | None = None
    device: str | None = None
    vocab_size: int | None = None
    val_tokens: int | None = None
    train_seq_len: int | None = None
    train_shards: int | None = None
    steps: int | None = None
    max_wallclock_seconds: float | None = None
    train_seconds: float | None = None
    train_line: int | None = None
    calibration_seconds: float | None = None
    calibration_line: int | None = None
    calibration_started: bool = False
    self_generated: bool = False
    eval_seconds: float | None = None
    all_eval_seconds: float | None = None
    eval_line: int | None = None
    eval_compile_seconds: float | None = None
    code_bytes: int | None = None
    code_compressed_bytes: int | None = None
    model_bytes: int | None = None
    artifact_bytes: int | None = None
    total_bytes: int | None = None
    total_line: int | None = None
    val_loss: float | None = None
    val_bpb: float | None = None
    val_line: int | None = None
    last_val_loss: float | None = None
    label: str = ""
    scores: tuple[Score, ...] = ()
    dataset: str = ""
    val_files: str = ""
    complete: bool = False
    crash: str | None = None
    several_runs: bool = False
    config: dict[str, str] = field(default_factory=dict)
    gates: dict[str, int] = field(default_factory=dict)
    text_sha256: str = ""

    @property
    def configuration(self) -> dict[str, str]:
        """Nothing: a verdict is on all runs of a folder, and says itself where their configurations differ."""
        return {}

    @property
    def not_the_challenge(self) -> bool:
        """Whether the run itself says that it was not made on the challenge's hardware (golf's own result line)."""
        return self.device is not None and ("H100" not in self.device or self.world_size != 8)

    @property
    def caseops(self) -> bool:
        return (
            "caseops" in f"{self.dataset} {' '.join(self.config.values())}".lower()
            or self.config.get("caseops_enabled") == "True"
        )

    @property
    def name(self) -> str:
        """How a message names it."""
        return f"{self.file}" + (f" (seed {self.seed})" if self.seed is not None else "")

    def backing(self, claim: float, digits: int) -> Score | None:
        """The evaluation in the log that the claimed BPB rounds from, if there is one."""
        from golf.logs.backing import backing

        return backing(self.scores, claim, digits)


def read_runs(base: Path, kind: str, claims: Sequence[tuple[float, int]] = ()) -> list[Run]:
    """The runs under `base`: a record folder (logs, three folders deep) or the set of runs of a submission (seed_*/train_seed*.log)."""
    runs: dict[str, Run] = {}
    for path in _log_files(base, kind):
        try:
            digest = sha256_of_file(path)
        except OSError:
            continue  # not ours to read
        rival = next((run for run in runs.values() if run.text_sha256 == digest), None)
        if rival is None or rival.seed_in_name is None:
            if rival is not None:
                del runs[rival.file]
            for run in _read(path, str(path.relative_to(base)), digest, claims):
                runs[run.file] = run
    return list(runs.values())


def _log_files(base: Path, kind: str) -> list[Path]:
    if kind == "submission":
        return sorted(base.glob("seed_*/train_seed*.log"))
    return [path for path in log_files(base)[:MOST_LOGS] if 0 < path.stat().st_size <= MAX_LOG_BYTES]


def _read(path: Path, name: str, digest: str, claims: Sequence[tuple[float, int]]) -> list[Run]:
    """The runs of one log that count; none where the reader finds no run. claims: what the record claims, see `as_claimed`."""
    from golf.logs import counting, read_log
    from golf.logs.backing import as_claimed

    try:
        log = read_log(path)
    except GolfError:
        return []
    found = [as_claimed(run, claims) for run in counting(log)]
    found = [run for run in found if not (run.score is None and run.train_seconds is None and run.total_bytes is None)]
    if not found:
        return []
    from golf.logs.text import decode

    said = _said(decode(path.read_bytes())[0])
    return [
        _run(
            run, path, name if len(found) == 1 else f"{name}:{run.first_line}", digest, said, several=len(log.runs) > 1
        )
        for run in found
    ]


def _said(text: str) -> dict[str, Any]:
    """What a log says outside the lines that its reader knows, searched once for all runs of it."""
    started = CALIBRATION_STARTED.search(text)
    return {
        "calibration_line": text.count("\n", 0, started.start()) + 1 if started else None,
        "calibration_started": started is not None,
        "self_generated": SELF_GENERATED.search(text) is not None,
        "gates": {gate: int(count.replace(",", "")) for gate, count in GATES.findall(text)},
    }


def _run(result: RunResult, path: Path, name: str, digest: str, said: dict[str, Any], *, several: bool) -> Run:
    table = result.result or {}
    after = [score for score in result.scores if not score.before_the_artifact and score.alias_of is None]
    per_stage = {(score.stage, score.seconds): score.seconds for score in after if score.seconds is not None}
    model = path.parent / "model.golf"
    named = (
        re.search(r"seed[_-]?(\d+)", path.name) if name.endswith(path.name) else None
    )  # not where a log holds several
    return Run(
        file=name,
        seed=result.seed,
        seed_in_name=int(named[1]) if named else None,
        world_size=result.world_size,
        gpu=result.gpu,
        device=table.get("device"),
        vocab_size=result.vocab_size,
        val_tokens=result.val_tokens,
        train_seq_len=result.train_seq_len,
        train_shards=result.train_shards,
        steps=result.steps,
        max_wallclock_seconds=result.max_wallclock_seconds,
        train_seconds=result.train_seconds,
        train_line=result.sources.get("train_seconds"),
        calibration_seconds=result.calibration_seconds,
        eval_seconds=result.eval_seconds,
        all_eval_seconds=sum(per_stage.values()) if per_stage else None,
        eval_line=result.score.line if result.score else None,
        eval_compile_seconds=result.eval_compile_seconds,
        code_bytes=result.code_bytes,
        code_compressed_bytes=result.code_compressed_bytes,
        model_bytes=result.model_bytes,
        artifact_bytes=model.stat().st_size if model.is_file() else None,
        total_bytes=result.total_bytes,
        total_line=result.sources.get("total_bytes"),
        val_loss=result.val_loss,
        val_bpb=result.val_bpb,
        val_line=result.score.line if result.score else None,
        last_val_loss=result.last_loss.val_loss if result.last_loss else None,
        label=result.score.label if result.score else "",
        scores=result.scores,
        val_files=result.val_files or "",
        dataset=f"{result.dataset or ''} {result.val_files or ''}",
        complete=result.complete,
        crash=result.crash,
        several_runs=several,
        config=result.hyperparameters,
        text_sha256=digest,
        **said,
    )
