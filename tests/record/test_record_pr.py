"""`golf record --pr` offers one new folder, and says what git would say in a real clone."""

import json
import subprocess
from pathlib import Path

import pytest
from project_of_runs import make_project

from golf.errors import GolfError
from golf.record import Wishes, write_record
from golf.record.pr import title_and_body, try_in_clone


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    return subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    folder = tmp_path / "upstream"
    (folder / "records/track_non_record_16mb/2026-03-18_Old").mkdir(parents=True)
    (folder / "records/track_non_record_16mb/2026-03-18_Old/README.md").write_text("old")
    (folder / "train_gpt.py").write_text("pass\n")
    git(folder.parent, "init", "-q", "-b", "main", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "start")
    return folder


@pytest.fixture
def record(tmp_path: Path) -> Path:
    submission = make_project(tmp_path / "project", {1337: 1.31, 42: 1.32, 7: 1.33})
    folder = write_record(submission, Wishes(author=("A", "a"), date="2026-04-20", verify=False))
    claims = json.loads((folder / "submission.json").read_text())
    (folder / "submission.json").write_text(json.dumps({**claims, "track": "non_record_16mb"}))
    return folder


def test_the_addition_is_one_new_folder_and_upstream_stays_as_it_was(record: Path, upstream: Path) -> None:
    trial = try_in_clone(record, upstream)
    assert trial.faults == () and trial.target == "records/track_non_record_16mb/2026-04-20_mine"
    assert {path for _, path in trial.changes} == {f"{trial.target}/{path.name}" for path in record.iterdir()}
    assert {letter for letter, _ in trial.changes} == {"A"}
    assert git(upstream, "status", "--porcelain") == "" and git(upstream, "branch", "--list") == "* main\n"


def test_a_folder_that_is_already_upstream_is_a_fault(record: Path, upstream: Path) -> None:
    target = upstream / "records/track_non_record_16mb" / record.name
    target.mkdir()
    (target / "README.md").write_text("theirs")
    git(upstream, "add", ".")
    git(upstream, "commit", "-qm", "taken")
    faults = try_in_clone(record, upstream).faults
    assert any("already upstream" in fault for fault in faults) and any(
        "changed, not added" in fault for fault in faults
    )


def test_files_that_upstream_ignores_are_a_fault(record: Path, upstream: Path) -> None:
    (upstream / ".gitignore").write_text("*.log\n")
    git(upstream, "add", ".")
    git(upstream, "commit", "-qm", "ignore")
    assert sum("is ignored" in fault for fault in try_in_clone(record, upstream).faults) == 3


def test_a_local_record_is_offered_to_nobody(record: Path, upstream: Path) -> None:
    claims = json.loads((record / "submission.json").read_text())
    (record / "submission.json").write_text(json.dumps({**claims, "track": "local"}))
    with pytest.raises(GolfError, match="not a challenge result"):
        try_in_clone(record, upstream)


def test_a_path_that_is_no_clone_is_one_clear_error(record: Path, tmp_path: Path) -> None:
    (tmp_path / "no").mkdir()
    with pytest.raises(GolfError, match="git clone"):
        try_in_clone(record, tmp_path / "no")


def test_title_and_body_come_from_the_record(record: Path) -> None:
    title, body = title_and_body(record)
    assert title == "Non-record: A small test (val_bpb 1.32000)"
    assert "| seed | steps |" in body and "2026-04-20_mine" in body
