"""Rule packs: complete, typed, explained."""

import re
import subprocess
import sys

import pytest

from golf.challenge import TRACKS
from golf.errors import GolfError
from golf.rules import find_rule, list_rules, load_pack, pack_names, verify_folder
from golf.rules.checks import KINDS, find_detector, kind_of
from golf.rules.explain import page
from golf.rules.pack import SEVERITIES
from golf.rules.report import text

SOURCES = ("https://github.com/", "https://github.com/openai/parameter-golf/")  # of other contests, of the challenge
CODES = [*range(1, 17), *range(20, 26), *range(30, 49)]


def test_the_final_pack_holds_every_rule_and_nothing_else():
    assert list(load_pack("pgolf-2026-05").rules) == [f"R{code:02}" for code in CODES]


def test_the_opening_pack_holds_only_what_the_readme_said():
    pack = load_pack("pgolf-2026-03")
    assert len(pack.rules) == 21
    assert all(rule.authority == "official" and "README.md" in rule.source for rule in pack.rules.values())
    assert pack.limits["p_frontier"] == 0.01
    assert load_pack("pgolf-2026-05").limits["p_frontier"] == 0.25


@pytest.mark.parametrize("name", pack_names())
def test_every_rule_is_whole(name):
    for rule in load_pack(name).rules.values():
        assert (
            rule.title and rule.statement and rule.help and rule.source.startswith(SOURCES[name.startswith("pgolf-")])
        )
        assert rule.severity in SEVERITIES and set(rule.tracks) <= {*TRACKS, load_pack(name).contest}
        assert rule.detectors, rule.code
        assert all(kind_of(detector) in KINDS for detector in rule.detectors)


DETECTORS = {name for pack in pack_names() for rule in load_pack(pack).rules.values() for name in rule.detectors}


@pytest.mark.parametrize("detector", sorted(DETECTORS))
def test_every_detector_that_a_pack_names_exists(detector):
    assert callable(find_detector(detector))


def test_a_later_pack_amends_without_touching_the_earlier():
    assert "p < 0.25" in find_rule("r14").statement
    assert "0.25" not in find_rule("R14", "pgolf-2026-03").statement


def test_unknown_codes_and_packs_name_the_near_miss():
    with pytest.raises(GolfError, match="no rule `R99`"):
        find_rule("R99")
    with pytest.raises(GolfError, match="no rule pack"):
        load_pack("pgolf-2027")


def test_list_rules_is_plain_data():
    rows = list_rules()
    assert len(rows) == 41 and {"code", "title", "severity", "date", "source"} <= rows[0].keys()


def test_explain_prints_statement_source_examples_and_the_way_out():
    text = "\n".join(page(find_rule("R38"), "pgolf-2026-05"))
    for part in ("R38", "FATAL", "2026-03-27", "pull/740", "way out", "static_cache.hashed_target"):
        assert part in text
    assert not re.search(r"\bNone\b", text)


def test_explain_and_list_import_nothing_heavy():
    code = (
        "import sys; from golf.rules import list_rules; list_rules(); from golf.cli.explain import explain; explain('R01', 'pgolf-2026-05', False);"
        "print(sorted({'torch', 'numpy', 'pandas', 'datasets', 'libcst'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip().endswith("[]")


@pytest.mark.parametrize(
    ("losses", "states"),
    [
        ((3.2781, 3.2794, 3.2788), ("PASS", "FAIL", "PASS")),  # p = 0.0408
        ((3.2781, 3.2794, 3.2788, 3.2784, 3.2785, 3.2786), ("PASS", "PASS", "PASS")),
        ((3.2795, 3.2806, 3.2811), ("FAIL", "FAIL", "PASS")),
        ((3.2781,), ("PASS", "UNKNOWN", "PASS")),
        ((), ("UNKNOWN", "UNKNOWN", "UNKNOWN")),
        ((3.2781, 3.2794, None), ("PASS", "FAIL", "FAIL")),  # the third breaks off
    ],
)
def test_the_pack_of_another_contest_judges_by_its_own_target(losses, states, tmp_path):
    """The worked example of docs/guide/tracks.md: a loss to reach, seeds, and a test."""
    line = "step:{0}/1480 val_loss:{1} train_time:{2}ms\n"
    for number, loss in enumerate(losses):
        rows = [(1250, 3.4131 if loss else 3.2799, 71354 + number), *([(1480, loss, 81354 + number)] if loss else [])]
        (tmp_path / f"run{number}.txt").write_text("".join(line.format(*row) for row in rows))
    (tmp_path / "train_gpt.py").write_text("import torch\n")
    verdict = verify_folder(tmp_path, "modded-nanogpt")
    assert tuple(one.state.value for one in sorted(verdict.findings, key=lambda one: one.code)) == states
    assert verdict.track == "modded-nanogpt speed run, track 1"
    assert "10min_16mb" not in next(text(verdict))
