"""Floors held against a measurement that needs no student: the model with only the F_S most important features of a layer.

The theory says that a student of width d_S keeps the F_S most important features and loses Σ_{i > F_S} E[z_i²]. Here the others are
left out of the reconstruction, and two things are measured per token: ‖x̂ − x̂_S‖², which is that sum exactly if decoder columns
are orthonormal, and the nats that the model loses by it. A student that is trained may do better or worse: this is no student.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from golf.models.places import Site
from golf.sae.streams import Coder, HeldOut, Place, Streams, swaps

MOST_TOKENS = 4096  # that the model reads again for every width


class Truncated:
    """A dictionary that keeps only the features of a mask (F)."""

    def __init__(self, coder: Coder, mask: Tensor) -> None:
        self.coder, self.mask = coder, mask

    def encode(self, x: Tensor) -> Tensor:
        """(N, d) -> (N, F), zero outside the mask."""
        return self.coder.encode(x) * self.mask

    def decode(self, z: Tensor) -> Tensor:
        """(N, F) -> (N, d)."""
        return self.coder.decode(z)


def truncations(
    source: Streams,
    at: int | Place,
    coder: Coder,
    importance: Tensor,
    predictions: Mapping[str, Mapping[str, Any]],
    text: HeldOut,
    tokens: int,
    streams: Mapping[Site, Tensor] | None = None,
) -> list[dict[str, Any]]:
    """For each predicted width: the squared change of the reconstruction, and the nats lost against the whole dictionary.

    importance: (F) E[z²] of every feature; measured on the first `tokens` held-out tokens, MOST_TOKENS at most. streams: the places'
    activations over the held-out text where they are at hand.
    """
    place = Place.of(at)
    order = importance.argsort(descending=True)
    width = text.ids.shape[1] - 1
    windows = text.ids[: max(1, min(tokens, MOST_TOKENS) // width)]
    if streams is None:
        streams = {site: x.flatten(0, 1) for site, x in source.streams(windows[:, :-1], [place.reads]).items()}
    x = streams[place.reads][: windows[:, 1:].numel()]
    kept = {}
    for row in predictions.values():
        kept[row["d_S"]] = torch.zeros(len(importance), device=x.device)
        kept[row["d_S"]][order[: row["features_kept"]].to(x.device)] = 1.0
    changes = _changes(coder, x, kept)
    whole = _nats(source, place, coder, windows)
    return [
        {
            "d_S": row["d_S"],
            "features_kept": row["features_kept"],
            "predicted_floor": row["predicted_floor"],
            "measured_error": changes[row["d_S"]],
            "lost_nats": _nats(source, place, Truncated(coder, kept[row["d_S"]]), windows) - whole,
        }
        for row in predictions.values()
    ]


def _nats(source: Streams, place: Place, coder: Coder, windows: Tensor) -> float:
    """Mean nats with the place rebuilt."""
    total = 0.0
    with torch.no_grad():
        for batch in windows.split(max(1, 4096 // windows.shape[1])):
            logits = source.logits(batch[:, :-1], swaps(place, coder))
            targets = batch[:, 1:].flatten().to(logits.device)
            total += float(torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets, reduction="sum"))
    return total / int(windows[:, 1:].numel())


def _changes(coder: Coder, x: Tensor, kept: Mapping[int, Tensor]) -> dict[int, float]:
    """Mean ‖x̂ − x̂_S‖² per token of (N, d), for every mask (F)."""
    totals = dict.fromkeys(kept, 0.0)
    with torch.no_grad():
        for part in x.split(512):
            code = coder.encode(part)
            whole = coder.decode(code)
            for name, mask in kept.items():
                totals[name] += float((whole - coder.decode(code * mask)).double().square().sum())
    return {name: total / len(x) for name, total in totals.items()}
