"""Executed checks on composed scripts: the legal ones pass whole, and faults planted in their own evaluators are found."""

import os
import re

import pytest
from composing import compose

from golf.rules import State, verify_folder


@pytest.fixture(autouse=True)
def as_ours(monkeypatch):
    """These scripts are composed with overrides, some edited: judged as what golf composes, unasked and on its own evaluators."""
    monkeypatch.setattr("golf.rules.execution.why_not_ours", lambda subject: None)


def executed(folder, quick=True):
    return {finding.code: finding for finding in verify_folder(folder, only=["execute"], quick=quick).findings}


LEGAL = {
    "sliding": "sliding.sliding",
    "score-first TTT": "ttt_sgd.ttt_sgd",
    "Kneser-Ney": "ngram_kneser_ney.ngram_kneser_ney",
    "tilt": "ngram_tilt.ngram_tilt",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEGAL)
def test_legal_evaluators_that_ship_hold_every_executed_rule(tmp_path, name):
    findings = executed(compose(tmp_path, f'reports=["plain","{LEGAL[name]}"]'))
    for code in ("R25", "R30", "R31", "R32", "R33", "R36", "R38", "R41", "R47"):
        assert findings[code].state is State.PASS, (code, findings[code].message)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ngram_hash_740.ngram_hash_740", "ngram_backoff_740.ngram_backoff_740"])
def test_the_caches_of_740_are_no_distributions(tmp_path, name):
    folder = compose(tmp_path, f'reports=["plain","{name}"]')
    assert executed(folder)["R31"].state is State.FAIL
    static = {finding.code: finding.state for finding in verify_folder(folder, only=["static"]).findings}
    assert static["R38"] is State.FAIL


FAULTS = {
    "looks two tokens ahead": ("R30", 'reports=["plain"]', "stream.tokens[start:end]", "stream.tokens.roll(-2)[start:end]"),
    "sees its own target": ("R31", 'reports=["plain"]', "stream.tokens[start:end]", "stream.tokens[start + 1 : end + 1]"),
    "scores windows twice": ("R25", 'reports=["plain"]', "    return trace.reduce()\n\n\n", "    trace.add(model(ids, targets), torch.arange(start, end).view(-1, h.eval_seq_len))\n    return trace.reduce()\n\n\n"),
    "learns before it scores": ("R32", 'reports=["ttt_sgd.ttt_sgd"]', "LEARN", ""),
}  # fmt: skip


def learn_first(text):
    """The script with its learning step moved in front of the scoring of the same chunk."""
    call = re.search(r"learn_chunk\((?!.*:$).*\)\n", text)[0]
    scoring = "        mine = torch.nonzero(chunk_of == chunk).flatten()\n"
    return text.replace(scoring, f"{scoring}        {call}", 1)


@pytest.mark.slow
@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_in_the_evaluator_that_ships_is_found(tmp_path, what):
    code, reports, before, after = FAULTS[what]
    folder = compose(
        tmp_path, reports, edit=learn_first if before == "LEARN" else lambda text: text.replace(before, after, 1)
    )
    finding = executed(folder)[code]
    assert finding.state is State.FAIL, finding.message


@pytest.mark.slow
def test_the_whole_dynamic_suite_of_one_submission_takes_no_two_minutes_of_a_processor(tmp_path):
    folder = compose(tmp_path, 'reports=["plain","ttt_sgd.ttt_sgd"]')
    began = os.times()
    findings = executed(folder, quick=False)
    ended = os.times()
    assert findings["R31"].state is State.PASS
    assert ended.children_user + ended.children_system - began.children_user - began.children_system < 120


@pytest.mark.slow
def test_a_slow_machine_that_leaves_experiments_out_still_has_every_rule_answered(tmp_path, monkeypatch):
    """`golf verify` of what golf composed depends on no load of the machine: what was left out is said, and takes nothing away."""
    monkeypatch.setattr("golf.rules.experiments.trial.CHEAP_SECONDS", 0.0)
    verdict = verify_folder(compose(tmp_path, 'reports=["plain"]'), only=["static", "execute"], quick=True)
    findings = {finding.code: finding for finding in verdict.findings}
    assert any("E2 blind artifact" in note for note in verdict.notes)
    assert findings["R35"].state is State.CLEAN, findings["R35"].message
    assert findings["R34"].state in (State.CLEAN, State.PASS) and findings["R36"].state in (State.CLEAN, State.PASS)
