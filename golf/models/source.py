"""One interface over language models: what is in the residual stream and inside of blocks, and the loss when some of it is replaced.

A layer is one run of a block, counted in the order in which the forward runs them: a block that a recurrence runs three times is three
layers. `residuals` is the stream after the block; in a U-Net what a block leaves also travels through the skip that starts there.

    golf:PATH       a checkpoint (`float.golf`), an artifact (`model.golf`), a run's folder or a submission
    hf:NAME|FOLDER  a causal language model of the transformers library, on disk or already in its cache
    glassllm[:pt]   the small model that the package of that name carries
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from golf.errors import GolfError
from golf.models.documents import Keys
from golf.models.places import RESID, Site, taps_of

Swap = Callable[[torch.Tensor], torch.Tensor | None]  # None: the stream was only looked at
Ids = npt.NDArray[np.integer[Any]]


class Tokens(Protocol):
    """Where a source's token ids come from."""

    def __call__(
        self, split: str, data: Path | None = None, limit: int | None = None, without: Keys | None = None
    ) -> Ids:
        """Ids (N,) of "train", "val" or (of a text) "all"; `data` names other text than the embedded corpus.

        limit: how many are enough; without: keys of documents that are left out (`golf.models.documents`).
        """


class Trace(NamedTuple):
    """An untouched forward: logits (B, T, V), fp32 streams (B, T, width) by site, and what each run of a block gave, in order."""

    logits: torch.Tensor
    streams: dict[Site, torch.Tensor]
    given: list[Any]


class _Enough(Exception):
    """Raised inside a forward when every wanted site has been seen: head and loss are not computed."""


