"""What a log says: the frozen results of the reader. None means that the log does not say it."""

from dataclasses import asdict, dataclass, field
from math import isfinite
from re import Match
from typing import Any

from golf.logs.grammar import Rule

# how far from the shipped artifact a number was measured; the later stage is the better evidence for a claim
BEFORE_THE_ARTIFACT = ("train_val", "pre_quant")  # stages that say nothing of it
STAGES = ("train_val", "footer", "pre_quant", "loose", "other", "quantized", "sliding", "ttt", "disallowed")


@dataclass(frozen=True)
class Score:
    """One evaluation as a line states it: val_loss in nats per token, val_bpb in bits per byte.

    stage: one of STAGES, from the label (or from the line that `alias_of` names, whose value it repeats).
    line: its number in the file, from 1; digits: decimals of the printed BPB; loose: read from a line of no known form.
    """

    stage: str
    label: str
    val_bpb: float
    val_loss: float | None
    line: int
    digits: int
    seconds: float | None = None
    alias_of: int | None = None
    loose: bool = False

    @property
    def called_final(self) -> bool:
        """Whether its line calls itself final, of whatever stage."""
        return self.label.lower().startswith("final")

    @property
    def before_the_artifact(self) -> bool:
        """Whether it was measured before there was an artifact, so that it says nothing of it."""
        return self.stage in BEFORE_THE_ARTIFACT


@dataclass(frozen=True)
class Point:
    """A point of the training curve; train_seconds is the script's own training clock."""

    step: int
    train_seconds: float | None
    train_loss: float | None = None
    val_loss: float | None = None
    val_bpb: float | None = None
    line: int = 0


@dataclass(frozen=True)
class RunResult:
    """One run in a log. `sources` maps a field to the line that it was read from."""

    index: int
    first_line: int
    last_line: int
    dialect: str
    name: str | None = None
    seed: int | None = None
    world_size: int | None = None
    params: int | None = None
    vocab_size: int | None = None
    python: str | None = None
    torch: str | None = None
    gpu: str | None = None
    dataset: str | None = None
    train_shards: int | None = None
    val_files: str | None = None
    val_tokens: int | None = None
    train_seq_len: int | None = None
    train_batch_tokens: int | None = None
    max_wallclock_seconds: float | None = None
    iterations: int | None = None
    steps: int | None = None
    train_seconds: float | None = None
    step_ms: float | None = None
    stop_reason: str | None = None
    train_loss: float | None = None
    calibration_seconds: float | None = None
    eval_compile_seconds: float | None = None
    eval_seconds: float | None = None
    peak_memory_mib: int | None = None
    raw_model_bytes: int | None = None
    model_bytes: int | None = None
    model_format: str | None = None
    code_bytes: int | None = None
    code_compressed_bytes: int | None = None
    raw_total_bytes: int | None = None
    total_bytes: int | None = None
    train_val: Score | None = None
    pre_quant: Score | None = None
    quantized: Score | None = None
    sliding: Score | None = None
    ttt: Score | None = None
    score: Score | None = None
    score_why: str = "the log has no evaluation"
    scores: tuple[Score, ...] = ()
    curve: tuple[Point, ...] = ()
    hyperparameters: dict[str, str] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    complete: bool = False
    crash: str | None = None
    sources: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def val_bpb(self) -> float | None:
        """BPB of the score, the number that backs a claim."""
        return self.score.val_bpb if self.score else None

    @property
    def val_loss(self) -> float | None:
        """Nats per token of the score."""
        return self.score.val_loss if self.score else None

    @property
    def last_loss(self) -> Point | None:
        """The last validation that prints a loss: what a log of no BPB at all is judged by."""
        return next((point for point in reversed(self.curve) if point.val_loss is not None), None)

    @property
    def val_bytes(self) -> float | None:
        """Bytes of validation text that loss, BPB and tokens imply together; None when one is unknown."""
        if not self.score or self.score.val_loss is None or not self.val_tokens or not self.score.val_bpb:
            return None
        return self.val_tokens * self.score.val_loss / (LN2 * self.score.val_bpb)

    def to_dict(self, curve: bool = False) -> dict[str, Any]:
        """Plain data for `--json`; the training curve only on demand."""
        table = asdict(self)
        if not curve:
            table["curve"] = len(self.curve)
        plain: dict[str, Any] = _plain({**table, "val_bpb": self.val_bpb, "val_loss": self.val_loss})
        return plain


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it: nan and inf, which a diverged run prints, as text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


