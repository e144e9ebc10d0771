"""Planted faults: every rule has one at least, every one is found, and without it the specimen passes."""

import pytest

from golf.rules import State, load_pack
from golf.rules.calibration.faults import FAULTS, is_found, judge_fault, judge_folder
from golf.rules.calibration.specimen import write_specimen


def test_the_specimen_without_a_fault_breaks_nothing(tmp_path):
    findings = judge_folder(write_specimen(tmp_path))
    assert [(f.code, f.message) for f in findings if f.state is State.FAIL] == []
    unknown = {f.code for f in findings if f.state is State.UNKNOWN and f.severity in ("FATAL", "MAJOR")}
    assert unknown == set(), [(f.code, f.message) for f in findings if f.code in unknown]


def test_every_rule_has_a_planted_fault():
    assert {fault.code for fault in FAULTS} == set(load_pack().rules)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.code} {fault.what}")
def test_a_planted_fault_is_found(tmp_path, fault):
    finding = judge_fault(fault, tmp_path)
    assert is_found(fault, finding), (finding.state, finding.strict, finding.message)
