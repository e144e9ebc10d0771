"""Kernels and their plain twins: the same values and gradients, by Triton's interpreter where Triton is installed.

Without Triton the interpreted tests skip; what a CPU run takes, the twin, is held always.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from places import ROOT
from worlds import execute, tiny

from golf.compose import compose
from golf.compose.pack import pack
from golf.errors import GolfError
from golf.parts.model import GPT
from golf.parts.tags import initialize
from golf.recipe import changed
from golf.recipe.namespace import namespace

FUSED = {
    "activation": "leaky_relu2.leaky_relu2",
    "training_mlp": "fused_mlp.fused_mlp",
    "training_nats": "fused_cross_entropy.fused_cross_entropy",
}
DRIVER = Path(__file__).parents[1] / "helpers" / "kernel_driver.py"
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


def drive(what: str, *arguments: str, interpret: bool) -> dict:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    if interpret:
        environment["TRITON_INTERPRET"] = "1"
    done = subprocess.run(
        [sys.executable, str(DRIVER), what, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def model_of(**values):
    h = namespace(changed(tiny("baseline"), {"activation": "leaky_relu2.leaky_relu2", **values}))
    model = GPT(h)
    initialize(h, model, 1)
    return model


def test_a_cpu_takes_the_twins_to_the_bit():
    plain, fused = model_of(), model_of(**FUSED)
    ids = torch.randint(384, (2, 16), generator=torch.Generator().manual_seed(0))
    losses = []
    for model in (plain, fused):
        for param in model.parameters():
            torch.nn.init.normal_(param, std=0.2, generator=torch.Generator().manual_seed(param.numel()))
        loss = model(ids, ids.roll(-1, 1))
        loss.mean().backward()
        losses.append(loss)
    assert torch.equal(*losses)
    for a, b in zip(plain.parameters(), fused.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None)
        assert a.grad is None or torch.equal(a.grad, b.grad)


def test_kernels_run_only_while_the_weights_train(tmp_path):
    module = execute(compose(changed(tiny("baseline"), FUSED)), tmp_path / "train_gpt.py")
    asked = []
    for name in ("fused_mlp", "fused_cross_entropy"):
        before = getattr(module, name)
        setattr(module, name, lambda *a, name=name, before=before: asked.append(name) or before(*a))
    model = module.GPT()
    ids = torch.zeros((1, 8), dtype=torch.int64)
    model(ids, ids)
    layers = len(model.blocks)
    assert asked == ["fused_mlp"] * layers + ["fused_cross_entropy"]
    asked.clear()
    model(ids)
    assert asked == ["fused_mlp"] * layers  # without targets there is nothing to take nats of
    asked.clear()
    with torch.no_grad():
        model(ids, ids)
    model.requires_grad_(False)  # as adapters find it
    model(ids, ids)
    assert asked == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"activation": "relu2"}, "the fused MLP computes `leaky_relu2`"),
        ({"cap_logits": False}, "the fused cross-entropy caps the logits"),
    ],
)
def test_what_a_kernel_does_not_compute_does_not_compose(values, said):
    with pytest.raises(GolfError, match=said):
        compose(changed(tiny("baseline"), FUSED | values))


def test_the_composed_file_runs_where_triton_is_not(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    module = execute(compose(changed(tiny("baseline"), FUSED)), tmp_path / "train_gpt.py")
    assert module.triton is None and module.NATS_BLOCK == 1024
    ids = torch.zeros((1, 8), dtype=torch.int64)
    module.GPT()(ids, ids).mean().backward()


@needs_triton
def test_interpreted_kernels_are_their_twins_in_values_and_gradients():
    report = drive("values", interpret=True)
    assert len(report) == 16
    for name, difference in report.items():
        assert difference < (5e-3 if "float16" in name else 1e-6), name


@needs_triton
def test_the_packed_file_has_the_same_kernels(tmp_path):
    (tmp_path / "train_gpt.py").write_bytes(pack(compose(changed(tiny("baseline"), FUSED))))
    report = drive("values", str(tmp_path / "train_gpt.py"), interpret=True)
    assert len(report) == 12 and all(value < (5e-3 if "float16" in name else 1e-6) for name, value in report.items())


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_kernels_compile_for_a_hopper_gpu_that_is_not_here(packed, tmp_path):
    arguments = []
    if packed:
        (tmp_path / "train_gpt.py").write_bytes(pack(compose(changed(tiny("baseline"), FUSED))))
        arguments = [str(tmp_path / "train_gpt.py")]
    report = drive("compile", *arguments, interpret=False)
    assert len(report) == (8 if packed else 10)
    assert all(
        code > 5000 and shared <= 232_448 for code, shared, _ in report.values()
    )  # bytes of shared memory of an SM
    # whatever a number comes as, it is rounded once: fp64 in the loops would be slow, and has stopped a compilation
    assert all(fp64 < 8 for *_, fp64 in report.values()), report
