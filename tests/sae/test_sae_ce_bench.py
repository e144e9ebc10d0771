"""CE-Bench's scores by hand, with the faults of the public code as named modes."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golf.sae.ce_bench import BASELINES, Stories, bound, largest_z


def z(values: list[float]) -> float:
    mean = sum(values) / len(values)
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return (max(values) - mean) / sd


def two_pairs() -> Stories:
    """N = 4. Pair A: V1 (2,0,0,0) over 2 tokens, V2 (0,0,1,0) over 1; pair B: V1 (0,3,0,0) over 1, V2 (0,1,0,2) over 1."""
    stories = Stories()
    stories.add(torch.tensor([[4.0, 0, 0, 0], [0.0, 0, 0, 0]]), torch.tensor([[0.0, 0, 1, 0]]), "colour")
    stories.add(torch.tensor([[0.0, 3, 0, 0]]), torch.tensor([[0.0, 1, 0, 2]]), "size")
    return stories


def test_two_pairs_by_hand() -> None:
    contrast = [[2.0, 0, 1, 0], [0.0, 2, 0, 2]]
    common = [[4 / 3, 0, 1 / 3, 0], [0.0, 2, 0, 1]]  # weighted by tokens: (2·2 + 0)/3, …
    expected = {
        "official-v1": [[0.0] * 4] * 2,
        "all": [[2 / 3, 1, 1 / 6, 1 / 2]] * 2,
        "other-subjects": [common[1], common[0]],
    }
    for kind in BASELINES:
        found = two_pairs().report(kind)
        different = [
            [abs(a - b) for a, b in zip(*pair, strict=True)] for pair in zip(common, expected[kind], strict=True)
        ]
        both = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(contrast, different, strict=True)]
        assert found["contrastive_score_mean"] == pytest.approx(sum(map(z, contrast)) / 2, rel=1e-6)
        assert found["independent_score_mean"] == pytest.approx(sum(map(z, different)) / 2, rel=1e-6)
        assert found["interpretability_score_mean"] == pytest.approx(sum(map(z, both)) / 2, rel=1e-6)
        assert (found["pairs"], found["subjects"], found["features"], found["baseline"]) == (2, 2, 4, kind)


def test_the_official_first_version_standardises_the_mean_code_itself() -> None:
    stories = two_pairs()
    expected = sum(largest_z(common.abs()) for common in stories.common) / 2
    assert stories.report("official-v1")["independent_score_mean"] == expected


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_no_score_exceeds_its_bound(values: list[float]) -> None:
    assert largest_z(torch.tensor(values, dtype=torch.float64)) <= bound(len(values)) * (1 + 1e-9)


def test_the_bound_is_reached_by_a_single_feature_and_has_the_published_values() -> None:
    for features in (2, 10, 2048):
        assert largest_z(torch.eye(features)[0]) == pytest.approx(bound(features), rel=1e-9)
    assert [round(bound(features), 2) for features in (2048, 16_384, 32_768, 34_816)] == [45.23, 127.99, 181.01, 186.59]


def test_features_that_do_not_vary_score_nothing() -> None:
    assert largest_z(torch.zeros(5)) == 0 and largest_z(torch.ones(1)) == 0


def test_one_subject_has_no_others_and_no_pairs_no_score() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        Stories().report()
    stories = Stories()
    stories.add(torch.ones(1, 3), torch.eye(3), "only")
    with pytest.raises(ValueError, match="no others"):
        stories.report()
    assert stories.report("all")["independent_score_mean"] == 0
