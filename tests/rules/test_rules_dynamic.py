"""The table of toy evaluators: every illegal one is caught by the check that it names, every legal one passes."""

import numpy as np
import pytest
from worlds import slow_but

from golf.rules.dynamic.properties import boundary, chunk_update, coverage, future, kraft, mutual, noise
from golf.rules.dynamic.scores import Evaluator, Scores, random_stream
from golf.rules.dynamic.toys import CONTROL, TABLE, VOCAB, plain_sliding
from golf.rules.dynamic.windows import STRIDE, WINDOW

ROWS = {row.name: row for row in (*TABLE, CONTROL)}
DOCUMENT_TOKENS = 38


def stream_for(row, seed=7):
    return random_stream(VOCAB, 193, np.random.default_rng(seed), DOCUMENT_TOKENS if row.documents else None)


# a model for each hidden future, or for each target: minutes of many small forwards
DEAR = {
    "exact-count full-vocabulary mix", "tilt, token-only", "SLOT context-only, per window", "SLOT scored",
    "SLOT context-only, shared over 4 windows", "oracle minimum", "tilt, target-gated",
}  # fmt: skip


@pytest.mark.parametrize("name", slow_but(set(ROWS) - DEAR, ROWS))
def test_the_checks_catch_what_is_illegal_and_pass_what_is_legal(name):
    row, rng = ROWS[name], np.random.default_rng(3)
    stream, evaluator = stream_for(row), row.evaluator
    tolerance, again = noise(evaluator, stream)
    assert again.holds and tolerance == 1e-9
    outcomes = [
        future(evaluator, stream, rng, tolerance),
        kraft(evaluator, stream, rng, positions=24 if not row.caught_by else 12),
    ]
    if row.documents:
        outcomes.append(mutual(evaluator, stream, rng, tolerance))
    assert {outcome.check for outcome in outcomes if not outcome.holds} == row.caught_by
    assert coverage(evaluator.score(stream)).holds


def test_eleven_are_illegal_d1_misses_half_and_d2_only_the_order():
    illegal = [row for row in TABLE if row.caught_by]
    assert len(illegal) == 11
    assert sum("D1" in row.caught_by for row in illegal) == 5
    assert sum("D2" in row.caught_by for row in illegal) == 10


def test_one_bucket_gives_every_token_probability_one():
    row, rng = ROWS["hashed cache, 1 bucket, alpha 1"], np.random.default_rng(3)
    outcome = kraft(row.evaluator, stream_for(row), rng, positions=6)
    assert outcome.figure == pytest.approx(VOCAB - 1, abs=1e-9)


def test_pre_quant_training_moves_every_earlier_score():
    row = ROWS["pre-quant TTT"]
    assert future(row.evaluator, stream_for(row), np.random.default_rng(3), 1e-9, cuts=4).figure > 0.99


def test_score_first_training_reaches_the_next_chunk_but_not_its_own():
    row = ROWS["score-first chunk TTT"]
    outcome = chunk_update(row.evaluator, stream_for(row), 1e-9)
    assert outcome.holds and "does not adapt" not in outcome.detail
    illegal = Evaluator("adapt first", VOCAB, ROWS["adapt-then-score TTT"].score, chunk=row.chunk)
    assert not chunk_update(illegal, stream_for(row), 1e-9).holds


def test_coverage_sees_a_skipped_a_doubled_and_a_legacy_tail_target():
    scores = plain_sliding(random_stream(VOCAB, 129, np.random.default_rng(1)))
    for at, visits in ((40, 0), (41, 2)):
        changed = scores.visits.copy()
        changed[at] = visits
        outcome = coverage(Scores(scores.nll, changed, scores.order))
        assert not outcome.holds and outcome.positions == (at,)
    legacy = scores.visits.copy()
    legacy[-STRIDE:] = WINDOW // STRIDE
    assert not coverage(Scores(scores.nll, legacy, scores.order)).holds
    assert coverage(Scores(scores.nll, legacy, scores.order), tail=STRIDE).holds


def test_a_one_token_look_back_over_document_starts_is_found():
    rng = np.random.default_rng(5)
    stream = random_stream(VOCAB, 129, rng, DOCUMENT_TOKENS)
    table = rng.normal(size=(VOCAB, VOCAB, VOCAB))

    def leaky(ids, masked):
        before = np.concatenate([[0], ids[:-2]])
        before = np.where((ids[:-1] == 1) & masked, 0, before)
        logits = table[before, ids[:-1]]
        nll = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), ids[1:]]
        return Scores(nll, np.ones(len(nll), dtype=int), np.arange(len(nll)))

    assert not boundary(Evaluator("smear", VOCAB, lambda ids: leaky(ids, False)), stream, 1e-9).holds
    assert boundary(Evaluator("masked", VOCAB, lambda ids: leaky(ids, True)), stream, 1e-9).holds
