"""The matches of one run → `RunResult`: units, which line wins, and what follows from the header."""

from __future__ import annotations

from re import Match
from typing import TYPE_CHECKING, Any

from golf.logs.backing import choose, named_stages, seconds_of, stage_scores
from golf.logs.result import Point, RunResult, Score
from golf.parts.log import RESULT_FIELDS

if TYPE_CHECKING:
    from golf.logs.grammar import Rule
    from golf.logs.result import Draft

WHOLE = frozenset(
    (
        *(
            "seed",
            "launched_seed",
            "world_size",
            "params",
            "vocab_size",
            "train_shards",
            "val_tokens",
            "train_seq_len",
            "train_batch_tokens",
        ),
        *("iterations", "steps", "peak_memory_mib", "raw_model_bytes", "model_bytes", "code_bytes"),
        *(
            "code_compressed_bytes",
            "raw_total_bytes",
            "total_bytes",
            "loose_total_bytes",
            "footer_bytes",
            "loose_artifact_bytes",
            "loose_params",
            "footer_steps",
        ),
    )
)
REAL = frozenset(
    (
        "footer_train_s",
        "footer_memory_mib",
        "footer_params_m",
        "max_wallclock_seconds",
        "calibration_s",
        "eval_compile_s",
        "total_eval_s",
    )
)
WORDS = frozenset(
    ("dataset", "val_files", "python", "torch", "gpu", "model_format", "total_format", "stop_reason", "crash")
)
# fields of a golf_result line that are fields of RunResult under the same name
SAME = tuple(
    name for name in RESULT_FIELDS if name in RunResult.__dataclass_fields__ and name not in ("schema", "pre_quant")
)
ARTIFACT_STAGES = (
    "quantized",
    "sliding",
    "ttt",
    "disallowed",
)  # an evaluation of these after the last step: training was over
ARTIFACT_SIZES = frozenset(
    ("model", "total", "total_short", "budget", "artifact_mb", "total_mb", "model_v4", "total_v4")
)
CHECKPOINT_SIZES = frozenset(("raw_model", "total_raw", "raw_model_v4"))
FROM_HYPER = ("seed", "world_size", "vocab_size", "train_seq_len", "train_batch_tokens", "iterations")


def build(index: int, draft: Draft) -> RunResult:
    """Weigh the matches of `draft`: later lines win, exact clocks beat rounded ones, golf's own result line beats both."""
    facts: dict[str, Any] = {}
    sources: dict[str, int] = {}
    raw_scores: list[tuple[int, Match[str], str, str | None]] = []
    curve: list[Point] = []
    mode: str | None = None
    for number, rule, match in draft.matches:
        if rule.kind in ("score", "loose", "footer"):
            raw_scores.append((number, match, rule.kind, mode))
        elif rule.kind == "recap":
            raw_scores.append((number, match, "loose", mode))
            if len(draft.matches) == 1:
                _take(number, rule, match, facts, sources)
        elif rule.kind == "mode":
            mode = match["mode"] or match["mode2"]
        elif rule.kind in ("train", "val"):
            curve.append(_point(number, match, facts))
            if match.groupdict().get("iterations"):
                facts["iterations"] = int(match["iterations"])
        else:
            if rule.kind == "launch":
                raw_scores.append((number, match, "score", None))
            _take(number, rule, match, facts, sources)
    notes = list(draft.notes)
    scores = stage_scores(raw_scores, curve, _exported(draft))
    _from_curve(curve, facts, sources, notes)
    _from_hyper(draft.hyperparameters, facts)
    if facts.get("seed") is None and "launched_seed" in facts:  # the script's own word is stronger
        facts["seed"], sources["seed"] = facts["launched_seed"], sources["launched_seed"]
    if "params" not in facts and "loose_params" in facts:
        facts["params"], sources["params"] = facts["loose_params"], sources["loose_params"]
    _footer(facts, sources, notes)
    _totals(facts, sources, notes)
    table = _merge_results(draft, facts, sources)
    score, why = choose(scores, table, draft.results[-1][0] if draft.results else 0)
    if facts.get("total_eval_s") is not None:
        facts.setdefault("eval_seconds", facts["total_eval_s"])
    elif score is not None and (seconds := seconds_of(score, scores)) is not None:
        facts.setdefault("eval_seconds", seconds)
    known = {name: value for name, value in facts.items() if name in RunResult.__dataclass_fields__}
    ended = bool(curve) and any(
        one.line > curve[-1].line and (one.stage in ARTIFACT_STAGES or (one.stage == "other" and one.called_final))
        for one in scores
    )
    trained = facts.get("stop_reason") is not None or _last_step(facts) or ended
    stages = named_stages(scores)
    if table and table.get("pre_quant_val_bpb") is not None:
        line, loss = draft.results[-1][0], table.get("pre_quant_val_loss")
        stages["pre_quant"] = Score(
            "pre_quant", "golf_result pre_quant", float(table["pre_quant_val_bpb"]), loss, line, 8
        )
    finals = [one for one in scores if one.stage not in ("train_val", "pre_quant")]
    return RunResult(
        index=index, first_line=draft.first_line, last_line=draft.last_line, dialect=_dialect(draft),
        **{**known, **stages}, scores=tuple(scores), score=score, score_why=why, curve=tuple(curve),
        hyperparameters=draft.hyperparameters, result=table, sources=sources, notes=tuple(notes),
        complete=_has_end(finals, table, scores, curve) and (bool(trained) or not curve),
    )  # fmt: skip


