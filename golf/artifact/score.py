"""The loss of weights on a piece of text, for choosing between artifacts: on training text, for validation text must not choose."""

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
        import torch

        from golf.parts.quant import load_weights

        load_weights(self.model, weights)
        total, count, span = 0.0, 0, self.windows * self.length
        with torch.no_grad():
            for start in range(0, max(len(self.tokens) - span, 1), span):
                piece = self.tokens[start : start + span + 1]
                full = (len(piece) - 1) // self.length * self.length
                ids, targets = (piece[a : a + full].view(-1, self.length) for a in (0, 1))
                nats = self.model(ids, targets)
                total, count = total + float(nats.double().sum()), count + int(nats.numel())
        return total / max(count, 1)
