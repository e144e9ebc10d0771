"""R14 in `golf verify`: n, sd (n - 1), p, and the seeds and dollars that a power takes, as text and as data."""

import json

import pytest
from commands import golf

from golf.errors import GolfError
from golf.rules import verify_folder
from golf.rules.calibration.specimen import Facts, changed, write_specimen
from golf.rules.checks.significance import previous_row
from golf.rules.report import text
from golf.stats import dollars, sample_sd, seeds_needed


def r14(folder, **options):
    return next(
        finding for finding in verify_folder(folder, only=["stats"], **options).findings if finding.code == "R14"
    )


def test_the_figures_are_those_of_the_seeds_and_of_the_statistics_module(tmp_path):
    figures = r14(write_specimen(tmp_path), power=0.9, rate=24.0).figures
    bpb, old = Facts().bpb, previous_row(list(Facts().bpb), None)
    assert figures["new_bpb"] == {"n": 3, "mean": pytest.approx(sum(bpb) / 3), "sd": sample_sd(bpb)}
    assert figures["old_bpb"]["n"] >= 3
    bar = figures["bars"]["progression"]
    assert bar["seeds_needed"] == seeds_needed(bar["gain"], bar["sd"], 0.25, 0.0, 0.9) and bar["margin"] == 0.0
    assert figures["seconds_per_seed"] == pytest.approx(587.072 + 12.6 + 7.531 + 366.0) and figures["seconds_measured"]
    assert bar["dollars"] == dollars(bar["seeds_needed"], figures["seconds_per_seed"], 24.0)
    assert figures["bars"]["README"]["alpha"] == 0.01 and figures["bars"]["README"]["margin"] == 0.005
    assert old is not None


def test_dollars_are_said_only_at_a_rate_that_the_user_gives(tmp_path):
    folder = write_specimen(tmp_path)
    assert all(bar["dollars"] is None for bar in r14(folder).figures["bars"].values())
    said = r14(folder, rate=20.0).evidence
    assert any("$20 an hour" in line and "(measured)" in line for line in said)
    for options in ({"rate": 0.0}, {"rate": -1.0}, {"power": 0.0}, {"power": 1.0}):
        with pytest.raises(GolfError, match="no such numbers"):
            verify_folder(folder, only=["stats"], **options)


def test_a_gain_under_the_margin_has_no_number_of_seeds(tmp_path):
    finding = r14(write_specimen(tmp_path, changed(bpb=(1.0722, 1.0724, 1.0720))), rate=20.0)
    assert finding.figures["bars"]["README"]["seeds_needed"] is None
    assert finding.figures["bars"]["README"]["dollars"] is None
    assert any("does not exceed the margin" in line for line in finding.evidence)


def test_numbers_are_printed_whatever_the_state_and_stand_in_json_and_markdown(tmp_path):
    folder = write_specimen(tmp_path)
    printed = "\n".join(text(verify_folder(folder, only=["stats"])))
    assert "seeds for 80 % power" in printed and "sd with n - 1" in printed
    table = json.loads(golf("verify", folder, "--only", "stats", "--json", "--rate", "20", "--power", "0.5").stdout)
    figures = next(finding["figures"] for finding in table["findings"] if finding["code"] == "R14")
    assert figures["power"] == 0.5 and figures["dollars_per_hour"] == 20.0
    assert "- R14: progression, seeds for 80 % power" in golf("verify", folder, "--only", "stats", "--md").stdout


def test_where_the_bar_does_not_apply_no_number_is_computed(tmp_path):
    assert r14(write_specimen(tmp_path, track="local")).figures is None
