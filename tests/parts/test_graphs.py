"""Compiled as on a GPU, a script makes its graphs in the warm-up: no break, none in a training step, none for inputs seen before."""

import pytest
import torch
from graphs import Watch, graphs_of
from worlds import TELLING, covered_by_another, tiny

from golf.recipe import changed, load_recipe, smoke_recipe

# a small model with everything that varies while a script runs: loops that switch on, documents apart, phases of TTT over batches of them
VARIES = {
    "vocab_size": 384, "model_dim": 16, "num_layers": 2, "num_heads": 2, "num_kv_heads": 1, "train_seq_len": 32, "eval_seq_len": 32,
    "train_batch_tokens": 256, "val_batch_tokens": 512, "warmup_steps": 1, "val_loss_every": 0, "train_log_every": 1, "iterations": 4,
    "order": "loops.looped", "loop_first": 0, "loop_last": 0, "loop_extra": 1, "loop_from": 0.5, "loader": "packed_documents.PackedDocuments",
    "documents": "varlen.document_bounds", "attend": "varlen.varlen_attention", "adapters": True, "lora_rank": 2, "lora_lr": 0.01,
    "lora_chunk_tokens": 16, "lora_batch_docs": 4, "reports": ("ttt_lora.ttt_lora",),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_loops_documents_and_test_time_training_compile_once(tmp_path, monkeypatch, tiny_data):
    recipe = changed(smoke_recipe(load_recipe("baseline")), VARIES)
    found = graphs_of(recipe, tmp_path / "run", monkeypatch, tiny_data, backend="eager")
    assert (found.breaks, found.late, found.again) == (0, [], [])
    assert found.made["warm-up"] >= 2 and found.made["evaluation"] >= 1 and found.calls > 40


@pytest.mark.slow
@covered_by_another
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TELLING)
def test_every_technique_compiles_once(name, tmp_path, monkeypatch, tiny_data):
    found = graphs_of(tiny(name), tmp_path / "run", monkeypatch, tiny_data, backend="eager")
    assert (found.breaks, found.late, found.again) == (0, [], [])


@pytest.mark.filterwarnings("ignore")
def test_a_break_a_late_graph_and_a_recompilation_are_seen():
    """The watch itself: a function that prints breaks its graph; another shape in training is late; a changed global is a recompilation."""
    torch._dynamo.reset()
    watch = Watch("eager")
    double = watch.compile(lambda x: x * 2, dynamic=False)
    double(torch.ones(2))
    watch.stage = "training"
    double(torch.ones(2))
    assert not watch.found.late and watch.found.made == {"warm-up": 1}
    double(torch.ones(3))
    assert watch.found.late == ["<lambda>"] and not watch.found.again
    state = [1.0]
    watch.stage = "evaluation"
    scaled = watch.compile(lambda x: x * state[0], dynamic=False)
    scaled(torch.ones(2))
    state[0] = 2.0
    scaled(torch.ones(2))
    assert watch.found.again == ["evaluation: <lambda>"]
    chosen = watch.compile(lambda x, passes: x * (3 if passes is True else passes), dynamic=False)
    for passes in (False, True, 1):  # #1412's three orders: True is not 1
        chosen(torch.ones(2), passes)
    assert len(watch.found.again) == 1
    torch._dynamo.reset()
