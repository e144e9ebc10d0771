"""Floors held against a measurement that needs no student: the model with only the F_S most important features of a layer.

The theory says that a student of width d_S keeps the F_S most important features and loses Σ_{i > F_S} E[z_i²]. Here the others are
left out of the reconstruction, and two things are measured per token: ‖x̂ − x̂_S‖², which is that sum exactly if decoder columns
are orthonormal, and the nats that the model loses by it. A student that is trained may do better or worse: this is no student.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from golf.models.source import Trace
from golf.sae.streams import Coder, HeldOut, Place, Streams, filled_with

MOST_TOKENS = 1024  # that the model reads again for every width


def cut_windows(text: HeldOut, tokens: int) -> Tensor:
    """The windows (W, T + 1) that truncation is measured on: of the first `tokens` held-out tokens, MOST_TOKENS at most."""
    return text.ids[: max(1, min(tokens, MOST_TOKENS) // (text.ids.shape[1] - 1))]


def truncations(
    source: Streams,
    at: int | Place,
    coder: Coder,
    importance: Tensor,
    predictions: Mapping[str, Mapping[str, Any]],
    text: HeldOut,
    tokens: int,
    trace: Trace | None = None,
) -> list[dict[str, Any]]:
    """For each predicted width: the squared change of the reconstruction, and the nats lost against the whole dictionary, with the
    standard error of their mean (tokens taken as independent).

    importance: (F) E[z²] of every feature; measured on `cut_windows`. trace: the untouched forward over these where it is at hand.
    """
    place = Place.of(at)
    order = importance.argsort(descending=True)
    windows = cut_windows(text, tokens)
    ids, targets = windows[:, :-1], windows[:, 1:].flatten()
    trace = trace or source.traced(ids, [place.reads])
    x = trace.streams[place.reads]
    masks = {}
    for row in predictions.values():
        masks[row["d_S"]] = torch.zeros(len(importance), device=x.device)
        masks[row["d_S"]][order[: row["features_kept"]].to(x.device)] = 1.0
    whole, cut = _rebuilt(coder, x, masks)

    def nats(filled: Tensor) -> Tensor:
        logits = source.logits(ids, {place.rebuilds: filled_with(filled)}, trace).float().flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits, targets.to(logits.device), reduction="none").double()

    found = []
    with torch.no_grad():
        least = nats(whole)
        for row in predictions.values():
            part = cut[row["d_S"]]
            lost = nats(part) - least
            found.append(
                {
                    "d_S": row["d_S"],
                    "features_kept": row["features_kept"],
                    "predicted_floor": row["predicted_floor"],
                    "measured_error": float((whole - part).double().square().sum()) / len(targets),
                    "lost_nats": float(lost.mean()),
                    "lost_nats_error": float(lost.std(correction=0)) / math.sqrt(len(lost)),
                }
            )
    return found


def _rebuilt(coder: Coder, x: Tensor, masks: Mapping[int, Tensor]) -> tuple[Tensor, dict[int, Tensor]]:
    """(B, T, d) through the dictionary and back, with all features and with those of every mask (F)."""
    whole, cut = list[Tensor](), {name: list[Tensor]() for name in masks}
    with torch.no_grad():
        for part in x.flatten(0, 1).split(512):
            code = coder.encode(part)
            whole.append(coder.decode(code))
            for name, mask in masks.items():
                cut[name].append(coder.decode(code * mask))
    shape = (*x.shape[:-1], -1)
    return torch.cat(whole).view(shape), {name: torch.cat(parts).view(shape) for name, parts in cut.items()}
