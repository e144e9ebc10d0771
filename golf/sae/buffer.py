"""The mixing buffer: activations of all layers, served in a shuffled order, half of it replaced whenever half was served.

Nothing is moved for shuffling: a permutation says which slots are served next, and new activations take the slots that were served.
All layers share it, so every layer's batch holds the same tokens.
"""

from collections.abc import Sequence
from typing import Any

import torch

from golf.errors import Exit, GolfError
from golf.models.corpus import Windows
from golf.models.source import Source

FORWARD_TOKENS = 8192  # of one forward of the language model
LARGEST = 1e15  # of an activation: float32 holds the square of twice as many digits


def check_activations(x: torch.Tensor, layer: int, layers: Sequence[int] = ()) -> None:
    """GolfError (10) for activations (B, T, d) that are not finite, or so large that their squares are not; layers: of the run."""
    largest = float(x.abs().max()) if x.numel() else 0.0
    if largest <= LARGEST:
        return  # false for nan too
    rows = ~(x.flatten(0, -2).abs().amax(-1) <= LARGEST)
    what = f"as large as {largest:.3g}" if largest < float("inf") else "not finite"
    others = ",".join(str(other) for other in layers if other < layer)
    raise GolfError(f"the activations of layer {layer} are {what} (first at token {int(rows.nonzero()[0])} of the batch)",
                    f"mend the model, or train the layers before it: `--layers {others}`" if others else "mend the model",
                    Exit.REFUSED)  # fmt: skip


class MixingBuffer:
    """2 · half slots for each of `layers`. `windows` gives the text; every batch is the same for the same seed."""

    def __init__(
        self, source: Source, windows: Windows, layers: list[int], half: int, batch_tokens: int, seed: int
    ) -> None:
        self.source, self.windows, self.layers = source, windows, layers
        self.half, self.batch_tokens, self.at = half, batch_tokens, 0
        self.rng = torch.Generator().manual_seed(seed)
        self.slots = torch.empty(len(layers), 2 * half, source.model_dim, device=source.device)
        self.order = torch.arange(2 * half)
        self.filled = False

    def fill(self) -> None:
        """Fill every slot; the first thing to do."""
        self._harvest(self.order)
        self._shuffle()
        self.filled = True

    def next(self) -> list[torch.Tensor]:
        """A batch (batch_tokens, d) for every layer, in the order of `layers`."""
        if self.at == self.half:
            self._harvest(self.order[: self.half])
            self._shuffle()
        picked = self.order[self.at : self.at + self.batch_tokens].to(self.slots.device)
        self.at += self.batch_tokens
        return [slots[picked] for slots in self.slots]

    def _shuffle(self) -> None:
        self.order, self.at = torch.randperm(2 * self.half, generator=self.rng), 0

    def _harvest(self, places: torch.Tensor) -> None:
        """Put the stream over new windows into the slots `places`."""
        rows = max(FORWARD_TOKENS // self.windows.seq_len, 1)
        at = 0
        while at < len(places):
            count = min(rows, (len(places) - at) // self.windows.seq_len)
            ids = torch.from_numpy(self.windows.next(count))
            found = self.source.residuals(ids, self.layers)
            span = places[at : at + ids.numel()].to(self.slots.device)
            for slots, layer in zip(self.slots, self.layers, strict=True):
                check_activations(found[layer], layer, self.layers)
                slots[span] = found[layer].reshape(len(span), -1)
            at += ids.numel()

    def state(self) -> dict[str, Any]:
        """What resuming needs: the activations themselves, which later batches still hold."""
        return {
            "slots": self.slots,
            "order": self.order,
            "at": self.at,
            "rng": self.rng.get_state(),
            "row": self.windows.at,
        }

    def load(self, state: dict[str, Any]) -> None:
        """The reverse of `state`."""
        self.slots.copy_(state["slots"])
        self.order, self.at, self.windows.at = state["order"], state["at"], state["row"]
        self.rng.set_state(state["rng"])
        self.filled = True
