"""Nothing unrunnable composes: bounds of single knobs, relations between knobs, and what a technique needs, each with its sentence."""

import subprocess
import sys

import pytest

from golf.compose.composition import composition
from golf.compose.lint import lint
from golf.errors import GolfError
from golf.recipe import changed, load_recipe
from golf.recipe.bounds import bound_of
from golf.recipe.catalogue import load_catalogue

# what was found to compose with exit 0, and more of each kind: recipe and overrides, what is said, what would be allowed
REFUSED = {
    "baseline num_heads=7": ("model_dim = 512 does not divide into num_heads = 7", "`num_heads` could be 4 or 8"),
    "baseline num_layers=-3": ("is -3, and it must be a whole number, 1 <= int <= 256", "by default it is 9"),
    "baseline model_dim=0": ("is 0, and it must be a whole number, 2 <= int", "by default it is 512"),
    "baseline train_batch_tokens=1000": ("1000 are not 8 micro-batches of whole sequences", "could be 8192"),
    "baseline softcap=0.0": ("is 0.0, and it must be a number, 0 < float", "by default it is 30.0"),
    "baseline matrix_lr=inf": ("is inf, and it must be a number", "by default it is 0.04"),
    "baseline matrix_lr=-0.02": ("is -0.02", "0.04"),
    "baseline vocab_size=0": ("is 0, and", "1024"),
    "baseline model_dim=520": ("65 channels has no pairs to rotate", "`model_dim` could be 512 or 528"),
    "baseline rope_dims=128": ("more than the 64 channels of a head", "`rope_dims` could be 64"),
    "baseline rope_dims=5": ("int % 2 == 0", "0"),
    "baseline rope_dims=2 rope_train_len=1024": ("needs rope_dims > 2", "`rope_train_len` could be 0"),
    "baseline num_kv_heads=3": ("cannot share num_kv_heads = 3", "could be 2 or 4"),
    "baseline warmup_steps=-1": ("is -1", "20"),
    "baseline beta2=1.0": ("0 <= float < 1", "0.95"),
    "baseline momentum=1.5": ("0 <= float < 1", "0.95"),
    "baseline mlp_bits=17": ("2 <= int <= 8", "8"),
    "baseline mlp_bits=0": ("2 <= int <= 8", "8"),
    "baseline train_seq_len=0": ("is 0", "1024"),
    "baseline eval_seq_len=-5": ("is -5", "1024"),
    "baseline micro_batches=16": ("micro_batches is 16: choose `MicroBatches`", "could be 8"),
    "baseline export_weights=ema.ema_weights": ("exports an average that nothing takes", "condition"),
    "pr1809 loop_last=20": ("no segment of num_layers = 11", "`loop_last` could be 10"),
    "pr1809 loop_first=6": ("no segment of num_layers = 11", "`loop_first` could be 5"),
    "pr1809 eval_stride=0": ("is 0", "64"),
    "pr1809 eval_stride=4096": ("longer than a window", "`eval_stride` could be 2048"),
    "pr1809 mlp_clip_sigmas=-1.0": ("is -1.0", "12.85"),
    "pr1809 ema_decay=1.5": ("0 < float < 1", "0.997"),
    "pr1809 xsa_last_n=40": ("more than num_layers = 11", "`xsa_last_n` could be 11"),
    "pr1809 parallel_from=12": ("no layer would be parallel", "could be 10"),
    "pr1809 calibrate=": ("GPTQ needs Hessians, and nothing collects them", "condition"),
    "pr1809 reserve_seconds=700": ("leave nothing of max_wallclock_seconds", "condition"),
    "pr1809 ttt_chunk_tokens=100": ("nothing would be learned", "`ttt_chunk_tokens` could be 2048"),
    "pr1809 warmdown_frac=0.0": ("0 < float <= 1", "0.667"),
    "pr414 ve_layers=[9,30]": ("not among num_layers = 11", "`num_layers` could be 31"),
    "pr740 ngram_740_buckets=1000": ("int & (int - 1) == 0", "4_194_304"),
    "pr1573 recycle_layers=[]": ("not among num_layers = 12", "condition"),
    "baseline coder=rans.RansCoder attn_quantizer=gptq.gptq_sdclip": ("GPTQ needs Hessians", "condition"),
    "baseline steps=by_tensor.fisher": ("steps by sensitivity need Hessians", "condition"),
    "baseline assign_bits=mixed_bits.bits_by_trace": ("bits by sensitivity need Hessians", "condition"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_run_is_refused_with_one_sentence_and_the_place(case):
    name, *overrides = case.split()
    sentence, way_out = REFUSED[case]
    with pytest.raises(GolfError) as caught:
        composition(load_recipe(name, overrides))
    message, hint = caught.value.message, caught.value.hint
    assert sentence in message and "\n" not in message
    assert way_out in hint
    assert ".py:" in message.rpartition("[")[2]  # the file and the line that say so
    changed_knobs = [override.partition("=")[0] for override in overrides]
    assert any(knob in message + hint for knob in changed_knobs) or "Hessians" in message or "average" in message


def test_a_technique_without_what_it_needs_is_refused_however_it_comes():
    with pytest.raises(GolfError, match="GPTQ needs Hessians"):
        composition(load_recipe("baseline", with_=["pr1809:gptq"]))
    with_both = load_recipe("baseline", ["calibrate=calibrate.from_training_text"], with_=["pr1809:gptq"])
    assert "gptq_sdclip" in composition(with_both).text


def test_values_that_come_past_the_command_line_are_checked_too():
    with pytest.raises(GolfError, match="`num_layers` in baseline is -3"):
        composition(changed(load_recipe("baseline"), {"num_layers": -3}))


def test_every_number_that_ships_has_a_bound_and_every_default_keeps_it():
    catalogue = load_catalogue()
    numbers = [knob for knob in catalogue.knobs.values() if knob.kind in ("int", "float")]
    assert len(numbers) > 120 and all(knob.bound for knob in numbers)
    assert all(knob.bound.holds(knob.default) for knob in numbers)
    assert all(knob.bound.holds(knob.smoke) for knob in numbers if knob.smoke is not None)
    assert not [finding for finding in lint(catalogue) if "has no bound" in finding.message]


def test_a_number_that_ships_without_a_bound_is_a_finding_with_its_line(tmp_path, monkeypatch):
    package = tmp_path / "unbound"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text(
        '"""A part."""\n\n\nclass Knobs:\n    size: int = 3  # of it\n    name: str = "a"\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = lint(load_catalogue("unbound"))
    assert (found.rule, found.file, found.line) == (3, "unbound/part.py", 5)
    assert "knob `size` has no bound" in found.message and "0 < int <= 100" in found.fix


@pytest.mark.parametrize(
    ("text", "kept", "broken"),
    [
        ("int >= 1", (1, 10**9), (0, -1)),
        ("0 < float <= 1", (1e-300, 1.0), (0.0, 1.0000001, float("inf"), float("nan"))),
        ("float > 0", (1e300,), (float("inf"), float("nan"))),
        ("0 <= tuple[int] < 9", ((), (0, 8)), ((9,), (-1, 2), (1.5,), (True,), ("1",))),
        ("0 < tuple[float] <= 1", ((1, 0.5),), ((0.0,), (float("nan"),), ((0.5,),))),
        ("1 <= int and int & (int - 1) == 0", (1, 64), (0, 48)),
    ],
)
def test_a_bound_means_what_it_says(text, kept, broken):
    bound = bound_of(text)
    assert all(bound.holds(value) for value in kept)
    assert not any(bound.holds(value) for value in broken)


@pytest.mark.parametrize(
    "text", ["int", "1", "x > 3", "int > float", "__import__('os')", "int.real > 1", "int >", "int > [1]"]
)
def test_what_is_no_bound_is_an_error_with_its_line(text, tmp_path):
    from golf.recipe.partfile import read_part

    with pytest.raises(ValueError, match=r"`"):
        bound_of(text)
    path = tmp_path / "part.py"
    path.write_text(f'class Knobs:\n    size: "{text}" = 3\n')
    with pytest.raises(GolfError, match=r"part\.py:2"):
        read_part(path, "part", "p", True, 0)


def test_a_recipe_whose_twin_alone_cannot_run_composes_and_says_so():
    composed = composition(load_recipe("baseline", ["num_heads=3", "num_kv_heads=3", "model_dim=384"]))
    assert "model_dim = 64 does not divide into num_heads = 3" in composed.twin_faults[0]
    assert "attention.py:" in composed.twin_faults[0]
    assert composition(load_recipe("baseline")).twin_faults == ()


def test_smoke_of_such_a_recipe_is_refused_before_the_start(tmp_path):
    golf = [sys.executable, "-m", "golf"]
    (tmp_path / "submissions").mkdir()
    made = subprocess.run([*golf, "new", "odd", "num_heads=3", "num_kv_heads=3", "model_dim=384"], cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip
    assert made.returncode == 0, made.stderr
    refused = subprocess.run(
        [*golf, "run", "odd", "--smoke"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 10 and "the small twin of odd cannot run" in refused.stderr
