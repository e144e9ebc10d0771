"""Measuring dictionaries on fixed held-out text: one file of numbers per layer, one table for the run.

The held-out tokens are the first ones of the validation split (or of the text that is named), cut into windows side by side, the
same for every layer and snapshot: two snapshots differ by what they learned, not by what they were shown. One forward serves all places
that are measured together, for activations as for the model's own predictions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from golf.models.places import Site
from golf.models.source import Trace
from golf.sae.buffer import check_activations
from golf.sae.fits import forecast
from golf.sae.floors import floors_of, student_widths
from golf.sae.metrics import DEAD_THRESHOLD, Losses, Quality, density_histogram, divergence_of_logs, weight_cosines
from golf.sae.streams import Coder, HeldOut, Place, Streams, filled_with, rebuilt

FORMAT = "golf-sae-measurements/1"
CODE_ELEMENTS = 1 << 19  # of a code in memory at once: what a core's cache holds
CE_PART = 8  # losses are measured on so small a part of the text where nothing else is asked for: the first tokens
PART = 16  # and snapshots before the last on one so small
Harvest = Mapping[Site, Tensor]  # {site: (N, d)}, all held-out tokens


def harvest(source: Streams, places: Sequence[Place], text: HeldOut) -> dict[Site, Tensor]:
    """The streams of every site of `places` over all held-out tokens, from one forward; GolfError (10) where they are not finite."""
    sites = list(dict.fromkeys(site for place in places for site in (place.reads, place.rebuilds)))
    found: dict[Site, list[Tensor]] = {site: [] for site in sites}
    rows = max(1, 8192 // (text.ids.shape[1] - 1))
    for batch in text.ids[:, :-1].split(rows):
        for site, x in source.streams(batch, sites).items():
            check_activations(x, site)
            found[site].append(x.flatten(0, 1))
    return {site: torch.cat(parts) for site, parts in found.items()}


def measure_quality(
    source: Streams, at: int | Place, coders: Mapping[str, Coder], text: HeldOut, streams: Harvest | None = None
) -> dict[str, Quality]:
    """Sums of every coder over all held-out tokens at one place (a number: the residual stream after that layer)."""
    place = Place.of(at)
    streams = streams or harvest(source, [place], text)
    x, target = streams[place.reads], streams[place.rebuilds]
    found: dict[str, Quality] = {}
    with torch.no_grad():
        for name, coder in coders.items():
            features = coder.encode(x[:1]).shape[1]
            found[name] = Quality(features, target.shape[1])
            rows = max(1, CODE_ELEMENTS // features)
            for part, wanted in zip(x.split(rows), target.split(rows), strict=True):
                code = coder.encode(part)
                found[name].add(wanted, code, coder.decode(code))
    return found


def measure_losses(source: Streams, at: int | Place, coder: Coder, text: HeldOut, tokens: int) -> Losses:
    """What replacing one stream costs on the first `tokens` held-out tokens, with the divergence of the predictions."""
    return measure_all_losses(source, [(Place.of(at), coder)], text, tokens)[0]


def measure_all_losses(
    source: Streams, jobs: Sequence[tuple[Place, Coder]], text: HeldOut, tokens: int
) -> list[Losses]:
    """`measure_losses` of several; the untouched model, and a place set to zero, run once for all.

    A place changes only what comes after it: the blocks before are run once, for the untouched model.
    """
    found = [Losses() for _ in jobs]
    width = text.ids.shape[1] - 1
    windows = text.ids[: max(1, tokens // width)]
    sites = list(dict.fromkeys(place.reads for place, _ in jobs))
    with torch.no_grad():
        for batch in windows.split(max(1, 2048 // width)):
            ids, targets = batch[:, :-1], batch[:, 1:].to(source.device).flatten()
            clean = source.traced(ids, sites)
            clean_logs = clean.logits.float().flatten(0, 1).log_softmax(-1)
            clean_nats, probabilities = _nats(clean_logs, targets), clean_logs.exp()
            ablated: dict[Site, Tensor] = {}
            for losses, (place, coder) in zip(found, jobs, strict=True):
                filled = rebuilt(coder, clean.streams[place.reads])
                other = source.logits(ids, {place.rebuilds: filled_with(filled)}, clean)
                logs = other.float().flatten(0, 1).log_softmax(-1)
                if place.rebuilds not in ablated:
                    zeroed = source.logits(ids, {place.rebuilds: torch.zeros_like}, clean)
                    ablated[place.rebuilds] = _nats(zeroed.float().flatten(0, 1).log_softmax(-1), targets)
                apart = divergence_of_logs(clean_logs, probabilities, logs)
                losses.add(clean_nats, _nats(logs, targets), ablated[place.rebuilds], apart)
    return found


def _nats(logs: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.nll_loss(logs, targets, reduction="none")


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
    at: int | Place,
    snapshots: Sequence[Snapshot],
    text: HeldOut,
    ce_tokens: int,
    threshold: float | None = None,
    *,
    streams: Harvest | None = None,
    losses: Losses | None = None,
    trace: Trace | None = None,
) -> dict[str, Any]:
    """Everything that is known of one layer; the last snapshot is the one that floors, density and losses are of.

    All snapshots are measured on the first PART-th of the text (`progress`), the last one on all of it: `snapshots` has a row of each,
    with its tokens. threshold: of a dead feature; default the published one. streams, losses, trace (for `truncations`): where they
    were measured for many places together.
    """
    place = Place.of(at)
    limit = DEAD_THRESHOLD if threshold is None else threshold
    streams = streams or harvest(source, [place], text)
    last = snapshots[-1]
    final = measure_quality(source, place, {last.label: last.coder}, text, streams)[last.label]
    rows = [_row(last, final, limit)]
    progress = rows
    if len(snapshots) > 1:
        tokens = -(-text.tokens // PART)
        first = {site: x[:tokens] for site, x in streams.items()}
        parts = measure_quality(source, place, {one.label: one.coder for one in snapshots}, text, first)
        progress = [_row(one, parts[one.label], limit) for one in snapshots]
        rows = [*progress[:-1], *rows]
    alive = final.frequency > limit
    floors = floors_of(rows[-1]["l0"], final.importance[alive].numpy())
    order = [feature for feature in final.importance.argsort(descending=True).tolist() if alive[feature]]
    ranked = final.importance[order].tolist()
    known = [(row["tokens_seen"], row["mse"]) for row in progress if row["tokens_seen"]]
    geometry: dict[str, Any] = floors.report(student_widths(source.model_dim)) if floors else {"F_alive": len(ranked)}
    cut = None
    if floors and ce_tokens:
        from golf.sae.truncate import truncations

        cut = truncations(source, place, last.coder, final.importance, geometry["predictions"], text, ce_tokens, trace)
    if losses is None and ce_tokens:
        losses = measure_losses(source, place, last.coder, text, ce_tokens)
    return {
        "format": FORMAT,
        "layer": place.reads.layer,
        "source": {"name": source.name, "spec": source.spec, "model_dim": source.model_dim, **source.facts},
        "held_out": text.facts(),
        "config": {name: value for name, value in last.config.items() if isinstance(value, str | int | float | bool)},
        "snapshots": rows,
        "progress": progress,
        "losses": losses.report() if losses else None,
        "weights": weight_cosines(*last.weights) if last.weights else None,
        "density": density_histogram(final.frequency),
        "fit_over_tokens": forecast([at for at, _ in known], [mse for _, mse in known]) if known else None,
        **geometry,
        "truncations": cut,
        "ranked_features": order,
        "sorted_importance": [float(f"{value:.7g}") for value in ranked],
    }


def _row(one: Snapshot, quality: Quality, threshold: float) -> dict[str, Any]:
    known = {"snapshot": one.label, "tokens_seen": one.tokens, "l1_coeff": one.config.get("l1_coeff")}
    return {**known, **quality.report(threshold)}
