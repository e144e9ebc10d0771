"""What is measured on: a stream of activations, held-out text, and a coder that rebuilds it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Union

import torch
from torch import Tensor

from golf.errors import GolfError
from golf.files import sha256_of
from golf.models.documents import Keys
from golf.models.places import Site
from golf.models.source import Ids, Swap, Trace
from golf.sae.text import VALIDATION, HeldOutText


class Coder(Protocol):
    """What is measured: a dictionary, or anything that encodes and decodes."""

    def encode(self, x: Tensor) -> Tensor:
        """(N, d) -> (N, F)."""

    def decode(self, z: Tensor) -> Tensor:
        """(N, F) -> (N, d)."""


class Streams(Protocol):
    """What is asked of a model: `golf.models.source.Source`, or one whose dictionaries are built in."""

    name: str
    spec: str
    model_dim: int
    seq_len: int
    facts: dict[str, Any]
    device: torch.device

    def tokens(
        self, split: str, data: Path | None = None, limit: int | None = None, without: Keys | None = None
    ) -> Ids:
        """Ids (N,) of a split, without some documents."""

    def streams(self, ids: Tensor, sites: Iterable[Site]) -> dict[Site, Tensor]:
        """{site: (B, T, d)}."""

    def traced(self, ids: Tensor, sites: Iterable[Site]) -> Trace:
        """An untouched forward to its end, with the streams at `sites`."""

    def logits(self, ids: Tensor, swap: Mapping[Any, Swap] | None = None, after: Trace | None = None) -> Tensor:
        """(B, T, V); after: an untouched forward over the same ids, whose blocks before the first swap are not run again."""


class Place(NamedTuple):
    """What a dictionary reads and what it rebuilds: the same, but for a transcoder."""

    reads: Site
    rebuilds: Site

    @classmethod
    def of(cls, at: Union[int, "Place"]) -> "Place":
        """A place, or the residual stream after a layer."""
        return at if isinstance(at, Place) else cls(Site(at), Site(at))


@dataclass(frozen=True)
class HeldOut:
    """Windows (W, T + 1) of token ids that no dictionary was trained on, and where they come from."""

    ids: Tensor
    origin: str

    @property
    def tokens(self) -> int:
        """Positions whose activations are measured."""
        return int(self.ids.shape[0] * (self.ids.shape[1] - 1))

    def facts(self) -> dict[str, Any]:
        """What identifies the text; two measurements compare when their sha256 agree."""
        digest = sha256_of(self.ids.to(torch.int32).contiguous().numpy().tobytes())
        return {"tokens": self.tokens, "seq_len": self.ids.shape[1] - 1, "origin": self.origin, "sha256": digest}


def held_out(source: Streams, tokens: int, text: HeldOutText = VALIDATION, seq_len: int | None = None) -> HeldOut:
    """The first `tokens` tokens of `text` as windows of `source`'s length; GolfError where there is not one window."""
    width = seq_len or source.seq_len
    without = {"without": text.without} if text.without is not None else {}
    ids = torch.from_numpy(source.tokens(text.split, text.data, tokens + 1, **without).astype("int64"))
    count = (len(ids) - 1) // width
    if count < 1:
        raise GolfError(f"{len(ids):,} held-out tokens are less than one window of {width:,} + 1", "give more text")
    rows = torch.stack([ids[row * width : (row + 1) * width + 1] for row in range(count)])
    return HeldOut(rows, text.origin)


def rebuilt(coder: Coder, x: Tensor) -> Tensor:
    """(B, T, d) through the dictionary and back, or to (B, T, d_out)."""
    return torch.cat([coder.decode(coder.encode(part)) for part in x.flatten(0, 1).split(512)]).view(*x.shape[:-1], -1)


def filled_with(stream: Tensor) -> Swap:
    """A swap that puts `stream` there, whatever comes."""
    return lambda _: stream
