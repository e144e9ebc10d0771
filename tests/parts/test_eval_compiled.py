"""The evaluators run on one full graph per shape, as on a GPU, and score what the plain model does."""

import evaluation
import pytest
import torch

from golf.compose import compose
from golf.recipe import changed, load_recipe

VALUES = {
    "vocab_size": 16, "model_dim": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "eval_seq_len": 32,
    "val_batch_tokens": 1024, "adapters": True, "lora_rank": 2, "lora_lr": 0.01, "lora_chunk_tokens": 8, "lora_batch_docs": 2,
    "attend": "varlen.varlen_attention", "reports": ("varlen.varlen", "ttt_lora.ttt_lora"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["varlen", "ttt_lora"])
def test_a_compiled_model_scores_what_the_plain_one_does(name):
    names = {"__name__": "generated"}
    exec(compile(compose(changed(load_recipe("baseline"), VALUES)), "train_gpt.py", "exec"), names)
    model = names["GPT"]()
    names["initialize"](model, 1)
    stream = evaluation.stream_of(evaluation.tokens_of(65, bos_every=21))
    plain = names[name](evaluation.OneProcess(), model, stream, keep=True)
    torch._dynamo.reset()
    graphs = torch.compile(model, dynamic=False, fullgraph=True, backend="aot_eager")
    compiled = names[name](evaluation.OneProcess(), graphs, stream, keep=True)
    assert torch.allclose(compiled.nats, plain.nats, atol=1e-6)