LN2 = 0.6931471805599453


@dataclass(frozen=True)
class LogFile:
    """A log file: its runs in order, one printed twice only once, and what reading it took."""

    path: str
    encoding: str
    lines: int
    bytes: int
    runs: tuple[RunResult, ...]
    notes: tuple[str, ...]
    dumps: int = 0

    @property
    def run(self) -> RunResult | None:
        """The run that counts where only one can: the last complete one, else the last with a score, else the last."""
        for wanted in (lambda run: run.complete, lambda run: run.score is not None, lambda _: True):
            for run in reversed(self.runs):
                if wanted(run):
                    return run
        return None


def same_run(one: RunResult, two: RunResult) -> bool:
    """Whether two prints are of one run: equal seeds, and no loss and no evaluation that both print differs.

    Of the curve at least one training loss must be in both, where both have any; of the scores one must hold all of the other.
    """
    if one.seed != two.seed and None not in (one.seed, two.seed):
        return False
    mine, theirs = evaluations(one), evaluations(two)
    if not mine or not theirs or not (mine <= theirs or theirs <= mine):
        return False
    left, right = ({(p.step, p.val_loss is None): (p.train_loss, p.val_loss) for p in run.curve} for run in (one, two))
    common = left.keys() & right.keys()
    if left and right:
        return bool(common) and all(left[key] == right[key] for key in common)
    return one.total_bytes is not None and one.total_bytes == two.total_bytes


def evaluations(run: RunResult) -> set[tuple[str, float]]:
    """(label, BPB) of what was measured beside the validations of training."""
    return {(score.label, score.val_bpb) for score in run.scores if score.stage != "train_val"}


@dataclass
class Draft:
    """The matches of one run, before they are weighed."""

    first_line: int
    matches: list[tuple[int, Rule, Match[str]]] = field(default_factory=list)
    hyperparameters: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    measured: bool = False
    last_line: int = 0
    results: list[tuple[int, dict[str, object]]] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def as_result(run: RunResult, seed: int) -> dict[str, Any]:
    """A log's numbers as the fields of a golf_result line; its own line where it has one."""
    if run.result:
        return {**run.result, "device": run.result.get("device") or run.gpu}
    pre = run.pre_quant
    values = {
        "schema": 1, "seed": seed, "phases": ["train", "export", "eval"], "device": run.gpu, "world_size": run.world_size,
        "torch": run.torch, "params": run.params, "vocab_size": run.vocab_size, "train_seq_len": run.train_seq_len,
        "train_batch_tokens": run.train_batch_tokens, "max_wallclock_seconds": run.max_wallclock_seconds,
        "iterations": run.iterations, "steps": run.steps, "stop_reason": run.stop_reason, "train_loss": run.train_loss,
        "train_seconds": run.train_seconds, "calibration_seconds": run.calibration_seconds, "eval_seconds": run.eval_seconds,
        "step_ms": run.step_ms, "peak_memory_mib": run.peak_memory_mib, "val_tokens": run.val_tokens,
        "pre_quant_val_loss": pre.val_loss if pre else None, "pre_quant_val_bpb": pre.val_bpb if pre else None,
        "val_loss": run.val_loss, "val_bpb": run.val_bpb, "model_bytes": run.model_bytes, "code_bytes": run.code_bytes,
        "total_bytes": run.total_bytes,
    }  # fmt: skip
    return values
