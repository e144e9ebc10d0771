"""Preflight: a recipe's code runs once at no cost before a start, and what is wrong with it is one sentence with file and line."""

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from golf.compose.composition import composition
from golf.errors import Exit, GolfError
from golf.preflight import preflight
from golf.preflight.full_size import check_full_size, update
from golf.preflight.hooks import watching
from golf.preflight.memory import COMPILED_SHARE, predict_memory
from golf.preflight.points import POINTS, check_signatures
from golf.preflight.world import OneProcess
from golf.recipe import changed, load_recipe, shipped_recipes, smoke_recipe
from golf.recipe.catalogue import load_catalogue
from golf.recipe.namespace import namespace

GATE = """import torch
from torch import nn

from golf.parts.tags import tag


class Mine(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        self.w = tag(nn.Parameter(torch.ones(1)), group="scalar", role="control")

    def forward(self, {arguments}):
        {body}
"""
HOOKS = {
    "returns None": ("y, u, flow", "y * self.w", "`Mine` in `attn_out` returns None, not a tensor"),
    "a wrong shape": ("y, u, flow", "return (y * self.w)[..., :1]", "in `attn_out` returns (1, 1024, 8, 1) float32 for (1, 1024, 8, 64)"),
    "a wrong type": ("y, u, flow", "return (y * self.w).double()", "float64 for (1, 1024, 8, 64) float32"),
    "too few arguments": ("y, u", "return y", "`Mine.forward` stands in `attn_out`, which calls it with (y, u, flow)"),
    "an exception": ("y, u, flow", "return y.view(3, 5)", "one step at full size of mine fails: RuntimeError"),
    "a name that is not there": ("y, u, flow", "return y * self.gain", "AttributeError"),
}  # fmt: skip
FUNCTIONS = {
    "an evaluator that returns None": ("reports", "def Mine(h, env, model, stream, keep=False):\n    model(stream.tokens[None, :8])\n", "returns None, not a Trace"),
    "an evaluator of other arguments": ("reports", "def Mine(h, model):\n    return None\n", "calls it with (h, env, model, stream, keep)"),
    "a quantizer of one value": ("mlp_quantizer", "def Mine(h, w, hessian, bits, role):\n    return w\n", "quantizing the small twin"),
    "an activation of another shape": ("activation", "def Mine(h, z):\n    return z[:1]\n", "`Mine` in `activation`"),
    "a learning rate that is none": ("lr_at", "def Mine(h, clock):\n    return None\n", "`Mine` in `lr_at` of mine returns None"),
    "an order beyond the layers": ("order", "def Mine(h, loop):\n    return [0, 1], [2, 99]\n", "fails: IndexError"),
    "a coder that loses a bit": (
        "coder",
        "from golf.parts.artifact import ZlibCoder\n\n\nclass Mine(ZlibCoder):\n    name = \"mine\"\n\n    @staticmethod\n"
        "    def encode(tensors):\n        return ZlibCoder.encode([t.clone().zero_() for t in tensors])\n",
        "`Mine` in `coder` of mine does not give",
    ),
}  # fmt: skip


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """mine(knob, source) is a recipe whose own technique `Mine` stands in a slot or chain; its file is techniques/own.py."""
    monkeypatch.chdir(tmp_path)

    def make(knob, source):
        folder = tmp_path / "submissions" / "mine"
        (folder / "techniques").mkdir(parents=True)
        (folder / "techniques" / "own.py").write_text(f'"""Mine."""\n\n{source}')
        part, chain = load_catalogue().knobs[knob].part, load_catalogue().knobs[knob].kind == "Chain"
        value = '["user:own.Mine"]' if chain else '"user:own.Mine"'
        (folder / "recipe.toml").write_text(f'name = "mine"\nextends = "baseline"\n[{part}]\n{knob} = {value}\n')
        return load_recipe("mine")

    return make


@pytest.mark.parametrize("case", HOOKS)
def test_a_users_hook_is_refused_with_its_file_and_line_before_any_start(mine, case):
    arguments, body, sentence = HOOKS[case]
    recipe = mine("attn_out", GATE.format(arguments=arguments, body=body))
    with pytest.raises(GolfError) as caught:
        preflight(recipe, rehearse=False)
    assert sentence in caught.value.message and "[techniques/own.py:" in caught.value.message
    assert caught.value.code == Exit.REFUSED and "\n" not in caught.value.message


@pytest.mark.parametrize("case", FUNCTIONS)
def test_a_users_evaluator_quantizer_or_coder_is_refused_with_its_file_and_line(mine, case):
    knob, source, sentence = FUNCTIONS[case]
    recipe = mine(knob, source)
    with pytest.raises(GolfError) as caught:
        preflight(recipe)
    assert sentence in caught.value.message and ".py:" in caught.value.message
    assert caught.value.code == Exit.REFUSED


def test_every_slot_and_chain_has_its_arguments_written_down_and_the_parts_say_the_same():
    knobs = {name: knob for name, knob in load_catalogue().knobs.items() if knob.kind in ("Slot", "Chain")}
    assert set(POINTS) == set(knobs)
    for recipe in map(load_recipe, shipped_recipes()):
        check_signatures(recipe)


@pytest.mark.parametrize("name", ["baseline", pytest.param("pr1809", marks=pytest.mark.slow)])
def test_a_shipped_recipe_passes(name):
    preflight(load_recipe(name))


