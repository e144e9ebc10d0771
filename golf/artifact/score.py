"""How far weights are from the float model on a piece of text, for choosing between artifacts: on training text, for validation text
must not choose."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np


class Scorer:
    """Nats per token of {name: weight} over the last `tokens` of a shard, in the recipe's own windows side by side.

    Holds one raw model; 65,536 tokens tell differences of quantization apart, since all settings see the same tokens.
    """

    def __init__(self, h: Any, shard: Path, tokens: int = 65_536, windows: int = 16) -> None:
        import torch

        from golf.parts.data import load_shard
        from golf.parts.model import GPT

        self.model, self.length, self.windows = GPT(h), int(h.eval_seq_len), windows
        self.tokens = torch.from_numpy(np.asarray(load_shard(str(shard))[-tokens - 1 :]).astype(np.int64))

    def __call__(self, weights: dict[str, Any]) -> float:
        """Nats per token."""
        from golf.parts.quant import load_weights

        load_weights(self.model, weights)
        return self._mean(self.model)

    def against(self, start: Mapping[str, Any]) -> "Callable[[dict[str, Any]], float]":
        """{name: weight} → KL of the model with `start` to the one with these weights, nats per token: never below 0, and paired, so
        that differences show which the loss hides. Holds a second raw model; both run."""
        import torch.nn.functional as F

        from golf.parts.model import GPT
        from golf.parts.quant import load_weights

        float_model = GPT(self.model.h)
        load_weights(float_model, {name: weight.float() for name, weight in start.items()})

        def divergence(ids: Any, targets: Any) -> Any:
            was, now = (F.log_softmax(model(ids).float(), -1) for model in (float_model, self.model))
            return (was.exp() * (was - now)).sum(-1)

        def measured(weights: dict[str, Any]) -> float:
            load_weights(self.model, weights)
            return self._mean(divergence)

        return measured

    def _mean(self, nats_of: Callable[[Any, Any], Any]) -> float:
        import torch

        total, count, span = 0.0, 0, self.windows * self.length
        with torch.no_grad():
            for start in range(0, max(len(self.tokens) - span, 1), span):
                piece = self.tokens[start : start + span + 1]
                full = (len(piece) - 1) // self.length * self.length
                nats = nats_of(*(piece[a : a + full].view(-1, self.length) for a in (0, 1)))
                total, count = total + float(nats.double().sum()), count + int(nats.numel())
        return total / max(count, 1)
