"""The board: official facts, filters, frontier, lineage, exports."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT
from project_of_runs import make_project

from golf.board import official
from golf.board.export import export_board, to_csv, to_json, to_markdown
from golf.board.frontier import frontier, judge
from golf.board.gather import seeds_of
from golf.board.local import local_rows
from golf.board.rows import by_key
from golf.board.views import choose, lineage, techniques
from golf.errors import GolfError
from golf.record import Wishes, write_record


def test_the_official_rows_are_the_leaderboard_fact_by_fact(shared: Path) -> None:
    with (shared / "leaderboard.csv").open(encoding="utf-8") as file:
        facts = list(csv.DictReader(file))
    ours = [row for row in official() if row.status in ("merged", "row")]
    assert len(ours) == len(facts) == 63
    for row, fact in zip(ours, facts, strict=True):
        assert row.track == {"non_record_unlimited": "non_record_16mb"}.get(fact["track"], fact["track"])
        assert (str(row.rank), row.date, row.run, row.score, row.author) == (
            fact["rank"],
            fact["date"],
            fact["run"],
            fact["score"],
            fact["author"],
        )
        assert str(row.pr or "") == fact["pr"] and str(row.rank_main or "") == fact["rank_main_0502"]
        assert row.folder == fact["record_folder"].removesuffix(" (PR head only)")
        assert (row.status == "merged") == (fact["in_tree"] == "True")
        assert (row.source, " ".join(row.links), row.summary) == (fact["source"], fact["links"], fact["summary"])


def test_the_seeds_on_the_board_are_those_of_the_official_logs(shared: Path) -> None:
    from golf.logs import read_log

    logs = [path for path in (shared / "records").rglob("*") if path.suffix in (".log", ".txt")]
    logged = [run.val_bpb for path in logs if (run := read_log(path).run)]
    for row in official():
        if not row.seeds or not row.folder or not (shared / row.folder).is_dir():
            continue
        for seed, (bpb, _) in row.seeds.items():
            assert any(value is not None and abs(value - bpb) < 6e-5 for value in logged), (row.label, seed)


def test_contested_scores_are_marked_with_their_rules() -> None:
    rows = by_key()
    assert {key for key, row in rows.items() if row.disputed} == {
        "1514",
        "1412",
        "86",
        "640",
        "1184",
        "542",
        "1388",
        "1337",
        "1106",
    }
    assert all(mark.text and (mark.codes or mark.kind in ("note", "unsaid")) for row in rows.values() for mark in row.marks)
    assert rows["1184"].status == "withdrawn" and "R20" in rows["1184"].marks[0].codes


def test_bases_exist_and_form_a_tree() -> None:
    rows = by_key()
    assert len(rows) == len(official())
    for row in official():
        assert row.base is None or row.base in rows
    assert len(list(lineage(official()))) == len(official())
    depth = {row.key: depth for depth, row in lineage(official())}
    assert depth["baseline"] == 0 and depth["1493"] == depth["1394"] + 1


def test_a_row_has_its_bases_techniques_without_what_it_drops() -> None:
    rows = by_key()
    assert {"xsa_all", "legal_ttt", "sp8192", "brotli"} <= set(rows["1493"].techniques)
    assert not {"int8_zlib", "zstd", "lzma", "smear_gate", "sp4096"} & set(rows["1493"].techniques)
    for row in official():
        assert set(row.drops) <= (set(rows[row.base].techniques) if row.base else set()), row.key


@pytest.mark.parametrize(
    ("filters", "keys"),
    [
        ({"author": "samacqua"}, {"77", "1530"}),
        ({"technique": "caseops", "at": "2026-04-22"}, {"1729", "1736", "1769"}),
        ({"status": "withdrawn"}, {"1184", "1148", "1784", "1584"}),
        ({"track": "track_non_record_16mb", "at": "2026-03-24"}, {"641", "542", "4h", "73", "363"}),
        ({"author": "nobody"}, set()),
    ],
)
def test_filters_narrow_the_board(filters: dict[str, str], keys: set[str]) -> None:
    assert {row.key for row in choose(official(), **filters)} == keys


@pytest.mark.parametrize(
    "filters", [{"at": "yesterday"}, {"status": "good"}, {"track": "fast"}, {"technique": "xsaa_"}]
)
def test_a_filter_that_cannot_be_is_one_clear_error(filters: dict[str, str]) -> None:
    with pytest.raises(GolfError) as caught:
        choose(official(), **filters)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("at", "key"),
    [(None, "2135"), ("2026-03-18", "49"), ("2026-04-09", "1514"), ("2026-04-08", "1477"), ("2026-03-17", None)],
)
def test_the_frontier_on_a_day(at: str | None, key: str | None) -> None:
    row = frontier(at)
    assert (row.key if row else None) == key


def test_would_it_win_then_and_at_the_end() -> None:
    seeds = by_key()["1493"].seeds
    then, end = frontier("2026-04-08"), frontier()
    assert then is not None and end is not None
    won, lost = judge(seeds, then), judge(seeds, end)
    assert won.wins_progression is True and won.wins_strict is False and won.exact
    assert lost.wins_progression is False and lost.delta_bpb > 0
    single = judge({"1": (1.0, 2.58)}, end)
    assert single.wins_progression is None and single.progression is None  # one seed: it cannot be told


def test_with_both_sides_seeds_the_test_is_welch_as_in_the_audit() -> None:
    rows = by_key()
    verdict = judge(rows["1610"].seeds, rows["1530"])
    assert verdict.exact and verdict.progression is not None and round(verdict.progression.p, 3) == 0.202
    assert verdict.wins_progression is True and verdict.strict is not None and verdict.wins_strict is False


def test_every_technique_says_where_it_came_first_and_what_it_gave() -> None:
    uses = {use.technique: use for use in techniques(official())}
    assert uses["lora_ttt"].first.key == "77" and uses["xsa"].first.key == "265"
    base, row, others = min(uses["phased_ttt"].steps, key=lambda step: step[1].date)
    assert (base.key, row.key, others) == ("1530", "1610", ())
    assert uses["phased_ttt"].best_delta == pytest.approx(1.0728 - 1.0734)


def test_local_records_stand_beside_and_say_what_they_are(tmp_path: Path) -> None:
    write_record(
        make_project(tmp_path, {1337: 3.1, 42: 3.2}), Wishes(author=("A", "a"), date="2026-04-20", verify=False)
    )
    (tmp_path / "records/local/2026-04-21_broken").mkdir()
    (tmp_path / "records/local/2026-04-21_broken/submission.json").write_text("{")
    broken, row = local_rows(tmp_path)
    assert (row.track, row.score, row.status, set(row.seeds)) == ("local", "3.1500", "local", {"1337", "42"})
    assert broken.disputed and "cannot be read" in broken.marks[0].text


def test_seeds_are_found_for_anything_that_can_be_named(tmp_path: Path) -> None:
    folder = write_record(
        make_project(tmp_path, {1337: 3.1, 42: 3.2}), Wishes(author=("A", "a"), date="2026-04-20", verify=False)
    )
    assert {seed: bpb for seed, (bpb, _) in seeds_of(str(folder))[1].items()} == {"1337": 3.1, "42": 3.2}
    assert seeds_of(str(folder / "train_seed42.log"))[1]["42"][0] == 3.2
    assert seeds_of("pr1493")[1] == seeds_of("#1493")[1] == by_key()["1493"].seeds
    assert len(seeds_of("pr2135")[1]) == 3 and seeds_of("pr77")[1] == {"mean": (1.1928, None)}
    (tmp_path / "empty").mkdir()
    for name in ("pr1", str(tmp_path / "empty"), "nothing-of-that-name"):
        with pytest.raises(GolfError):
            seeds_of(name)


def test_csv_and_json_hold_every_row() -> None:
    table = list(csv.DictReader(io.StringIO(to_csv(official()))))
    assert [row["score"] for row in table] == [row.score for row in official()]
    assert [row["key"] for row in json.loads(to_json(official()))["rows"]] == [row.key for row in official()]
    assert to_markdown(official()).count("\n| ") == len(official()) + len({row.track for row in official()})


def test_an_export_needs_a_known_suffix_and_a_folder(tmp_path: Path) -> None:
    for name in ("board.pdf", "no/such/folder/board.csv"):
        with pytest.raises(GolfError):
            export_board(official(), tmp_path / name)


def test_the_board_loads_neither_torch_nor_pandas() -> None:
    code = "import sys; sys.argv = ['golf', 'leaderboard']\nfrom golf.cli import main\ntry: main()\nexcept SystemExit: pass\nassert not {'torch', 'pandas', 'numpy', 'datasets', 'scipy'} & set(sys.modules), 'heavy'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "#2135" in done.stdout and "1.2244" in done.stdout
