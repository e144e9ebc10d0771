"""A source as a model that tasks can ask, and its scores as rows."""

from collections.abc import Mapping, Sequence

import torch

from golf.errors import Exit, GolfError
from golf.models.source import Source

Scores = dict[str, dict[str, float | int | str]]


class SourceModel:
    """What tasks ask of a model (`golf.downstream.score.Model`), answered by a source."""

    def __init__(self, source: Source) -> None:
        if source.encode is None:
            raise GolfError(
                f"{source.name} has no tokenizer, so it cannot read text", "name a model that has one", Exit.REFUSED
            )
        self.source, self._encode = source, source.encode
        self.prefix: Sequence[int] = source.prefix
        self.context_tokens = source.seq_len

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without the prefix."""
        return self._encode([text])[0]

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """(B, T) ids -> (B, T, V) logits of the next token."""
        with torch.no_grad():
            return self.source.logits(ids)


def measured_rows(found: Mapping[str, Mapping[str, float | int | str]]) -> list[list[str]]:
    """Task, metric and value as text; standard errors stand with what they belong to."""
    rows = []
    for task, scores in found.items():
        for metric, value in scores.items():
            if metric.endswith("_se") or metric == "file":
                continue
            error = scores.get(f"{metric}_se")
            text = (
                f"{value:,}" if isinstance(value, int) else f"{value:.4f}" if isinstance(value, float) else str(value)
            )
            rows.append([task, metric, text + (f" ± {error:.4f}" if isinstance(error, float) else "")])
    return rows
