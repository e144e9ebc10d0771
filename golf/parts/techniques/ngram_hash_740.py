"""The 5-gram hash cache of PR #740's first version (@resouer), for reproduction only: ruled out (R38, @valerio-oai, 2026-03-27).

The target is part of the key, numerator and denominator lie in different buckets, and only the realised token's share is looked
up: summed over the vocabulary the mixture exceeds 1, and with few buckets every token looks certain. It claimed 1.1700 → 1.0909
BPB; with 4,096 buckets a random model "scores" 2.54 instead of 4.29. The tables are each rank's own.
"""

import numpy as np
import torch

from golf.parts.env import sent
from golf.parts.evaluate import Trace, picked, scored_targets
from golf.parts.techniques.sliding import sliding_window


class Knobs:
    hash_740_order: "2 <= int <= 7" = 5  # tokens in the key, the target among them
    hash_740_weight: "0 <= float < 1" = 0.2  # of the cache
    ngram_740_min_count: "1 <= int <= 1000000" = 2  # of the context, before the cache is believed
    ngram_740_buckets: "1 <= int <= 1073741824 and int & (int - 1) == 0" = 4_194_304  # a power of two


class Smoke:
    ngram_740_buckets = 4096


PRIMES_740 = (36313, 27191, 51647, 81929, 131071, 65537, 104729)


def buckets_740(h, tokens, targets, order):
    """Buckets of the contexts, and of the contexts with their targets. tokens: the stream, uint64; targets: stream indices."""
    mask = np.uint64(h.ngram_740_buckets - 1)
    mixed = np.zeros(len(targets), dtype=np.uint64)
    for k in range(order - 1):
        mixed ^= tokens[targets - (order - 1) + k] * np.uint64(PRIMES_740[k % 7])
    return mixed & mask, (mixed ^ (tokens[targets] * np.uint64(PRIMES_740[(order - 1) % 7]))) & mask


def windows_740(h, env, model, stream):
    """The PR's windows: logits (n, vocabulary) of the scored columns of one window after the other, and their indices."""
    total = scored_targets(h, stream)
    for ids, columns, _, mask, at in sliding_window(h, env, model, stream, total):
        scored = picked(env, model(ids, head_at=columns), mask).float()
        counts = mask.sum(1).tolist()
        for logits, indices in zip(scored.split(counts), at.split(counts)):
            if len(indices):
                yield logits, indices


def ngram_hash_740(h, env, model, stream, keep=False):
    """Sliding windows whose targets are mixed with what the cache says of them."""
    trace = Trace(env, stream, "ngram_hash_740", "final_ngram_hash_740", keep)
    tokens, order, weight = stream.tokens.numpy().astype(np.uint64), h.hash_740_order, h.hash_740_weight
    contexts, pairs = np.zeros(h.ngram_740_buckets, np.uint32), np.zeros(h.ngram_740_buckets, np.uint32)
    with torch.no_grad(), env.autocast():
        for logits, at in windows_740(h, env, model, stream):
            targets = at.numpy() + 1
            nats = torch.nn.functional.cross_entropy(logits, sent(env, stream.tokens[at + 1]), reduction="none")
            chance = np.exp(-nats.double().cpu().numpy())
            known = np.nonzero(targets >= order - 1)[0]
            context, pair = buckets_740(h, tokens, targets[known], order)
            seen = contexts[context]
            ratio = np.minimum(pairs[pair], seen) / np.maximum(seen, 1)
            hit = seen >= h.ngram_740_min_count
            chance[known[hit]] = (1 - weight) * chance[known[hit]] + weight * ratio[hit]
            trace.add(sent(env, torch.from_numpy(-np.log(np.clip(chance, 1e-12, 1)))), at)
            np.add.at(contexts, context, 1)
            np.add.at(pairs, pair, 1)
    return trace.reduce()
