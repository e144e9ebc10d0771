"""`golf sweep`: trials of real recipes are composed or refused as a whole; its runs are the fake's."""

import json
import sys
import types

import pytest
from study_fakes import fake_script, planner

from golf.errors import GolfError
from golf.run.store import open_store


@pytest.fixture
def sweep(golf, monkeypatch):
    """`golf sweep …` whose trials are composed by golf and run by the fake script."""
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.001")
    (golf.root / "data").mkdir()

    def plan(name, wishes):
        folder = golf.root / "submissions" / name
        effect = 0.01 * int(name.rpartition("-")[2])
        held = planner(golf.root)
        script, own = folder / "train_gpt.py", (folder / "train_gpt.py").read_bytes()
        script.write_bytes(fake_script(effect))
        try:
            return held(name, wishes)
        finally:
            script.write_bytes(own)

    from golf.study.drive import Driver

    def faked(*words, **options):
        return Driver(*words, **options, planner=plan, checker=lambda plan, say: None)

    monkeypatch.setattr("golf.cli.pages.study.Driver", faked)
    return golf


BASE = "sweep baseline --smoke --seeds 1,2"


def test_trials_are_submissions_with_runs_in_the_store_a_table_and_a_page(sweep):
    code, out, err = sweep(f"{BASE} --over num_layers=2,3 --name lr")
    assert code == 0, err
    table = out.splitlines()
    assert table[0].split()[:4] == ["trial", "what", "n", "BPB"] and "lr-01*" in table[1] and "2/2" in table[1]
    assert "not a challenge result" in err and "2 of 2 trials" in err
    recipe = (sweep.root / "submissions" / "lr-02" / "recipe.toml").read_text()
    assert "num_layers = 3" in recipe and 'extends = "baseline"' in recipe
    with open_store(sweep.root) as store:
        assert [(r.submission, r.seed, r.state) for r in store.runs()] == [
            (f"lr-0{i}", s, "finished") for i in (1, 2) for s in (1, 2)
        ]
    assert "BPB against bytes" in (sweep.root / "studies" / "lr" / "index.html").read_text()
    code, out, _ = sweep("status --json")
    assert {run["submission"] for run in json.loads(out)["runs"]} == {"lr-01", "lr-02"}

    # the same again runs nothing; another question under this name is refused, and what differs is named
    code, again, _ = sweep(f"{BASE} --over num_layers=2,3 --name lr --json")
    assert code == 0 and [t["submission"] for t in json.loads(again)["trials"]] == ["lr-01", "lr-02"]
    with open_store(sweep.root) as store:
        assert len(store.runs()) == 4
    code, _, err = sweep("sweep baseline --smoke --seeds 1,2,3 --over num_layers=2,3 --name lr")
    assert code == 10 and "seeds: 1, 2 then, 1, 2, 3 now" in err
    code, out, _ = sweep("sweep --name lr --show --md")
    assert code == 0 and out.startswith("| trial |")


def test_a_study_that_was_begun_asks_for_resume_and_goes_on_by_its_name(sweep):
    line = f"{BASE} --over num_layers=2,3 --name lr"
    code, _, err = sweep(f"{line} --trials 1")
    assert code == 0 and "2 runs were not started" in err
    code, _, err = sweep(line)
    assert code == 10 and "1 of 2 trials are finished" in err and "--name lr --resume" in err
    code, _, err = sweep("sweep --name lr --resume")
    assert code == 0 and "2 of 2 trials" in err
    (sweep.root / "submissions" / "lr-02" / "recipe.toml").write_text('extends = "baseline"\n')
    assert sweep("sweep --name lr")[0] == 0, "a whole study only shows"


def test_trials_that_cannot_run_are_all_listed_and_nothing_is_left(golf):
    code, _, err = golf(f"{BASE} --over num_layers=2,0 --over model_dim=512,7 --name lr")
    assert code == 10 and "of 4 trials cannot run, so none was started" in err
    assert "num_layers=0" in err and "model_dim=7" in err and "num_layers=2 model_dim=512" not in err
    assert not list((golf.root / "submissions").iterdir()) and not (golf.root / "studies").exists()


