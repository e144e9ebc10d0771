"""What was composed, weighed and predicted before is read from the cache, and is what would be made anew."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from golf.compose import kept as module
from golf.compose.composition import composition
from golf.compose.fold import fold
from golf.compose.kept import ENTRIES, FOLDER, kept, kept_composition
from golf.compose.settle import Values
from golf.compose.size import weigh
from golf.errors import GolfError
from golf.recipe import changed, load_recipe, smoke_recipe
from golf.recipe.catalogue import load_catalogue


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "golf" / FOLDER


def never():
    raise AssertionError("made anew")


def test_a_kept_composition_is_the_composition(cache, monkeypatch):
    recipes = [load_recipe("baseline"), load_recipe("pr740"), smoke_recipe(load_recipe("pr740"))]
    for recipe in recipes:
        assert kept_composition(recipe) == composition(recipe)
    assert len(list(cache.iterdir())) == len(recipes)
    monkeypatch.setattr(module, "composition", lambda recipe: never())
    for recipe in recipes:
        assert kept_composition(recipe) == composition(recipe)


def test_a_kept_report_is_the_report(monkeypatch):
    recipe = load_recipe("baseline")
    first = weigh(recipe, pieces_too=True)
    monkeypatch.setattr("golf.compose.size._weighed", lambda *_: never())
    again = weigh(recipe, pieces_too=True)
    assert (
        again == first and list(again.parts) == list(first.parts) and list(again.definitions) == list(first.definitions)
    )
    with pytest.raises(AssertionError, match="made anew"):
        weigh(recipe)


@pytest.mark.parametrize("change", ["value", "own", "title", "part", "golf", "tool", "more"])
def test_whatever_decides_the_result_names_another_entry(change, monkeypatch):
    recipe, more = load_recipe("baseline"), ()
    assert kept("some", recipe, lambda: 1) == 1 and kept("some", recipe, never) == 1
    match change:
        case "value":
            recipe = changed(recipe, {"num_layers": 10})
        case "own":
            recipe = replace(recipe, own=frozenset({"num_layers"}))
        case "title":
            recipe = replace(recipe, title="another")
        case "part":
            parts = recipe.catalogue.parts
            model = replace(parts["model"], sha256="0")
            recipe = replace(recipe, catalogue=replace(recipe.catalogue, parts={**parts, "model": model}))
        case "golf":
            monkeypatch.setattr(module, "golf_sha256", lambda: "0")
        case "tool":
            monkeypatch.setattr(module, "_versions", lambda: ("0",))
        case "more":
            more = (True,)
    assert kept("some", recipe, lambda: 2, *more) == 2


def test_the_hash_of_golf_is_of_its_files(tmp_path, monkeypatch):
    (tmp_path / "golf").mkdir()
    (tmp_path / "golf" / "one.py").write_text("a = 1\n")
    monkeypatch.setattr(module, "files", lambda name: tmp_path / name)
    hashes = {module.golf_sha256.__wrapped__()}
    (tmp_path / "golf" / "one.py").write_text("a = 2\n")
    hashes.add(module.golf_sha256.__wrapped__())
    (tmp_path / "golf" / "two.toml").write_text("")
    hashes.add(module.golf_sha256.__wrapped__())
    assert len(hashes) == 3


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"sha256": "0", "content": 1}'])
def test_a_damaged_entry_is_made_anew(cache, damage):
    recipe = load_recipe("baseline")
    kept("some", recipe, lambda: 1)
    (entry,) = cache.iterdir()
    entry.write_text(damage)
    assert kept("some", recipe, lambda: 2) == 2 and kept("some", recipe, never) == 2


def test_a_cache_that_cannot_be_written_is_none(cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file")
    recipe = load_recipe("baseline")
    assert kept("some", recipe, lambda: 1) == 1 and kept("some", recipe, lambda: 2) == 2


def test_the_oldest_entries_go(cache):
    recipe = load_recipe("baseline")
    for number in range(ENTRIES + 5):
        kept("some", recipe, lambda number=number: number, number)
    assert len(list(cache.iterdir())) == ENTRIES
    assert kept("some", recipe, never, ENTRIES + 4) == ENTRIES + 4


def test_a_recipe_that_does_not_compose_is_refused_every_time(cache):
    wrong = load_recipe("baseline", ["attn_clip_sigmas=3.0"])
    for _ in range(2):
        with pytest.raises(GolfError, match="is read by nothing"):
            kept_composition(wrong)
    assert not cache.exists()


def test_a_definition_without_h_is_no_matter_of_the_fold(monkeypatch):
    """Looking through its tree would change nothing: so it is not even parsed."""
    catalogue, values = load_catalogue(), load_recipe("pr1809")
    without = [d for d in catalogue.definitions.values() if not re.search(r"\bh\b", d.text)]
    assert len(without) > 100
    short = [fold(d, Values(catalogue, values.values), d.part) for d in without]
    monkeypatch.setattr("golf.compose.fold.WORD_H", re.compile(""))
    assert short == [fold(d, Values(catalogue, values.values), d.part) for d in without] == [d.text for d in without]


@pytest.mark.slow
def test_the_second_size_needs_neither_torch_nor_libcst(tmp_path):
    program = (
        "import sys\nfrom golf.cli.pages.size import Request, run\n"
        "run(Request('baseline', None, False, False, True, True, False))\n"
        "print(sorted({'torch', 'libcst', 'python_minifier'} & set(sys.modules)), file=sys.stderr)\n"
    )
    found = []
    for _ in range(2):
        found.append(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True))
    assert json.loads(found[0].stdout) == json.loads(found[1].stdout)
    assert json.loads(found[1].stdout)["artifact"]["params"] > 0
    assert "libcst" in found[0].stderr and found[1].stderr.strip() == "[]"
