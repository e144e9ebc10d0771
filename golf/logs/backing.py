"""Which number backs a claim: the stage of each evaluation, aliases, and the choice with its reason."""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from re import Match
from typing import Any

from golf.logs.result import STAGES, Point, RunResult, Score

# the first that matches the label decides; order matters ("pre-quantization post-ema" before "quantized")
LABELS = (
    ("pre_quant", re.compile(r"pre[-_ ]?quant", re.I)),
    (
        "disallowed",
        re.compile(r"slot|n-?gram|ppm|etlb|cache|knn|blend|byte[-_ ]?mix|(?:^|[\s_])mix(?:ture)?(?:$|[\s_])", re.I),
    ),
    ("ttt", re.compile(r"ttt|test[-_ ]time|online_adapt", re.I)),
    ("sliding", re.compile(r"slid|(?:^|_)sw(?:_|$)|^q_s\d|stride", re.I)),
    ("pre_quant", re.compile(r"post[-_ ]?ema|\bema\b|\bswa\b|\braw\b|fp32|float|bf16|before", re.I)),
    (
        "quantized",
        re.compile(r"quant|round[-_ ]?trip|int\d|ternary|binary|xnor|fp8|q_rt|temped|dequant|compressed|gptq", re.I),
    ),
)
QUANTIZED = LABELS[-1][1]
SETTING = re.compile(r"\b\w+[=:](?:true|false|on|off|none)\b", re.I)  # of the evaluation, no name of it
NAMED = re.compile(r"[A-Za-z][\w.+-]*(?:[ ,|]+\w+[=:]\S+)*(?: \w+)?")  # a label that is a name, not a sentence
OF_THE_ARTIFACT = ("quantized", "sliding", "ttt", "disallowed")
MODES = (("ttt", re.compile(r"ttt|adapt", re.I)), ("sliding", re.compile(r"slid", re.I)))
SECONDS = re.compile(r"(?:eval_)?(?:time|elapsed)[:=]\s*(?P<value>[\d.]+)\s*(?P<unit>ms|s)\b")
NOT_A_SCORE = re.compile(
    r"(?:delta|gain|target|best|baseline|improve|claim|probe|batch|running|chunk|cumul|mean|std)", re.I
)
PLAUSIBLE_BPB = (0.01, 12.0)
LATE = ("sliding", "ttt")  # stages whose value a later label may repeat
MOST_LATE = 100  # of them that a label is held against; real logs have a few
MOST_NAMED = 3  # later lines that a reason lists one by one


def stage_of(label: str, rest: str = "") -> str:
    """The stage that a label names; "other" for a bare or unknown one."""
    label = SETTING.sub(" ", label)
    for stage, pattern in LABELS:
        if pattern.search(label):
            return stage
    return "sliding" if "stride" in rest else "other"


def stage_scores(
    found: Sequence[tuple[int, Match[str], str, str | None]], curve: Sequence[Point], exported: int | None = None
) -> list[Score]:
    """Every evaluation in order, the last in-training validation first.

    exported: the line that first gives the artifact's size. What is printed before it is no score of the artifact, whatever its
    label: pre_quant. (Where nothing is printed after it, an artifact in memory may have been measured: from the first label on that
    names the quantized model, the labels stand.) A quantized label that repeats an earlier sliding or TTT value is an alias of that
    stage; one printed under `eval_mode:` has that mode's stage.
    """
    scores: list[Score] = []
    vals = [point for point in curve if point.val_bpb is not None and _plausible(point.val_bpb)]
    if vals:
        last = vals[-1]
        assert last.val_bpb is not None
        scores.append(Score("train_val", f"step:{last.step}", last.val_bpb, last.val_loss, last.line, 4))
    evaluations = [score for one in found if (score := _score(*one)) is not None]
    begins = _artifact_begins(evaluations, exported)
    late = deque((score for score in scores if score.stage in LATE), maxlen=MOST_LATE)
    for score in evaluations:
        early = score.line < begins and score.stage != "footer"
        scores.append(_unalias(replace(score, stage="pre_quant") if early else score, late))
        if scores[-1].stage in LATE:
            late.append(scores[-1])
    return scores


def _artifact_begins(evaluations: Sequence[Score], exported: int | None) -> int:
    """The line from which on evaluations can be of the artifact."""
    if exported is None:
        return 0
    if any(score.line > exported and score.stage != "footer" for score in evaluations):
        return exported
    quantized = [one.line for one in evaluations if one.stage != "pre_quant" and QUANTIZED.search(one.label)]
    return min([exported, *quantized])


def _plausible(bpb: float) -> bool:
    """Whether a number can be bits per byte; a diverged run's NaN can."""
    return PLAUSIBLE_BPB[0] < bpb < PLAUSIBLE_BPB[1] or bpb != bpb


def _score(number: int, match: Match[str], kind: str, mode: str | None) -> Score | None:
    groups = match.groupdict()
    label = f"{groups.get('label') or ''}{(groups.get('prefix') or '').rstrip('_')}".strip(" :-|,>#*{[]\"'")
    rest, text = groups.get("rest") or "", groups["val_bpb"]
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


