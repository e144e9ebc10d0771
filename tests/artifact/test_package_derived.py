"""`golf package key=value`: export and evaluation anew from kept checkpoints, marked, and never trained again."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from run_fakes import make_project, plan_of, run_fake

from golf.artifact.derive import derived_plan, run_derived
from golf.artifact.package import make_package
from golf.cli.pages.live import PlainView
from golf.errors import Exit, GolfError
from golf.run.store import open_store


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A submission whose recipe knows one knob, `bits`; composing writes it into the script's `class h`."""
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.001")
    folder = make_project(tmp_path)
    text = (folder / "train_gpt.py").read_text()

    def load(path, overrides=()):
        values = {"bits": 8}
        for word in overrides:
            key, _, value = word.partition("=")
            if key not in values:
                raise GolfError(f"no knob `{key}`", "did you mean `bits`?")
            values[key] = int(value)
        return SimpleNamespace(name="fake", values=values)

    monkeypatch.setattr("golf.recipe.load_recipe", load)
    monkeypatch.setattr(
        "golf.recipe.diff", lambda a, b: {k: (a.values[k], v) for k, v in b.values.items() if a.values[k] != v}
    )
    monkeypatch.setattr(
        "golf.compose.kept.kept_composition",
        lambda recipe: SimpleNamespace(text=text.replace("bits = 8", f"bits = {recipe.values['bits']}")),
    )
    monkeypatch.setattr("golf.artifact.derive.small_twin", lambda recipe, script, vocab_size=None: script)
    return folder


def derive(folder, runs, *overrides, **options):
    plan = derived_plan(plan_of(folder), runs, overrides)
    with open_store(plan.root) as store:
        return plan, run_derived(plan, runs, store, PlainView(), **options)


def test_a_derived_run_has_another_score_and_the_same_training(folder):
    bases = run_fake(folder, "1337,42")
    plan, derived = derive(folder, bases, "bits=6")
    for base, run in zip(bases, derived, strict=True):
        assert run.derived == {"bits": 6} and run.set_id != base.set_id and run.state == "finished"
        assert run.result["val_loss"] == pytest.approx(base.result["val_loss"] + 0.02)
        assert run.result["train_loss"] == base.result["train_loss"] and run.result["steps"] == base.result["steps"]
        assert "golf_phase train" not in run.log.read_text()
        assert (run.folder / "float.golf").read_bytes() == (base.folder / "float.golf").read_bytes()
    made = make_package(plan, derived)
    assert made.exit_code == Exit.OK and all(one.difference_bpb == 0 for one in made.comparisons)
    assert json.loads((made.folder / "manifest.json").read_text())["derived"] == {"bits": 6}


def test_the_bases_are_left_as_they_were(folder):
    (base,) = run_fake(folder)
    derive(folder, [base], "bits=6")
    with open_store(folder.parents[1]) as store:
        assert store.run(base.id) == base


def test_a_derived_run_is_kept_the_second_time(folder):
    (base,) = run_fake(folder)
    _, (first,) = derive(folder, [base], "bits=6")
    _, (second,) = derive(folder, [base], "bits=6")
    assert first.id == second.id


@pytest.mark.parametrize("point", ["row", "aside", "launched", "exported"])
def test_a_derived_run_that_broke_off_is_never_trained(folder, point):
    class Broken(Exception):
        pass

    def break_off(at):
        if at == point:
            raise Broken

    (base,) = run_fake(folder)
    with pytest.raises(Broken):
        derive(folder, [base], "bits=6", at=break_off)
    _, (run,) = derive(folder, [base], "bits=6")
    assert run.state == "finished" and "golf_phase train" not in run.log.read_text()


def test_keys_that_change_nothing_are_refused(folder):
    (base,) = run_fake(folder)
    with pytest.raises(GolfError, match="changes nothing") as caught:
        derive(folder, [base], "bits=8")
    assert caught.value.code == Exit.USAGE
    with pytest.raises(GolfError, match="no knob `bitz`"):
        derive(folder, [base], "bitz=6")


def test_a_checkpoint_that_is_gone_or_of_another_seed_is_refused(folder):
    one, two = run_fake(folder, "1,2")
    with pytest.raises(GolfError, match="checkpoint of seed 3"):
        derive(folder, [replace(one, seed=3)], "bits=6")
    (two.folder / "float.golf").unlink()
    with pytest.raises(GolfError, match="checkpoint of seed 2 of mine is gone") as caught:
        derive(folder, [one, two], "bits=6")
    assert caught.value.code == Exit.REFUSED
