"""The referee on scripts in styles that its detectors were not written after: lawful ones are never blocked, the others found as far as
their code shows it, and by experiment."""

import pytest
from blind_styles import BLIND
from later_styles import LATER
from other_styles import CASES, write_case

from golf.harness.box import standing
from golf.rules import State, verify_folder

EVALUATION = frozenset(f"R{number}" for number in (20, 21, 24, 25, *range(30, 49)))


def failing(verdict):
    return {finding.code for finding in verdict.having(State.FAIL)} & EVALUATION


@pytest.mark.parametrize("case", (*CASES, *BLIND, *LATER), ids=lambda case: case.name)
def test_code_alone_blocks_no_lawful_script_and_points_at_the_others(tmp_path, case):
    found = failing(verify_folder(write_case(tmp_path, case), only=["static"]))
    assert found >= set(case.broken)
    assert not (case.legal and found)


@pytest.mark.slow
@pytest.mark.skipif(bool(standing().missing), reason=f"no walls here: {standing().missing}")
@pytest.mark.parametrize("name", ["kit_sees_next", "kit_reads_by_os"])
def test_by_experiment(tmp_path, name):
    """What only training shows, and what an unknown route of reading must not hide."""
    case = next(each for each in CASES if each.name == name)
    found = failing(verify_folder(write_case(tmp_path, case), only=["execute"], execute=True, quick=True))
    assert found >= set(case.executed)
    assert not (case.legal and found)