def _unalias(score: Score, late: Sequence[Score]) -> Score:
    """`score` with the stage of the later-stage evaluation whose value it repeats, if there is one."""
    if score.stage not in ("quantized", "other", "footer", "loose"):
        return score
    for other in reversed(late):
        if _repeats(score, other):
            stage = score.stage if score.stage == "footer" else other.stage
            return replace(score, stage=stage, seconds=score.seconds or other.seconds, alias_of=other.line)
    return score


def _repeats(score: Score, other: Score) -> bool:
    """Whether both print one value, to the digits of the coarser: five, or four of BPB and loss each."""
    digits = min(score.digits, other.digits)
    if score.val_loss is None or other.val_loss is None:
        return digits >= 5 and _close(score.val_bpb, other.val_bpb, digits)
    return digits >= 4 and all(
        _close(one, two, digits) for one, two in ((score.val_bpb, other.val_bpb), (score.val_loss, other.val_loss))
    )


def _close(one: float, two: float, digits: int) -> bool:
    return abs(one - two) <= 0.5 * 10.0**-digits * 1.01


def countable(scores: Sequence[Score]) -> list[Score]:
    """Without lines of no known form, where something stricter is final: then only those count that call themselves final, or whose
    label is the name of a stage of the artifact and no sentence."""
    if not any(not score.loose and STAGES.index(score.stage) > STAGES.index("loose") for score in scores):
        return list(scores)
    return [
        score
        for score in scores
        if not score.loose or score.called_final or (score.stage in OF_THE_ARTIFACT and NAMED.fullmatch(score.label))
    ]


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
    best, why = _best(usable)
    broken = [score for score in scores if score.val_bpb != score.val_bpb and score.line > best.line]
    if broken:
        nan = f"line {broken[-1].line} prints nan: the run diverged or its artifact is broken"
        if best.before_the_artifact and not broken[-1].before_the_artifact:
            return None, f"{nan}; {best.val_bpb} of line {best.line} (`{best.label}`) was measured before there was one"
        why += f"; {nan}"
    return best, why + _later(best, scores, why)


def _best(usable: Sequence[Score]) -> tuple[Score, str]:
    """The latest stage's last line; an earlier one where the latest made it worse; a later one that calls itself final and is better."""
    rank = max(STAGES.index(score.stage) for score in usable)
    top = [score for score in usable if score.stage == STAGES[rank]]
    best = most_exact(top[-1], top)
    if best.stage in ("ttt", "disallowed"):
        plain = [score for score in usable if score.stage in OF_THE_ARTIFACT[: OF_THE_ARTIFACT.index(best.stage)]]
        if plain and plain[-1].val_bpb < best.val_bpb:
            fallback = min((most_exact(one, plain) for one in plain), key=lambda one: one.val_bpb)
            what = "TTT" if best.stage == "ttt" else f"`{best.label}`"
            return fallback, (
                f"line {fallback.line}: `{fallback.label}`; the {what} of line {best.line} ended worse "
                f"({best.val_bpb} against {fallback.val_bpb}), so it cannot be the claim"
            )
        if plain and best.stage == "disallowed":
            legal = most_exact(plain[-1], plain)
            return (
                best,
                f"{_reason(best, usable)}; the last one before it is {legal.val_bpb} (line {legal.line}, `{legal.label}`)",
            )
    if best.stage in OF_THE_ARTIFACT:
        later = [score for score in usable if score.stage == "other" and score.called_final and score.line > best.line]
        if later and later[-1].val_bpb < best.val_bpb:
            last = most_exact(later[-1], later)
            return last, (
                f"line {last.line}: `{last.label}`; the last evaluation, and the log calls it final; golf knows no stage of that "
                f"name. Before it: {best.val_bpb} (line {best.line}, `{best.label}`)"
            )
    return best, _reason(best, usable)


def _later(best: Score, scores: Sequence[Score], told: str) -> str:
    """The lines after the score that print another BPB, unless the reason tells of them already."""
    found = [
        score
        for score in scores
        if score.line > best.line
        and score.val_bpb == score.val_bpb
        and not _close(score.val_bpb, best.val_bpb, min(score.digits, best.digits))
        and f"line {score.line}" not in told
    ]
    if not found:
        return ""
    named = ", ".join(f"line {one.line} `{one.label}` {one.val_bpb}" for one in found[-MOST_NAMED:])
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"; after it another BPB is printed: {named}{more}"


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


def as_claimed(run: RunResult, claims: Sequence[tuple[float, int]]) -> RunResult:
    """`run` with the score that the record claims, where the last one is of an excluded family and no claim is of it.

    claims: (BPB, decimals) of the record. A run that ends with an n-gram cache and claims its legal number is judged by that number.
    """
    if run.score is None or run.score.stage != "disallowed":
        return run
    hits = [hit for claim, digits in claims if (hit := backing(run.scores, claim, digits)) is not None]
    legal = [hit for hit in hits if hit.stage in OF_THE_ARTIFACT[:-1]]
    if not legal or len(legal) < len(hits):
        return run
    score = legal[0]
    why = f"line {score.line}: `{score.label}`, as claimed; the {run.score.val_bpb} of line {run.score.line}, `{run.score.label}`, is not"
    return replace(run, score=score, score_why=why)
