"""`golf verify` and `golf explain` on the command line: exit codes, JSON, Markdown, self-test, speed."""

import json
import os
import subprocess
import sys
import time

import pytest
from commands import golf

from golf.errors import Exit, GolfError
from golf.harness.box import Standing
from golf.rules import State, verify, verify_folder
from golf.rules.calibration.scripts import ILLEGAL, LEGAL
from golf.rules.calibration.specimen import changed, write_specimen
from golf.rules.pack import load_pack
from golf.rules.rates import measured_rate, rates


def test_exit_codes_say_broken_before_unknown(tmp_path):
    legal, broken = write_specimen(tmp_path / "legal"), write_specimen(tmp_path / "broken", changed(eval_seconds=688.0))
    assert golf("verify", legal, "--only", "json,stats").returncode == Exit.OK
    assert golf("verify", broken, "--only", "log").returncode == Exit.RULE_BROKEN
    assert golf("verify", legal).returncode == Exit.UNKNOWN  # nothing of a stranger's script was run
    assert golf("verify", tmp_path / "nothing").returncode == Exit.USAGE
    assert golf("verify", legal, "--only", "magic").returncode == Exit.USAGE


def test_json_is_whole_and_the_text_names_file_line_help_and_source(tmp_path):
    broken = write_specimen(tmp_path, script=ILLEGAL["hashed cache"][1])
    report = json.loads(golf("verify", broken, "--only", "static", "--json").stdout)
    assert report["schema"] == 1 and report["exit"] == 1 and report["pack"] == "pgolf-2026-05"
    finding = next(finding for finding in report["findings"] if finding["code"] == "R38")
    assert finding["state"] == "FAIL" and finding["file"] == "train_gpt.py" and finding["line"] > 1
    assert {"severity", "strict", "track", "message", "evidence", "help", "source", "rate"} <= finding.keys()
    text = golf("verify", broken, "--only", "static").stdout
    for part in (f"train_gpt.py:{finding['line']}", "help: ", "source: https://", "measured: ", "broken: R31 R38"):
        assert part in text


def test_markdown_is_a_reviewers_comment(tmp_path):
    broken = write_specimen(tmp_path, changed(eval_seconds=688.0))
    page = golf("verify", broken, "--md").stdout
    assert page.startswith("### golf verify: 1 rule broken (R07)")
    assert (
        "**This does not hold up as submitted:**" in page and "  - rule: https://" in page and "  - way out: " in page
    )
    assert "**What would settle the rest:**" in page and "- R31 " in page.partition("settle")[2]
    assert "Nothing found so far (no proof): " in page and "Checked and kept: R01 " in page


def test_a_submissions_own_words_are_no_markup_in_the_comment(tmp_path):
    folder = write_specimen(tmp_path, name="2026-04-12_Specimen", val_bpb="@everyone <b>1.0</b>")
    page = golf("verify", folder, "--md").stdout
    assert "@everyone" not in page and "<b>" not in page.replace("<sub>", "")


def test_the_opening_pack_asks_for_the_strict_bar(tmp_path):
    folder = write_specimen(tmp_path, changed(bpb=(1.0722, 1.0724, 1.0720)))
    states = {
        pack: {f.code: f.state for f in verify_folder(folder, pack, ["stats"]).findings}
        for pack in ("pgolf-2026-03", "pgolf-2026-05")
    }
    assert states["pgolf-2026-05"]["R14"] is State.PASS
    assert states["pgolf-2026-03"]["R14"] is State.FAIL
    assert len(verify_folder(folder, "pgolf-2026-03").findings) == 21


def test_the_local_track_has_no_clock_and_says_so(tmp_path):
    verdict = verify_folder(
        write_specimen(tmp_path, changed(train_seconds=5000.0), track="local"), only=["log", "stats"]
    )
    assert verdict.track == "local" and not verdict.having(State.FAIL)
    assert {finding.code for finding in verdict.having(State.NA)} == {"R05", "R06", "R07", "R08", "R14", "R15", "R21"}


def test_static_verification_of_a_folder_is_fast_and_imports_nothing_heavy(tmp_path):
    folder = write_specimen(tmp_path, script=LEGAL["phased TTT with a driver"])
    code = (
        "import sys; from golf.rules import verify_folder; verify_folder(sys.argv[1], only=['static', 'log', 'json', 'folder', 'stats']);"
        "print(sorted({'torch', 'numpy', 'pandas', 'datasets', 'libcst'} & set(sys.modules)))"
    )
    started = os.times()
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    ended = os.times()
    assert done.stdout.strip() == "[]"
    assert (ended.children_user + ended.children_system) - (started.children_user + started.children_system) < 2.0


def test_no_rate_on_unseen_scripts_is_claimed_and_those_kept_aside_are_counted():
    for code in load_pack().rules:
        said, counts = measured_rate(code), rates().get(code, {})
        assert said.startswith("not measured on unseen scripts")
        assert ("kept aside" in said) is bool(counts.get("illegal") or counts.get("lawful"))
    assert rates()["R38"]["found"] == rates()["R38"]["illegal"] > 0


@pytest.mark.slow
def test_the_self_test_blocks_nothing_accepted_and_misses_nothing(shared):
    started = time.process_time()
    done = golf("verify", "--self-test", "--records", shared / "records", "--json")
    report = json.loads(done.stdout)["rules"]
    assert done.returncode == Exit.OK
    assert sum(rule["blocked"] for rule in report.values()) == 0
    assert all(
        rule["rejections"] == rule["rejections_found"] and rule["planted"] == rule["planted_found"] > 0
        for rule in report.values()
    )
    assert time.process_time() - started < 120


def test_the_tree_of_a_pull_request_is_the_one_record_in_it(tmp_path):
    folder = write_specimen(tmp_path)
    assert verify_folder(tmp_path, only=["json"]).path == str(folder)
    other = write_specimen(tmp_path, name="2026-04-12_Other")
    with pytest.raises(GolfError, match="holds 2 record folders") as several:
        verify_folder(tmp_path, only=["json"])
    assert other.name in (several.value.hint or "") or folder.name in (several.value.hint or "")


def test_without_walls_a_foreign_script_is_refused_with_the_way_out(tmp_path, monkeypatch):
    folder = write_specimen(tmp_path)
    monkeypatch.setattr(verify, "standing", lambda: Standing(files=False, sockets=True, processes=True))
    with pytest.raises(GolfError) as refused:
        verify_folder(folder, execute=True)
    assert refused.value.code == Exit.REFUSED
    assert "Landlock" in refused.value.message and "--unsafe" in (refused.value.hint or "")
    assert verify_folder(folder, only=["json"]).findings  # what runs nothing needs no wall
