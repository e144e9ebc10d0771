"""LAMBADA (lm-evaluation-harness `lambada_openai`): the last word of a passage.

The target is a space and what follows the last space; acc asks that every token of it is the most likely one; perplexity is
exp(−mean log-probability of the whole target), one per passage.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from golf.downstream.hellaswag import share_error
from golf.downstream.score import Model, encode_pair, score
from golf.errors import GolfError


def split(text: str) -> tuple[str, str]:
    """Context and target of a passage; GolfError where it has a single word."""
    context, space, word = text.rpartition(" ")
    if not space or not word:
        raise GolfError(f"lambada: no last word after a space in {text[-40:]!r}", "expected a passage as `text`")
    return context, f" {word}"


def lambada(model: Model, rows: Sequence[Mapping[str, Any]]) -> dict[str, float | int]:
    """acc with its standard error, perplexity, and rows."""
    scored = score(model, [encode_pair(model, *split(str(row["text"]))) for row in rows])
    hits = sum(target.greedy for target in scored)
    mean = math.fsum(target.logprob for target in scored) / len(scored)
    return {
        "rows": len(scored),
        "acc": hits / len(scored),
        "acc_se": share_error(hits, len(scored)),
        "perplexity": math.exp(-mean),
    }
