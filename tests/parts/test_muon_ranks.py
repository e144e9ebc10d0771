"""Muon's work shared out: over the ranks every matrix is orthogonalised once, evenly, and many ranks move the weights as one does."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from places import HELPERS
from worlds import tiny

from golf.compose import compose
from golf.parts.model import GPT
from golf.parts.muon import Muon
from golf.parts.tags import collect, initialize
from golf.recipe import changed, load_recipe
from golf.recipe.namespace import namespace

STEPS = 3


def matrices_of(h):
    model = GPT(h)
    initialize(h, model, 1)
    return [entry.param for entry in collect(model) if entry.tag.group == "matrix"]


@pytest.mark.parametrize("name", ["baseline", "pr1204", "pr2135"])
def test_eight_ranks_orthogonalise_each_matrix_once_and_together_what_one_does(name, monkeypatch):
    h = namespace(tiny(name))
    sent, counts = [], []
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda flat: sent.append(flat.clone()))
    for world_size in (1, 8):
        for rank in range(world_size):
            params = matrices_of(h)
            rng = torch.Generator().manual_seed(0)
            for p in params:
                p.grad = torch.randn(p.shape, generator=rng)
            muon = Muon(h, params, 0.1, SimpleNamespace(cuda=False, world_size=world_size, rank=rank))
            muon.param_groups[0] |= {"momentum": 0.9, "wd_factor": 1.0}
            mine = []
            monkeypatch.setattr(
                muon, "update", lambda p, m, of=muon, mine=mine: mine.append(p) or Muon.update(of, p, m)
            )
            before = [p.detach().clone() for p in params]
            muon.step()
            counts.append(len(mine))
            if world_size == 1:
                moved = [(b - p).flatten() for b, p in zip(before, params, strict=True)]
    assert counts[0] == sum(counts[1:]) and max(counts[1:]) - min(counts[1:]) <= 1
    together = torch.stack(sent).float()
    assert ((together != 0).sum(0) <= 1).all()  # no element from two ranks
    decayed = torch.cat([b.flatten() for b in before]) * 0.1 * h.muon_wd
    assert torch.allclose(torch.cat(moved), 0.1 * together.sum(0) + decayed, atol=2e-3)


def test_second_passes_are_orthogonalised_in_eighths_of_their_rows_and_nothing_else_is():
    """As #1204's eight ranks held them: 192 of 1,536 rows each, then scaled as the whole is."""
    h = namespace(changed(tiny("pr1204"), {"bf16_momentum": False}))
    model = GPT(h)
    repeated = {id(param) for param in model.route.repeat.parameters()}
    params = [entry.param for entry in collect(model) if entry.tag.group == "matrix"]
    muon = Muon(h, params, 0.1, SimpleNamespace(cuda=False, world_size=1, rank=0))
    assert len(repeated) == 2 * len(h.recur_layers)
    for p in params:
        p.grad = torch.randn(p.shape)
        expected = [h.orthogonalize(part, h.ns_steps) for part in (p.grad.chunk(8) if id(p) in repeated else [p.grad])]
        scale = max(1, p.size(0) / p.size(1)) ** 0.5
        assert torch.equal(muon.update(p, 0.0), torch.cat(expected) * scale)
    assert [part.shape for part in model.route.repeat[0].fc.weight.chunk(8)] == [
        (h.model_dim * 3 // 8, h.model_dim)
    ] * 8


def test_the_busiest_of_eight_ranks_has_little_more_than_its_share_in_every_row_of_the_late_line():
    """In multiplications at full size: rows × columns × the shorter of both, times two for the product with the Gram matrix."""
    for name in ("baseline", "pr1493", "pr2135"):
        values = load_recipe(name).values
        width, kv = values["model_dim"], values["model_dim"] // values["num_heads"] * values["num_kv_heads"]
        hidden = int(values["mlp_mult"] * width)
        shapes = [(width, width), (kv, width), (kv, width), (width, width), (hidden, width), (width, hidden)]
        costs = [a * b * min(a, b) * 2 + min(a, b) ** 3 for _ in range(values["num_layers"]) for a, b in shapes]
        ranks = [sum(costs[rank::8]) for rank in range(8)]
        assert max(ranks) / sum(ranks) < 0.15, name  # an even share is 0.125


@pytest.mark.slow
def test_two_processes_train_the_banked_rows_as_one_does(tiny_data, tmp_path):
    """In double precision, so that what differs is no rounding; clipping is each rank's own there, and left out."""
    recipe = changed(tiny("pr1204"), {"loader": "SequentialStream", "grad_clip_norm": 0.0, "iterations": STEPS})
    (tmp_path / "train_gpt.py").write_text(compose(recipe))
    env = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    env |= {"DATA_PATH": str(tiny_data), "TOKENIZER_PATH": str(tiny_data / "tokenizer.model"), "MAX_WALLCLOCK_SECONDS": "0", "OMP_NUM_THREADS": "1"}  # fmt: skip
    found = []
    for processes in (1, 2):
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"] if processes > 1 else []
        out = tmp_path / f"{processes}.pt"
        command = [sys.executable, *launcher, str(HELPERS / "ranks_driver.py"), "train_gpt.py", str(out)]
        done = subprocess.run(command, cwd=tmp_path, env=env, check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(torch.load(out))
    one, two = found
    assert sorted(one["done"][0]) == sorted(two["done"][0] + two["done"][1])
    assert not set(two["done"][0]) & set(two["done"][1]) and len(one["done"][0]) == STEPS * len(set(one["done"][0]))
    for name, weight in one["weights"].items():
        assert torch.allclose(two["weights"][name], weight, rtol=0, atol=1e-9 * float(weight.abs().max())), name
