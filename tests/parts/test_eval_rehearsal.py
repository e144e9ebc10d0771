"""Graphs are compiled before the clock of evaluation starts: the rehearsal asks for the real shapes, on random tokens, and changes no score."""

import types

import evaluation
import pytest
import torch

from golf.parts import entry
from golf.parts.techniques.sliding import sliding
from golf.parts.techniques.ttt_lora import ttt_lora
from golf.parts.techniques.ttt_sgd import ttt_sgd
from golf.parts.techniques.varlen import varlen
from golf.parts.train import compiled

ROWS = 4  # windows side by side


class Watched(torch.nn.Module):
    """Stands in for a compiled model: each new kind of call would be a graph."""

    def __init__(self, model):
        super().__init__()
        self.model, self.graphs = model, []

    def forward(self, ids, targets=None, docs=None, lora=None, head_at=None):
        bounds = None if docs is None else len(docs.bounds)
        graph = tuple(ids.shape), targets is None, bounds, lora is not None, torch.is_grad_enabled()
        graph += (None if head_at is None else head_at.size(1),)
        if len(ids[0]) != 8:  # by which adapters learn the shapes of the matrices; never compiled
            self.graphs.append(graph)
        return self.model(ids, targets, lora=lora, head_at=head_at)


def evaluate(report, tokens, monkeypatch, rehearse=True):
    h = evaluation.knobs(
        eval_seq_len=32, eval_stride=8, val_batch_tokens=8 * ROWS * 32, vocab_size=16, ttt_chunk_tokens=64, ttt_batch_seqs=2,
        adapters=True, lora_rank=2, lora_chunk_tokens=8, lora_batch_docs=3, attend="varlen.varlen_attention",
        reports=(f"{report.__name__}.{report.__name__}",),
    )  # fmt: skip
    model = evaluation.StubGPT().float()
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    stream = evaluation.stream_of(tokens)
    watched = Watched(model)
    log = Lines(watched.graphs)
    monkeypatch.setattr(entry, "load_artifact", lambda h, path, model: model.load_state_dict(start))
    monkeypatch.setattr(entry, "Stream", lambda h, env: stream)
    monkeypatch.setattr(entry, "compiled", lambda env, model: watched if rehearse else model)
    env = evaluation.OneProcess()
    env.data_path = "shards"
    entry.evaluate(h, env, log, model)
    return log, watched.graphs


class Lines:
    """The log; at the rehearsal's line it sets aside what was asked for until then."""

    def __init__(self, graphs):
        self.graphs, self.rehearsed, self.facts = graphs, None, {}

    def __call__(self, line):
        if line.startswith("eval:compile warmup done ("):
            self.rehearsed = set(self.graphs)
            self.graphs.clear()

    def record(self, **facts):
        self.facts = facts


@pytest.mark.slow
@pytest.mark.parametrize("report", [sliding, ttt_sgd, ttt_lora, varlen], ids=lambda report: report.__name__)
def test_the_rehearsal_asks_for_the_graphs_of_the_evaluation_and_changes_no_score(report, monkeypatch):
    tokens = evaluation.tokens_of(12_001, bos_every=37)
    log, needed = evaluate(report, tokens, monkeypatch)
    assert needed and set(needed) <= log.rehearsed, set(needed) - log.rehearsed
    plain, _ = evaluate(report, tokens, monkeypatch, rehearse=False)
    assert plain.rehearsed is None
    assert log.facts["val_bpb"] == plain.facts["val_bpb"]


def test_the_rehearsal_reads_no_validation_token():
    h = evaluation.knobs(eval_seq_len=32, val_batch_tokens=8 * ROWS * 32, vocab_size=16)
    env = evaluation.OneProcess()
    streams = [evaluation.stream_of(evaluation.tokens_of(30_001, seed=seed)) for seed in (0, 1)]
    one, other = (entry.rehearsal(h, env, stream).tokens for stream in streams)
    assert torch.equal(one, other)
    assert len(one) == 30_000 % 128 + 128 * 41 + 1  # whole batches, and the rest
    starts = torch.nonzero(one == h.bos_id).flatten()
    assert (starts.diff() == 41).all() and len(starts) == 130


def test_more_graphs_are_allowed_than_the_usual_eight():
    with torch._dynamo.config.patch(recompile_limit=8):
        compiled(types.SimpleNamespace(cuda=True), evaluation.StubGPT().float())
        assert torch._dynamo.config.recompile_limit >= 32


def test_a_script_that_is_not_compiled_rehearses_nothing():
    model = torch.nn.Linear(1, 1)
    assert compiled(types.SimpleNamespace(cuda=False), model) is model