class Source:
    """A language model that is only read.

    name: how files call it; spec: what `open_source` opens again; model_dim: width of the stream; num_layers: runs of whole blocks, so
    up to where a model parts its stream into lanes;
    seq_len: tokens of a window that it was made for; vocab_size: ids it knows; device: where its tensors lie;
    encode: texts -> ids of each, without prefix, or None; prefix: ids that the model saw before every document;
    decode: an id -> its text, or None; head: the weight (V, d) that makes logits of the normed stream, or None;
    widths: {place: width of the streams there} of the places (`golf.models.places`) that every layer has.
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
        decode: Callable[[int], str] | None = None,
        head: torch.Tensor | None = None,
    ) -> None:
        self.model, self.blocks, self._logits, self.tokens = model.eval(), list(blocks), logits, tokens
        self.spec, self.name, self.vocab_size, self.seq_len = spec, name, vocab_size, seq_len
        self.encode, self.prefix, self.decode, self.head = encode, prefix, decode, head
        self.facts = dict(facts or {})  # what else a report should say: checkpoint, its sha256, its step
        self.device = next(model.parameters()).device
        self.parted: list[int] = []  # blocks that never run as a whole: in lanes
        self.taps = [taps_of(block) for block in self.blocks]
        self.widths, self.num_layers = self._measure()
        self.model_dim = self.widths[RESID]

    def residuals(self, ids: torch.Tensor, layers: Iterable[int]) -> dict[int, torch.Tensor]:
        """{layer: fp32 (B, T, d)}, the stream after each of `layers`, from one forward over ids (B, T)."""
        found = self.streams(ids, [Site(layer) for layer in layers])
        return {site.layer: x for site, x in found.items()}

    def streams(self, ids: torch.Tensor, sites: Iterable[Site]) -> dict[Site, torch.Tensor]:
        """{site: fp32 (B, T, its width)}, all from one forward over ids (B, T)."""
        wanted, found = self._checked(sites), dict[Site, torch.Tensor]()

        def look(site: Site, x: torch.Tensor) -> None:
            if site in wanted:
                found[site] = x.detach().float()
            if len(found) == len(wanted):
                raise _Enough

        self._forward(ids, look, {site.place for site in wanted})
        return found

    def nats(self, ids: torch.Tensor, swap: Mapping[Any, Swap] | None = None) -> torch.Tensor:
        """(B, T) next-token losses of ids (B, T + 1); `swap` as for `logits`."""
        logits = self.logits(ids[:, :-1], swap)
        targets = ids[:, 1:].to(self.device)
        losses = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
        return losses.view(targets.shape)

    def traced(self, ids: torch.Tensor, sites: Iterable[Site]) -> Trace:
        """The untouched forward over ids (B, T) to its end, with the streams at `sites` and what every block gave."""
        wanted, streams, given = self._checked(sites), dict[Site, torch.Tensor](), list[Any]()

        def look(site: Site, x: torch.Tensor) -> None:
            if site in wanted:
                streams[site] = x.detach().float()

        logits = self._forward(ids, look, {site.place for site in wanted}, keep=given)
        assert logits is not None
        return Trace(logits, streams, given)

    def logits(
        self, ids: torch.Tensor, swap: Mapping[Any, Swap] | None = None, after: Trace | None = None
    ) -> torch.Tensor:
        """(B, T, V) of ids (B, T); the stream at a site is replaced by swap[site](stream), fp32 (B, T, its width).

        A number as a site is the residual stream after that layer. A swap that returns None has only looked. after: of the same ids;
        the blocks before the first site are not run again, their outputs are taken from it.
        """
        swaps = {site if isinstance(site, Site) else Site(site): one for site, one in (swap or {}).items()}
        self._checked(swaps)
        same = min((site.layer + (site.place == RESID) for site in swaps), default=0)

        def replace(site: Site, x: torch.Tensor) -> torch.Tensor | None:
            other = swaps[site](x.float()) if site in swaps else None
            return None if other is None else other.to(x.dtype)

        logits = self._forward(
            ids, replace, {site.place for site in swaps}, given=after.given[:same] if after is not None else ()
        )
        assert logits is not None
        return logits

    def _checked(self, sites: Iterable[Site]) -> set[Site]:
        wanted = set(sites)
        if wrong := sorted(site.layer for site in wanted if not 0 <= site.layer < self.num_layers):
            parted = (
                f"; its blocks {', '.join(map(str, self.parted))} run in lanes, where there is no one stream"
                if self.parted
                else ""
            )
            raise GolfError(
                f"{self.name} has no layer {wrong[0]}", f"its layers are 0 to {self.num_layers - 1}{parted}"
            )
        if absent := sorted({site.place for site in wanted} - self.widths.keys()):
            raise GolfError(
                f"{self.name} has no place `{absent[0]}` in every layer", f"it has {', '.join(self.widths)}"
            )
        return wanted

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _forward(
        self,
        ids: torch.Tensor,
        visit: Callable[[Site, torch.Tensor], torch.Tensor | None],
        places: Iterable[str],
        keep: list[Any] | None = None,
        given: Sequence[Any] = (),
    ) -> torch.Tensor | None:
        """Logits of ids, or None where `visit` had seen enough. What `visit` returns takes the place of the stream at a site.

        places: where to look inside of blocks; the residual stream is always visited, for it counts the layers. keep: takes what every
        run of a block gave; given: what the first runs gave before, which is given again instead of running them.
        """
        run = 0

        def again(forward: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *args, **named: given[run] if run < len(given) else forward(*args, **named)

        def block_hook(module: torch.nn.Module, args: Any, output: Any) -> Any:
            nonlocal run
            layer, run = run, run + 1
            if keep is not None:
                keep.append(output)
            return _replaced(output, visit(Site(layer), _first(output)))

        def input_hook(place: str) -> Callable[..., Any]:
            return lambda module, args: _replaced(args, visit(Site(run, place), args[0]))

        def output_hook(place: str) -> Callable[..., Any]:
            return lambda module, args, output: _replaced(output, visit(Site(run, place), _first(output)))

        handles = [block.register_forward_hook(block_hook) for block in self.blocks]
        for taps in self.taps:
            for place in places:
                if (tap := taps.get(place)) is not None and tap.reads:
                    handles.append(tap.module.register_forward_pre_hook(input_hook(place)))
                elif tap is not None:
                    handles.append(tap.module.register_forward_hook(output_hook(place)))
        try:
            if given:
                for block in self.blocks:
                    block.forward = again(block.forward)
            return self._logits(ids.to(self.device))
        except _Enough:
            return None
        finally:
            for handle in handles:
                handle.remove()
            for block in self.blocks if given else ():
                del block.forward  # the class's own is seen again

    def _measure(self) -> tuple[dict[str, int], int]:
        widths: dict[Site, int] = {}
        ran: set[int] = set()
        handles = [
            block.register_forward_hook(lambda *_, number=number: ran.add(number))
            for number, block in enumerate(self.blocks)
        ]

        def look(site: Site, x: torch.Tensor) -> None:
            widths[site] = x.shape[-1]

        places = dict.fromkeys([RESID, *(place for taps in self.taps for place in taps)])
        self._forward(torch.zeros(1, 2, dtype=torch.long), look, places)
        for handle in handles:
            handle.remove()
        self.parted = [number for number in range(len(self.blocks)) if number not in ran]
        layers = sum(site.place == RESID for site in widths)
        found = {place: [widths.get(Site(layer, place)) for layer in range(layers)] for place in places}
        return {place: seen[0] for place, seen in found.items() if seen[0] and len(set(seen)) == 1}, layers


def _first(output: Any) -> torch.Tensor:
    x: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return x


def _replaced(output: Any, other: torch.Tensor | None) -> Any:
    """What a module gives (or reads, always a tuple) with `other` in the place of its stream; None leaves it."""
    if other is None:
        return output
    return (other, *output[1:]) if isinstance(output, tuple) else other
