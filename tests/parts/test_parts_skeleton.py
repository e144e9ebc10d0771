"""The skeleton's promises: tags, initialisation, clock, warm-up with restore, loader, forward."""

import inspect
import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from worlds import TINY, execute, run_folder, tiny

from golf.compose import compose
from golf.data.shards import write_shard
from golf.parts import train as training
from golf.parts.data import SequentialStream
from golf.parts.env import Env
from golf.parts.model import GPT
from golf.parts.optim import build_optimizers
from golf.parts.schedule import Clock, momentum_warmup, warmdown_by_iterations
from golf.parts.tags import cast_masters, collect, initialize, tag
from golf.parts.techniques.orthogonal import orthogonal_wide
from golf.recipe import changed, load_recipe
from golf.recipe.namespace import namespace


def test_parts_import_nothing_of_golf_outside_parts():
    code = "import pkgutil, sys, golf.parts, importlib\n" \
        "for m in pkgutil.walk_packages(golf.parts.__path__, 'golf.parts.'): importlib.import_module(m.name)\n" \
        "print([m for m in sys.modules if m.startswith('golf.') and not m.startswith('golf.parts')])"  # fmt: skip
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_an_untagged_parameter_is_an_error():
    model = torch.nn.Linear(2, 2)
    tag(model.weight, group="matrix", role="mlp")
    with pytest.raises(AssertionError, match="bias"):
        collect(model)


def test_a_technique_more_leaves_the_other_weights_as_they_started():
    plain, gated = tiny("pr1394"), changed(tiny("pr1394"), {"head_gate": "SparseGate"})
    weights = []
    for recipe in (plain, gated):
        h = namespace(recipe)
        model = GPT(h)
        initialize(h, model, 7)
        weights.append(dict(model.named_parameters()))
    assert weights[1].keys() > weights[0].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_every_parameter_has_exactly_one_optimizer():
    h = namespace(tiny("pr1573"))
    model = GPT(h)
    optimizers = build_optimizers(h, collect(model), SimpleNamespace(cuda=False, world_size=1, rank=0))
    held = [id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())


def test_tables_take_the_dtype_of_the_activations_and_matrices_keep_fp32():
    model = GPT(namespace(tiny("pr414")))
    cast_masters(model, torch.bfloat16)
    kinds = {entry.name: entry.param.dtype for entry in collect(model)}
    assert kinds["tok_emb.weight"] == kinds["embed_pre.BigramXor.embed.weight"] == torch.bfloat16
    assert kinds["blocks.0.attn.c_q.weight"] == kinds["blocks.0.attn_scale"] == torch.float32


def test_the_bf16_forward_runs_and_stays_near_fp32():
    """What CUDA does, on the CPU: bf16 tables, fp32 masters, autocast."""
    for name in ("baseline", "pr740", "pr1573", "pr1809"):
        h = namespace(tiny(name))
        model = GPT(h)
        initialize(h, model, 1)
        ids = torch.randint(2, h.vocab_size, (2, 32), generator=torch.Generator().manual_seed(1))
        exact = model(ids, ids).mean()
        cast_masters(model, torch.bfloat16)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            nats = model(ids, ids)
        assert nats.dtype == torch.float32
        assert abs(nats.mean() - exact) < 0.02 * exact


@pytest.mark.slow
def test_the_composed_forward_is_one_full_graph_for_each_run_time_switch(tmp_path):
    for name in ("baseline", "pr740", "pr1573", "pr1809"):
        file = execute(compose(tiny(name)), tmp_path / f"{name}.py")
        model = file.GPT()
        file.initialize(model, 1)
        graph = torch.compile(model, dynamic=False, fullgraph=True, backend="eager")
        ids = torch.randint(2, TINY["vocab_size"], (2, 32), generator=torch.Generator().manual_seed(1))
        switched = "loop" in inspect.signature(model.forward).parameters
        for switch in ({"loop": False}, {"loop": True}) if switched else ({},):
            assert torch.equal(graph(ids, ids, **switch), model(ids, ids, **switch))
        assert switched == (name == "pr1809")
        assert torch.equal(graph(ids), model(ids))
        torch._dynamo.reset()


class FakeTime:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def fake_clock(cap_seconds, iterations=20_000):
    time = FakeTime()
    return Clock(SimpleNamespace(synchronize=lambda: None, iterations=iterations), cap_seconds, now=time), time


def test_the_clock_stands_still_during_validation():
    clock, time = fake_clock(600.0)
    clock.start()
    time.now = 10.0
    clock.pause()
    time.now = 50.0
    clock.start()
    time.now = 55.0
    clock.tick()
    assert clock.elapsed_seconds == 15.0
    assert clock.progress() == 15 / 600


def test_wallclock_warmdown_reproduces_the_reference_numbers():
    h = namespace(load_recipe("baseline"))
    clock, _ = fake_clock(600.0)
    clock.step, clock.elapsed_seconds = 12_580, 12_580 * 0.04354
    assert warmdown_by_iterations(h, clock) == 1.0
    clock.step, clock.elapsed_seconds = 13_321, 580.0
    assert warmdown_by_iterations(h, clock) == pytest.approx(0.3828, abs=2e-4)
    clock.elapsed_seconds = 601.0
    assert warmdown_by_iterations(h, clock) == 0.0


