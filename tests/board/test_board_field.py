"""The field: every pull request beside the official rows, the board as of a day, a sync from a clone, the runs as a table."""

import json
import shutil
from pathlib import Path

import pytest
from project_of_runs import SCRIPT, make_project
from timing import seconds_of

from golf.board.field import Wanted, _says, attempts, search, summary
from golf.board.frontier import predecessor
from golf.board.rows import by_key, official
from golf.board.run_table import run_rows, write_runs
from golf.board.sync import board_rows, sync_board
from golf.board.views import as_of, choose, day, measured
from golf.errors import GolfError
from golf.logs import read_log
from golf.record.elsewhere import store_results

# rows whose printed score is not the mean of the seeds of their logs: the best seed, a rounded mean, or one seed of several runs
NOT_THE_MEAN = {
    "414": "best seed",
    "315": "best seed",
    "287": "best seed",
    "63": "best seed",
    "42": "best seed",
    "1787": "1.06335 rounded up",
    "1388": "another run of the study",
}


def test_seeds_of_a_row_give_its_score() -> None:
    """The mean to the row's digits, or the best of them where the authors took that, named here."""
    different = {}
    for row in official():
        if row.seeds and row.bpb is not None:
            digits = len(row.score.partition(".")[2])
            mean = sum(bpb for bpb, _ in row.seeds.values()) / len(row.seeds)
            if abs(mean - row.bpb) > 0.5001 * 10.0**-digits:
                different[row.key] = min(bpb for bpb, _ in row.seeds.values())
    assert different.keys() == NOT_THE_MEAN.keys()
    for key, best in different.items():
        if NOT_THE_MEAN[key] == "best seed":
            assert abs(best - (by_key()[key].bpb or 0)) < 6e-5
    assert sum(len(row.seeds) >= 3 for row in official()) >= 35 and len(by_key()["1394"].seeds) == 5


def test_measurements_stand_beside_the_score() -> None:
    n, sd, total, steps, step_ms, eval_seconds = measured(by_key()["1493"])
    assert (n, sd) == ("3", "0.00020") and int(total) == 15993232
    assert 4550 <= float(steps) <= 4557 and 129 < float(step_ms) < 130 and float(eval_seconds) > 300


@pytest.mark.parametrize(
    ("at", "best", "count"), [("2026-04-20", "1736", 40), ("2026-03-18", "49", 4), ("2026-05-01", "2135", 48)]
)
def test_the_board_as_of_a_day_has_the_ranks_of_that_day(at: str, best: str, count: int) -> None:
    """The README's table of that day: its best row is first, and no place is missing."""
    ranked = [row for row in as_of(official(), at) if row.rank and row.track == "10min_16mb"]
    assert [row.rank for row in ranked] == list(range(1, count + 1)) and ranked[0].key == best
    assert all(row.date <= at for row in ranked)


@pytest.mark.parametrize(
    ("at", "best", "count"),
    [
        ("2026-04-20", "1493", 32),  # #1902 took up what came after #1493 on 29 April only
        ("2026-04-28", "1493", 32),
        ("2026-05-01", "1855", 44),
        ("2026-05-04", "2135", 48),
    ],
)
def test_the_readme_of_a_day_is_not_the_record_of_that_day(at: str, best: str, count: int) -> None:
    """Ranks and best of the contest's README; the table of 1 May is main@4908dc46f, whose ranks are known row by row."""
    ranked = [row for row in as_of(official(), at, as_listed=True) if row.rank and row.track == "10min_16mb"]
    assert [row.rank for row in ranked] == list(range(1, count + 1)) and ranked[0].key == best
    if at == "2026-05-01":
        assert all(row.rank == row.rank_main for row in ranked)
    if best == "1493":
        assert [row.score for row in ranked[:6]] == ["1.0810", "1.0822", "1.0828", "1.0835", "1.0856", "1.0897"]
        assert [(row.score, row.date) for row in ranked[-2:]] == [("1.2197", "2026-03-18"), ("1.2244", "2026-03-18")]


