"""The README is true: its commands exist, its technique is the shipped one, its walk works as written."""

import re

import torch
from places import ROOT
from worlds import TINY, run_generated

from golf.cli import VERBS
from golf.parts.artifact import RawCoder, read_container
from golf.recipe import changed, load_recipe, shipped_recipes, smoke_recipe

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_every_command_of_the_readme_exists():
    used = set(re.findall(r"^golf ([a-z]+)", README, re.MULTILINE)) | set(re.findall(r"`golf ([a-z]+)", README))
    assert used
    assert used <= set(VERBS)


def test_every_recipe_is_in_the_readme_with_its_parameters():
    for name in shipped_recipes():
        assert f"`{name}`" in README
        params = load_recipe(name).published.get("params")
        assert params is None or f"{params:,}" in README


def test_the_technique_in_the_readme_is_the_shipped_one():
    shipped = (ROOT / "golf/parts/techniques/sparse_gate.py").read_text()
    shown = next(block for block in blocks("python") if "SparseGate" in block)
    for line in shown.splitlines():
        assert line in shipped.splitlines()


def test_the_ten_minute_walk(tiny_data, tmp_path, monkeypatch):
    from golf.compose.submission import compose_submission, new_submission

    (tmp_path / "submissions").mkdir()
    monkeypatch.chdir(tmp_path)
    new_submission("halved", "baseline", (), (), ())
    mine = tmp_path / "submissions" / "halved"
    (mine / "techniques").mkdir()
    (mine / "techniques" / "halve.py").write_text(next(block for block in blocks("python") if "Halve" in block))
    with (mine / "recipe.toml").open("a") as file:
        file.write("\n" + blocks("toml")[0])
    compose_submission(mine)
    composed = (mine / "train_gpt.py").read_text()
    assert "class Halve(nn.Module)" in composed
    assert "halve_start = 0.5" in composed
    recipe = smoke_recipe(load_recipe(mine / "recipe.toml"))
    recipe = changed(recipe, {**TINY, "num_layers": 2})
    run_generated(recipe, tmp_path / "run", monkeypatch, tiny_data)
    weights, _ = read_container(tmp_path / "run" / "float.golf", RawCoder)
    factors = weights["blocks.0.attn.attn_out.Halve.factor"]
    assert factors.shape == (TINY["num_heads"], 1)
    assert not torch.equal(factors, torch.full_like(factors, 0.5))
