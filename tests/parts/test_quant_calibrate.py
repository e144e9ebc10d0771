"""Hessians are the inputs' grams: of the batches that were given, of all ranks, on the weights that are exported."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from worlds import run_folder, tiny

from golf.compose import compose
from golf.parts.artifact import RawCoder, read_container
from golf.parts.entry import build
from golf.parts.env import Env
from golf.parts.layers import norm
from golf.parts.log import Log
from golf.parts.techniques.calibrate import from_own_text, from_training_text
from golf.recipe.namespace import Namespace, namespace


class Batches:
    """A loader of given batches."""

    def __init__(self, batches: list[torch.Tensor]) -> None:
        self.batches = iter(batches)

    def next_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        ids = next(self.batches)
        return ids, ids


def small(**values: Any) -> Namespace:
    return namespace(tiny("baseline", num_layers=2, calibration_batches=2, keep_float_numel=64, **values))


def test_every_matrix_gets_the_gram_of_what_it_reads(tiny_data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    h = small()
    batches = [torch.randint(h.vocab_size, (3, 16)) for _ in range(2)]
    with run_folder(tmp_path, monkeypatch, tiny_data, (), 1):
        env = Env(h)
        model, log = build(h, env), Log(env)
        from_training_text(h, env, log, model, Batches(batches))
        hessians, meta = read_container("hessians.golf", RawCoder)
    matrices = {name for name, p in model.named_parameters() if p.ndim == 2 and p.numel() > 64 and "resid" not in name}
    assert set(hessians) == {name for name in matrices if "skip" not in name} and meta["batches"] == 2
    assert log.result["calibration_seconds"] > 0
    seen: list[torch.Tensor] = []
    model.route.register_forward_hook(lambda module, inputs, x: seen.append(norm(x).flatten(0, 1)))
    model.blocks[1].mlp.fc.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].flatten(0, 1)))
    for ids in batches:
        model(ids)
    for name, xs in (("blocks.1.mlp.fc.weight", seen[0::2]), ("tok_emb.weight", seen[1::2])):
        expected = sum(x.T @ x for x in xs) / 2
        assert torch.allclose(hessians[name], expected.detach(), rtol=1e-5, atol=1e-5)
    for other in ("c_k", "c_v"):
        assert torch.equal(hessians["blocks.0.attn.c_q.weight"], hessians[f"blocks.0.attn.{other}.weight"])
    assert not any(module._forward_pre_hooks for name, module in model.named_modules() if "c_q" in name)


def test_own_text_reads_no_data_and_follows_the_seed(tiny_data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    h, found = small(own_text_sequences=3), []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        with run_folder(tmp_path / folder, monkeypatch, tiny_data, (), seed):
            env = Env(h)
            torch.manual_seed(0)
            model = build(h, env)
            from_own_text(h, env, Log(env), model, None)
            found.append(read_container("hessians.golf", RawCoder)[0]["tok_emb.weight"])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


@pytest.mark.slow
def test_two_ranks_add_up_to_the_hessians_and_gradients_of_one(tiny_data: Path, tmp_path: Path) -> None:
    found = []
    for ranks in (1, 2):
        recipe = tiny(
            "baseline", num_layers=2, calibrate="calibrate.from_training_text", calibration_batches=4 // ranks,
            steps="by_tensor.fisher", fisher_batches=4 // ranks, keep_float_numel=64,
        )  # fmt: skip
        folder = tmp_path / str(ranks)
        folder.mkdir()
        (folder / "train_gpt.py").write_text(compose(recipe))
        env = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
        env |= {"DATA_PATH": str(tiny_data), "TOKENIZER_PATH": str(tiny_data / "tokenizer.model"), "ITERATIONS": "0",
                "MAX_WALLCLOCK_SECONDS": "0", "OMP_NUM_THREADS": "1"}  # fmt: skip
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
        subprocess.run(
            [*launcher, "train_gpt.py", "train"], cwd=folder, env=env, check=True, capture_output=True, timeout=300
        )
        found.append(read_container(str(folder / "hessians.golf"), RawCoder))
    (one, about_one), (two, about_two) = found
    assert about_one["batches"] == about_two["batches"] == 4
    assert one.keys() == two.keys() and sum(name.endswith(":fisher") for name in one) == 13
    assert {"tok_emb.weight:reads", "tok_emb.weight:felt"} <= one.keys() and len(one) == 28
    felt = {name for name in one if name.endswith(":fisher") and float(one[name].max()) > 0}
    assert {
        "tok_emb.weight:fisher",
        "blocks.1.mlp.proj.weight:fisher",
    } <= felt  # the matrices before a zero one feel nothing yet
    for name, hessian in one.items():
        assert torch.allclose(two[name], hessian, rtol=1e-4, atol=1e-5 * float(hessian.abs().max())), name