def test_the_table_of_a_day_says_what_the_readme_did_not_show_yet(golf) -> None:
    code, _, err = golf("leaderboard --at 2026-04-20")
    said = " ".join(err.split())
    assert code == 0 and "took up 8 of these rows only on 2026-04-29; its best was #1493, 1.0810" in said
    code, out, err = golf("leaderboard --at 2026-04-20 --as-listed")
    assert code == 0 and "took up" not in err and "#1736" not in out and "#1493" in out
    code, _, err = golf("leaderboard --as-listed")
    assert code == 2 and "--at 2026-04-20" in err


def test_a_day_must_be_one() -> None:
    assert day("2026-04-20") == "2026-04-20"
    for text in ("2026-13-40", "2026-02-30", "yesterday", "2026-4-2", ""):
        with pytest.raises(GolfError, match="is no date"):
            day(text)
        with pytest.raises(GolfError, match="is no date"):
            choose(official(), at=text)


def test_a_record_had_to_beat_the_best_of_the_days_before() -> None:
    assert [getattr(predecessor(date), "key", None) for date in ("2026-04-09", "2026-04-19", "2026-03-18")] == [
        "1477",
        "1667",
        None,
    ]


QUESTIONS = [
    (Wanted(("mamba",)), 1245, 1.1467),  # has anybody tried a state-space model, and did it reach the board
    (Wanted(technique="JEPA"), 903, 1.2064),
    (Wanted(("diffusion",)), 1106, 1.1465),
    (Wanted(technique="ternary"), 640, 1.157),
    (Wanted(author="dexhunter"), 1769, 1.0645),
    (Wanted(rule="R38"), None, None),  # which claims fell to the n-gram rule
    (Wanted(below=1.06, status="open", seeds=3), None, None),  # which open claims are under 1.06 with three seeds
    (Wanted(("paid", "prefix")), None, None),
    (Wanted(technique="muon variants", at="2026-03-20"), None, None),
    (Wanted(("h-net",)), 1104, 1.3595),
]


@pytest.mark.parametrize(("wanted", "pr", "bpb"), QUESTIONS, ids=[str(n) for n in range(len(QUESTIONS))])
def test_ten_questions_of_a_competitor_are_answered(wanted: Wanted, pr: int | None, bpb: float | None) -> None:
    attempts()
    found = search(wanted)
    total = summary(found)
    assert total.count > 0 and seconds_of(lambda: search(wanted)) < 0.5
    assert (total.official.pr if total.official else None, total.official.claim if total.official else None) == (
        pr,
        bpb,
    )
    assert [one.claim for one in found if one.claim is not None] == sorted(
        one.claim for one in found if one.claim is not None
    )


def test_what_nobody_tried_is_an_answer(golf) -> None:
    code, out, err = golf("board search quaternion zebra")
    assert code == 0 and not out and "nobody has tried it" in err
    code, out, _ = golf("board search --rule R38 --most 2 --json")
    found = json.loads(out)
    assert code == 0 and len(found["pull_requests"]) == 2 and found["summary"]["contested"] == found["count"] > 20
    assert golf("board search --status lost")[0] == 2 and golf("board search --at 2026-13-40")[0] == 2


def test_every_pull_request_is_there_once_with_possible_facts() -> None:
    found = attempts()
    assert len(found) >= 1600 and len({one.pr for one in found}) == len(found)
    for one in found:
        assert one.claim is None or 0.01 < one.claim < 12
        assert one.track in ("10min_16mb", "non_record_16mb", "") and (not one.date or day(one.date))
        assert one.sd is None or one.sd >= 0
    assert {row.pr for row in official() if row.pr} <= {one.pr for one in found}


README = """# Parameter Golf

| Run | Score | Author | Summary | Date | Info |
|-----|------:|--------|---------|------|------|
| Better Still | 1.0500 | new_author | On PR #2135: more of it | 2026-05-09 | [info](records/track_10min_16mb/2026-05-09_Better/README.md) |
| SP8192 + 3-Layer | 1.0809 | bigbag | as before | 2026-04-09 | [info](records/track_10min_16mb/2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT/README.md) |

Other table:

| Model | Score |
|---|---|
| x | 1.0 |
"""


