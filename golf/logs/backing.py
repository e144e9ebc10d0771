"""Which number backs a claim: the stage of each evaluation, aliases, and the choice with its reason."""

import re
from collections.abc import Sequence
from re import Match
from typing import Any

from golf.logs.result import STAGES, Point, Score

# the first that matches the label decides; order matters ("pre-quantization post-ema" before "quantized")
LABELS = (
    ("disallowed", re.compile(r"slot|n-?gram|ppm|etlb|cache|knn", re.I)),
    ("ttt", re.compile(r"ttt|test[-_ ]time|online_adapt", re.I)),
    ("sliding", re.compile(r"slid|(?:^|_)sw(?:_|$)|stride", re.I)),
    ("pre_quant", re.compile(r"pre[-_ ]?quant|post[-_ ]?ema|\bema\b|\bswa\b|\braw\b|fp32|float|bf16|before", re.I)),
    (
        "quantized",
        re.compile(r"quant|round_?trip|int\d|ternary|binary|xnor|fp8|q_rt|temped|dequant|compressed|gptq", re.I),
    ),
)
MODES = (("ttt", re.compile(r"ttt|adapt", re.I)), ("sliding", re.compile(r"slid", re.I)))
SECONDS = re.compile(r"(?:eval_)?(?:time|elapsed)[:=]\s*(?P<value>[\d.]+)\s*(?P<unit>ms|s)\b")
NOT_A_SCORE = re.compile(
    r"(?:delta|gain|target|best|baseline|improve|claim|probe|batch|running|chunk|cumul|mean|std)", re.I
)
PLAUSIBLE_BPB = (0.01, 12.0)


def stage_of(label: str, rest: str = "") -> str:
    """The stage that a label names; "other" for a bare or unknown one."""
    for stage, pattern in LABELS:
        if pattern.search(label):
            return stage
    return "sliding" if "stride" in rest else "other"


def stage_scores(found: Sequence[tuple[int, Match[str], str, str | None]], curve: Sequence[Point]) -> list[Score]:
    """Every evaluation in order, the last in-training validation first.

    A quantized label that repeats an earlier sliding or TTT value to the digit is an alias of that stage; one printed under
    `eval_mode:` has that mode's stage.
    """
    scores: list[Score] = []
    vals = [point for point in curve if point.val_bpb is not None and _plausible(point.val_bpb)]
    if vals:
        last = vals[-1]
        assert last.val_bpb is not None
        scores.append(Score("train_val", f"step:{last.step}", last.val_bpb, last.val_loss, last.line, 4))
    for number, match, kind, mode in found:
        score = _score(number, match, kind, mode)
        if score is not None:
            scores.append(_unalias(score, scores))
    return scores


def _plausible(bpb: float) -> bool:
    """Whether a number can be bits per byte; a diverged run's NaN can."""
    return PLAUSIBLE_BPB[0] < bpb < PLAUSIBLE_BPB[1] or bpb != bpb


def _score(number: int, match: Match[str], kind: str, mode: str | None) -> Score | None:
    groups = match.groupdict()
    label, rest, text = (groups.get("label") or "").strip(" :-|,>#*{\"'"), groups.get("rest") or "", groups["val_bpb"]
    bpb = float(text)
    if not _plausible(bpb):
        return None
    if kind == "footer":
        stage = "footer"
    elif kind == "loose":
        if NOT_A_SCORE.search(label):
            return None
        stage = stage_of(label, rest)
        stage = "loose" if stage == "other" else stage
    else:
        stage = stage_of(label, rest)
    if mode and stage in ("quantized", "other"):
        stage = next((name for name, pattern in MODES if pattern.search(mode)), stage)
    return Score(
        stage, label, bpb, float(groups["val_loss"]) if groups.get("val_loss") else None, number,
        len(text.partition(".")[2]), _seconds(groups, rest), loose=kind == "loose",
    )  # fmt: skip


def _seconds(groups: dict[str, str | None], rest: str) -> float | None:
    if groups.get("eval_s"):
        return float(groups["eval_s"] or 0)
    found = SECONDS.search(rest)
    return None if found is None else float(found["value"]) / (1000 if found["unit"] == "ms" else 1)


def _unalias(score: Score, earlier: Sequence[Score]) -> Score:
    """`score` with the stage of the later-stage evaluation whose value it repeats, if there is one."""
    if score.stage not in ("quantized", "other", "footer", "loose"):
        return score
    for other in reversed(earlier):
        same_loss = score.val_loss is None or other.val_loss is None or _close(other.val_loss, score.val_loss, score)
        if other.stage in ("sliding", "ttt") and same_loss and _close(other.val_bpb, score.val_bpb, score):
            stage = score.stage if score.stage == "footer" else other.stage
            return Score(
                stage, score.label, score.val_bpb, score.val_loss, score.line, score.digits, score.seconds or other.seconds,
                other.line,
            )  # fmt: skip
    return score


def _close(one: float, two: float, score: Score) -> bool:
    return score.digits >= 5 and abs(one - two) <= 0.5 * 10.0**-score.digits * 1.01


