"""Perplexity of a text: per token, as the published `pile_ppl` seems to be, and in bits per byte, which tokenizers cannot game.

The documents are joined with the model's prefix before each, and cut into windows side by side; every token of the text with
something before it is scored once, prefix tokens never. token_ppl = exp(nats / scored tokens), bpb = nats / (ln 2 · UTF-8 bytes of
the text as given). lm-evaluation-harness' `pile_10k` reports perplexity per word and per byte instead: other numbers.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from golf.downstream.score import Model
from golf.errors import GolfError


def text_perplexity(
    model: Model, rows: Sequence[Mapping[str, Any]], batch_tokens: int = 8192
) -> dict[str, float | int]:
    """token_ppl, nats per token and bpb of the rows' `text`, with what was counted."""
    ids: list[int] = []
    of_text: list[bool] = []  # whether a token is of the text, not of the prefix
    size_bytes = 0
    for row in rows:
        tokens = model.encode(str(row["text"]))
        ids += [*model.prefix, *tokens]
        of_text += [False] * len(model.prefix) + [True] * len(tokens)
        size_bytes += len(str(row["text"]).encode())
    if sum(of_text[1:]) < 1:
        raise GolfError("the text has no token to score", "give more text")
    nats = _nats(model, torch.tensor(ids), batch_tokens)
    scored = torch.tensor(of_text[1:])
    total, tokens_scored = float(nats[scored].sum()), int(scored.sum())
    return {
        "documents": len(rows),
        "tokens": tokens_scored,
        "bytes": size_bytes,
        "nats_per_token": total / tokens_scored,
        "token_ppl": math.exp(total / tokens_scored),
        "bpb": total / math.log(2) / size_bytes,
    }


def _nats(model: Model, ids: torch.Tensor, batch_tokens: int) -> torch.Tensor:
    """Nats of ids[1:], float64, each from the tokens of its window before it."""
    width = min(model.context_tokens, len(ids) - 1)
    whole = (len(ids) - 1) // width
    parts = []
    starts = [*range(0, whole * width, width)]
    rows = max(batch_tokens // width, 1)
    for first in range(0, len(starts), rows):
        begin, end = starts[first], min(first + rows, whole) * width
        parts.append(_window(model, ids[begin:end].view(-1, width), ids[begin + 1 : end + 1]))
    if whole * width < len(ids) - 1:  # the tail is text too
        parts.append(_window(model, ids[None, whole * width : -1], ids[whole * width + 1 :]))
    return torch.cat(parts)


def _window(model: Model, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    logits = model.logits(ids).float().flatten(0, 1)
    return torch.nn.functional.cross_entropy(logits, targets.to(logits.device), reduction="none").double().cpu()
