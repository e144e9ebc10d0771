"""`golf eval --mode`: the same weights under another evaluation, composed as a sibling and labelled so."""

import os
import subprocess
import sys

import pytest

from golf.artifact.api import evaluate_folder
from golf.artifact.sibling import MODES, compose_sibling
from golf.compose import compose
from golf.compose.pack import minify
from golf.errors import Exit, GolfError
from golf.recipe import load_recipe
from golf.recipe.catalogue import load_catalogue
from golf.run.plan import Wishes
from golf.run.source import small_twin

RECIPE = """
name = "tiny"
extends = "baseline"
[env]
vocab_size = 384
iterations = 3
[model]
num_layers = 2
model_dim = 32
[attention]
num_heads = 4
num_kv_heads = 2
[data]
train_seq_len = 32
train_batch_tokens = 256
[train]
warmup_steps = 0
[schedule]
warmdown_iters = 0
[evaluate]
reports = ["plain", "sliding.sliding"]
eval_seq_len = 64
[sliding]
eval_stride = 32
"""


@pytest.fixture
def submission(tmp_path):
    folder = tmp_path / "submissions" / "tiny"
    (folder / "runs/abc/seed_1").mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "runs/abc/train_gpt.py").write_text(compose(load_recipe(folder / "recipe.toml")))
    return folder


def sibling_of(submission, mode, overrides=(), allow=(), script=None):
    run = submission / "runs/abc"
    return compose_sibling(run / "seed_1", script or (run / "train_gpt.py").read_bytes(), mode, overrides, allow)


@pytest.mark.parametrize("mode", [mode for mode, (_, _, breaks) in MODES.items() if not breaks])
def test_every_mode_composes_and_ends_with_its_evaluator(submission, mode):
    made = sibling_of(submission, mode)
    report = load_catalogue().find(MODES[mode][0], "a mode").names[0]
    text = made.script.decode()
    assert f"trace = {report}(env, scored, stream)" in text or f"({report},)" in text
    assert not made.same
    compile(text, "train_gpt.py", "exec")


def test_a_mode_that_the_rules_forbid_needs_to_be_allowed(submission):
    with pytest.raises(GolfError) as refused:
        sibling_of(submission, "backoff740")
    assert refused.value.code == Exit.REFUSED
    assert "--allow R38" in refused.value.hint
    assert b"def back_off(" in sibling_of(submission, "backoff740", allow=("R38",)).script


def test_overrides_reach_the_sibling_only(submission):
    text = sibling_of(submission, "sliding", ["eval_stride=16"]).script.decode()
    assert "eval_stride = 16" in text
    with pytest.raises(GolfError, match="would change what ships"):
        sibling_of(submission, "shipped", ["eval_stride=16"])


def test_packed_scripts_and_small_twins_are_recognised_and_others_refused(submission):
    recipe = load_recipe(submission / "recipe.toml")
    own = compose(recipe)
    twin = small_twin(recipe, own.encode())
    made = sibling_of(submission, "sliding", script=twin)
    assert b"eval_batch_windows = 16" in made.script
    assert b"eval_batch_windows = 32" in sibling_of(submission, "sliding").script
    with pytest.raises(GolfError, match="no longer gives the script"):
        sibling_of(submission, "sliding", script=own.replace("eval_stride = 32", "eval_stride = 8").encode())
    assert minify(own) != own


def test_a_folder_outside_a_submission_and_an_unknown_mode_are_refused(submission, tmp_path):
    with pytest.raises(GolfError, match="lies in no submission"):
        compose_sibling(tmp_path, b"", "sliding")
    with pytest.raises(GolfError, match="no mode is called `sliding_window`"):
        sibling_of(submission, "sliding_window")


@pytest.mark.slow
def test_a_trained_artifact_scores_the_same_in_its_own_mode_and_otherwise_as_a_sibling(
    submission, tiny_data, monkeypatch
):
    run = submission / "runs/abc/seed_1"
    inputs = {"DATA_PATH": str(tiny_data), "TOKENIZER_PATH": str(tiny_data / "tokenizer.model"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "../train_gpt.py"], cwd=run, env={**os.environ, **inputs, "MAX_WALLCLOCK_SECONDS": "0"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(submission)
    wishes = Wishes(nproc=1, data_path=tiny_data, tokenizer_path=tiny_data / "tokenizer.model")
    shipped, ships = evaluate_folder(run, wishes)
    assert ships
    for mode, alike in (("sliding", True), ("plain", False), ("ngram", False)):
        score, ships = evaluate_folder(run, wishes, mode=mode)
        assert not ships
        # three steps at the full learning rate: the model reads its context, and another evaluation differs by more than rounding
        assert score.val_bpb == shipped.val_bpb if alike else abs(score.val_bpb - shipped.val_bpb) > 1e-4
