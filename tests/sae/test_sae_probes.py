"""Probes on planted features: what is known to be in the codes is found, and what was hidden is told."""

import json
from pathlib import Path

import pytest
import torch
from sae_models import placed_source
from sae_runs import write_run
from task_files import write
from typer.testing import CliRunner, Result

from golf.cli.sae import app
from golf.errors import GolfError
from golf.files import parse_json
from golf.models.source import Source
from golf.sae.files import file_name, save_dictionary
from golf.sae.kinds import seeded
from golf.sae.probes import (
    LEAST_ACCURACY,
    Labelled,
    absorption,
    accuracy,
    f1,
    fit_probe,
    main_features,
    perturbation,
    sparse_probing,
)
from golf.sae.probing import first_letter, probe_cells, read_probes


def planted(n: int = 240, classes: int = 3, d: int = 8, features: int = 12) -> Labelled:
    """Feature c fires on class c alone, the rest at random; the stream is the codes through orthonormal columns (and noise)."""
    rng = torch.Generator().manual_seed(0)
    codes = (torch.rand(n, features, generator=rng) < 0.3) * torch.rand(n, features, generator=rng)
    names = [f"class {i % classes}" for i in range(n)]
    codes[:, :classes] = 0
    codes[torch.arange(n), torch.arange(n) % classes] = 1 + torch.rand(n, generator=rng)
    x = codes @ columns_of(features, d) + 0.01 * torch.randn(n, d, generator=rng)
    return Labelled(x, codes, names, torch.arange(n) % 8 < 3)


def columns_of(features: int = 12, d: int = 8) -> torch.Tensor:
    """The first three columns are axes that no other touches."""
    rng = torch.Generator().manual_seed(1)
    columns = torch.randn(features, d, generator=rng)
    columns[:, :3] = 0
    columns[:3] = torch.eye(d)[:3]
    return columns / columns.norm(dim=1, keepdim=True)


def test_a_probe_is_the_logistic_regression_at_its_optimum() -> None:
    rng = torch.Generator().manual_seed(2)
    x = torch.randn(200, 3, generator=rng) * torch.tensor([1.0, 5.0, 0.2]) + 3
    y = x[:, 0] + 0.3 * torch.randn(200, generator=rng) > 3.3
    probe = fit_probe(x, y)
    spread = x.double().std(0, correction=0)
    w, z = probe.weight * spread, (x.double() - x.double().mean(0)) / spread
    bias = probe.bias + float(x.double().mean(0) @ probe.weight)
    weights = torch.where(y, 200 / (2 * y.sum()), 200 / (2 * (~y).sum())).double()
    slope = (weights * ((z @ w + bias).sigmoid() - y.double())) @ z + w
    assert float(slope.abs().max()) < 1e-3  # the gradient of the sum of losses and half the squared weights
    assert accuracy(probe.says(x), y) > 0.85
    assert accuracy(torch.tensor([True, True, False]), torch.tensor([True, False, False])) == 0.75
    with pytest.raises(ValueError, match="both classes"):
        fit_probe(x, torch.ones(200, dtype=torch.bool))


def test_one_feature_is_enough_where_it_is_the_class_and_not_where_its_code_was_shuffled() -> None:
    data = planted()
    found = sparse_probing(data)
    assert (found["classes"], found["features_1"], found["stream"]) == (3, 1.0, 1.0)
    shuffled = Labelled(
        data.x, data.codes[torch.randperm(240, generator=torch.Generator().manual_seed(3))], data.classes, data.tested
    )
    lost = sparse_probing(shuffled)
    assert lost["features_1"] < 0.65 and lost["stream"] == 1.0


def test_classes_without_examples_on_both_sides_are_left_out() -> None:
    data = planted()
    rare = Labelled(data.x, data.codes, ["once", *data.classes[1:]], data.tested)
    assert rare.names == ["class 0", "class 1", "class 2"]
    alone = Labelled(data.x[:4], data.codes[:4], ["a"] * 4, data.tested[:4])
    assert (
        alone.names == []
        and sparse_probing(alone)["classes"] == 0
        and perturbation(alone, columns_of())["classes"] == 0
    )


