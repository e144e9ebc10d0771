"""D7: the clock that a composed script reports covers every read of validation tokens; R07 says so where it applies."""

import pytest
import torch
from composing import compose

from golf.rules import State, verify_folder
from golf.rules.calibration.timed import PRECOMPUTE, SCRIPT, script_with, timer_of
from golf.rules.dynamic.timer import TICK_SECONDS, Clock, watched

PLANTED = "    hints = torch.bincount(stream.tokens)\n"
BEFORE, AFTER = "    begun, reports = time.perf_counter(), []\n", "    for report in "


def test_a_precomputation_outside_the_timer_is_found_with_its_line_and_its_twin_inside_passes():
    text = script_with(precompute_inside=False)
    outside, inside = timer_of(text)["outcome"], timer_of(script_with(precompute_inside=True))["outcome"]
    assert not outside["holds"] and outside["figure"] == 1.0
    assert outside["positions"] == (text.splitlines().index(f"    {PRECOMPUTE}") + 1,)
    assert inside["holds"] and inside["figure"] == 0.0


@pytest.mark.parametrize(
    "change",
    [
        (
            "    log.record(",
            f"    log.record(seen={PRECOMPUTE.partition('= ')[2]}, ",
        ),  # its arguments come before the clock
        ("import time\n", "from time import perf_counter\nimport time\n"),
        ("time.perf_counter()", "time.monotonic()"),
    ],
)
def test_a_timer_is_seen_whatever_it_is_called(change):
    text = script_with(precompute_inside=True).replace(*change)
    assert timer_of(text)["outcome"]["holds"]


def test_work_after_the_clock_was_read_is_found():
    late = SCRIPT.replace("OUTSIDE", "pass").replace("INSIDE", "pass").replace(
        "    log.record(eval_seconds=time.perf_counter() - begun",
        "    seconds = time.perf_counter() - begun\n    nats += float(stream.tokens.sum())\n    log.record(eval_seconds=seconds",
    )  # fmt: skip
    assert timer_of(late)["outcome"]["figure"] == 1.0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("self.target_bytes =", "self.hints = 0\n        self.target_bytes ="), "keeps `hints`"),
        (("def plain(env", "def hints(env):\n    return Stream(env)\n\n\ndef plain(env"), "`hints` makes a Stream"),
        (("eval_seconds=", "seconds="), "no eval_seconds"),
    ],
)
def test_a_script_that_hides_its_tokens_or_its_seconds_stays_untold(change, why):
    assert why in timer_of(script_with(precompute_inside=True).replace(*change))["fault"]


def test_only_the_use_of_values_is_a_read():
    clock = Clock("elsewhere")
    tokens = watched(torch.arange(40), clock.read)
    assert len(tokens) == 40 and tokens.shape == (40,) and tokens.device.type == "cpu"
    moved = tokens.to(torch.int32)[1:].view(3, 13).long()
    assert clock.reads == []
    assert int(moved.sum()) == sum(range(1, 40)) and clock.reads
    for use in (lambda: tokens.roll(1), tokens.numpy, tokens.tolist, lambda: tokens[tokens]):
        before = clock.now
        use()
        assert clock.now == before + TICK_SECONDS
    buffer = torch.zeros(40, dtype=torch.int64)
    buffer.add_(tokens)
    assert clock.now == before + 2 * TICK_SECONDS and type(buffer) is torch.Tensor


@pytest.fixture
def as_ours(monkeypatch):
    """A script with planted lines is not what golf composes: it is judged as if it were."""
    monkeypatch.setattr("golf.rules.execution.why_not_ours", lambda subject: None)


def r07(folder, **options):
    findings = {
        finding.code: finding for finding in verify_folder(folder, only=["execute"], quick=True, **options).findings
    }
    return findings["R07"]


@pytest.mark.slow
@pytest.mark.parametrize("reports", ["ttt_sgd.ttt_sgd", "ngram_tilt.ngram_tilt"])
def test_evaluators_that_ship_read_only_under_the_clock(tmp_path, as_ours, reports):
    finding = r07(compose(tmp_path, f'reports=["plain","{reports}"]'), track="10min_16mb")
    assert finding.state is State.PASS and "D7: all " in finding.message


@pytest.mark.slow
def test_a_precomputation_planted_in_a_composed_script_breaks_r07_only_where_a_clock_applies(tmp_path, as_ours):
    def plant(text):
        return text.replace(BEFORE, PLANTED + BEFORE, 1)

    folder = compose(tmp_path, 'reports=["plain"]', edit=plant)
    finding = r07(folder, track="10min_16mb")
    assert finding.state is State.FAIL and "outside its eval_seconds (line" in finding.message
    assert r07(folder, track="local").state is State.NA


@pytest.mark.slow
def test_the_same_precomputation_under_the_clock_is_legal(tmp_path, as_ours):
    folder = compose(tmp_path, 'reports=["plain"]', edit=lambda text: text.replace(BEFORE, BEFORE + PLANTED, 1))
    assert r07(folder, track="10min_16mb").state is State.PASS
