"""Evaluation within documents: bounds, coverage, isolation, and attention that stops at them."""

import inspect
import types

import evaluation
import pytest
import torch
import torch.nn.functional as F
from torch.torch_version import TorchVersion

from golf.parts.attention import causal_attention
from golf.parts.evaluate import plain
from golf.parts.model import GPT
from golf.parts.optim import build_optimizers
from golf.parts.schedule import Clock
from golf.parts.tags import collect, initialize
from golf.parts.techniques.doc_isolated import doc_isolated, document_windows, documents
from golf.parts.techniques.varlen import bounds_of, causal_words, varlen, varlen_attention
from golf.parts.train import take_step

TINY = {"vocab_size": 16, "model_dim": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2}


def tiny(**values):
    h = evaluation.knobs(**{**evaluation.SMALL, **TINY, **values})
    model = GPT(h)
    initialize(h, model, 1)
    for param in model.parameters():  # projections start at zero: attention would not show
        param.data += 0.2 * torch.randn(param.shape, generator=torch.Generator().manual_seed(param.numel()))
    return h, model


def test_documents_end_with_the_next_ones_bos():
    h = evaluation.knobs(**evaluation.SMALL)
    stream = evaluation.stream_of([1, 5, 6, 1, 7, 1, 1, 8, 9, 2])
    starts, ends = documents(h, stream, 9)
    assert starts.tolist() == [0, 3, 5, 6]
    assert ends.tolist() == [3, 5, 6, 9]
    starts, ends = documents(h, evaluation.stream_of([5, 6, 1, 7]), 3)
    assert (starts.tolist(), ends.tolist()) == ([0, 2], [2, 3])


def test_document_windows_score_every_target_once():
    h = evaluation.knobs(eval_seq_len=32, eval_stride=8)
    lengths = torch.arange(1, 120)
    ends = lengths.cumsum(0)
    count = torch.zeros(int(ends[-1]), dtype=torch.int64)
    for start, first, end in zip(*(part.tolist() for part in document_windows(h, ends - lengths, ends)), strict=True):
        assert end - start >= 1
        count[start + first : min(start + 32, end)] += 1
    assert (count == 1).all()


def test_a_document_is_scored_as_if_it_stood_alone():
    tokens = evaluation.tokens_of(257, bos_every=51)
    trace = evaluation.scored(doc_isolated, tokens)
    assert (trace.visits == 1).all()
    alone = tokens[51:103]
    model, ids = evaluation.StubGPT(), torch.as_tensor(alone)
    nats = model(ids[None, :32], ids[None, 1:33])[0].detach()
    assert torch.allclose(trace.nats[51:83], nats, atol=1e-13)
    other = tokens.copy()
    other[2:51] = evaluation.tokens_of(50, seed=9)[1:]
    changed = evaluation.scored(doc_isolated, other)
    assert torch.equal(changed.nats[51:], trace.nats[51:])


def test_document_isolation_sees_no_future_and_sums_to_one():
    tokens = evaluation.tokens_of(257, bos_every=51)
    assert evaluation.future_dependence(doc_isolated, tokens, (40, 90, 200)) < 1e-12
    assert abs(evaluation.kraft_sums(doc_isolated, tokens, (3, 60, 110, 250)) - 1).max() < 1e-12


def test_varlen_attention_equals_attention_on_each_document_alone():
    rng = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 12, heads, 8, generator=rng) for heads in (4, 2, 2))
    ids = torch.full((2, 12), 5)
    ids[0, 0] = ids[0, 5] = ids[1, 7] = 1
    docs = bounds_of(evaluation.knobs(), ids, 12)
    assert docs.bounds[:5].tolist() == [0, 5, 12, 19, 24]
    assert len(docs.bounds) == 256
    y = varlen_attention(q, k, v, docs)
    for row, a, b in ((0, 0, 5), (0, 5, 12), (1, 0, 7), (1, 7, 12)):
        part = [x[row : row + 1, a:b] for x in (q, k, v)]
        assert torch.allclose(y[row : row + 1, a:b], causal_attention(*part, None), atol=1e-6)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("2.10.0+cu128", {"is_causal": True}),  # the signatures of the released packages
        ("2.11.0+cu130", {"window_size": (-1, 0)}),
        ("2.12.1", {"window_size": (-1, 0), "enable_gqa": True}),
        ("2.13.0+cpu", {"window_size": (-1, 0), "enable_gqa": True}),
    ],
)
def test_pytorchs_own_kernel_is_asked_for_in_the_words_of_its_version(version, words):
    assert causal_words(TorchVersion(version)) == words


