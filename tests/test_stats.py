"""The statistics agree with published tables, and with the p-values of the contest's own audit."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golf import stats
from golf.stats import Sample


@pytest.mark.parametrize(
    ("p", "df", "t"),  # a printed table of Student's t
    [
        (0.95, 1, 6.3138),
        (0.99, 2, 6.9646),
        (0.975, 3, 3.1824),
        (0.99, 4, 3.7469),
        (0.995, 10, 3.1693),
        (0.9, 30, 1.3104),
    ],
)
def test_t_agrees_with_the_table(p: float, df: int, t: float) -> None:
    assert stats.t_quantile(p, df) == pytest.approx(t, abs=6e-5)
    assert stats.t_sf(t, df) == pytest.approx(1 - p, abs=1e-5)


@pytest.mark.parametrize(
    ("t", "df", "shift", "tail"),  # computed once with scipy.stats.nct.sf
    [(2.0, 10, 1.0, 0.19238743846962462), (3.7469474, 4, 2.0, 0.17556070751115527), (1.6939, 32, 2.9155, 0.8864988)],
)
def test_noncentral_t_agrees_with_scipy(t: float, df: float, shift: float, tail: float) -> None:
    assert stats.noncentral_t_sf(t, df, shift) == pytest.approx(tail, abs=2e-4)


def test_noncentral_t_without_shift_is_central() -> None:
    assert stats.noncentral_t_sf(1.5, 4, 0.0) == pytest.approx(stats.t_sf(1.5, 4), abs=1e-12)


def test_all_tails_agree_with_scipy_where_it_is_installed() -> None:
    scipy = pytest.importorskip("scipy.stats")
    for df in (1.5, 2.0, 3.31, 4.0, 25.0):
        for t in (-3.0, -0.4, 0.0, 0.7, 2.5, 11.83):
            assert stats.t_sf(t, df) == pytest.approx(float(scipy.t.sf(t, df)), rel=1e-9)
            for shift in (0.5, 3.0):
                assert stats.noncentral_t_sf(t, df, shift) == pytest.approx(float(scipy.nct.sf(t, df, shift)), abs=1e-7)


values = st.lists(st.floats(0.9, 1.5), min_size=2, max_size=6)


@settings(max_examples=60)
@given(values, values, st.floats(-0.1, 0.1))
def test_p_is_a_probability_and_falls_as_the_new_one_gets_better(
    new: list[float], old: list[float], shift: float
) -> None:
    a, b = (
        stats.welch(Sample.of(new), Sample.of(old)),
        stats.welch(Sample.of([v - abs(shift) for v in new]), Sample.of(old)),
    )
    if a and b:
        assert 0 <= b.p <= a.p + 1e-9 <= 1 + 2e-9


@settings(max_examples=60)
@given(values, values)
def test_exchanging_the_sides_gives_the_other_tail(new: list[float], old: list[float]) -> None:
    a, b = stats.welch(Sample.of(new), Sample.of(old)), stats.welch(Sample.of(old), Sample.of(new))
    if a and b:
        assert a.p + b.p == pytest.approx(1, abs=1e-9)


def test_one_seed_or_no_spread_has_no_p_value() -> None:
    assert stats.welch(Sample.of([1.0]), Sample.of([1.1, 1.2])) is None
    assert stats.welch(Sample.of([1.0, 1.0]), Sample.of([1.1, 1.1])) is None
    assert stats.one_sample(Sample.of([1.0]), 1.1) is None


def test_the_margin_in_bpb_depends_on_the_tokenizer() -> None:
    margins = {name: stats.bpb_of(stats.MARGIN_NATS, per) for name, per in stats.BYTES_PER_TOKEN.items()}
    assert [round(margins[name], 5) for name in ("sp1024", "sp8192", "sp8192_caseops")] == [0.00296, 0.00194, 0.00228]
    assert round(stats.bpb_of(stats.MARGIN_NATS, 1.0), 5) == 0.00721  # per byte


def test_units_convert_back() -> None:
    assert stats.bpb_of(stats.nats_per_token_of(1.2, 2.436), 2.436) == pytest.approx(1.2)
    assert stats.bytes_per_token_of(2.07405347, 1.22837129) == pytest.approx(2.43593, abs=1e-5)
    assert stats.nats_per_byte_of(1.0) == math.log(2)


def test_the_convention_of_a_claimed_sd_is_recognised() -> None:
    seeds = [1.07216564, 1.07300174, 1.07325147]  # PR 1610
    assert stats.sd_convention(0.00046433, seeds, 8) == "population"
    assert stats.sd_convention(0.000569, seeds, 6) == "sample"
    assert stats.sd_convention(0.0009, seeds, 4) == "neither"
    assert stats.sd_convention(0.1, seeds[:1], 1) is None


def test_power_rises_with_seeds_and_the_plan_is_the_first_that_suffices() -> None:
    n = stats.seeds_needed(0.002, 0.0006, alpha=0.01)
    assert n is not None and stats.power(0.002, 0.0006, n) >= 0.8 > stats.power(0.002, 0.0006, n - 1)
    assert stats.seeds_needed(0.001, 0.0006, margin=0.002) is None
    assert stats.power(1.0, 1.0, 17, 0.05) == pytest.approx(0.8865, abs=2e-3)  # a printed table: d = 1, n = 17


@pytest.mark.parametrize(("n", "delta", "alpha"), [(3, 3.0, 0.01), (3, 2.0, 0.05), (5, 2.0, 0.05), (4, 1.0, 0.25)])
def test_power_agrees_with_simulation(n: int, delta: float, alpha: float) -> None:
    import random

    draw = random.Random(7)
    hits = 0
    for _ in range(3000):
        new, old = ([draw.gauss(mean, 1.0) for _ in range(n)] for mean in (0.0, delta))
        test = stats.welch(Sample.of(new), Sample.of(old))
        hits += test is not None and test.p < alpha
    assert hits / 3000 == pytest.approx(stats.power(delta, 1.0, n, alpha), abs=0.027)  # three standard errors


def test_cost_is_seeds_times_hours_times_rate() -> None:
    assert stats.dollars(3, 1200, 20.0) == pytest.approx(20.0)


# ---- the audit's own p-values, to the digits that it gives ------------------------------------------------------------------


def seeds_of(shared: Path, pr: int, key: str = "val_bpb") -> Sample:
    table = json.loads((shared / "records_ground_truth.json").read_text())["records"]
    found = next(facts for facts in table.values() if facts["pr"] == pr and facts["claimed_seed_results"])
    return Sample.of([entry[key] for entry in found["claimed_seed_results"].values()])


def test_p_of_1610_against_1530(shared: Path) -> None:
    test = stats.welch(seeds_of(shared, 1610), seeds_of(shared, 1530))
    assert test is not None and round(test.p, 3) == 0.202


def test_p_of_1855_against_the_rerun_of_1868(shared: Path) -> None:
    submission = next((shared / "records").rglob("2026-04-29_SmearGate*/submission.json"))
    rerun = json.loads(submission.read_text())["compliance_rerun"]["seed_results"]
    test = stats.welch(seeds_of(shared, 1855), Sample.of([entry["val_bpb"] for entry in rerun.values()]))
    assert test is not None and round(test.p, 3) == 0.355


def test_p_of_1019_against_549_with_the_margin_of_the_readme(shared: Path) -> None:
    new = seeds_of(shared, 1019, "val_loss")
    # 549's sd is not printed; it follows from the printed t, the two means and 1019's own sd
    se = 0.00784215 / 11.8339
    assert new.sd is not None
    old = Sample(3, 1.89002068, math.sqrt(3 * (se**2 - new.sd**2 / 3)))
    plain, strict = stats.welch(new, old), stats.welch(new, old, stats.MARGIN_NATS)
    assert plain is not None and strict is not None
    assert (round(plain.t, 2), round(plain.df, 2), round(strict.p, 4)) == (11.83, 3.31, 0.0095)


def test_p_of_77_against_the_fixed_number_1_195() -> None:
    test = stats.one_sample(Sample.of([1.1935, 1.1927, 1.1921, 1.1929]), 1.195)
    assert test is not None and round(test.p, 6) == 0.002345
