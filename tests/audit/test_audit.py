"""`golf audit`: the verdicts of `golf verify` over many folders, in any number of processes, resumed, and over pull requests of a clone."""

import json
import subprocess

import pytest
from dying import square, square_once_dead
from places import ROOT

from golf.audit.find import parse_pulls
from golf.audit.run import judge
from golf.engine.local import Died, run_all
from golf.errors import GolfError
from golf.rules import verify_folder

TWIN = ROOT / "records" / "local" / "2026-11-22_Baseline_smoke_twin"


def test_a_dead_worker_costs_one_attempt_and_only_the_guilty_task_fails(tmp_path):
    found = dict(run_all(square, [1, 2, -3, 4, 5], 2))
    assert {at: n for at, n in found.items() if at != 2} == {0: 1, 1: 4, 3: 16, 4: 25} and isinstance(found[2], Died)
    once = [(n, str(tmp_path / "mark") if n == 2 else "") for n in range(4)]
    assert dict(run_all(square_once_dead, once, 2)) == {0: 0, 1: 1, 2: 4, 3: 9}


@pytest.fixture
def records(golf):
    """A folder of three records: golf's own twin, a script that breaks its off, a submission.json alone."""
    place = golf.root / "theirs" / "track_10min_16mb"
    (place / "2026-04-01_A").mkdir(parents=True)
    (place / "2026-04-01_A" / "train_gpt.py").write_text("import torch\nprint(torch.__version__)\n")
    (place / "2026-04-01_A" / "submission.json").write_text(
        '{"author": "A", "val_bpb": 1.1, "date": "2026-04-01", "bytes_total": 16000001}'
    )
    (place / "2026-04-02_B").mkdir()
    (place / "2026-04-02_B" / "submission.json").write_text("{not json")
    (place / "2026-04-03_Twin").symlink_to(TWIN)  # a link to a folder is not followed
    return place


def stripped(rows):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def test_the_rows_are_those_of_verify_whatever_the_number_of_processes(golf, records):
    code, out, _ = golf(f"audit {records} {TWIN} --json")
    rows = json.loads(out)["rows"]
    assert code == 0 and [row["subject"] for row in rows] == ["2026-04-01_A", "2026-04-02_B", TWIN.name]
    for row in rows[:2]:
        verdict = verify_folder(row["folder"], only=["folder", "json", "log", "static", "stats"])
        assert row["states"] == {f.code: f.state.value for f in verdict.findings} and row["exit"] == int(verdict.exit)
    assert rows[0]["claim"] == 1.1 and rows[0]["broken"] and rows[2]["logs"]["n"] == 3
    code, out, _ = golf(f"audit {records} --json --processes 2 --name again")
    assert stripped(json.loads(out)["rows"]) == stripped(rows[:2])
    assert "Claims against logs" in (golf.root / "audits" / "all" / "index.html").read_text()


def test_what_was_judged_is_kept_and_judged_anew_where_it_changed(golf, records, monkeypatch):
    assert golf(f"audit {records}")[0] == 0
    kept = golf.root / "audits" / "all" / "verdicts.jsonl"
    lines = kept.read_text().splitlines()
    assert len(lines) == 2
    kept.write_text(lines[0] + "\n" + lines[1][:40])  # a kill in the middle of a line
    judged = []

    def spy(task):
        judged.append(task.subject.label)
        return judge(task)

    monkeypatch.setattr("golf.audit.run.judge", spy)
    assert golf(f"audit {records} --md")[1].count("\n| ") == 2
    assert judged == [json.loads(lines[1])["subject"]]
    (records / "2026-04-01_A" / "train_gpt.py").write_text("import torch\n")
    golf(f"audit {records}")
    assert judged[1:] == ["2026-04-01_A"]


def git(folder, *words):
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false", *words],
        cwd=folder,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def clone(tmp_path):
    """A clone with #1 merged by squash, #2 open, #3 open without a record, #4 not fetched."""
    place = tmp_path / "clone"
    place.mkdir()
    git(place, "init", "-b", "main")
    (place / "README.md").write_text("hello\n")
    git(place, "add", ".")
    git(place, "commit", "-m", "begin")

    def add(name, message):
        folder = place / "records" / "track_10min_16mb" / name
        folder.mkdir(parents=True)
        (folder / "train_gpt.py").write_text("import torch\n")
        (folder / "submission.json").write_text('{"val_bpb": 1.2, "author": "x"}')
        (folder / "away").symlink_to("/etc/passwd")
        git(place, "add", ".")
        git(place, "commit", "-m", message)

    add("2026-04-01_One", "Record: one (#1)")
    git(place, "checkout", "-b", "two")
    add("2026-04-02_Two", "two")
    git(place, "update-ref", "refs/pull/2/head", "HEAD")
    git(place, "checkout", "main")
    git(place, "checkout", "-b", "three")
    (place / "README.md").write_text("three\n")
    git(place, "commit", "-am", "three")
    git(place, "update-ref", "refs/pull/3/head", "HEAD")
    git(place, "checkout", "main")
    git(place, "branch", "-D", "two", "three")
    return place


def test_pull_requests_of_a_clone_merged_or_not(golf, clone):
    code, out, err = golf(f"audit --repo {clone} --prs 1-4 --json")
    rows = json.loads(out)["rows"]
    assert code == 0 and [(row["pr"], row["subject"]) for row in rows] == [
        (1, "#1 2026-04-01_One"),
        (2, "#2 2026-04-02_Two"),
    ]
    assert "#4: not in the clone" in err and "#3: add no record folder" in err
    laid = golf.root / "audits" / "all" / "folders" / "pr-2" / "records" / "track_10min_16mb" / "2026-04-02_Two"
    assert sorted(path.name for path in laid.iterdir()) == ["submission.json", "train_gpt.py"], "no link is laid out"


def test_numbers_of_pull_requests():
    assert parse_pulls("1493, #1855,1493") == [1493, 1855] and parse_pulls("3-5") == [3, 4, 5]
    for text in ("", "5-3", "a", "1-", "-1"):
        with pytest.raises(GolfError):
            parse_pulls(text)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("audit", "nothing to audit"),
        ("audit nowhere", "is no folder"),
        ("audit submissions", "no record folder"),
        ("audit --repo .", "go together"),
        ("audit --repo nowhere --prs 1", "is no clone"),
        ("audit --repo . --prs 1", "`git for-each-ref` failed"),
        ("audit . --pack none", "none"),
        ("audit . --only nothing", "no kind of check `nothing`"),
    ],
)
def test_bad_input_is_one_sentence(golf, line, said):
    code, _, err = golf(line)
    assert code in (2, 6, 10) and said in err and "Traceback" not in err


def test_official_records_in_one_and_two_processes(golf, shared):
    place = shared / "records" / "track_non_record_16mb"
    one = json.loads(golf(f"audit {place} --json")[1])["rows"]
    two = json.loads(golf(f"audit {place} --json --name two --processes 2")[1])["rows"]
    assert len(one) == 7 and stripped(one) == stripped(two)
