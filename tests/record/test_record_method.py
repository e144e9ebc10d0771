"""The method of a record: told from the techniques, and the changes with their reasons."""

from pathlib import Path

import pytest

from golf.recipe import Recipe, load_recipe
from golf.recipe.credits import by_person, lines
from golf.record.changed import section
from golf.record.method import method, reasons
from golf.record.readme import short

MINE = """name = "baseline"
title = "Wider"
summary = "More width for fewer layers."
extends = "baseline"

[model]
num_layers = 7 # two fewer pay for the width
model_dim = 576

[attention]
attn_out = ["xsa.XSA"] # free of parameters
head_gate = "out_gate.OutGate"
"""


@pytest.fixture
def mine(tmp_path: Path) -> Recipe:
    (tmp_path / "recipe.toml").write_text(MINE)
    return load_recipe(tmp_path)


def test_the_method_tells_every_technique_in_its_first_sentence(mine: Recipe) -> None:
    text = "\n\n".join(method(mine))
    assert "More width for fewer layers." in text
    assert (
        "- `xsa`: XSA, exclusive self-attention: take out of every head's output" in text and "- `out_gate`: " in text
    )


def test_every_change_is_told_with_the_reason_that_the_file_gives(mine: Recipe) -> None:
    text = section(mine.path.parent, mine)
    assert "| `num_layers` | `9` | `7` | blocks with weights of their own | two fewer pay for the width |" in text
    assert "| `model_dim` | `512` | `576` | residual width |  |" in text


def test_a_recipe_that_bears_its_parents_name_does_not_extend_itself(mine: Recipe) -> None:
    assert mine.chain == ("baseline", "baseline") and mine.lineage == ("baseline",)
    assert "Recipe `baseline`.\n" in "\n\n".join(method(mine)) and "extends" not in "".join(method(mine))


def test_a_recipe_tells_its_whole_line(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('name = "copy"\nextends = "pr1493"\n')
    assert (
        "`copy`, which extends `pr1493` < `pr1394` < `pr1218` < `pr549` < `pr414` < `pr315` < `pr287` < `pr265` < `pr162` < `baseline`."
        in "\n\n".join(method(load_recipe(tmp_path)))
    )


def test_reasons_are_the_comments_beside_values(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('a = 1 # one\nb = "x # no comment"\nc = ["p.Q", "r.S"]  # two\n# d = 3\ne = 2\n')
    assert reasons(path) == {"a": "one", "c": "two"}


def test_evidence_is_told_in_a_clause_with_its_checks() -> None:
    long = "only the loop over training batches goes backward; `plain` neither looks ahead nor leaves the sum (D1, D2)"
    assert short(long) == "only the loop over training batches goes backward (D1, D2)"
    assert short("`plain` does not look ahead (D1)") == "`plain` does not look ahead (D1)"


def test_credits_name_each_person_once() -> None:
    told = by_person(
        ["@mine"],
        [
            "PR #1218 Kevin Clark: 4x MLP",
            "pr1394: Kevin Clark (@clarkkev)",
            "PR #1 @clarkkev: more",
            "PR #1089: scaling",
            "You: q",
        ],
        ("x", "pr1394"),
    )
    assert lines(told) == [
        "@mine", "Kevin Clark (@clarkkev): 4x MLP (PR #1218); the recipe pr1394; more (PR #1)", "PR #1089: scaling", "You: q"
    ]  # fmt: skip