def countable(scores: Sequence[Score]) -> list[Score]:
    """Without lines of no known form, where something stricter is final: then only those count that call themselves final."""
    if not any(not score.loose and STAGES.index(score.stage) > STAGES.index("loose") for score in scores):
        return list(scores)
    return [score for score in scores if not score.loose or score.label.lower().startswith("final")]


def named_stages(scores: Sequence[Score]) -> dict[str, Score]:
    """The score of each named stage: its last line, in the most exact form that it was printed in."""
    named: dict[str, Score] = {}
    scores = countable(scores)
    for stage in ("train_val", "pre_quant", "quantized", "sliding", "ttt"):
        of_stage = [score for score in scores if score.stage == stage]
        if of_stage:
            named[stage] = most_exact(of_stage[-1], of_stage)
    if "pre_quant" not in named and "train_val" in named:
        named["pre_quant"] = named["train_val"]
    return named


def seconds_of(score: Score, scores: Sequence[Score]) -> float | None:
    """Seconds of the evaluation that `score` states; often only the rounded line of the same value prints them."""
    if score.seconds is not None:
        return score.seconds
    twins = [one for one in scores if one.stage == score.stage and one.seconds is not None and one.line <= score.line]
    same = [one.seconds for one in twins if abs(one.val_bpb - score.val_bpb) <= 0.5001 * 10.0**-one.digits]
    return same[-1] if same else None


def most_exact(score: Score, scores: Sequence[Score]) -> Score:
    """The line with the most decimals among those that print the same value as `score`."""
    same = [one for one in scores if round(one.val_bpb, score.digits) == score.val_bpb and one.digits > score.digits]
    return max(same, key=lambda one: one.digits) if same else score


def choose(scores: Sequence[Score], result: dict[str, Any] | None, line: int) -> tuple[Score | None, str]:
    """The score that backs the run's claim, and why it and no other."""
    if result and result.get("val_bpb") is not None:
        reports = result.get("reports") or []
        label = str(reports[-1].get("name", "")) if reports and isinstance(reports[-1], dict) else ""
        score = Score(
            stage_of(label) if label else "quantized", f"golf_result {label}".strip(), float(result["val_bpb"]),
            result.get("val_loss"), line, 8, result.get("eval_seconds"),
        )  # fmt: skip
        return score, f"line {line}: the run's own golf_result line gives it"
    usable = [score for score in countable(scores) if score.val_bpb == score.val_bpb]
    if not usable:
        return None, "the log has no evaluation"
    rank = max(STAGES.index(score.stage) for score in usable)
    top = [score for score in usable if score.stage == STAGES[rank]]
    best = most_exact(top[-1], top)
    broken = [score for score in scores if score.val_bpb != score.val_bpb and score.line > best.line]
    if broken:
        return (
            best,
            f"{_reason(best, usable)}; line {broken[-1].line} prints nan: the run diverged or its artifact is broken",
        )
    if best.stage == "ttt":
        plain = [score for score in usable if score.stage in ("sliding", "quantized")]
        if plain and (fallback := plain[-1]).val_bpb < best.val_bpb:
            fallback = min((most_exact(one, plain) for one in plain), key=lambda one: one.val_bpb)
            return fallback, (
                f"line {fallback.line}: `{fallback.label}`; the TTT of line {best.line} ended worse "
                f"({best.val_bpb} against {fallback.val_bpb}), so it cannot be the claim"
            )
    return best, _reason(best, usable)


def _reason(best: Score, usable: Sequence[Score]) -> str:
    why = {
        "disallowed": "the last evaluation, of a family that the rules exclude (n-gram cache, SLOT, byte mixture)",
        "ttt": "test-time training is the last stage printed",
        "sliding": "sliding-window evaluation of the quantized model, no test-time training printed",
        "quantized": "round trip of the quantized model; no sliding or test-time-trained evaluation printed",
        "other": "an evaluation whose label names no stage",
        "loose": "a line of no known form; nothing stricter is printed",
        "footer": "only a footer states a score",
        "pre_quant": "before quantization: the log has no evaluation of the artifact",
        "train_val": "the last validation during training: the log has no evaluation of the artifact",
    }[best.stage]
    text = f"line {best.line}: `{best.label}`; {why}"
    if best.alias_of:
        text += f" (it repeats the {best.stage} value of line {best.alias_of}, whatever its label says)"
    others = sorted({score.val_bpb for score in usable if score.stage == best.stage and score.digits == best.digits})
    if len(others) > 1 and best.stage != "train_val":
        text += f"; the stage was printed with {len(others)} values {', '.join(map(str, others))}, the last counts"
    return text


def backing(scores: Sequence[Score], claim: float, digits: int) -> Score | None:
    """The evaluation that a claimed BPB (printed with `digits` decimals) rounds from: the most exact, latest stage first."""
    hits = [
        score for score in scores if abs(score.val_bpb - claim) <= 0.5 * 10.0 ** -min(digits, score.digits) * 1.0001
    ]
    return max(hits, key=lambda score: (score.digits >= digits, STAGES.index(score.stage), score.digits), default=None)