def _has_end(finals: list[Score], table: dict[str, Any] | None, scores: list[Score], curve: list[Point]) -> bool:
    """Whether there is an evaluation after training; a log that prints no BPB at all ends with the loss of its last step."""
    if finals or (table and table.get("val_bpb") is not None):
        return True
    return not scores and bool(curve) and curve[-1].val_loss is not None


def _exported(draft: Draft) -> int | None:
    """The line that first states the artifact's size; where none does, that of the checkpoint it was made from."""
    for ids in (ARTIFACT_SIZES, CHECKPOINT_SIZES):
        lines = [number for number, rule, _ in draft.matches if rule.id in ids]
        if lines:
            return min(lines)
    return None


def _point(number: int, match: Match[str], facts: dict[str, Any]) -> Point:
    groups = match.groupdict()
    if groups.get("step_avg_ms"):
        facts["step_ms"] = float(groups["step_avg_ms"])
    seconds = int(groups["train_ms"]) / 1000 if groups.get("train_ms") else None
    if seconds is None and groups.get("train_min"):
        seconds = float(groups["train_min"]) * 60
    return Point(
        int(groups["step"]), seconds, _real(groups.get("train_loss")), _real(groups.get("val_loss")),
        _real(groups.get("val_bpb")), number,
    )  # fmt: skip


def _real(text: str | None) -> float | None:
    return float(text) if text else None


def _take(number: int, rule: Rule, match: Match[str], facts: dict[str, Any], sources: dict[str, int]) -> None:
    """Put the groups of a header, size or stop line into `facts`, converted to the units of RunResult."""
    for name, text in match.groupdict().items():
        if text is None:
            continue
        if name in WHOLE:
            facts[name] = int(text.replace(",", ""))
        elif name in REAL:
            facts[name.replace("_s", "_seconds") if name in ("calibration_s", "eval_compile_s") else name] = float(text)
        elif name in WORDS:
            facts[name] = text
        elif name == "train_ms":
            facts["train_seconds"], sources["train_seconds"] = int(text) / 1000, number
        elif name == "step":
            facts["steps"], sources["steps"] = int(text), number
        elif name.endswith("_mb"):
            facts[name] = float(text)
        sources[name] = number


def _from_curve(curve: list[Point], facts: dict[str, Any], sources: dict[str, int], notes: list[str]) -> None:
    """Steps, training time and last losses, where the stop line does not give them.

    Without a stop line the steps are those of the last validation (what the score is of); what ran on after it is noted.
    """
    validated = [point for point in curve if point.val_loss is not None]
    last = None
    if curve and "steps" not in facts:
        furthest = max(curve, key=lambda point: point.step)
        last = validated[-1] if validated and validated[-1].step > 0 else furthest
        facts["steps"], sources["steps"] = last.step, last.line
        if furthest.step > last.step:
            notes.append(f"training went on to step {furthest.step}, line {furthest.line}, without another validation")
    timed = [point for point in curve if point.train_seconds is not None and (last is None or point.line <= last.line)]
    if timed and "train_seconds" not in facts:
        last = timed[-1]
        facts["train_seconds"], sources["train_seconds"] = last.train_seconds, last.line
        if last.step != facts["steps"]:
            notes.append(f"training time is that of step {last.step}, line {last.line}; no later line has a clock")
    losses = [point for point in curve if point.train_loss is not None]
    if losses:
        facts["train_loss"], sources["train_loss"] = losses[-1].train_loss, losses[-1].line
    if "step_ms" not in facts and facts.get("steps") and facts.get("train_seconds"):
        facts["step_ms"] = 1000 * facts["train_seconds"] / facts["steps"]


