"""The referee on scripts in styles that its detectors were not written after: lawful ones are never blocked, the others found as far as
their code shows it, and by experiment."""

import pytest
from blind_styles import BLIND
from further_styles import FURTHER
from later_styles import LATER
from mixed_styles import MIXED
from other_styles import CASES, write_case

from golf.harness.box import standing
from golf.rules import State, verify_folder

EVALUATION = frozenset(f"R{number}" for number in (13, 20, 21, 24, 25, *range(30, 49)))


def failing(verdict):
    return {finding.code for finding in verdict.having(State.FAIL)} & EVALUATION


@pytest.mark.parametrize("case", (*CASES, *BLIND, *LATER, *MIXED, *FURTHER), ids=lambda case: case.name)
def test_code_alone_blocks_no_lawful_script_and_points_at_the_others(tmp_path, case):
    found = failing(verify_folder(write_case(tmp_path, case), only=["static"]))
    assert found >= set(case.broken)
    assert not (case.legal and found)


@pytest.mark.slow
@pytest.mark.skipif(bool(standing().missing), reason=f"no walls here: {standing().missing}")
@pytest.mark.parametrize(
    "name",
    [
        "kit_sees_next",
        "kit_reads_by_os",
        "bytes_by_a_constant",
        "deadline_in_the_loop",
        "deadline_of_learning",
        "rows_put_back_from_memory",
        "rows_put_back_from_the_file",
        "halves_with_a_stride_of_a_whole",
        "backoff_without_a_discount",
    ],
)
def test_by_experiment(tmp_path, monkeypatch, name):
    """What only training shows, what an unknown route of reading must not hide; clocks, memory beside the artifact, windows with holes, sums."""
    # what is asked is what experiments show, not how many a slow machine fits into half a minute
    monkeypatch.setattr("golf.rules.experiments.trial.BUDGET_SECONDS", {"quick": 600.0})
    case = next(each for each in (*CASES, *MIXED, *FURTHER) if each.name == name)
    found = failing(verify_folder(write_case(tmp_path, case), only=["execute"], execute=True, quick=True))
    assert found >= set(case.executed)
    assert not (case.legal and found)


@pytest.mark.parametrize(
    ("name", "code", "word"),
    [
        ("blob_learns_first", "R36", "loads code that is no Python text (`types.FunctionType`, line 12)"),
        ("blob_counts_first", "R38", "no table is keyed by the target"),
        ("clock_ends_the_exam", "R21", "stops scoring when time has run out"),
        ("deadline_in_the_loop", "R21", "stops scoring when time has run out"),
        ("backoff_without_a_discount", "R31", "more than one in all"),
        ("log_of_two_is_more", "R20", "`math.log` is replaced"),
        ("newest_shards_train", "R34", "by no name of a split"),
    ],
)
def test_what_code_cannot_tell_is_pointed_at_and_never_clean(tmp_path, name, code, word):
    case = next(each for each in (*MIXED, *FURTHER) if each.name == name)
    verdict = verify_folder(write_case(tmp_path, case), only=["static"])
    found = next(finding for finding in verdict.findings if finding.code == code)
    assert found.state is State.UNKNOWN
    assert word in found.message or any(word in finding.message for finding in verdict.findings)