def test_a_clone_refreshes_the_board(tmp_path: Path, shared: Path, monkeypatch, golf) -> None:
    """New rows, changed facts, seeds of its logs; what golf knows of a row stays."""
    clone, name = tmp_path / "clone", "2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT"
    folder = clone / "records" / "track_10min_16mb" / "2026-05-09_Better"
    shutil.copytree(shared / "records" / "track_10min_16mb" / name, folder)
    (clone / "README.md").write_text(README)
    (clone / ".git").mkdir()
    (clone / ".git" / "HEAD").write_text("a" * 40 + "\n")
    assert board_rows(tmp_path) == official()
    done = sync_board(clone, tmp_path)
    assert (done.new, done.changed, done.commit) == (1, 1, "a" * 40)
    rows = {row.key: row for row in board_rows(tmp_path)}
    assert rows["2026-05-09_Better"].rank == 1 and len(rows["2026-05-09_Better"].seeds) == 3
    assert rows["2026-05-09_Better"].stats["bytes"] == 15993232
    changed = rows["1493"]
    assert (changed.score, changed.rank, changed.base, changed.adds) == (
        "1.0809",
        2,
        by_key()["1493"].base,
        by_key()["1493"].adds,
    )
    assert changed.techniques == by_key()["1493"].techniques and changed.marks == by_key()["1493"].marks
    code, out, _ = golf("leaderboard --at 2026-05-10 --json")
    assert code == 0 and any(row["key"] == "2026-05-09_Better" for row in json.loads(out)["rows"])
    with pytest.raises(GolfError, match=r"no README\.md with the leaderboard"):
        sync_board(tmp_path / "submissions", tmp_path)
    (tmp_path / ".golf" / "board.json").write_text("{")
    with pytest.raises(GolfError, match="is damaged"):
        board_rows(tmp_path)


def test_the_runs_are_a_table_for_pandas(tmp_path: Path, golf) -> None:
    pandas = pytest.importorskip("pandas")
    made = make_project(tmp_path / "made", {1337: 3.1, 42: 3.2})
    logs = {int(path.parent.name[5:]): path for path in made.glob("runs/*/seed_*/train_seed*.log")}
    target = make_project(tmp_path / "there", {})
    runs = {seed: (path, run) for seed, path in logs.items() if (run := read_log(path).run)}
    store_results(target, SCRIPT, runs, track="local", root=tmp_path / "there")
    rows = run_rows(tmp_path / "there")
    assert [(row["seed"], row["val_bpb"], row["state"]) for row in sorted(rows, key=lambda row: row["seed"])] == [
        (42, 3.2, "finished"),
        (1337, 3.1, "finished"),
    ]
    assert len({row["fingerprint"] for row in rows}) == 1
    for name in ("runs.csv", "runs.parquet"):
        if name.endswith("parquet"):
            pytest.importorskip("pyarrow")
        path = tmp_path / name
        write_runs(rows, path)
        frame = pandas.read_csv(path) if name.endswith("csv") else pandas.read_parquet(path)
        assert (list(frame["seed"]) == [row["seed"] for row in rows] and frame["total_bytes"].dtype.kind == "i") or str(
            frame["total_bytes"].dtype
        ) == "Int64"
        assert list(frame["val_bpb"]) == [row["val_bpb"] for row in rows]
    for name, message in (("runs.xlsx", "names no known format"), ("absent/runs.csv", "cannot write")):
        with pytest.raises(GolfError, match=message):
            write_runs(rows, tmp_path / name)
    code, out, _ = golf("runs --json")
    assert code == 0 and json.loads(out)["runs"] == []


@pytest.mark.parametrize(
    ("words", "text", "fits"),
    [
        (("mixture", "of", "experts"), "Soft MoE blocks", True),
        (("mixture-of-experts", "soft"), "Soft MoE blocks", True),
        (("mixture of experts", "hard"), "Soft MoE blocks", False),
        (("Mixture of Experts",), "Someone's Muon", False),
        (("n-gram",), "an ngram cache", True),
        (("n-gram",), "a program", False),
        ((), "anything", True),
    ],
)
def test_what_people_type_finds_what_titles_abbreviate(words, text, fits):
    assert _says(text, words) is fits