def test_taking_out_a_class_s_own_features_blinds_its_probe_alone() -> None:
    data, columns = planted(), columns_of()
    found = perturbation(data, columns, (1,))
    assert found["accuracy"] == 1.0
    assert found["tpp_1"]["own"] == pytest.approx(0.5) and found["tpp_1"]["others"] == pytest.approx(0, abs=0.02)
    assert found["tpp_1"]["score"] == found["tpp_1"]["own"] - found["tpp_1"]["others"]
    entangled = Labelled(
        data.x, data.codes.roll(1, 1), data.classes, data.tested
    )  # columns belong to other features now
    assert perturbation(entangled, columns, (1,))["tpp_1"]["score"] < 0.2


def test_an_absorbed_letter_is_counted_exactly() -> None:
    """Feature 0 fires on every `a` but those of one token, whose own feature 4 has the letter's direction in its column."""
    n, d = 400, 6
    rng = torch.Generator().manual_seed(5)
    letter = torch.arange(n) % 2 == 0
    token = letter & (torch.arange(n) % 10 == 0)  # a fifth of the a's
    columns = torch.eye(d)
    columns[4] = torch.tensor([0.7, 0, 0, 0, 0.714, 0])
    codes = torch.zeros(n, d)
    codes[:, 3] = torch.rand(n, generator=rng)
    codes[letter & ~token, 0] = 1.0
    codes[token, 4] = 1.0 / 0.7
    tested = torch.arange(n) % 4 < 2
    x = codes @ columns + 0.01 * torch.randn(n, d, generator=rng)
    data = Labelled(x, codes, ["a" if one else "b" for one in letter.tolist()], tested)
    (row,) = [row for row in absorption(data, columns)["letters"] if row["class"] == "a"]
    assert row["main_features"] == [0, 4]  # a split: both are main, so nothing is hidden
    assert row["absorbed"] == 0 and row["silent"] == 0
    few = Labelled(x, codes, data.classes, tested)
    learned_without = (~tested) & token  # not seen while learning: now the second feature cannot be known to be main
    keep = ~learned_without
    data = Labelled(
        few.x[keep],
        few.codes[keep],
        [c for c, one in zip(few.classes, keep.tolist(), strict=True) if one],
        tested[keep],
    )
    (row,) = [row for row in absorption(data, columns)["letters"] if row["class"] == "a"]
    hidden = int((tested & token).sum())
    assert row["main_features"] == [0] and row["silent"] == row["absorbed"] == hidden == 20
    assert row["found"] == int((tested & letter).sum()) and row["accuracy"] == 1.0
    blind = Labelled(torch.randn(len(data.x), d, generator=rng), data.codes, data.classes, data.tested)
    assert (absorption(blind, columns)["known"], absorption(blind, columns)["absorbed"]) == (
        0,
        None,
    )  # the stream knows no letter
    turned = columns.clone()
    turned[4, 0] = -0.7  # a column against the letter carries nothing of it
    (row,) = [row for row in absorption(data, turned)["letters"] if row["class"] == "a"]
    assert row["absorbed"] == 0


def test_main_features_are_those_that_find_more() -> None:
    labels = torch.tensor([True] * 6 + [False] * 6)
    codes = torch.zeros(12, 4)
    codes[:4, 2], codes[4:6, 1], codes[:2, 3] = 1, 1, 1
    assert main_features(codes, labels) == [2, 1]  # the third finds nothing new
    assert (
        f1(codes[:, 2] > 0, labels) == pytest.approx(2 * 4 / 10) and f1(torch.zeros(12, dtype=torch.bool), labels) == 0
    )


# ---- a run -----------------------------------------------------------------------------------------------------------------