def test_warmdown_without_a_cap_counts_steps():
    h = namespace(load_recipe("baseline"))
    clock, _ = fake_clock(0.0, iterations=2400)
    for step, factor in ((0, 1.0), (1200, 1.0), (1800, 0.5), (2399, 1 / 1200)):
        clock.step = step
        assert warmdown_by_iterations(h, clock) == pytest.approx(factor)


def test_fractional_warmdown_reproduces_the_reference_numbers():
    from golf.parts.techniques.warmdown_frac import warmdown_by_fraction

    for w, m, frac, factor in ((0.72, 0.0, 0.5, 0.6944), (0.75, 0.0, 0.5, 0.6667), (0.85, 0.0, 0.5, 0.5882), (0.72, 0.0, 0.95, 0.0694), (0.72, 0.1, 0.95, 0.1)):  # fmt: skip
        h = SimpleNamespace(warmdown_frac=w, min_lr=m, after_step=("EMA",))
        clock, _ = fake_clock(600.0)
        clock.elapsed_seconds = 600 * frac
        assert warmdown_by_fraction(h, clock) == pytest.approx(factor, abs=5e-5)


def test_momentum_warms_up_as_published():
    h = SimpleNamespace(momentum=0.99, momentum_warmup_start=0.92, momentum_warmup_steps=1500)
    clock, _ = fake_clock(600.0)
    for step, momentum in ((100, 0.924667), (750, 0.955), (1500, 0.99), (9000, 0.99)):
        clock.step = step
        assert momentum_warmup(h, clock) == pytest.approx(momentum, abs=1e-6)


def test_training_stops_on_the_clock(tiny_data, tmp_path, monkeypatch):
    """The clock path with a fake clock: half a second a step, a cap of two."""
    time = FakeTime()
    recipe = tiny("baseline", iterations=1000)

    def tick():
        time.now += 0.25
        return time.now

    monkeypatch.setattr(training, "Clock", lambda env, cap: Clock(env, cap, now=tick))
    with run_folder(tmp_path, monkeypatch, tiny_data, ("train",), 1):
        monkeypatch.setenv("MAX_WALLCLOCK_SECONDS", "2")
        from golf.parts.entry import main

        main(namespace(recipe))
    log = (tmp_path / "logs" / "test.txt").read_text()
    assert "stopping_early: wallclock_cap train_time:" in log
    steps = int(log.split("stopping_early")[1].split("step:")[1].split("/")[0])
    assert 1 <= steps <= 8


def test_warm_up_leaves_weights_and_optimizers_as_they_were(tiny_data, tmp_path, monkeypatch):
    with run_folder(tmp_path, monkeypatch, tiny_data, (), 1):
        h = namespace(tiny("baseline", warmup_steps=2))
        env = Env(h)
        model = GPT(h)
        initialize(h, model, 1)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        optimizers = build_optimizers(h, collect(model), env)
        seen = []
        training.warm_up(h, env, seen.append, model, model, optimizers)
        assert len(seen) == 2
        assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
        assert all(not optimizer.state for optimizer in optimizers)


@given(
    shards=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    batch=st.integers(1, 4),
    world=st.sampled_from([1, 2, 4, 8]),
)
def test_the_stream_is_read_in_order_and_shared_among_ranks_without_gap(tmp_path_factory, shards, batch, world):
    folder = tmp_path_factory.mktemp("stream")
    tokens = np.arange(sum(shards)) % 1000
    at = 0
    for i, count in enumerate(shards):
        write_shard(folder / f"fineweb_train_{i:06d}.bin", tokens[at : at + count])
        at += count
    h = SimpleNamespace(train_batch_tokens=8 * 4 * batch, train_seq_len=4, micro_batches=0)
    ranks = [
        SequentialStream(h, SimpleNamespace(data_path=str(folder), rank=r, world_size=world, device="cpu"))
        for r in range(world)
    ]
    span = 4 * batch + 1
    for step in range(2):
        for r, stream in enumerate(ranks):
            ids, targets = stream.next_batch()
            first = (step * world + r) * span
            expected = np.take(tokens, np.arange(first, first + span), mode="wrap")
            assert ids.flatten().tolist() == expected[:-1].tolist()
            assert targets.flatten().tolist() == expected[1:].tolist()


def test_orthogonal_start_has_orthonormal_rows_or_columns():
    rng = torch.Generator().manual_seed(1)
    for shape in ((64, 128), (128, 64)):
        weight = torch.empty(shape)
        orthogonal_wide(None, weight, rng)
        small = weight if shape[0] < shape[1] else weight.T
        assert torch.allclose(small @ small.T, torch.eye(64), atol=1e-5)


def test_a_uniform_model_scores_the_logarithm_of_the_vocabulary():
    h = namespace(tiny("baseline"))
    model = GPT(h)
    model.tok_emb.weight.data.normal_(std=1e-9)
    ids = torch.randint(2, h.vocab_size, (1, 32), generator=torch.Generator().manual_seed(1))
    assert model(ids, ids).mean().item() == pytest.approx(math.log(TINY["vocab_size"]), abs=1e-4)
