"""Metrics of a dictionary against numpy on everything at once, and against answers that need no computing."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from golf.sae.metrics import Losses, Quality, density_histogram, divergence, split_signs, weight_cosines


def measured(x: torch.Tensor, code: torch.Tensor, rebuilt: torch.Tensor, cuts: tuple[int, ...] = ()) -> Quality:
    quality = Quality(code.size(1), x.size(1))
    for parts in zip(*(tensor.tensor_split(cuts) for tensor in (x, code, rebuilt)), strict=True):
        quality.add(*parts)
    return quality


def drawn(seed: int = 0, offset: float = 0.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(97, 5, generator=rng) * torch.tensor([1.0, 2.0, 0.1, 5.0, 1.0]) + offset
    code = torch.randn(97, 12, generator=rng) * (torch.rand(97, 12, generator=rng) < 0.3)
    return x, code, x + 0.3 * torch.randn(97, 5, generator=rng)


def test_the_identity_leaves_nothing_unexplained_and_the_mean_leaves_everything() -> None:
    x, code, _ = drawn(offset=100.0)
    assert measured(x, code, x).report()["fvu"] == 0
    assert measured(x, code, x).report()["cosine"] == pytest.approx(1, abs=1e-12)
    mean = x.double().mean(0, keepdim=True).expand_as(x)
    assert measured(x.double(), code, mean).report()["fvu"] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_fvu_is_numpys_also_where_the_mean_is_large(offset: float) -> None:
    x, code, rebuilt = drawn(offset=offset)
    a, b = x.double().numpy(), rebuilt.double().numpy()
    expected = np.square(a - b).sum() / np.square(a - a.mean(0)).sum()
    assert measured(x, code, rebuilt, (1, 40)).report()["fvu"] == pytest.approx(expected, rel=1e-9)
    wrong = np.square(a - b).sum() / (np.square(a).sum() - len(a) * np.square(a).mean(0).mean() ** 2)
    assert offset == 0 or abs(wrong - expected) > 0.1 * expected  # the formula that one public tool uses


def test_every_other_scalar_is_numpys() -> None:
    x, code, rebuilt = drawn(3)
    found = measured(x, code, rebuilt, (10, 11, 60)).report(threshold=0.3)
    a, b, z = (tensor.double().numpy() for tensor in (x, rebuilt, code))
    lengths, others = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    assert found["mse"] == pytest.approx(np.square(a - b).mean())
    assert found["l0"] == pytest.approx((z != 0).sum(1).mean())
    assert found["alive"] == ((z != 0).mean(0) > 0.3).sum()
    assert found["dead_share"] == pytest.approx(((z != 0).mean(0) <= 0.3).mean())
    assert found["l2_ratio"] == pytest.approx((others / lengths).mean())
    assert found["cosine"] == pytest.approx(((a * b).sum(1) / lengths / others).mean())
    assert found["relative_bias"] == pytest.approx(np.square(b).sum() / (a * b).sum())
    assert np.allclose(measured(x, code, rebuilt).importance, np.square(z).mean(0))


def test_negative_codes_count_as_active_and_split_into_two_virtual_features() -> None:
    code = torch.tensor([[1.0, -2.0, 0.0, 0.0], [0.0, -1.0, 3.0, 0.0]])
    x = torch.eye(2, 4)
    assert measured(x, code, x).report()["l0"] == 2.0
    virtual = split_signs(code)
    assert virtual.tolist() == [[1, 0, 0, 0, 0, 2, 0, 0], [0, 0, 3, 0, 0, 1, 0, 0]]
    assert measured(x, virtual, x).report()["l0"] == 2.0  # as many, of twice the features
    assert torch.equal(virtual[:, :4] - virtual[:, 4:], code)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 97), max_size=6), st.floats(-1e4, 1e4), st.integers(0, 1000))
def test_how_batches_fall_changes_nothing(cuts: list[int], offset: float, seed: int) -> None:
    x, code, rebuilt = drawn(seed, offset)
    whole = measured(x, code, rebuilt).report()
    pieces = tuple(sorted({cut for cut in cuts if 0 < cut < 97}))
    parts = measured(x, code, rebuilt, pieces).report()
    assert all(parts[key] == pytest.approx(value, rel=1e-9) for key, value in whole.items())
    assert all(math.isfinite(value) for value in whole.values())


def test_a_constant_stream_has_no_fvu_and_no_tokens_are_an_error() -> None:
    x = torch.ones(4, 3)
    assert measured(x, x, x).report()["fvu"] is None
    assert measured(x, x, x).report()["explained_variance"] is None
    with pytest.raises(ValueError, match="no tokens"):
        Quality(3, 3).report()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_the_density_histogram_counts_every_feature_once(shares: list[float]) -> None:
    found = density_histogram(torch.tensor(shares, dtype=torch.float64))
    assert sum(found["counts"]) + found["below"] + found["never"] == len(shares)
    assert len(found["log10_edges"]) == len(found["counts"]) + 1


def test_density_bins_hold_what_their_edges_say() -> None:
    found = density_histogram(torch.tensor([1.0, 0.1, 0.011, 0.009, 1e-7, 0.0]), low=-3.0, bins=3)
    assert found == {"log10_edges": [-3, -2, -1, 0], "counts": [1, 1, 2], "below": 1, "never": 1}


def test_the_identity_recovers_all_of_the_loss_and_zero_ablation_none() -> None:
    clean, ablated = torch.tensor([1.0, 2.0]), torch.tensor([5.0, 6.0])
    for rebuilt, expected in ((clean, 1.0), (ablated, 0.0), ((clean + ablated) / 2, 0.5), (ablated + 4, -1.0)):
        losses = Losses()
        losses.add(clean, rebuilt, ablated)
        assert losses.report()["ce_recovered"] == expected
    assert losses.report()["kl_nats"] is None  # not measured is not zero


def test_recovery_is_of_the_means_and_unknown_where_the_layer_does_nothing() -> None:
    losses = Losses()
    losses.add(torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([3.0]))
    losses.add(torch.tensor([[1.0, 1.0], [1.0, 1.0]]), torch.ones(2, 2), torch.full((2, 2), 2.0))
    found = losses.report()
    assert (found["ce_tokens"], found["ce_clean_nats"], found["ce_ablated_nats"]) == (5, 1.0, 11 / 5)
    assert found["ce_recovered"] == pytest.approx((11 / 5 - 6 / 5) / (6 / 5))
    same = Losses()
    same.add(torch.ones(3), torch.ones(3), torch.ones(3))
    assert same.report()["ce_recovered"] is None


def test_divergence_is_zero_for_equal_logits_and_by_hand_otherwise() -> None:
    p, q = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.25, 0.25, 0.5])
    found = divergence((p.log() + 3)[None], q.log()[None])
    assert found.tolist() == [pytest.approx(0.5 * math.log(2) + 0.25 * math.log(0.5), rel=1e-6)]
    assert float(divergence(p[None], p[None] + 7)) == pytest.approx(0, abs=1e-7)


def test_divergence_joins_the_losses_per_token() -> None:
    losses = Losses()
    losses.add(torch.ones(4), torch.ones(4), torch.zeros(4), torch.tensor([1.0, 0.0, 0.0, 1.0]))
    assert losses.report()["kl_nats"] == 0.5


def test_weight_cosines_see_parallel_and_opposite_pairs() -> None:
    decoder = torch.eye(4)
    encoder = 3 * decoder * torch.tensor([1.0, 1.0, 1.0, -1.0])[:, None]
    found = weight_cosines(encoder, decoder)
    assert found == {"encoder_decoder_cosine": 0.5, "decoder_norm_mean": 1.0, "decoder_norm_deviation": 0.0}


def test_a_feature_at_the_threshold_is_dead_and_above_it_alive() -> None:
    code = torch.tensor(
        [[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    )  # on 1, 2 and 0 of 4 tokens
    found = measured(torch.eye(4), code, torch.eye(4)).report(threshold=0.25)
    assert (found["alive"], found["dead_share"], found["dead_threshold"]) == (1, pytest.approx(2 / 3), 0.25)