def test_a_dry_run_lists_the_trials_and_makes_nothing(golf):
    code, out, _ = golf(
        "sweep baseline --over matrix_lr=0.01..0.1:log --random 5 --draw-seed 3 --dry-run --rate 20 --json"
    )
    plan = json.loads(out)
    assert code == 0 and len(plan["trials"]) == 5 and plan["runs"] == 15
    assert plan["dollars_at_most"] == pytest.approx(15 * (120 + 600 + 600) / 3600 * 20)
    assert plan == json.loads(
        golf("sweep baseline --over matrix_lr=0.01..0.1:log --random 5 --draw-seed 3 --dry-run --rate 20 --json")[1]
    )
    code, _, err = golf("sweep baseline --over num_layers=2,0,300 --dry-run")
    assert code == 10 and "2 of 3 trials cannot run" in err and "num_layers=300" in err
    assert not list((golf.root / "submissions").iterdir())


def test_an_axis_takes_techniques_in_and_out_and_starts_from_recipes(golf):
    from golf.board.asked import asked_recipe
    from golf.study.make import trial_of

    one = trial_of("pr1493", {"attn_out": "-xsa"}, asked_recipe)
    assert one.without == ("xsa",) and trial_of("pr1493", {"attn_out": "+xsa"}, asked_recipe).without == ()
    assert trial_of("baseline", {"xsa": "on"}, asked_recipe).with_ == ("xsa",)
    assert trial_of("baseline", {"xsa": "off"}, asked_recipe).with_ == ()
    assert trial_of("baseline", {"from": "1855"}, asked_recipe).parent == "pr1855"
    for choices, said in (
        ({"attn_outt": "1"}, "neither a knob nor a technique"),
        ({"xsa": "maybe"}, "is a technique"),
        ({"attn_out": "+nothing"}, "no technique"),
        ({"mlp_in": "+xsa"}, "not into"),
        ({"from": "nobody"}, "nobody"),
    ):
        with pytest.raises(GolfError, match=said):
            trial_of("baseline", choices, asked_recipe)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sweep baseline --over nope=1,2", "neither a knob"),
        ("sweep baseline", "nothing to vary"),
        ("sweep baseline --over num_layers=2,3 --show", "was not begun"),
        ("sweep --name nothing --resume", "no study is called `nothing`"),
        ("sweep baseline --over num_layers=2,3 --name a/b", "no name for a study"),
        ("sweep baseline --over num_layers=2,3 --dollars 5", "price"),
        ("sweep nothing_there --over num_layers=2,3", "nothing_there"),
        ("sweep baseline --over num_layers=2,2", "twice"),
        ("sweep baseline --over num_layers=2,3 --objective bpb,bytes", "what a search looks for"),
        ("sweep baseline --over num_layers=2,3 --engine slurm", "no engine `slurm`"),
        ("audit . --engine slurm", "no record folder"),
    ],
)
def test_bad_input_is_one_sentence(golf, line, said):
    code, _, err = golf(line)
    assert code in (2, 10) and said in err and "Traceback" not in err


def test_an_engine_that_is_not_installed_is_said(golf, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = golf("sweep baseline --over num_layers=2,3 --engine ray --name lr")
    assert code == 10 and "which is not installed" in err and "--engine local" in err
    assert not list((golf.root / "submissions").iterdir())


def test_no_cluster_at_the_address_is_said(golf, monkeypatch):
    ray = types.SimpleNamespace(is_initialized=lambda: False, init=_refused)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    code, _, err = golf("sweep baseline --over num_layers=2,3 --engine ray --name lr")
    assert code == 10 and "no Ray cluster at 127.0.0.1:1" in err and "ray start --head" in err


def _refused(**options):
    raise ConnectionError("could not connect")
