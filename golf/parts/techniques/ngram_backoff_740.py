"""The backoff cache of PR #740's second version (@resouer), for reproduction only: ruled out (R38, @valerio-oai, 2026-03-27).

The formula is PR #727's. Orders 7 to 2 each with tables of their own; the longest context seen often enough is mixed in, the more the less certain the
model is. That weight is lawful; the mixture is not: as in the PR's hashed mixture it is no distribution, and sums to far more than 1.
It claimed 1.1700 → 1.0238 BPB; with 4,096 buckets a random model "scores" 1.56. The tables are each rank's own.
"""

import numpy as np
import torch

from golf.parts.env import sent
from golf.parts.evaluate import Trace
from golf.parts.techniques.ngram_hash_740 import buckets_740, windows_740


class Knobs:
    backoff_740_order: "2 <= int <= 7" = 7  # tokens in the longest key, the target among them
    backoff_740_min_order: "2 <= int <= 7" = 2  # … in the shortest
    backoff_740_base: "0 <= float < 1" = 0.05  # the cache's weight where the model is certain
    backoff_740_range: "0 <= float < 1" = 0.55  # what is added where it is not


def ngram_backoff_740(h, env, model, stream, keep=False):
    """Sliding windows whose targets are mixed with what the longest known context says of them."""
    assert h.backoff_740_min_order <= h.backoff_740_order, (
        f"backoff_740_min_order = {h.backoff_740_min_order} is above backoff_740_order = {h.backoff_740_order}"
    )
    assert h.backoff_740_base + h.backoff_740_range <= 1, (
        "the cache's weight would exceed 1: backoff_740_base + backoff_740_range"
    )
    trace = Trace(env, stream, "ngram_backoff_740", "final_ngram_backoff_740", keep)
    tokens = stream.tokens.numpy().astype(np.uint64)
    tables = {
        order: np.zeros((2, h.ngram_740_buckets), np.uint32)
        for order in range(h.backoff_740_order, h.backoff_740_min_order - 1, -1)
    }
    with torch.no_grad(), env.autocast():
        for logits, at in windows_740(h, env, model, stream):
            log_p = torch.log_softmax(logits, dim=-1)
            entropy = -(log_p.exp() * log_p).sum(-1).double().cpu().numpy()
            weight = h.backoff_740_base + h.backoff_740_range / (1 + np.exp(-2 * (entropy - 4)))
            target = sent(env, stream.tokens[at + 1])
            chance = np.exp(log_p.gather(-1, target[:, None])[:, 0].double().cpu().numpy())
            back_off(h, tables, tokens, at.numpy() + 1, weight, chance)
            trace.add(sent(env, torch.from_numpy(-np.log(np.clip(chance, 1e-12, 1)))), at)
    return trace.reduce()


def back_off(h, tables, tokens, targets, weight, chance):
    """Mix the cache into `chance` in place, longest context first; then count the targets in every table that was asked."""
    unmixed = np.ones(len(targets), dtype=bool)
    asked = []
    for order, (contexts, pairs) in tables.items():
        tried = np.nonzero(unmixed & (targets >= order - 1))[0]
        context, pair = buckets_740(h, tokens, targets[tried], order)
        asked.append((order, context, pair))
        seen = contexts[context]
        hit = seen >= h.ngram_740_min_count
        ratio = np.minimum(pairs[pair], seen) / np.maximum(seen, 1)
        won = tried[hit]
        chance[won] = (1 - weight[won]) * chance[won] + weight[won] * ratio[hit]
        unmixed[won] = False
    for order, context, pair in asked:
        np.add.at(tables[order][0], context, 1)
        np.add.at(tables[order][1], pair, 1)
