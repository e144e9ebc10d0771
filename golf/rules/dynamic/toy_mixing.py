"""Toy evaluators that mix counts into the model's probabilities: two proper distributions and five that are none."""

from collections.abc import Callable

import numpy as np

from golf.rules.dynamic.scores import Ids, Scores
from golf.rules.dynamic.toy_model import VOCAB, Floats, Toy

ORDER = 2  # tokens of context in the tables
PRIMES = (36_313, 27_191, 51_647)
ALPHA = 0.3


def model_probs(stream: Ids) -> Floats:
    """(N, V): the model's distribution for every target, windows of 32 with stride 8 as in the plain evaluation."""
    from golf.rules.dynamic.windows import windows

    model = Toy.make()
    probs = np.empty((len(stream) - 1, VOCAB))
    for start, stop, scored in windows(len(stream) - 1):
        probs[scored:stop] = np.exp(model.log_probs(model.hidden(stream[start:stop]))[scored - start :])
    return probs


def in_order(nll: Floats) -> Scores:
    """Scores of every target once, one after another."""
    return Scores(nll, np.ones(len(nll), dtype=np.int64), np.arange(len(nll)))


def causal_counts(stream: Ids) -> Floats:
    """(N, V): absolute-discount bigram and trigram counts before each target, interpolated down to uniform."""
    tables: list[dict[tuple[int, ...], Floats]] = [{} for _ in range(ORDER + 1)]
    found = np.empty((len(stream) - 1, VOCAB))
    for p in range(len(stream) - 1):
        q = np.full(VOCAB, 1.0 / VOCAB)
        for order in range(ORDER + 1):
            counts = tables[order].get(tuple(stream[max(p - order + 1, 0) : p + 1]) if order else ())
            if counts is not None:
                discounted = np.maximum(counts - 0.5, 0.0)
                q = (discounted + 0.5 * (counts > 0).sum() * q) / counts.sum()
        found[p] = q
        for order in range(ORDER + 1):
            key = tuple(stream[max(p - order + 1, 0) : p + 1]) if order else ()
            tables[order].setdefault(key, np.zeros(VOCAB))[stream[p + 1]] += 1.0
    return found


def exact_mix(stream: Ids) -> Scores:
    """A mixture of two whole distributions; the weight follows the model's own entropy."""
    probs, counts = model_probs(stream), causal_counts(stream)
    entropy = -(probs * np.log(probs)).sum(1, keepdims=True)
    alpha = 0.1 + 0.4 / (1.0 + np.exp(2.0 * (2.0 - entropy)))
    mixed = (1 - alpha) * probs + alpha * counts
    return in_order(-np.log(mixed[np.arange(len(mixed)), stream[1:]]))


def tilt(stream: Ids, *, gated_by_target: bool = False) -> Scores:
    """A hint from the counts is boosted and the distribution renormalised; gated, only where the target itself starts a word."""
    probs, counts = model_probs(stream), causal_counts(stream)
    nll = np.empty(len(probs))
    for p, (row, count) in enumerate(zip(probs, counts, strict=True)):
        hint, target = int(count.argmax()), int(stream[p + 1])
        boost = 1.5 if count[hint] > 0.15 else 0.0
        if gated_by_target and target % 3:
            boost = 0.0
        scale = 1.0 + row[hint] * (np.exp(boost) - 1.0)
        nll[p] = -np.log(row[target]) + np.log(scale) - boost * (target == hint)
    return in_order(nll)


def hashed(stream: Ids, buckets: int, alpha: float) -> Scores:
    """Two tables, one keyed by the context, one by context and target: a number per looked-up token, no distribution."""
    probs = model_probs(stream)
    context, full = np.zeros(buckets), np.zeros(buckets)
    nll = np.empty(len(probs))
    for p in range(len(probs)):
        key = 0
        for back in range(ORDER):
            key ^= int(stream[max(p - back, 0)]) * PRIMES[back]
        here, joint = key % buckets, (key ^ int(stream[p + 1]) * PRIMES[ORDER]) % buckets
        mixed = probs[p, stream[p + 1]]
        if context[here] >= 2:
            mixed = (1 - alpha) * mixed + alpha * min(full[joint], context[here]) / context[here]
        nll[p] = -np.log(max(mixed, 1e-12))
        context[here] += 1
        full[joint] += 1
    return in_order(nll)


def oracle_minimum(stream: Ids) -> Scores:
    """The better of two models, chosen after looking at the target."""
    probs, counts = model_probs(stream), causal_counts(stream)
    at = np.arange(len(probs))
    return in_order(np.minimum(-np.log(probs[at, stream[1:]]), -np.log(counts[at, stream[1:]])))


def byte_spread(stream: Ids) -> Scores:
    """Each token has 1 to 3 bytes; its probability is spread as p^(1/n) and mixed per byte with an order-1 byte model.

    The mixing weight is a gate on the byte model's confidence, as in the contest's PPM mixtures.
    """
    probs = model_probs(stream)
    spelled = [
        [97 + token % 5, *([104 + token % 3] if token % 2 else []), *([110] if token % 4 == 3 else [])]
        for token in range(VOCAB)
    ]
    counts = np.full((128, 128), 0.05)
    before, nll = 32, np.empty(len(probs))
    for p, target in enumerate(stream[1:]):
        letters = spelled[int(target)]
        per_byte = probs[p, target] ** (1.0 / len(letters))
        total, previous = 0.0, before
        for letter in letters:
            row = counts[previous] / counts[previous].sum()
            weight = 0.05 if row.max() >= 0.5 else 0.9
            total -= np.log(weight * per_byte + (1 - weight) * row[letter])
            previous = letter
        for letter in letters:
            counts[before, letter] += 1.0
            before = letter
        nll[p] = total
    return in_order(nll)


MIXERS: dict[str, Callable[[Ids], Scores]] = {
    "exact": exact_mix,
    "tilt": tilt,
    "gated_tilt": lambda stream: tilt(stream, gated_by_target=True),
    "hashed_64": lambda stream: hashed(stream, 64, ALPHA),
    "hashed_1": lambda stream: hashed(stream, 1, 1.0),
    "oracle": oracle_minimum,
    "byte_spread": byte_spread,
}
