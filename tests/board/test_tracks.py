"""Tracks of golf's own: what they set, which runs stand on one board, and that no number of them is a challenge result."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest

from golf.board.tracks import boards_of, side_track, side_tracks
from golf.challenge import TRACKS
from golf.errors import GolfError
from golf.run import store
from golf.run.schema import Run


def run_of(number: int, submission: str, seed: int, bpb: float | None, **facts: object) -> Run:
    result = {
        "val_bpb": bpb,
        "val_loss": 2.0,
        "steps": 1000,
        "iterations": 1000,
        "train_batch_tokens": 1024,
        "step_ms": 5.0,
        "max_wallclock_seconds": 0.0,
    }
    result |= {name: facts.pop(name) for name in list(facts) if name in (*result, "reports")}
    columns = {"set_id": "s", "state": "finished", "script_sha256": "x", "recipe": None, "derived": None, "smoke": False, "track": "local",
               "device": "cpu", "world_size": 2, "data_sha256": "d", "tokenizer_sha256": "t", "folder": Path(f"/runs/{number}/seed"),
               "started_at": "2026-01-01", "finished_at": None, "exit_code": 0, "stop_reason": None, "pid": None}  # fmt: skip
    return Run(id=number, submission=submission, seed=seed, result=result, **{**columns, **facts})  # type: ignore[arg-type]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    kept: list[Run] = []

    @contextmanager
    def opened(root):
        yield type("Store", (), {"runs": staticmethod(lambda **given: kept)})

    monkeypatch.setattr(store, "open_store", opened)
    monkeypatch.setattr(store, "has_store", lambda root: True)
    return kept


def test_runs_of_the_same_steps_on_the_same_data_are_ranked(runs: list[Run], tmp_path: Path) -> None:
    """Another number of steps, other data and a small twin are other boards; a clock, a derived set and no score are on none."""
    runs += [run_of(1, "a", 1, 1.3), run_of(2, "a", 2, 1.4), run_of(3, "b", 1, 1.2), run_of(4, "a", 1, 1.36)]
    runs += [
        run_of(5, "c", 1, 1.0, iterations=2000),
        run_of(6, "c", 1, 1.0, data_sha256="e"),
        run_of(7, "c", 1, 1.0, smoke=True),
    ]
    runs += [
        run_of(8, "d", 1, 0.9, max_wallclock_seconds=600.0),
        run_of(9, "d", 1, 0.9, derived={"a": 1}),
        run_of(10, "d", 1, None),
    ]
    first, *others = boards_of(side_track("fixed_steps", tmp_path), tmp_path)
    assert [(one.rank, one.submission, one.score.n) for one in first.places] == [(1, "b", 1), (2, "a", 2)]
    assert first.places[1].score.mean == pytest.approx(1.38) and first.group == {
        "iterations": 1000,
        "data": "d",
        "smoke": False,
    }
    assert len(others) == 3 and all(board.places[0].submission == "c" for board in others)
    (by_tokens, *_) = boards_of(side_track("fixed_data", tmp_path), tmp_path)
    assert by_tokens.group["tokens"] == 1_024_000


def test_one_gpu_is_one_gpu(runs: list[Run], tmp_path: Path) -> None:
    runs += [
        run_of(1, "a", 1, 1.3, world_size=1, device="NVIDIA H100", max_wallclock_seconds=600.0),
        run_of(2, "b", 1, 1.2, world_size=1, max_wallclock_seconds=600.0),
    ]
    (board,) = boards_of(side_track("one_gpu", tmp_path), tmp_path)
    assert [one.submission for one in board.places] == ["a"]


def test_energy_ranks_runs_that_reach_the_score_and_whose_joules_are_known(runs: list[Run], tmp_path: Path) -> None:
    facts = [("a", 1.24, 5e6), ("b", 1.23, 9e6), ("c", 1.26, 1e6), ("d", 1.2, None)]
    for number, (name, bpb, joules) in enumerate(facts, 1):
        runs.append(run_of(number, name, 1, bpb, device="NVIDIA H100"))
        if joules is not None:
            runs[-1].result["energy_joules"] = joules  # type: ignore[index]
    (board,) = boards_of(side_track("energy", tmp_path), tmp_path)
    assert [(one.submission, one.score.mean) for one in board.places] == [("a", 5e6), ("b", 9e6)]


def test_the_page_says_what_it_is_not(golf, runs: list[Run]) -> None:
    runs += [run_of(1, "a", 1, 1.3), run_of(2, "b", 1, 1.2)]
    code, out, err = golf("leaderboard --track fixed_steps")
    assert code == 0 and out.splitlines()[2].split()[:2] == ["1", "1.20000"] and "not a challenge result" in err
    table = json.loads(golf("leaderboard --track fixed_steps --json")[1])
    assert table["challenge_result"] is False and table["boards"][0]["places"][0]["submission"] == "b"
    assert golf("leaderboard --track fixed_stepps")[0] == 2 and golf("run a --track nothing")[0] == 2


def test_a_project_adds_tracks_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    (tmp_path / ".golf").mkdir()
    own = tmp_path / ".golf" / "tracks.toml"
    own.write_text(
        '[track.short]\ntitle = "Short"\nrun = { iterations = 50, max_wallclock_seconds = 0 }\ngroup = ["iterations"]\norder = "val_loss"\n'
    )
    track = side_track("short", tmp_path)
    assert track.run["iterations"] == 50 and track.order == "val_loss" and not set(side_tracks(tmp_path)) & set(TRACKS)
    for wrong, said in (
        ("[track.x]\nrun = { speed = 3 }", "speed"), ('[track.x]\norder = "joules"', "joules"), ("[track.x]\nrun = { iterations = -1 }", "-1"),
        ("track = 3", ""), ("[track]\nx = 3", "no table"), ("[[", "cannot be read"), ('[track.x]\ngroup = ["colour"]', "colour"),
        ("[track.x]\nat_most = { steps = 3 }", "steps"), ("[track.x]\nat_most = { val_bpb = true }", "True"),
    ):  # fmt: skip
        own.write_text(wrong)
        with pytest.raises((GolfError, AttributeError, TypeError)) as told:
            side_tracks(tmp_path)
        assert isinstance(told.value, GolfError) and said in told.value.message, wrong
    own.unlink()
    with pytest.raises(GolfError, match="did you mean `fixed_steps`"):
        side_track("fixed_step", tmp_path)


def test_a_track_sets_what_the_command_line_does_not(golf, monkeypatch: pytest.MonkeyPatch) -> None:
    import golf.run.api as api

    asked = []
    monkeypatch.setattr(
        api,
        "run_submission",
        lambda name, wishes, **given: asked.append(wishes) or (_ for _ in ()).throw(KeyboardInterrupt),
    )
    golf("new a --from baseline")
    golf("run a --track fixed_steps")
    golf("run a --track fixed_steps --iterations 7")
    golf("run a --track one_gpu")
    assert [(one.iterations, one.max_wallclock_seconds, one.nproc) for one in asked] == [
        (1000, 0.0, None),
        (7, 0.0, None),
        (None, 600.0, 1),
    ]


def test_the_worked_example_of_the_guide_is_right() -> None:
    """docs/guide/tracks.md: three seeds of a speed run against its target."""
    from places import ROOT

    from golf.stats import Sample, one_sample

    test = one_sample(Sample.of([3.2781, 3.2794, 3.2788]), 3.28)
    assert test is not None and f"is {test.p:.4f}, so three" in (ROOT / "docs/guide/tracks.md").read_text()
