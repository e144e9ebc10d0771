"""PR #740's two caches: equal to the public script, and shown to be no distributions."""

import json

import evaluation
import numpy as np
import pytest
import torch

from golf.parts.techniques.ngram_backoff_740 import back_off, ngram_backoff_740
from golf.parts.techniques.ngram_hash_740 import PRIMES_740, buckets_740, ngram_hash_740

REPORTS = {"v1": ngram_hash_740, "v2": ngram_backoff_740}


@pytest.mark.slow
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(("result", "buckets"), [("ngram", 4_194_304), ("ngram_4096_buckets", 4096)])
def test_the_cache_equals_the_public_script(shared, version, result, buckets):
    told = json.loads((shared / f"golden/eval_pr740{version}.json").read_text())["results"][result]
    h, model = evaluation.golden_model(
        shared, f"eval_pr740{version}", "pr740", windows="legacy_windows", eval_stride=128, ngram_740_buckets=buckets
    )
    trace = REPORTS[version](h, evaluation.OneProcess(), model, evaluation.official_stream(shared, tokens=20_481))
    assert abs(trace.loss / told["val_loss"] - 1) < 1e-7
    assert abs(trace.bpb / told["val_bpb"] - 1) < 1e-7


def test_buckets_by_hand():
    h = evaluation.knobs(ngram_740_buckets=1 << 22)
    tokens = np.array([1, 5, 7, 11, 13], dtype=np.uint64)
    context, pair = buckets_740(h, tokens, np.array([4]), 5)
    by_hand = (1 * 36313) ^ (5 * 27191) ^ (7 * 51647) ^ (11 * 81929)
    assert context.tolist() == [by_hand % (1 << 22)]
    assert pair.tolist() == [(by_hand ^ (13 * 131071)) % (1 << 22)]
    context, pair = buckets_740(h, tokens, np.array([2, 4]), 2)
    assert context.tolist() == [5 * 36313, 11 * 36313]
    assert pair.tolist() == [(5 * 36313) ^ (7 * 27191), (11 * 36313) ^ (13 * 27191)]
    assert len(set(PRIMES_740)) == 7


def test_backing_off_by_hand():
    """Seven tokens of a cycle of two: orders that found their context are mixed once, and only orders asked are counted."""
    h = evaluation.knobs(ngram_740_buckets=1 << 22)
    tokens = np.array([4, 9, 4, 9, 4, 9, 4], dtype=np.uint64)
    tables = {order: np.zeros((2, 1 << 22), np.uint32) for order in (3, 2)}
    weight = np.full(3, 0.5)
    chance = np.full(3, 0.1)
    back_off(h, tables, tokens, np.array([1, 2, 3]), weight, chance)
    assert chance.tolist() == [0.1, 0.1, 0.1]  # nothing was known
    assert [int(table[0].sum()) for table in tables.values()] == [2, 3]
    chance = np.array([0.1, 0.2])
    back_off(h, tables, tokens, np.array([4, 5]), weight[:2], chance)
    # contexts of two were seen once each (less than 2); 9 was seen once before 4, 4 twice before 9
    assert chance.tolist() == [0.1, 0.5 * 0.2 + 0.5 * 2 / 2]
    back_off(h, tables, tokens, np.array([6]), weight[:1], np.array([0.1]))
    assert int(tables[3][0].sum()) == 5
    assert int(tables[2][0].sum()) == 5  # the longer context was known, so the shorter was not asked


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_cache_is_no_distribution_though_it_sees_no_future(version):
    tokens = evaluation.tokens_of(257)
    values = {"windows": "legacy_windows", "ngram_740_buckets": 64}
    assert evaluation.future_dependence(REPORTS[version], tokens, (60, 129), **values) < 1e-12
    sums = evaluation.kraft_sums(REPORTS[version], tokens, (150, 200, 220), **values)
    assert sums.max() > 1.05


def test_with_one_bucket_and_full_weight_every_token_is_certain():
    tokens = evaluation.tokens_of(257)
    trace = evaluation.scored(ngram_hash_740, tokens, ngram_740_buckets=1, hash_740_weight=1.0)
    assert torch.equal(trace.nats[64:], torch.zeros(len(trace.nats) - 64, dtype=torch.float64))
