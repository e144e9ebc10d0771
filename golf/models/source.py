"""One interface over language models: what every layer leaves in the residual stream, and the loss when a layer's output is replaced.

A layer is one run of a block, counted in the order in which the forward runs them: a block that a recurrence runs three times is three
layers. `residuals` is the stream after the block; in a U-Net what a block leaves also travels through the skip that starts there.

    golf:PATH       a checkpoint (`float.golf`), an artifact (`model.golf`), a run's folder or a submission
    hf:NAME|FOLDER  a causal language model of the transformers library, on disk or already in its cache
    glassllm[:pt]   the small model that the package of that name carries
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from golf.errors import GolfError
from golf.models.documents import Keys

Swap = Callable[[torch.Tensor], torch.Tensor]
Ids = npt.NDArray[np.integer[Any]]


class Tokens(Protocol):
    """Where a source's token ids come from."""

    def __call__(
        self, split: str, data: Path | None = None, limit: int | None = None, without: Keys | None = None
    ) -> Ids:
        """Ids (N,) of "train", "val" or (of a text) "all"; `data` names other text than the embedded corpus.

        limit: how many are enough; without: keys of documents that are left out (`golf.models.documents`).
        """


class _Enough(Exception):
    """Raised inside a forward when every wanted layer has been seen: head and loss are not computed."""


class Source:
    """A language model that is only read.

    name: how files call it; spec: what `open_source` opens again; model_dim: width of the stream; num_layers: runs of whole blocks, so
    up to where a model parts its stream into lanes;
    seq_len: tokens of a window that it was made for; vocab_size: ids it knows; device: where its tensors lie;
    encode: texts -> ids of each, without prefix, or None; prefix: ids that the model saw before every document.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        blocks: Iterable[torch.nn.Module],
        logits: Callable[[torch.Tensor], torch.Tensor],
        tokens: Tokens,
        *,
        spec: str,
        name: str,
        vocab_size: int,
        seq_len: int,
        encode: Callable[[list[str]], list[list[int]]] | None = None,
        prefix: tuple[int, ...] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.model, self.blocks, self._logits, self.tokens = model.eval(), list(blocks), logits, tokens
        self.spec, self.name, self.vocab_size, self.seq_len = spec, name, vocab_size, seq_len
        self.encode, self.prefix = encode, prefix
        self.facts = dict(facts or {})  # what else a report should say: checkpoint, its sha256, its step
        self.device = next(model.parameters()).device
        self.parted: list[int] = []  # blocks that never run as a whole: in lanes
        self.model_dim, self.num_layers = self._measure()

    def residuals(self, ids: torch.Tensor, layers: Iterable[int]) -> dict[int, torch.Tensor]:
        """{layer: fp32 (B, T, d)}, the stream after each of `layers`, from one forward over ids (B, T)."""
        wanted, found = self._checked(layers), dict[int, torch.Tensor]()

        def look(layer: int, x: torch.Tensor) -> None:
            if layer in wanted:
                found[layer] = x.detach().float()
            if len(found) == len(wanted):
                raise _Enough

        self._forward(ids, look)
        return found

    def nats(self, ids: torch.Tensor, swap: Mapping[int, Swap] | None = None) -> torch.Tensor:
        """(B, T) next-token losses of ids (B, T + 1); `swap` as for `logits`."""
        logits = self.logits(ids[:, :-1], swap)
        targets = ids[:, 1:].to(self.device)
        losses = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
        return losses.view(targets.shape)

    def logits(self, ids: torch.Tensor, swap: Mapping[int, Swap] | None = None) -> torch.Tensor:
        """(B, T, V) of ids (B, T); the stream after layer L is replaced by swap[L](stream), fp32 (B, T, d)."""
        swap = dict(swap or {})
        self._checked(swap)

        def replace(layer: int, x: torch.Tensor) -> torch.Tensor | None:
            return swap[layer](x.float()).to(x.dtype) if layer in swap else None

        logits = self._forward(ids, replace)
        assert logits is not None
        return logits

    def _checked(self, layers: Iterable[int]) -> set[int]:
        wanted = set(layers)
        if wrong := sorted(layer for layer in wanted if not 0 <= layer < self.num_layers):
            parted = (
                f"; its blocks {', '.join(map(str, self.parted))} run in lanes, where there is no one stream"
                if self.parted
                else ""
            )
            raise GolfError(
                f"{self.name} has no layer {wrong[0]}", f"its layers are 0 to {self.num_layers - 1}{parted}"
            )
        return wanted

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _forward(
        self, ids: torch.Tensor, visit: Callable[[int, torch.Tensor], torch.Tensor | None]
    ) -> torch.Tensor | None:
        """Logits of ids, or None where `visit` had seen enough. What `visit` returns takes the place of a block's output."""
        run = 0

        def hook(module: torch.nn.Module, args: Any, output: Any) -> Any:
            nonlocal run
            layer, run = run, run + 1
            x = output[0] if isinstance(output, tuple) else output
            other = visit(layer, x)
            if other is None:
                return output
            return (other, *output[1:]) if isinstance(output, tuple) else other

        handles = [block.register_forward_hook(hook) for block in self.blocks]
        try:
            return self._logits(ids.to(self.device))
        except _Enough:
            return None
        finally:
            for handle in handles:
                handle.remove()

    def _measure(self) -> tuple[int, int]:
        widths: list[int] = []
        ran: set[int] = set()
        handles = [
            block.register_forward_hook(lambda *_, number=number: ran.add(number))
            for number, block in enumerate(self.blocks)
        ]
        self._forward(torch.zeros(1, 2, dtype=torch.long), lambda layer, x: widths.append(x.shape[-1]))
        for handle in handles:
            handle.remove()
        self.parted = [number for number in range(len(self.blocks)) if number not in ran]
        return widths[0], len(widths)
