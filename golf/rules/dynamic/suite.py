"""All property tests on one evaluator, as plain data that goes over a process boundary."""

from dataclasses import asdict
from typing import Any

import numpy as np

from golf.rules.dynamic.properties import boundary, chunk_update, coverage, future, kraft, mutual, noise
from golf.rules.dynamic.scores import Evaluator, random_stream

FULL = {"cuts": 12, "positions": 24}
QUICK = {"cuts": 4, "positions": 5}
PERIOD = 41  # tokens: about four repeats of a stream


def run_suite(
    evaluator: Evaluator,
    tokens: int,
    *,
    quick: bool,
    floor_nats: float = 1e-9,
    kraft_tolerance: float = 1e-6,
    tail: int = 0,
) -> dict[str, Any]:
    """Check → outcome: D1, D1b, D2, D3, D5, D9 on random streams of `tokens` ids, and whether scoring followed the stream."""
    rng = np.random.default_rng(20_260_502)
    sizes = QUICK if quick else FULL
    stream = random_stream(evaluator.vocab_size, tokens, rng, tokens // 5 if evaluator.documents else None, PERIOD)
    tolerance, again = noise(evaluator, stream, floor_nats)
    base = evaluator.score(stream)
    outcomes = [
        again,
        coverage(base, tail),
        future(evaluator, stream, rng, tolerance, sizes["cuts"]),
        kraft(evaluator, stream, rng, sizes["positions"], max(kraft_tolerance, tolerance)),
    ]
    if evaluator.chunk:
        outcomes.append(chunk_update(evaluator, stream, tolerance))
    if not base.in_stream_order:
        documents = random_stream(evaluator.vocab_size, tokens, rng, tokens // 5)
        outcomes.append(mutual(evaluator, documents, rng, tolerance))
    if evaluator.documents:
        outcomes.append(boundary(evaluator, stream, tolerance))
    return {
        "evaluator": evaluator.name,
        "in_stream_order": base.in_stream_order,
        "tolerance_nats": tolerance,
        "outcomes": {outcome.check: asdict(outcome) for outcome in outcomes},
    }
