"""`golf sweep --search`: Optuna proposes, the run store remembers, and the same study is the same trials."""

import json
import sys

import pytest
from study_fakes import fake_script, planner

from golf.errors import GolfError
from golf.study.search import import_optuna, next_batch, parse_objectives
from golf.study.study import Study, Trial, load

BASE = "sweep baseline --smoke --seeds 1 --over matrix_lr=0.01..0.08:log --over num_layers=2,3"
BEST_LR = 0.02


@pytest.fixture
def sweep(golf, monkeypatch):
    """`golf sweep …` whose trials are composed by golf and run by the fake; the score is a valley in the learning rate, worse by a layer less."""
    pytest.importorskip("optuna", reason="needs Optuna: pip install 'parameter-golf[fleet]'")
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.0")
    (golf.root / "data").mkdir()

    def plan(name, wishes):
        folder = golf.root / "submissions" / name
        choices = next(trial.choices for trial in load(golf.root, wishes_study(name)).trials if trial.name == name)
        effect = abs(float(choices["matrix_lr"]) - BEST_LR) + 0.01 * (choices["num_layers"] == "2")
        script, own = folder / "train_gpt.py", (folder / "train_gpt.py").read_bytes()
        script.write_bytes(fake_script(effect))
        try:
            return planner(golf.root)(name, wishes)
        finally:
            script.write_bytes(own)

    from golf.study.drive import Driver

    monkeypatch.setattr(
        "golf.cli.pages.study.Driver", lambda *words, **options: Driver(*words, **options, planner=plan, checker=lambda plan, say: None)
    )  # fmt: skip
    monkeypatch.setattr("golf.study.search.kept_composition", lambda recipe: None)
    monkeypatch.setattr("golf.study.sweep.make_submissions", made_quickly)
    return golf


def wishes_study(name):
    return name.rpartition("-")[0]


def made_quickly(study, root, *, smoke, say):
    """The fake's folders: what composing a trial makes of it is shown in test_sweep."""
    for trial in study.trials:
        folder = root / "submissions" / trial.name
        folder.mkdir(exist_ok=True)
        (folder / "recipe.toml").write_text('extends = "baseline"\n')
        (folder / "train_gpt.py").write_bytes(fake_script())


def trials_of(root, name):
    return [dict(trial.choices) for trial in load(root, name).trials]


@pytest.mark.slow
def test_a_search_finds_the_valley_and_the_same_study_is_the_same_trials_whatever_stops_it(sweep):
    code, out, err = sweep(f"{BASE} --search 24 --name lr --json")
    assert code == 0, err
    found = json.loads(out)["trials"]
    assert len(found) == 24 and all(trial["state"] == "finished" for trial in found)
    proposed = trials_of(sweep.root, "lr")
    assert len({json.dumps(one) for one in proposed}) == 24, "no trial twice"
    late = [abs(float(one["matrix_lr"]) - BEST_LR) for one in proposed[16:]]
    early = [abs(float(one["matrix_lr"]) - BEST_LR) for one in proposed[:10]]
    assert sum(late) / len(late) < 0.6 * sum(early) / len(early), "what was learnt is used"
    assert found[0]["choices"]["num_layers"] == "3" and abs(float(found[0]["choices"]["matrix_lr"]) - BEST_LR) < 0.003

    # the same study again, under another name, with a budget that stops it twice
    for trials in (5, 13):
        code, _, err = sweep(f"{BASE} --search 24 --name again --trials {trials} --resume")
        assert code == 0 and "were not started" in err
    code, _, err = sweep("sweep --name again --resume")
    assert code == 0 and "24 of 24" in err
    assert trials_of(sweep.root, "again") == proposed
    # what is whole runs nothing more
    code, out, err = sweep(f"{BASE} --search 24 --name lr")
    assert code == 0 and "/24  lr-" not in err
    assert "BPB against bytes" in (sweep.root / "studies" / "lr" / "index.html").read_text()
    # another draw seed is another study
    code, _, err = sweep(f"{BASE} --search 24 --name lr --draw-seed 1")
    assert code == 10 and "draw_seed: 0 then, 1 now" in err


def test_two_objectives_and_a_batch_and_axes_that_are_used_up(sweep):
    code, out, err = sweep(
        "sweep baseline --smoke --seeds 1 --over num_layers=2,3 --over matrix_lr=0.02,0.03 --search 9 --objective bpb,bytes --name two --json"
    )
    assert code == 0 and "no more than 4 trials" in err
    assert [f"{n}/9  two-0{n}  seed 1" in err for n in range(1, 5)] == [True] * 4, "each says how far the search is"
    found = json.loads(out)
    assert len(found["trials"]) == 4 and any(trial["pareto"] for trial in found["trials"])
    # whole: there is nothing to go on with
    code, _, err = sweep("sweep --name two --resume")
    assert code == 0 and "4 of 4" in err


def test_what_cannot_be_composed_is_passed_over_and_said(sweep, monkeypatch):
    def refuse(recipe):
        if recipe.values["num_layers"] == 2:
            raise GolfError("two layers are too few")

    monkeypatch.setattr("golf.study.search.kept_composition", refuse)
    code, _, err = sweep(f"{BASE} --search 4 --name some")
    assert code == 0 and "passed over, it cannot be composed" in err
    assert {one["num_layers"] for one in trials_of(sweep.root, "some")} == {"3"}
    before = trials_of(sweep.root, "some")
    code, _, err = sweep(f"{BASE} --search 4 --name others")
    assert trials_of(sweep.root, "others") == before


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (f"{BASE} --search 4 --random 4", 2, "two ways"),
        (f"{BASE} --search 4 --objective speed", 2, "there are `bpb`"),
        (f"{BASE} --search 4 --objective bytes", 2, "there are `bpb`"),
        ("sweep baseline --smoke --over matrix_lrr=0.01..0.08 --search 4", 2, "neither a knob nor a technique"),
        (f"{BASE} --search 0", 2, "search"),
    ],
)
def test_a_wrong_question_is_one_sentence(sweep, line, code, said):
    found, _, err = sweep(line)
    assert found == code and said in err and not (sweep.root / "studies").exists()


def test_without_optuna_it_is_refused_before_anything_starts(golf, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = golf(f"{BASE} --search 4")
    assert code == 10 and "parameter-golf[fleet]" in err and not (golf.root / "studies").exists()
    with pytest.raises(GolfError):
        import_optuna()


def test_trials_of_a_batch_are_proposed_without_each_other(tmp_path):
    """A batch of three learns nothing of itself, so it is three different proposals from one memory, the same each time."""
    pytest.importorskip("optuna")
    asked = {
        "over": ["matrix_lr=0.01..0.08"],
        "search": 6,
        "batch": 3,
        "draw_seed": 0,
        "objective": ["bpb"],
        "smoke": True,
    }
    study = Study("s", "sweep", "baseline", (1,), (), asked)
    made = [next_batch(study, tmp_path, lambda choices: Trial("", choices, "baseline")) for _ in range(2)]
    assert made[0].trials == made[1].trials and len({one.label for one in made[0].trials}) == 3
    assert [one.name for one in made[0].trials] == ["s-01", "s-02", "s-03"]
    assert parse_objectives("bytes,bpb") == ("bpb", "bytes")
