"""Hashed pair embedding learned at test time: a table of zeros whose row for (token before, token) is added to the normed embedding
(PR #1460, @resouer; in PR #1529, @msisovic).

Made at evaluation, trained by the SGD of `ttt_sgd` with the model's weights, stored nowhere: no byte and no training. The token
before the first of a window counts as 0.
"""

from functools import partial

import torch
import torch.nn.functional as F

from golf.parts.evaluate import Trace, picked, scored_targets
from golf.parts.techniques.ttt_sgd import learning_windows, trainable


class Knobs:
    hash_embed_buckets: "1 <= int <= 16777216" = 16_384


class Smoke:
    hash_embed_buckets = 256


class HashEmbed:
    """Takes the place of adapters: the embedding asks it what to add."""

    def __init__(self, h, env):
        self.h = h
        assert h.embed_adapter, (
            "the model has no place for the table that is trained at test time: set embed_adapter = true"
        )
        self.table = torch.zeros(h.hash_embed_buckets, h.model_dim, device=env.device, requires_grad=True)

    def __call__(self, name, layer, ids, x):
        bucket = (2039 * F.pad(ids, (1, -1)) + ids) % self.h.hash_embed_buckets
        return F.embedding(bucket, self.table).to(x.dtype)


def ttt_hash(h, env, model, stream, keep=False):
    """TTT by SGD, with the table beside the weights."""
    trace = Trace(env, stream, "ttt_hash", "legal_ttt", keep)
    table = HashEmbed(h, env)
    learning, params = partial(model, lora=table), [*trainable(h, model), table.table]
    for ids, columns, targets, mask, at in learning_windows(
        h, env, learning, stream, scored_targets(h, stream), params
    ):
        with torch.no_grad(), env.autocast():
            trace.add(picked(env, learning(ids, targets, head_at=columns), mask), at)
    model.requires_grad_(True)
    return trace.reduce()
