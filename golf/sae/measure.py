"""Measuring dictionaries on fixed held-out text: one file of numbers per layer, one table for the run.

The held-out tokens are the first ones of the validation split (or of the text that is named), cut into windows side by side, the
same for every layer and snapshot: two snapshots differ by what they learned, not by what they were shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from golf.models.source import Swap
from golf.sae.buffer import check_activations
from golf.sae.fits import forecast
from golf.sae.floors import floors_of, student_widths
from golf.sae.metrics import DEAD_THRESHOLD, Losses, Quality, density_histogram, divergence, weight_cosines
from golf.sae.streams import Coder, HeldOut, Streams, rebuilt

FORMAT = "golf-sae-measurements/1"
CODE_ELEMENTS = 1 << 24  # of a code in memory at once


def measure_quality(source: Streams, layer: int, coders: Mapping[str, Coder], text: HeldOut) -> dict[str, Quality]:
    """Sums of every coder over all held-out tokens of one layer, from one forward."""
    found: dict[str, Quality] = {}
    rows = max(1, 8192 // (text.ids.shape[1] - 1))
    with torch.no_grad():
        for batch in text.ids[:, :-1].split(rows):
            x = source.residuals(batch, [layer])[layer]
            check_activations(x, layer)
            x = x.flatten(0, 1)
            for name, coder in coders.items():
                for part in _chunks(x, found[name].features if name in found else 0):
                    code = coder.encode(part)
                    if name not in found:
                        found[name] = Quality(code.shape[1], part.shape[1])
                    found[name].add(part, code, coder.decode(code))
    return found


def _chunks(x: Tensor, features: int) -> Sequence[Tensor]:
    """Parts of (N, d) whose codes fit into memory; one row first where the width of the code is not known yet."""
    return x.split(max(1, CODE_ELEMENTS // features)) if features else [x[:1], *x[1:].split(256)]


def measure_losses(source: Streams, layer: int, coder: Coder, text: HeldOut, tokens: int) -> Losses:
    """What replacing one layer's stream costs on the first `tokens` held-out tokens, with the divergence of the predictions."""
    losses = Losses()
    width = text.ids.shape[1] - 1
    windows = text.ids[: max(1, tokens // width)]
    swaps: list[dict[int, Swap]] = [{}, {layer: lambda x: rebuilt(coder, x)}, {layer: torch.zeros_like}]
    with torch.no_grad():
        for batch in windows.split(max(1, 2048 // width)):
            targets = batch[:, 1:].to(source.device)
            logits = [source.logits(batch[:, :-1], swap) for swap in swaps]
            nats = [
                torch.nn.functional.cross_entropy(one.float().flatten(0, 1), targets.flatten(), reduction="none")
                for one in logits
            ]
            losses.add(nats[0], nats[1], nats[2], divergence(logits[0], logits[1]))
    return losses


@dataclass(frozen=True)
class Snapshot:
    """A dictionary as it was after `tokens` of training."""

    label: str
    tokens: int | None
    coder: Coder
    config: Mapping[str, Any]
    weights: tuple[Tensor, Tensor] | None = None  # encoder, decoder, both (F, d)


def measure_layer(
    source: Streams,
    layer: int,
    snapshots: Sequence[Snapshot],
    text: HeldOut,
    ce_tokens: int,
    threshold: float | None = None,
) -> dict[str, Any]:
    """Everything that is known of one layer; the last snapshot is the one that floors, density and losses are of.

    threshold: of a dead feature; default the published one.
    """
    limit = DEAD_THRESHOLD if threshold is None else threshold
    quality = measure_quality(source, layer, {one.label: one.coder for one in snapshots}, text)
    rows = [
        {
            "snapshot": one.label,
            "tokens_seen": one.tokens,
            "l1_coeff": one.config.get("l1_coeff"),
            **quality[one.label].report(limit),
        }
        for one in snapshots
    ]
    last, final = snapshots[-1], quality[snapshots[-1].label]
    alive = final.frequency > limit
    floors = floors_of(rows[-1]["l0"], final.importance[alive].numpy())
    ranked = sorted(final.importance[alive].tolist(), reverse=True)
    known = [(row["tokens_seen"], row["mse"]) for row in rows if row["tokens_seen"]]
    geometry: dict[str, Any] = floors.report(student_widths(source.model_dim)) if floors else {"F_alive": len(ranked)}
    cut = None
    if floors and ce_tokens:
        from golf.sae.truncate import truncations

        cut = truncations(source, layer, last.coder, final.importance, geometry["predictions"], text, ce_tokens)
    return {
        "format": FORMAT,
        "layer": layer,
        "source": {"name": source.name, "spec": source.spec, "model_dim": source.model_dim, **source.facts},
        "held_out": text.facts(),
        "config": {name: value for name, value in last.config.items() if isinstance(value, str | int | float | bool)},
        "snapshots": rows,
        "losses": measure_losses(source, layer, last.coder, text, ce_tokens).report() if ce_tokens else None,
        "weights": weight_cosines(*last.weights) if last.weights else None,
        "density": density_histogram(final.frequency),
        "fit_over_tokens": forecast([at for at, _ in known], [mse for _, mse in known]) if known else None,
        **geometry,
        "truncations": cut,
        "sorted_importance": [float(f"{value:.7g}") for value in ranked],
    }