WORDS = [
    f" {letter}{tail}"
    for letter in "abcd"
    for tail in ("pple", "ird", "loud", "oor", "ngel", "ridge", "up", "ance", "x", "og")
]


def worded() -> Source:
    """A source whose 40 ids are words of four letters."""
    source = placed_source()
    source.decode = lambda id: WORDS[id]
    source.encode = lambda texts: [[WORDS.index(" " + word) for word in text.split()] for text in texts]
    return source


def probe(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["probe", *map(str, arguments)])


def test_a_run_is_probed_on_labels_and_on_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("golf.sae.probing.open_source", lambda spec, **_: worded())
    for layer in range(2):
        sae = seeded(layer, 8, 24, "relu")
        sae.config |= {"source": "placed"}
        save_dictionary(tmp_path / file_name(layer, "final"), sae.state_dict(), sae.config, [])
    texts = [{"text": f"{WORDS[i % 20].strip()} {WORDS[(7 * i) % 20].strip()}", "label": "low"} for i in range(40)]
    texts += [
        {"text": f"{WORDS[20 + i % 20].strip()} {WORDS[20 + (3 * i) % 20].strip()}", "label": 1} for i in range(40)
    ]
    labels = write(tmp_path / "labels.jsonl", texts)
    printed = probe(tmp_path, "--data", labels, "--tokens", "4K", "--json")
    found = json.loads(printed.stdout)["layers"]
    assert (
        [one["layer"] for one in found] == [0, 1]
        and found[0]["text"]["classes"] == 2
        and found[0]["text"]["examples"] == 80
    )
    assert 0.5 <= found[0]["text"]["stream"] <= 1 and set(found[0]["text"]["perturbation"]) == {
        "classes",
        "accuracy",
        "tpp_2",
        "tpp_5",
        "tpp_20",
    }
    letters = found[0]["letters"]
    assert {row["class"] for row in letters["letters"]} <= set("abcd") and letters["classes"] == len(
        letters["letters"]
    ) >= 2
    known = [row for row in letters["letters"] if row["accuracy"] >= LEAST_ACCURACY]
    assert letters["known"] == len(known) and letters["found"] == sum(row["found"] for row in known)
    assert parse_json((tmp_path / "probes.json").read_text())["layers"]["1"] == {
        key: found[1][key] for key in ("text", "letters")
    }
    assert (
        len(probe_cells(read_probes(tmp_path))) == 2
        and probe_cells(read_probes(tmp_path))[0][1] == f"{found[0]['text']['stream']:.3f}"
    )
    table = probe(tmp_path, "--tokens", "4K", "--layers", "1").stdout.splitlines()
    assert table[0].split()[:2] == ["layer", "stream"] and table[1].split()[:2] == [
        "1",
        "–",
    ]  # no labels, no text's numbers
    write(labels, texts[:41])
    fault = probe(tmp_path, "--data", labels).exception
    assert isinstance(fault, GolfError) and fault.message.startswith("0 of 2 labels have two texts")
    write(labels, [{"text": "x"}])
    assert "has no label" in str(probe(tmp_path, "--data", labels).exception)


def test_a_model_without_token_texts_has_no_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sae_runs import tiny_source

    monkeypatch.setattr("golf.sae.probing.open_source", lambda spec, **_: tiny_source())
    found = json.loads(probe(write_run(tmp_path, snapshots=(4000,)), "--tokens", "320", "--json").stdout)["layers"]
    assert [(one["text"], one["letters"]) for one in found] == [(None, None)] * 2


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        (" Lake", "l"),
        ("▁the", "t"),
        ("Ġab", "a"),
        ("ake", ""),
        (" a", ""),
        (" 12", ""),
        (" été", ""),
        ("", ""),
        (" x-", ""),
    ],
)
def test_a_letter_is_that_of_a_token_that_begins_a_word(text: str, letter: str) -> None:
    assert first_letter(text) == letter