def _from_hyper(hyper: dict[str, str], facts: dict[str, Any]) -> None:
    for name in FROM_HYPER:
        text = hyper.get(name, "")
        if name not in facts and text.isascii() and text.isdigit() and len(text) < 19:
            facts[name] = int(text)
    if "max_wallclock_seconds" not in facts:
        try:
            facts["max_wallclock_seconds"] = float(hyper["max_wallclock_seconds"])
        except (KeyError, ValueError):
            pass
    if "vocab_size" not in facts:
        facts["vocab_size"] = _vocab(
            " ".join((facts.get("val_files") or "", hyper.get("data_path", ""), hyper.get("datasets_dir", "")))
        )
    if not facts.get("val_files") and hyper.get("val_files"):
        facts["val_files"] = hyper["val_files"]


def _vocab(text: str) -> int | None:
    """The vocabulary that a dataset's name tells: fineweb10B_sp1024 → 1024."""
    from re import search

    found = search(r"(?:sp|byte)(\d{3,5})\b", text) or search(r"(?:sp|byte)(\d{3,5})_", text)
    return int(found[1]) if found else None


def _footer(facts: dict[str, Any], sources: dict[str, int], notes: list[str]) -> None:
    """What only the summary at a log's end states (autoresearch's form); its parameters are rounded to 0.1 million."""
    for name, field, value in (
        ("footer_train_s", "train_seconds", lambda found: found),
        ("footer_steps", "steps", lambda found: found),
        ("footer_memory_mib", "peak_memory_mib", round),
        ("footer_params_m", "params", lambda found: round(found * 1e6)),
    ):
        if name in facts and field not in facts:
            facts[field], sources[field] = value(facts[name]), sources[name]
            if field == "params":
                notes.append(
                    f"line {sources[name]}: the parameters are those of the footer, in millions with one decimal"
                )
    if "step_ms" not in facts and facts.get("footer_steps") and facts.get("footer_train_s"):
        facts["step_ms"] = 1000 * facts["footer_train_s"] / facts["footer_steps"]


def _totals(facts: dict[str, Any], sources: dict[str, int], notes: list[str]) -> None:
    """Where no line states the counted total: a footer or a loose `total … bytes` line, said so."""
    for name, what in (
        ("footer_bytes", "the footer's artifact_bytes"),
        ("loose_total_bytes", "a line of no known form"),
        ("loose_artifact_bytes", "a line of no known form; it may leave out the code"),
    ):
        if "total_bytes" not in facts and name in facts:
            facts["total_bytes"], sources["total_bytes"] = facts[name], sources[name]
            notes.append(f"line {sources[name]}: the total is from {what}")
    if "total_bytes" not in facts and "total_mb" in facts:
        notes.append(f"line {sources['total_mb']}: the size is printed in MB only ({facts['total_mb']} MB)")
    if "total_bytes" not in facts and "raw_total_bytes" in facts:
        notes.append("only the uncompressed checkpoint's total is printed; it is not the counted size")


def _merge_results(draft: Draft, facts: dict[str, Any], sources: dict[str, int]) -> dict[str, Any] | None:
    """The golf_result lines of a run as one: a later non-null value wins; None without such a line."""
    if not draft.results:
        return None
    table: dict[str, Any] = {}
    phases: list[str] = []
    for number, result in draft.results:
        phases += [phase for phase in result.get("phases") or [] if phase not in phases]  # type: ignore[attr-defined]
        for name, value in result.items():
            if value is not None:
                table[name] = value
                sources[name] = number
    table["phases"] = phases
    facts.update({name: table[name] for name in SAME if table.get(name) is not None})
    return table


def _last_step(facts: dict[str, Any]) -> bool:
    return bool(facts.get("iterations")) and facts.get("steps") == facts["iterations"]


def _dialect(draft: Draft) -> str:
    """Which generation of logs this is, for the reader's own report."""
    ids = {rule.id for _, rule, _ in draft.matches}
    if draft.results or draft.phases:
        return "golf"
    for dialect, marks in (
        ("v2", {"train_v2", "val_v2"}), ("v4", {"val_v4", "train_v4"}), ("v3", {"train_v3", "budget"}),
        ("v1", {"train_v1", "val_v1", "val_only_v1", "val_loader"}), ("footer", {"footer", "footer_steps"}),
    ):  # fmt: skip
        if ids & marks:
            return dialect
    if ids & {"launch_result"} and not ids & {"train_v1", "val_v1"}:
        return "launcher"
    return "evaluation only" if any(rule.kind == "score" for _, rule, _ in draft.matches) else "unknown"
