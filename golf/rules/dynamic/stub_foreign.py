"""The stub model behind the interfaces of the contest's scripts: mean loss for (ids, targets), logits for ids, hidden states."""

from typing import Any

import torch.nn.functional as F

from golf.rules.dynamic.stub import StubGPT


class ForeignStub(StubGPT):
    """What `eval_val*` functions call: model(x, y), forward_logits, forward_hidden, compute_logits."""

    @property
    def module(self) -> Any:
        return self

    def forward_logits(self, input_ids: Any, *_: Any, **__: Any) -> Any:
        """(B, T, V)."""
        return self.head(self.hidden(input_ids.long()))

    def forward_hidden(self, input_ids: Any, *_: Any, **__: Any) -> Any:
        """(B, T, C)."""
        return self.hidden(input_ids.long())

    def per_token(self, input_ids: Any, target_ids: Any, *_: Any, **__: Any) -> Any:
        """Nats (B, T)."""
        return self.forward(input_ids, target_ids, reduction="none").view(target_ids.shape)

    def compute_logits(self, hidden: Any) -> Any:
        return self.head(hidden)

    def forward(self, input_ids: Any, target_ids: Any = None, *_: Any, reduction: str = "mean", **__: Any) -> Any:  # type: ignore[override]
        logits = self.forward_logits(input_ids)
        if target_ids is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), target_ids.flatten().long(), reduction=reduction)
