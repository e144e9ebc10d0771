"""A composed file in a reader's order, with comments that hold: chapters, features, settings, credits."""

import re

import pytest

from golf.compose import compose
from golf.compose.chapters import CHAPTERS
from golf.compose.emit import headline
from golf.recipe import load_recipe
from golf.recipe.techniques import techniques


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("pr1809")


@pytest.fixture(scope="module")
def text(recipe):
    return compose(recipe)


def test_the_chapters_stand_in_a_readers_order(text):
    assert re.findall(r"^# -{70,}\n# (\w+)$", text, re.MULTILINE) == list(CHAPTERS)


BEFORE = [
    "class h:", "class Env", "def tag(", "def norm(", "def orthogonal_wide", "class XSA", "class Attention", "def looped", "class UNet",
    "def leaky_relu2", "class MLP", "class Block", "class ParallelBlock", "class GPT", "def load_shard", "class ShuffledSequences",
    "def gram_ns", "class Muon", "def build_optimizers", "class Clock", "def warmdown_by_fraction", "def take_step", "class EMA", "def train(",
    "def sdclip_scale", "def gptq(", "def quantizer_of", "class BrotliCoder", "def save_artifact", "class Trace", "def sliding(",
    "def ttt_sgd", "def write_container", "class Log", "def main(", "def evaluate(", 'if __name__ == "__main__":',
]  # fmt: skip


def test_a_technique_stands_right_before_what_uses_it_and_the_container_late(text):
    places = [text.index(f"\n{line}") for line in BEFORE]
    assert places == sorted(places), [line for line, a, b in zip(BEFORE, places, sorted(places), strict=True) if a != b]


def test_the_settings_stand_in_the_same_order_and_the_name_first(text):
    settings = text.partition("class h:\n")[2].partition("\n\n\n")[0]
    assert settings.startswith('    name = "pr1809"')
    stems = re.findall(r"^    # (\w+)$", settings, re.MULTILINE)
    order = [
        "env",
        "attention",
        "xsa",
        "loops",
        "model",
        "leaky_relu2",
        "parallel_residual",
        "data",
        "muon",
        "optim",
        "schedule",
    ]
    assert stems[: len(order)] == order and stems[-3:] == ["evaluate", "sliding", "ttt_sgd"]


def test_what_a_value_means_when_off_is_said_only_where_a_test_on_it_is_live(text):
    for line in (
        "grad_clip_norm = 0.3  # of all gradients together",
        "rope_dims = 16  # rotated dims per head",
        "rope_train_len = 2048  # beyond this many tokens the base grows (NTK)",
        "gptq_descending = True  # columns with the largest diagonal first",
        "gptq_block = 128  # columns whose errors are passed on together",
        "val_loss_every = 4000  # steps; 0 only at the end",
    ):
        assert f"    {line}\n" in text
    assert "if h.grad_clip_norm" not in text and "h.val_loss_every and" in text


def test_the_library_still_tells_both_halves(recipe):
    knob = recipe.catalogue.knobs["grad_clip_norm"]
    assert knob.meaning == "of all gradients together; 0 for off" and knob.off == "0 for off"
    assert knob.plain_meaning == "of all gradients together"


def test_the_file_begins_with_what_it_does(recipe, text):
    first = text.partition("\n\n")[2].partition("\n\nComposed by")[0]
    flat = " ".join(first.replace("\n- ", "\n").split())
    known = techniques(recipe.catalogue)
    for technique in known.values():
        told = " ".join(headline(technique.summary).split()) in flat
        # byte planes and SDClip serve a coder and a quantizer, which are told
        assert told == technique.used_in(recipe) or technique.name in ("byte_planes", "sdclip"), technique.name
    assert first.startswith("- A pre-norm transformer")


def test_no_recipe_comes_from_itself_and_nobody_is_credited_twice(text):
    banner = text.partition('\n"""\n')[0]
    said = " ".join(banner.split())
    assert (
        "from pr1809 → pr1493 → pr1394 → pr1218 → pr549 → pr414 → pr315 → pr287 → pr265 → pr162 → baseline. Do" in said
    )
    assert max(map(len, banner.splitlines())) <= 120
    people = re.findall(r"^- ([^:\n]+):", banner.partition("Credits:\n")[2], re.MULTILINE)
    assert len(people) == len(set(people)) and "Kevin Clark (@clarkkev)" in people and "@dexhunter" in people
    assert banner.count("Kevin Clark (@clarkkev)") == 1


def test_no_path_of_golfs_own_and_no_removed_parameter_is_spoken_of(text):
    assert "golf/parts" not in text and "(h, env" not in text


def test_what_a_file_needs_while_it_is_read_comes_first_wherever_it_is_used(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    parts = {
        "__init__": "",
        "knobs": "class Slot(str):\n    pass\n",
        "evaluate": "LIMIT = 3\n\n\ndef plain():\n    return LIMIT\n",
        "model": "from orderly.evaluate import LIMIT\nfrom orderly.tags import made\n\nTABLE = {name: LIMIT for name in made()}\n",
        "tags": "def made():\n    return helped()\n\n\ndef helped():\n    return ('a', 'b')\n",
        "entry": "from orderly.evaluate import plain\nfrom orderly.model import TABLE\n\n\ndef main():\n    return plain(), TABLE\n",
    }
    (tmp_path / "orderly").mkdir()
    for stem, source in parts.items():
        (tmp_path / "orderly" / f"{stem}.py").write_text(source)
    (tmp_path / "r.toml").write_text('entry = "orderly.entry:main"\n')
    names = {"__name__": "composed"}
    exec(compose(load_recipe(tmp_path / "r.toml")), names)
    assert names["main"]() == (3, {"a": 3, "b": 3})
