"""Loss floors and their fits: published constants, lists by hand, planted laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golf.sae.fits import _line, fit_chinchilla, fit_decay, forecast, nonnegative
from golf.sae.floors import (
    Floors,
    calibrate,
    capacity,
    features_kept,
    floors_of,
    measured_points,
    rank_slope,
    sparsity,
    student_widths,
)

# (layer, alive features, L0, α, g, d*) of the published measurements of Pythia-410M
PUBLISHED = [
    (8, 31_006, 234.9, 0.9924, 27.04, 1147),
    (12, 28_665, 218.29, 0.99238495, 26.9227, 1064.7),
    (16, 29_169, 248.96, 0.99146487, 24.5956, 1185.9),
]
KEPT = {128: 3446, 256: 6892, 384: 10_338, 512: 13_784, 768: 20_676, 1024: 27_568}  # layer 12
# vanilla models of one family: parameters, tokens, validation loss in nats per token
FAMILY = [
    *[(44.7e6, 0.5e9, 4.244), (44.7e6, 1e9, 3.890), (44.7e6, 2e9, 3.702)],
    *[(63.5e6, 1e9, 3.759), (63.5e6, 2e9, 3.558)],
    *[(354e6, 0.5e9, 3.573), (354e6, 1e9, 3.284), (354e6, 2e9, 3.090), (354e6, 4e9, 2.958)],
]


@pytest.mark.parametrize(("layer", "alive", "l0", "alpha", "gain", "width"), PUBLISHED)
def test_the_published_geometry(layer: int, alive: int, l0: float, alpha: float, gain: float, width: float) -> None:
    found = Floors(l0, np.ones(alive))
    rounding = 0.005 / alive  # L0 is published with two digits
    assert found.alpha == pytest.approx(alpha, abs=5e-5 if layer == 8 else rounding)
    assert found.gain == pytest.approx(gain, rel=5e-4 if layer == 8 else 3e-5)
    assert found.critical_width == pytest.approx(width, abs=0.5 if layer == 8 else 0.08)


@pytest.mark.parametrize(("width", "kept"), KEPT.items())
def test_the_published_counts_of_kept_features(width: int, kept: int) -> None:
    assert features_kept(width, 28_665, capacity(sparsity(218.29, 28_665))) == kept


@pytest.mark.parametrize(("alpha", "gain"), [(0.90, 4.34), (0.95, 6.68), (0.99, 21.7), (0.992, 25.9), (0.999, 144.8)])
def test_the_reference_values_of_g(alpha: float, gain: float) -> None:
    assert capacity(alpha) == pytest.approx(gain, rel=2e-3)


def test_a_list_by_hand() -> None:
    # L0 2 of 8: α = .75, g = 1 / (.25 ln 4) = 2.885; widths 1, 2, 3 hold 2, 5, 8
    found = floors_of(2.0, [1, 2, 3, 4, 5, 6, 7, 8])
    assert found is not None
    assert [found.floor(width) for width in (1, 2, 3, 100)] == [21, 6, 0, 0]
    assert found.critical_width == pytest.approx(8 * 0.25 * np.log(4))
    report = found.report([1, 2])
    assert [row["features_kept"] for row in report["predictions"].values()] == [2, 5]
    assert report["predictions"]["2"]["features_dropped"] == 3
    assert (report["total_importance"], report["predictions"]["1"]["pct"]) == (36, pytest.approx(100 * 21 / 36))


@given(st.integers(3, 400), st.floats(0.01, 0.99), st.integers(1, 300))
def test_uniform_importance_loses_the_share_of_features_that_is_dropped(
    features: int, share: float, width: int
) -> None:
    found = Floors(share * features, np.full(features, 0.5))
    kept = features_kept(width, features, found.gain)
    assert found.floor(width) / (0.5 * features) == pytest.approx(1 - kept / features, abs=1e-12)


@given(st.lists(st.floats(0, 100), min_size=5, max_size=60), st.floats(0.1, 0.9))
def test_floors_fall_with_width_and_end_at_zero(importance: list[float], share: float) -> None:
    found = floors_of(share * len(importance), importance)
    assert found is not None
    floors = [found.floor(width) for width in range(2 * len(importance) + 2)]
    assert floors == sorted(floors, reverse=True)
    assert floors[0] == pytest.approx(sum(importance))
    assert found.floor(int(np.ceil(found.critical_width)) + 1) == 0


def test_what_has_no_share_has_no_floor() -> None:
    assert floors_of(0.0, [1.0, 2.0]) is None
    assert floors_of(2.0, [1.0, 2.0]) is None
    assert floors_of(1.0, []) is None
    for bad in (0.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            capacity(bad)


def test_widths_are_the_published_shares_of_the_teacher() -> None:
    assert student_widths(1024) == [128, 256, 384, 512, 768, 1024]
    assert student_widths(128) == [16, 32, 48, 64, 96, 128]
    assert student_widths(2) == [1, 2]


def test_a_planted_power_law_of_ranks_returns_its_slope() -> None:
    ranks = np.arange(1, 5001)
    bent = np.where(ranks < 400, 7.0, 3.0 * ranks**-2.33)  # the head outside 10 % to 90 % does not count
    assert rank_slope(bent) == pytest.approx(-2.33, abs=1e-6)
    assert rank_slope(np.ones(2)) is None


def test_an_affine_law_is_returned_with_its_fit() -> None:
    floors = [0.0794, 0.04, 0.0216, 0.011, 0.0016]
    found = calibrate(floors, [8.97 * floor + 1.3 for floor in floors])
    assert found is not None
    assert (found.slope, found.base, found.r2, found.points) == pytest.approx((8.97, 1.3, 1.0, 5))
    assert calibrate([1.0, 1.0], [2.0, 3.0]) is None
    noisy = calibrate([0, 1, 2, 3], [0, 1, 0, 1])
    assert noisy is not None and noisy.r2 == pytest.approx(0.2)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 3), st.floats(0.05, 2), st.floats(0.08, 1.5))
def test_a_planted_decay_returns_within_one_percent(floor: float, drop: float, exponent: float) -> None:
    amounts = [50e6 * step for step in range(1, 7)]
    scale = drop * 50e6**exponent
    found = fit_decay(amounts, [floor + scale * amount**-exponent for amount in amounts])
    assert found is not None
    assert (found.floor, found.scale, found.exponent) == pytest.approx((floor, scale, exponent), rel=0.01)
    assert found.r2 == pytest.approx(1)


def test_a_forecast_knows_how_well_it_would_have_foretold_the_last_point() -> None:
    amounts = [1.0, 2.0, 3.0, 4.0, 5.0]
    losses = [0.2 + 0.5 * amount**-0.7 for amount in amounts]
    found = forecast(amounts, losses)
    assert found is not None
    assert found["leave_last_out_error"] == pytest.approx(0, abs=1e-9)
    assert found["next_loss"] == pytest.approx(0.2 + 0.5 * 10**-0.7)
    jumped = forecast(amounts, [*losses[:-1], losses[-1] * 1.25])
    assert jumped is not None and jumped["leave_last_out_error"] == pytest.approx(-0.2, abs=1e-6)
    short = forecast(amounts[:3], losses[:3])
    assert short is not None and short["leave_last_out_error"] is None
    assert forecast(amounts[:2], losses[:2]) is None


def test_losses_that_rise_are_fitted_by_a_constant_not_by_a_negative_scale() -> None:
    found = fit_decay([1, 2, 3, 4], [1.0, 1.1, 1.2, 1.3])
    assert found is not None
    assert found.scale >= 0 and found.floor >= 0 and found.at(100) == pytest.approx(1.15, abs=1e-6)


@given(st.integers(0, 200))
def test_nonnegative_least_squares_has_no_better_neighbour(seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns, target = rng.normal(size=(7, 3)), rng.normal(size=7)
    found = nonnegative(columns, target)
    gradient = columns.T @ (columns @ found - target)
    assert (found >= 0).all() and (gradient > -1e-9).all()  # the conditions of an optimum under x >= 0
    assert np.abs(gradient * found).max() < 1e-9


def test_the_family_of_nine_points_foretells_the_published_band() -> None:
    found = fit_chinchilla(FAMILY)
    assert found is not None
    assert 2.80 <= found.at(1.311e9, 2.93e9) <= 2.82
    assert (found.floor, found.alpha, found.beta, found.rmse) == pytest.approx((2.300, 0.41, 0.71, 0.012), rel=0.02)
    assert fit_chinchilla(FAMILY[:4]) is None


def test_a_planted_chinchilla_law_returns_within_one_percent() -> None:
    points = [(n, d, 1.7 + 400 * n**-0.34 + 410 * d**-0.28) for n in (1e7, 1e8, 1e9, 4e9) for d in (1e8, 1e9, 1e10)]
    found = fit_chinchilla(points)
    assert found is not None
    assert (found.floor, found.alpha, found.beta) == pytest.approx((1.7, 0.34, 0.28), rel=0.01)


def test_measured_points_are_read_or_refused_by_what_is_wrong() -> None:
    assert measured_points({"12": {"128": 0.9, "256": 0.5}}) == {12: {128: 0.9, 256: 0.5}}
    for bad in ([1], {"12": 3}, {"twelve": {}}, {"1": {"128": "much"}}):
        with pytest.raises(ValueError):
            measured_points(bad)


def test_the_best_line_of_many_exponents_is_the_one_of_each() -> None:
    """Against the least squares that search all subsets of columns: falling, rising, negative and constant losses."""
    x, exponents = np.array([0.5, 1.0, 1.5, 4.0]), np.array([0.02, 0.3, 1.0, 4.0])
    for y in (
        [4.0, 3.0, 2.5, 2.2],
        [1.0, 1.1, 1.2, 1.3],
        [-1.0, -2.0, -1.0, -3.0],
        [2.0, 2.0, 2.0, 2.0],
        [3.0, 1.0, 0.5, -0.4],
    ):
        floors, scales, errors = _line(x, np.array(y), exponents)
        for number, exponent in enumerate(exponents):
            columns = np.stack((np.ones_like(x), x**-exponent), 1)
            wanted = nonnegative(columns, np.array(y))
            assert [floors[number], scales[number]] == pytest.approx(wanted.tolist(), abs=1e-9), (y, exponent)
            assert errors[number] == pytest.approx(float(np.square(columns @ wanted - y).sum()), abs=1e-12)
