"""HellaSwag (lm-evaluation-harness `hellaswag` 1.0): which of four endings continues the text.

acc takes the ending of the largest summed log-probability, acc_norm divides the sum by the ending's number of characters first.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from golf.downstream.score import Model, encode_pair, score
from golf.errors import GolfError


def clean(text: str) -> str:
    """The task's own preparation: " [title]" ends a sentence, other brackets go, double spaces become single."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def question(row: Mapping[str, Any]) -> tuple[str, list[str], int]:
    """Query, endings, and the place of the right one; GolfError for a label that names none."""
    query = clean(f"{row['activity_label']}: {row['ctx_a']} {str(row['ctx_b']).capitalize()}")
    endings = [clean(ending) for ending in row["endings"]]
    label = int(row["label"]) if str(row["label"]).isdigit() else -1
    if not 0 <= label < len(endings):
        raise GolfError(f"hellaswag: label {row['label']!r} of {len(endings)} endings", "use the validation split")
    return query, endings, label


def hellaswag(model: Model, rows: Sequence[Mapping[str, Any]]) -> dict[str, float | int]:
    """acc and acc_norm over the rows, each with its standard error."""
    questions = [question(row) for row in rows]
    requests = [encode_pair(model, query, f" {ending}") for query, endings, _ in questions for ending in endings]
    logprobs = iter([scored.logprob for scored in score(model, requests)])
    hits = hits_norm = 0
    for _, endings, label in questions:
        sums = [next(logprobs) for _ in endings]
        per_character = [total / max(len(ending), 1) for total, ending in zip(sums, endings, strict=True)]
        hits += sums.index(max(sums)) == label
        hits_norm += per_character.index(max(per_character)) == label
    count = len(questions)
    return {
        "rows": count,
        "acc": hits / count,
        "acc_se": share_error(hits, count),
        "acc_norm": hits_norm / count,
        "acc_norm_se": share_error(hits_norm, count),
    }


def share_error(hits: int, count: int) -> float:
    """The standard error of a share, with n − 1 in the denominator (0 for a single row)."""
    share = hits / count
    return float((share * (1 - share) / max(count - 1, 1)) ** 0.5)
