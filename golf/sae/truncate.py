"""Floors held against a measurement that needs no student: the model with only the F_S most important features of a layer.

The theory says that a student of width d_S keeps the F_S most important features and loses Σ_{i > F_S} E[z_i²]. Here the others are
left out of the reconstruction, and two things are measured per token: ‖x̂ − x̂_S‖², which is that sum exactly if decoder columns
are orthonormal, and the nats that the model loses by it. A student that is trained may do better or worse: this is no student.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from golf.sae.streams import Coder, HeldOut, Streams, rebuilt


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
    layer: int,
    coder: Coder,
    importance: Tensor,
    predictions: Mapping[str, Mapping[str, Any]],
    text: HeldOut,
    tokens: int,
) -> list[dict[str, Any]]:
    """For each predicted width: the squared change of the reconstruction, and the nats lost against the whole dictionary.

    importance: (F) E[z²] of every feature; measured on the first `tokens` held-out tokens.
    """
    order = importance.argsort(descending=True)
    width = text.ids.shape[1] - 1
    windows = text.ids[: max(1, tokens // width)]
    whole = _nats(source, layer, coder, windows)
    rows = []
    for row in predictions.values():
        mask = torch.zeros(len(importance))
        mask[order[: row["features_kept"]]] = 1.0
        part = Truncated(coder, mask.to(source.device))
        rows.append(
            {
                "d_S": row["d_S"],
                "features_kept": row["features_kept"],
                "predicted_floor": row["predicted_floor"],
                "measured_error": _change(source, layer, coder, part, windows),
                "lost_nats": _nats(source, layer, part, windows) - whole,
            }
        )
    return rows


def _nats(source: Streams, layer: int, coder: Coder, windows: Tensor) -> float:
    """Mean nats with the layer's stream rebuilt."""
    total = 0.0
    with torch.no_grad():
        for batch in windows.split(max(1, 4096 // windows.shape[1])):
            logits = source.logits(batch[:, :-1], {layer: lambda x: rebuilt(coder, x)})
            targets = batch[:, 1:].flatten().to(logits.device)
            total += float(torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets, reduction="sum"))
    return total / int(windows[:, 1:].numel())


def _change(source: Streams, layer: int, whole: Coder, part: Coder, windows: Tensor) -> float:
    """Mean ‖x̂ − x̂_S‖² per token."""
    total = 0.0
    with torch.no_grad():
        for batch in windows[:, :-1].split(max(1, 4096 // windows.shape[1])):
            x = source.residuals(batch, [layer])[layer]
            total += float((rebuilt(whole, x) - rebuilt(part, x)).double().square().sum())
    return total / int(windows[:, 1:].numel())
