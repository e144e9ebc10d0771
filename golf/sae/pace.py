"""How long a training of dictionaries will take on this machine, and what it writes, before it starts."""

import time
from collections.abc import Mapping, Sequence

import torch

from golf.models.corpus import Windows
from golf.models.source import Ids, Source
from golf.sae.buffer import check_activations
from golf.sae.layer import LayerTraining
from golf.sae.settings import TRANSCODER, Settings, snapshot_points

TIMED_TOKENS = 2048  # of the forward that is timed
STEPS = 3  # of a dictionary that are timed, after one that is not


def projection(source: Source, tokens: Ids, members: Mapping[str, Settings], layers: Sequence[int]) -> str:
    """A sentence: tokens per second and time of the whole run by the forward and the steps that were timed, and bytes on disk.

    Timed are one forward that all dictionaries share and a step of each member on the first layer; other layers cost the same.
    """
    first = next(iter(members.values()))
    windows = Windows(tokens, first.seq_len, first.seed)
    ids = torch.from_numpy(windows.next(max(TIMED_TOKENS // first.seq_len, 1)))
    sites = [site for one in members.values() for layer in layers for site in (one.reads(layer), one.rebuilds(layer))]
    source.streams(ids[:1], sites)
    begun = time.perf_counter()
    streams = source.streams(ids, sites)
    a_token = _waited(source, begun) / ids.numel()
    disk_bytes = 0
    for one in members.values():
        reads, rebuilds = one.reads(layers[0]), one.rebuilds(layers[0])
        x, target = streams[reads].flatten(0, 1), streams[rebuilds].flatten(0, 1)
        for site, stream in ((reads, x), (rebuilds, target)):
            check_activations(stream, site)
        batch = torch.arange(one.batch_tokens, device=x.device) % len(x)
        other = one.place == TRANSCODER
        training = LayerTraining(one, x.shape[1], source.device, out_dim=target.shape[1] if other else None)
        training.begin(x, target if other else None)
        for step in range(1 + STEPS):
            if step == 1:
                begun = time.perf_counter()
            training.step(x[batch], target[batch] if other else None)
        a_token += len(layers) * _waited(source, begun) / STEPS / one.batch_tokens
        snapshots = 1 + len(snapshot_points(one.snapshots, one.steps * one.batch_tokens))
        disk_bytes += snapshots * len(layers) * sum(4 * weight.numel() for weight in training.sae.parameters())
    total = first.steps * first.batch_tokens
    return (
        f"about {_time(a_token * (total + 2 * first.half_buffer))} on this machine at {1 / a_token:,.0f} tokens/s (a projection: one forward "
        f"and {STEPS} steps of each dictionary were timed), {disk_bytes / 2**20:,.0f} MiB of dictionaries on disk"
    )


def _waited(source: Source, begun: float) -> float:
    """Seconds since `begun`, once the device has done what it was asked."""
    if source.device.type == "cuda":
        torch.cuda.synchronize(source.device)
    return time.perf_counter() - begun


def _time(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
