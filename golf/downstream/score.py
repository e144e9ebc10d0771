"""Log-probabilities of a continuation after a context, for any model with a tokenizer.

As lm-evaluation-harness does it for decoder-only models: spaces at the end of the context belong to the continuation, both are
encoded as one string, and the continuation's tokens are what follows the context's own number of tokens; too long a text loses
its beginning. What a model wants in front of every text (a golf model saw a BOS before each document) is its `prefix`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Model(Protocol):
    """What the tasks ask of a model."""

    @property
    def context_tokens(self) -> int:
        """The longest input in tokens."""

    @property
    def prefix(self) -> Sequence[int]:
        """Token ids in front of every text; may be empty."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without the prefix."""

    def logits(self, ids: Tensor) -> Tensor:
        """(B, T) ids -> (B, T, V) logits of the next token."""


@dataclass(frozen=True)
class Scored:
    """One continuation: its natural log-probability, its tokens, and whether each was the most likely one."""

    logprob: float
    tokens: int
    greedy: bool


@dataclass(frozen=True)
class Request:
    """Token ids to read, and how many of the last ones are to be scored."""

    ids: tuple[int, ...]
    scored: int


def encode_pair(model: Model, context: str, continuation: str) -> Request:
    """The ids of context and continuation, cut at the front to one more than the model reads; ValueError for nothing to score."""
    stripped = context.rstrip()
    continuation, context = context[len(stripped) :] + continuation, stripped
    whole, before = model.encode(context + continuation), model.encode(context) if context else []
    ids = [*model.prefix, *whole]
    scored = len(whole) - len(before)
    if not context and not model.prefix:
        scored -= 1  # nothing precedes the first token, so it has no probability
    scored = min(scored, model.context_tokens)
    if scored < 1:
        raise ValueError(f"the continuation {continuation!r} adds no token to its context")
    return Request(tuple(ids[-(model.context_tokens + 1) :]), scored)


def score(model: Model, requests: Sequence[Request], batch_tokens: int = 8192) -> list[Scored]:
    """Every request's score, in their order; sorted by length inside, so that little is padded."""
    found: list[Scored | None] = [None] * len(requests)
    for places in _batches(requests, batch_tokens):
        longest = max(len(requests[place].ids) for place in places) - 1
        ids = torch.zeros(len(places), longest, dtype=torch.long)
        for row, place in enumerate(places):
            read = requests[place].ids[:-1]
            ids[row, : len(read)] = torch.tensor(read)  # padding lies at the end, where a causal model cannot see it
        logits = model.logits(ids)
        for row, place in enumerate(places):
            found[place] = _scored(logits[row], requests[place])
    return [scored for scored in found if scored is not None]


def _scored(logits: Tensor, request: Request) -> Scored:
    end = len(request.ids) - 1
    logprobs = logits[end - request.scored : end].float().log_softmax(-1)
    targets = torch.tensor(request.ids[-request.scored :], device=logprobs.device)
    picked = logprobs.gather(1, targets[:, None])[:, 0]
    greedy = bool((logprobs.argmax(-1) == targets).all())
    return Scored(float(picked.double().sum()), request.scored, greedy)


def _batches(requests: Sequence[Request], batch_tokens: int) -> Iterator[list[int]]:
    """Places of `requests` by falling length, cut where the padded batch would exceed `batch_tokens`."""
    batch: list[int] = []
    for place in sorted(range(len(requests)), key=lambda place: -len(requests[place].ids)):
        if batch and (len(batch) + 1) * len(requests[batch[0]].ids) > batch_tokens:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