def test_a_factored_embedding_is_narrower_outside_of_the_blocks_and_only_as_told():
    recipe = load_recipe("pr640")  # embed_pre: 254 to 768 channels, output_norm: back
    preflight(recipe, rehearse=False)
    with pytest.raises(GolfError, match=r"returns \(1, 1024, 254\) float32 for \(1, 1024, 768\)"):
        watch(recipe, "attn_out", 768, 254)
    with pytest.raises(GolfError, match=r"`Linear` in `embed_pre` returns \(1, 1024, 100\)"):
        watch(recipe, "embed_pre", 254, 100)


def watch(recipe, knob, before, after):
    """Run a module of (before → after) channels as a hook of `knob` under the watch."""
    owner = torch.nn.Module()
    setattr(owner, knob, torch.nn.ModuleDict({"Linear": torch.nn.Linear(before, after)}))
    with watching(recipe, owner):
        getattr(owner, knob)["Linear"](torch.zeros(1, 1024, before))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pr740", "pr1514", "pr1529", "pr1573", "pr1945", "pr2130"])  # nearly all hooks
def test_recipes_of_many_techniques_pass(name):
    preflight(load_recipe(name))


def measured_peak_bytes(recipe) -> int:
    """What two eager steps on the CPU allocate at most, as torch's profiler counts it."""
    from golf.parts.model import GPT
    from golf.parts.optim import build_optimizers
    from golf.parts.tags import collect, initialize

    h, values = namespace(recipe), recipe.values
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        model = GPT(h)
        initialize(h, model, 1)
        averages = [T(h, model) for T in h.after_step]
        optimizers = build_optimizers(h, collect(model), OneProcess(recipe, "cpu", Path()))
        ids = torch.zeros(
            (values["train_batch_tokens"] // 8 // values["train_seq_len"], values["train_seq_len"]), dtype=torch.int64
        )
        for _ in range(2):
            model(ids, ids).mean().backward()
            update(recipe, model, optimizers)
    del averages
    live = peak = 0
    for event in found.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


@pytest.mark.parametrize("name", ["baseline", pytest.param("pr414", marks=pytest.mark.slow)])
def test_the_predicted_peak_is_what_eager_training_allocates(name):
    recipe = changed(smoke_recipe(load_recipe(name)), {"train_batch_tokens": 8192})
    assert predict_memory(recipe, "float32").peak_bytes == pytest.approx(measured_peak_bytes(recipe), rel=0.01)


@pytest.mark.parametrize(("name", "logged_mib"), [("baseline", 10_184), ("pr414", 20_600)])
def test_the_public_logs_lie_within_the_stated_share_of_the_prediction(name, logged_mib):
    least, most = COMPILED_SHARE
    assert least - 0.01 <= logged_mib / (predict_memory(load_recipe(name)).peak_bytes / (1 << 20)) <= most + 0.01


@pytest.mark.slow
def test_a_dry_run_elsewhere_answers_without_a_gpu_and_without_data(tmp_path):
    golf = [sys.executable, "-m", "golf"]
    (tmp_path / "submissions").mkdir()
    subprocess.run([*golf, "new", "mine", "--from", "pr1809_legal"], cwd=tmp_path, check=True, capture_output=True)

    def ask(*options):
        return subprocess.run(
            [*golf, "run", "mine", *options], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    told = ask("--dry-run", "--on", "8xH100", "--rate", "20")
    assert told.returncode == 0 and "22.00" in told.stdout and "predicted, not measured" in told.stdout
    assert not (tmp_path / ".golf").exists()
    for wrong in ("8xB900", "3xH100", "H100", ""):
        refused = ask("--dry-run", "--on", wrong)
        assert refused.returncode == 2 and "names no machine" in refused.stderr
    assert ask("--on", "8xH100").returncode == 2


# the property ---------------------------------------------------------------------------------------------------------

EXTREMES = {"int": (-1, 0, 1, 2, 3, 7, 64, 1000, 10**12), "float": (-1.0, 0.0, 1e-9, 0.5, 1.0, 3.0, 1e9, float("inf"))}


def absurd(rng, knob):
    """A value of the knob's type, often one that makes no sense."""
    if knob.kind == "bool":
        return rng.random() < 0.5
    if knob.kind == "tuple":
        members = EXTREMES["float" if any(isinstance(v, float) for v in knob.default) else "int"]
        return tuple(rng.choice(members) for _ in range(rng.randrange(4)))
    near = [knob.default, knob.default + 1, knob.default * 2] if rng.random() < 0.5 else EXTREMES[knob.kind]
    return rng.choice(list(near))


def try_one(rng) -> str:
    recipe = load_recipe(rng.choice(list(shipped_recipes())))
    knobs = [k for k in recipe.catalogue.knobs.values() if k.kind in ("int", "float", "bool", "tuple") and k.name != "cayley_levels" and type(k.default) is not str]  # fmt: skip
    values = {knob.name: absurd(rng, knob) for knob in rng.sample(knobs, rng.choice((1, 2, 3)))}
    asked = changed(recipe, values)
    try:
        composed = composition(replace(asked, own=frozenset()))
    except GolfError as fault:
        assert "\n" not in fault.message and len(fault.message) < 600
        return "refused"
    if composed.twin_faults:
        return "refused"
    check_full_size(smoke_recipe(asked))
    return "runs"


@pytest.mark.slow
def test_any_override_is_refused_in_one_sentence_or_its_twin_steps():
    rng = random.Random(12)
    outcomes = [try_one(rng) for _ in range(6)]
    assert {"refused", "runs"} == set(outcomes)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_many_overrides_are_refused_in_one_sentence_or_their_twins_step(seed):
    rng = random.Random(seed)
    for _ in range(6):
        try_one(rng)