def test_this_pytorchs_kernel_knows_the_words():
    kernels = pytest.importorskip("torch.nn.attention.varlen", reason="this PyTorch has no kernel for documents")
    assert set(causal_words(torch.__version__)) <= set(inspect.signature(kernels.varlen_attn).parameters)


def test_without_documents_varlen_is_causal():
    rng = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 12, heads, 8, generator=rng) for heads in (4, 2, 2))
    docs = bounds_of(evaluation.knobs(), torch.full((2, 12), 5), 12)
    assert torch.allclose(varlen_attention(q, k, v, docs), causal_attention(q, k, v, None), atol=1e-6)
    assert torch.equal(varlen_attention(q, k, v, None), causal_attention(q, k, v, None))


def test_no_logit_of_a_document_depends_on_the_one_before():
    """D4: the last token of document k changes, the logits of document k + 1 do not."""
    h, model = tiny(attend="varlen.varlen_attention")
    ids = torch.randint(2, 16, (2, 32), generator=torch.Generator().manual_seed(3))
    ids[:, 11] = 1
    other = ids.clone()
    other[:, 10] = (ids[:, 10] - 1) % 14 + 2
    logits, changed = (model(x, docs=bounds_of(h, x, 32)) for x in (ids, other))
    assert torch.equal(logits[:, 11:], changed[:, 11:])
    assert not torch.equal(logits[:, 10], changed[:, 10])


def test_varlen_evaluation_scores_what_plain_does_up_to_the_documents():
    tokens = evaluation.tokens_of(257, bos_every=50)
    h, model = tiny(attend="varlen.varlen_attention")
    trace = varlen(h, evaluation.OneProcess(), model, evaluation.stream_of(tokens), keep=True)
    h, causal = tiny()
    causal.load_state_dict(model.state_dict())
    whole = plain(h, evaluation.OneProcess(), causal, evaluation.stream_of(tokens), keep=True)
    assert trace.tokens == whole.tokens == 256
    assert torch.allclose(trace.nats[:50], whole.nats[:50], atol=1e-5)  # one window, one document so far
    assert not torch.allclose(trace.nats[50:64], whole.nats[50:64], atol=1e-5)
    ids = torch.as_tensor(tokens[50:83])[None]  # across a window: it is cut at 32 tokens from its own start
    alone = F.cross_entropy(causal(ids[:, :-1]).transpose(1, 2), ids[:, 1:], reduction="none")
    assert torch.allclose(trace.nats[50:82].float(), alone[0].detach(), atol=1e-4)


def test_a_document_longer_than_a_window_is_cut_at_its_multiples():
    ids = torch.full((1, 20), 5)
    ids[0, 3] = 1
    docs = bounds_of(evaluation.knobs(bounds_multiple=4), ids, 6)
    assert docs.bounds.tolist() == [0, 3, 9, 15, 20, 20, 20, 20]
    assert docs.longest == 6


def test_the_tail_is_scored_where_a_recipe_says_so():
    tokens = evaluation.tokens_of(271, bos_every=50)
    for report, attend in ((varlen, "varlen.varlen_attention"), (plain, "causal_attention")):
        h, model = tiny(attend=attend, eval_tail=True)
        trace = report(h, evaluation.OneProcess(), model, evaluation.stream_of(tokens), keep=True)
        assert trace.tokens == 270
        assert (trace.visits == 1).all()
        h, _ = tiny(attend=attend)
        whole = report(h, evaluation.OneProcess(), model, evaluation.stream_of(tokens), keep=True)
        assert whole.tokens == 256
        assert torch.allclose(whole.nats[:256], trace.nats[:256], atol=1e-5)


@pytest.mark.parametrize("cut", [True, False])
def test_training_keeps_documents_apart_where_a_recipe_says_so(cut):
    """One step on rows with a document's start in the middle is another step than without bounds; without a start the same."""
    ids = torch.randint(2, 16, (2, 33), generator=torch.Generator().manual_seed(3))
    if cut:
        ids[:, 11] = 1
    weights, losses = [], []
    for bounds in ("", "varlen.document_bounds"):
        h, model = tiny(attend="varlen.varlen_attention", documents=bounds)
        loader = types.SimpleNamespace(next_batch=lambda: (ids[:, :-1], ids[:, 1:]))
        env = evaluation.OneProcess()
        env.grad_accum_steps, env.iterations = 1, 10
        optimizers = build_optimizers(h, collect(model), env)
        losses.append(take_step(h, env, model, loader, optimizers, Clock(env, 0.0)))
        weights.append(torch.cat([param.detach().flatten() for param in model.parameters()]))
    assert torch.equal(losses[0], losses[1]) != cut
    assert torch.allclose(*weights, atol=1e-7) != cut
