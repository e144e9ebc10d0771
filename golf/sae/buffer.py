"""The mixing buffer: activations of all sites, served in a shuffled order, half of it replaced whenever half was served.

Nothing is moved for shuffling: a permutation says which slots are served next, and new activations take the slots that were served.
All sites share it, so every dictionary's batch holds the same tokens.
"""

from collections.abc import Sequence
from typing import Any

import torch

from golf.errors import Exit, GolfError
from golf.models.corpus import Windows
from golf.models.places import RESID, Site
from golf.models.source import Source

FORWARD_TOKENS = 8192  # of one forward of the language model
LARGEST = 1e15  # of an activation: float32 holds the square of twice as many digits


def check_activations(x: torch.Tensor, site: Site, sites: Sequence[Site] = ()) -> None:
    """GolfError (10) for activations (B, T, d) that are not finite, or so large that their squares are not; sites: of the run."""
    largest = float(x.abs().max()) if x.numel() else 0.0
    if largest <= LARGEST:
        return  # false for nan too
    rows = ~(x.flatten(0, -2).abs().amax(-1) <= LARGEST)
    what = f"as large as {largest:.3g}" if largest < float("inf") else "not finite"
    others = ",".join(dict.fromkeys(str(other.layer) for other in sites if other.layer < site.layer))
    raise GolfError(f"the activations of {named(site)} are {what} (first at token {int(rows.nonzero()[0])} of the batch)",
                    f"mend the model, or train the layers before it: `--layers {others}`" if others else "mend the model",
                    Exit.REFUSED)  # fmt: skip


def named(site: Site) -> str:
    """`layer 3`, `layer 3 (mlp_out)`."""
    return f"layer {site.layer}" + ("" if site.place == RESID else f" ({site.place})")


class MixingBuffer:
    """2 · half slots for each of `sites`. `windows` gives the text; every batch is the same for the same seed."""

    def __init__(
        self, source: Source, windows: Windows, sites: Sequence[Site], half: int, batch_tokens: int, seed: int
    ) -> None:
        self.source, self.windows, self.sites = source, windows, tuple(sites)
        self.half, self.batch_tokens, self.at = half, batch_tokens, 0
        self.rng = torch.Generator().manual_seed(seed)
        self.slots = {
            site: torch.empty(2 * half, source.widths[site.place], device=source.device) for site in self.sites
        }
        self.order = torch.arange(2 * half)
        self.filled = False

    def fill(self) -> None:
        """Fill every slot; the first thing to do."""
        self._harvest(self.order)
        self._shuffle()
        self.filled = True

    def next(self) -> dict[Site, torch.Tensor]:
        """A batch (batch_tokens, d) for every site, of the same tokens."""
        if self.at == self.half:
            self._harvest(self.order[: self.half])
            self._shuffle()
        picked = self.order[self.at : self.at + self.batch_tokens].to(self.source.device)
        self.at += self.batch_tokens
        return {site: slots[picked] for site, slots in self.slots.items()}

    def _shuffle(self) -> None:
        self.order, self.at = torch.randperm(2 * self.half, generator=self.rng), 0

    def _harvest(self, places: torch.Tensor) -> None:
        """Put the stream over new windows into the slots `places`."""
        rows = max(FORWARD_TOKENS // self.windows.seq_len, 1)
        at = 0
        while at < len(places):
            count = min(rows, (len(places) - at) // self.windows.seq_len)
            ids = torch.from_numpy(self.windows.next(count))
            found = self.source.streams(ids, self.sites)
            span = places[at : at + ids.numel()].to(self.source.device)
            for site, slots in self.slots.items():
                check_activations(found[site], site, self.sites)
                slots[span] = found[site].reshape(len(span), -1)
            at += ids.numel()

    def state(self) -> dict[str, Any]:
        """What resuming needs: the activations themselves, which later batches still hold."""
        return {
            "slots": list(self.slots.values()),
            "order": self.order,
            "at": self.at,
            "rng": self.rng.get_state(),
            "row": self.windows.at,
        }

    def load(self, state: dict[str, Any]) -> None:
        """The reverse of `state`."""
        for slots, kept in zip(self.slots.values(), state["slots"], strict=True):
            slots.copy_(kept)
        self.order, self.at, self.windows.at = state["order"], state["at"], state["row"]
        self.rng.set_state(state["rng"])
        self.filled = True
