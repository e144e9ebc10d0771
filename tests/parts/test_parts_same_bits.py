"""The composed file computes what the library computes, to the bit: weights, artifact, scores."""

import json
from pathlib import Path

import pytest
import torch
from worlds import ALL_CASES, TELLING, run_generated, run_library, slow_but, tiny

from golf.parts.artifact import RawCoder, read_container
from golf.parts.log import RESULT_FIELDS
from golf.recipe import shipped_recipes


def result_of(folder: Path) -> dict:
    line = (folder / "logs" / "test.txt").read_text().splitlines()[-1]
    return json.loads(line.removeprefix("golf_result "))


# rows whose code another row's run goes through, with other numbers, wait until they are asked for
EVERY = sorted(shipped_recipes()) if ALL_CASES else TELLING

SHALLOW = ("pr60", "pr65b", "pr640", "pr1388", "pr542", "pr73")  # nothing in them names a layer


# a record of each month, a cache
QUICK = ("baseline", "pr1573", "pr740")


@pytest.mark.parametrize("name", slow_but(QUICK, EVERY))
def test_generated_equals_library_over_three_steps_export_and_evaluation(name, tiny_data, tmp_path, monkeypatch):
    recipe = tiny(name)
    if recipe.values["num_layers"] > 12 or name in SHALLOW:  # the same code in four layers
        recipe = tiny(name, num_layers=4)
    if recipe.values["adapters"]:  # two steps, before and with loops, are enough for seventeen blocks a pass
        recipe = tiny(name, iterations=2, warmup_steps=0)
    run_library(recipe, tmp_path / "library", monkeypatch, tiny_data)
    run_generated(recipe, tmp_path / "generated", monkeypatch, tiny_data)
    ours, _ = read_container(tmp_path / "library" / "float.golf", RawCoder)
    theirs, _ = read_container(tmp_path / "generated" / "float.golf", RawCoder)
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert (tmp_path / "library" / "model.golf").read_bytes() == (tmp_path / "generated" / "model.golf").read_bytes()
    scores = [
        [(r["name"], r["val_loss"], r["val_bpb"]) for r in result_of(tmp_path / w)["reports"]]
        for w in ("library", "generated")
    ]
    assert scores[0] == scores[1]


def test_the_result_line_holds_the_fields_that_its_definition_has(tiny_data, tmp_path, monkeypatch):
    run_generated(tiny("baseline"), tmp_path, monkeypatch, tiny_data)
    result = result_of(tmp_path)
    assert result.keys() <= RESULT_FIELDS.keys()
    kinds = {"int": int, "float": (int, float), "str": str, "list[str]": list, "list[dict]": list}
    for name, (kind, _, nullable) in RESULT_FIELDS.items():
        assert nullable or name in result
        assert result.get(name) is None or isinstance(result[name], kinds[kind])


@pytest.mark.slow
def test_two_seeds_start_and_end_differently_and_one_seed_twice_is_the_same(tiny_data, tmp_path, monkeypatch):
    recipe = tiny("baseline")
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        run_generated(recipe, tmp_path / folder, monkeypatch, tiny_data, ("train",), seed)
    a, b, c = (read_container(tmp_path / f / "float.golf", RawCoder)[0] for f in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not torch.equal(a["tok_emb.weight"], c["tok_emb.weight"])


@pytest.mark.slow
def test_phases_run_apart_give_the_artifact_of_one_run(tiny_data, tmp_path, monkeypatch):
    recipe = tiny("baseline")
    run_generated(recipe, tmp_path / "whole", monkeypatch, tiny_data)
    for phase in ("train", "export", "eval"):
        run_generated(recipe, tmp_path / "apart", monkeypatch, tiny_data, (phase,))
    assert (tmp_path / "whole" / "model.golf").read_bytes() == (tmp_path / "apart" / "model.golf").read_bytes()
    assert result_of(tmp_path / "whole")["val_bpb"] == result_of(tmp_path / "apart")["val_bpb"]
