"""`golf compare` says what differs, with spread and the right test, and what it cannot say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT
from project_of_runs import SCRIPT, log_of, make_project

from golf.board.compare import code_diff, compare, measures
from golf.board.gather import seeds_of
from golf.board.sides import Side, side_of
from golf.errors import GolfError

A = {"1": (1.1010, 2.681), "2": (1.1015, 2.682), "3": (1.1005, 2.680)}
B = {"1": (1.0950, 2.667), "2": (1.0955, 2.668), "3": (1.0945, 2.666)}


def test_a_clear_gain_passes_both_bars_in_every_unit() -> None:
    found = compare(Side("a", "board", A), Side("b", "board", B))
    assert found.delta_bpb == pytest.approx(-0.006) and found.delta_nats_per_byte == pytest.approx(
        -0.006 * 0.693147, rel=1e-5
    )
    assert found.plain is not None and found.plain.p < 0.001
    assert found.strict is not None and found.strict.p < 0.01
    back = compare(Side("b", "board", B), Side("a", "board", A))
    assert back.plain is not None and back.plain.p == pytest.approx(1 - found.plain.p)


def test_against_one_number_the_test_is_one_sample_and_says_so() -> None:
    found = compare(Side("row", "board", {"mean": (1.1010, None)}), Side("b", "board", B))
    assert found.plain is not None and found.plain.df == 2 and any("one number" in note for note in found.notes)


def test_one_seed_has_no_p_value() -> None:
    found = compare(Side("a", "board", A), Side("b", "board", {"1": (1.0, 2.5)}))
    assert found.plain is None and any("no p-value" in note for note in found.notes)


def test_other_tokenizers_are_compared_in_bpb_only() -> None:
    found = compare(Side("a", "board", {key: (bpb, bpb * 1.7) for key, (bpb, _) in A.items()}), Side("b", "board", B))
    assert any("tokenizers differ" in note for note in found.notes) and found.strict is not None


def test_a_recipe_without_results_compares_its_configuration() -> None:
    found = compare(
        side_of("baseline"), Side("b", "submission", config={**side_of("baseline").config, "num_layers": "10"})
    )
    assert found.delta_bpb is None and dict(found.config) == {"num_layers": ("9", "10")}


def test_the_same_seeds_and_steps_are_also_paired(tmp_path: Path) -> None:
    first, second = (
        make_project(tmp_path / "a", {1: 3.0, 2: 3.1, 3: 3.2}),
        make_project(tmp_path / "b", {1: 2.99, 2: 3.088, 3: 3.191}),
    )
    found = compare(side_of(str(first)), side_of(str(second)))
    assert found.plain is not None and found.paired is not None and found.paired.p < 0.02 < found.plain.p
    assert dict(found.config) == {} and found.code_lines == (0, 0)
    rows = {name: (left, right, delta) for name, left, right, delta in measures(found.a, found.b)}
    assert rows["steps"] == ("20.0", "20.0", "+0.0") and rows["final bpb"][2] == "-0.01033"


def test_code_is_compared_unpacked(tmp_path: Path) -> None:
    from golf.compose.pack import pack

    sides = []
    for name, text in (("a", SCRIPT.decode()), ("b", SCRIPT.decode() + "X = 1\n")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "train_gpt.py").write_bytes(pack(text) if name == "a" else text.encode())
        (folder / "train_seed1.log").write_text(log_of(1, 3.0))
        sides.append(side_of(str(folder)))
    assert sides[0].script is not None and "lzma" not in sides[0].script
    assert any(line.startswith("+X = 1") for line in code_diff(*sides))


def test_names_that_stand_for_nothing_are_one_clear_error(tmp_path: Path) -> None:
    for name in ("no-such-thing", "pr1", str(tmp_path)):
        with pytest.raises(GolfError):
            side_of(name)


@pytest.mark.parametrize(
    ("arguments", "code", "wanted"),
    [
        (["compare", "pr1530", "pr1610", "--json"], 0, '"tests"'),
        (["compare", "pr1530", "pr1610", "--md"], 0, "| final bpb |"),
        (["compare", "pr1530", "nothing"], 2, ""),
        (["leaderboard", "--wins", "pr1610", "--at", "2026-04-12"], 5, "#1530"),
        (["leaderboard", "--at", "soon"], 2, ""),
        (["leaderboard", "--json", "--technique", "caseops"], 0, '"schema": 1'),
        (["leaderboard", "--tree"], 0, "#1493 1.0810"),
        (["leaderboard", "--status", "disputed", "--md"], 0, "| #1412 |"),
        (["record", "--check", "nowhere"], 2, ""),
        (["record", "--pr", "nowhere"], 2, ""),
        (["logs", "show", "nowhere.log"], 2, ""),
        (["import", "nowhere"], 2, ""),
    ],
)
def test_commands_end_with_their_code_and_never_with_a_traceback(arguments: list[str], code: int, wanted: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "golf", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert wanted in done.stdout
    if "--json" in arguments:
        assert json.loads(done.stdout)["schema"] == 1
    if code == 2:
        assert "error:" in done.stderr and "hint:" in done.stderr


def test_of_several_logs_of_a_seed_the_one_that_backs_the_claim_counts(tmp_path: Path) -> None:
    """An evaluation run apart in a folder of its own gave the claim; an empty log beside them is passed over."""
    folder = tmp_path / "2026-04-23_Apart"
    (folder / "ttt_apart").mkdir(parents=True)
    results = {}
    for seed, bpb in ((42, 1.0634), (314, 1.0629), (7, 1.0637)):
        head = f"seed:{seed}\nstep:9/9 val_loss:2.4 val_bpb:1.1 train_time:599000ms step_avg:1.00ms\n"
        line = "quantized_ttt_phased val_loss:{:.8f} val_bpb:{:.8f} eval_time:500000ms\n"
        (folder / f"train_seed{seed}.log").write_text(head + line.format((bpb + 4e-4) * 2.19, bpb + 4e-4))
        (folder / "ttt_apart" / f"seed{seed}.log").write_text(f"seed:{seed}\n" + line.format(bpb * 2.19, bpb))
        results[str(seed)] = {"val_bpb": bpb}
    (folder / "empty.log").write_text("")
    (folder / "submission.json").write_text(json.dumps({"val_bpb": 1.06333, "seed_results": results}))
    side = side_of(str(folder))
    assert {seed: bpb for seed, (bpb, _) in side.seeds.items()} == {"42": 1.0634, "314": 1.0629, "7": 1.0637}
    assert seeds_of(str(folder))[1] == side.seeds


def test_demo_is_the_demos_submission_where_its_project_lies_in_this_one(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "submissions").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GolfError) as fault:
        side_of("demo")
    assert "golf demo" in str(fault.value.hint)
    made = make_project(tmp_path / "golf-demo", {1337: 3.0, 42: 3.1, 7: 3.2})
    made.rename(made.with_name("demo"))
    assert set(side_of("demo").seeds) == {"1337", "42", "7"}
    monkeypatch.chdir(tmp_path / "golf-demo")
    assert set(side_of("demo").seeds) == {"1337", "42", "7"}
