"""Adapters at test time: what they change, that documents stay apart, that order and ranks do not matter, phases."""

import math

import evaluation
import pytest
import torch

from golf.parts.model import GPT
from golf.parts.tags import initialize
from golf.parts.techniques.doc_isolated import doc_isolated
from golf.parts.techniques.ttt_lora import Adapters, Shapes, document_queue, short_chunk, ttt_lora
from golf.parts.techniques.ttt_phased import ttt_phased

LORA = {
    "adapters": True,
    "lora_targets": ("mlp", "head"),
    "lora_rank": 2,
    "lora_alpha": 2.0,
    "lora_lr": 0.05,
    "lora_wd": 0.0,
    "lora_chunk_tokens": 8,
    "lora_batch_docs": 2,
    "phased_docs": 2,
    "ttt_chunk_tokens": 32,
    "ttt_batch_seqs": 1,
}
TOKENS = evaluation.tokens_of(257, bos_every=51)
REPORTS = {"ttt_lora": ttt_lora, "ttt_phased": ttt_phased}


def scored(report, tokens=TOKENS, **values):
    return evaluation.scored(report, tokens, **{**LORA, **values})


@pytest.mark.parametrize("name", REPORTS)
def test_every_target_is_scored_once(name):
    trace = scored(REPORTS[name])
    assert (trace.visits == 1).all()
    assert trace.tokens == 256


def test_the_first_chunk_is_the_models_own_and_later_ones_adapt():
    adapted, apart = scored(ttt_lora), evaluation.scored(doc_isolated, TOKENS)
    for start in range(0, 255, 51):
        assert torch.allclose(adapted.nats[start : start + 8], apart.nats[start : start + 8], atol=1e-12)
    assert not torch.allclose(adapted.nats[8:32], apart.nats[8:32], atol=1e-6)


def test_without_a_learning_rate_adapters_change_nothing():
    still = scored(ttt_lora, lora_lr=0.0, eval_seq_len=64)
    apart = evaluation.scored(doc_isolated, TOKENS, eval_seq_len=64)
    assert torch.allclose(still.nats, apart.nats, atol=1e-12)


def test_adapters_learn_what_a_document_repeats():
    tokens = TOKENS.copy()
    for start in range(0, 255, 51):
        tokens[start + 1 : start + 51] = 3 + start // 51
    adapted, apart = scored(ttt_lora, tokens), evaluation.scored(doc_isolated, tokens)
    assert adapted.loss < apart.loss - 0.1


def test_documents_do_not_influence_each_other_whatever_their_order():
    base = scored(ttt_lora)
    other = TOKENS.copy()
    other[52:102] = evaluation.tokens_of(51, seed=11)[1:]
    changed = scored(ttt_lora, other)
    same = torch.ones(256, dtype=torch.bool)
    same[51:102] = False
    assert torch.equal(base.nats[same], changed.nats[same])
    for batch in (1, 3, 5):
        assert torch.allclose(scored(ttt_lora, lora_batch_docs=batch).nats, base.nats, atol=1e-9)


def test_warm_adapters_keep_a_from_the_documents_before_in_their_row():
    cold, warm = scored(ttt_lora, lora_batch_docs=1), scored(ttt_lora, lora_batch_docs=1, lora_warm_a=True)
    h = evaluation.knobs(**{**evaluation.SMALL, **LORA, "lora_batch_docs": 1})
    queue = document_queue(h, evaluation.stream_of(TOKENS))
    for number, start in enumerate(int(starts) for starts, lengths in queue if lengths > 8):
        document = slice(start, start + 50)
        assert torch.equal(cold.nats[document], warm.nats[document]) == (number == 0)
        assert torch.allclose(cold.nats[start : start + 8], warm.nats[start : start + 8], atol=1e-12)  # B starts at 0
    assert (
        warm.loss != scored(ttt_lora, lora_batch_docs=2, lora_warm_a=True).loss
    )  # so the order of the documents matters


@pytest.mark.slow
def test_ttt_lora_sees_no_future_and_sums_to_one():
    assert evaluation.future_dependence(ttt_lora, TOKENS, (40, 90, 200), **LORA) < 1e-9
    sums = evaluation.kraft_sums(ttt_lora, TOKENS, (3, 20, 45, 60, 100, 140, 250), **LORA)
    assert abs(sums - 1).max() < 1e-9


def test_ttt_phased_depends_only_on_what_was_scored_before():
    base = scored(ttt_phased)
    other = TOKENS.copy()
    other[205:255] = evaluation.tokens_of(51, seed=11)[1:]
    changed = scored(ttt_phased, other)
    touched = torch.zeros(256, dtype=torch.bool)
    touched[204:255] = True
    first = int(base.order[touched].min())
    before = base.order < first
    assert before.any()
    assert torch.equal(base.nats[before], changed.nats[before])


def test_phases_train_the_weights_on_the_scored_documents_and_change_the_rest():
    base, phased = scored(ttt_lora), scored(ttt_phased)
    queue = document_queue(evaluation.knobs(**{**evaluation.SMALL, **LORA}), evaluation.stream_of(TOKENS))
    for number, (starts, lengths) in enumerate(queue):
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            same = torch.equal(base.nats[start : start + length], phased.nats[start : start + length])
            assert same == (number == 0)
    assert scored(ttt_phased, phased_docs=4, phased_phases=2).loss != phased.loss


def test_the_queue_is_cut_from_the_shortest_documents_and_runs_from_the_longest():
    h = evaluation.knobs(**{**evaluation.SMALL, **LORA})
    tokens = evaluation.tokens_of(257)
    tokens[[20, 50, 90, 140]] = 1  # 20, 30, 40, 50 and 116 targets
    queue = document_queue(h, evaluation.stream_of(tokens))
    lengths = [length.tolist() for _, length in queue]
    assert lengths == [[116], [40, 50], [20, 30]]


def test_short_documents_have_shorter_chunks():
    """The chunk is that of the longest document of a batch, its BOS counted; each chunk after the first is of adapted weights."""
    h = evaluation.knobs(**{**evaluation.SMALL, **LORA, "lora_chunk_limits": (100, 40), "lora_short_chunks": (6, 3)})
    assert [short_chunk(h, tokens) for tokens in (2, 40, 41, 100, 101)] == [3, 3, 6, 6, 8]
    base = scored(ttt_lora)
    short = scored(ttt_lora, lora_chunk_limits=(52,), lora_short_chunks=(4,))
    assert torch.equal(base.nats[:4], short.nats[:4])
    assert not torch.equal(base.nats[4:8], short.nats[4:8])
    assert torch.equal(scored(ttt_lora, lora_chunk_limits=(5,), lora_short_chunks=(4,)).nats[:51], base.nats[:51])
    with pytest.raises(AssertionError, match="go together"):
        scored(ttt_lora, lora_chunk_limits=(52,))


def test_windows_from_the_end_change_a_last_chunk_that_is_not_whole_and_nothing_else():
    base, reaching = scored(ttt_lora), scored(ttt_lora, lora_windows_from_end=True)
    changed = torch.nonzero(base.nats != reaching.nats).flatten().tolist()
    # documents of 51 predictions: the chunk from 48 on sees the 32 tokens before its end, two more than whole chunks show
    assert changed
    assert {place % 51 for place in changed} <= {48, 49, 50}
    assert (reaching.visits == 1).all()


@pytest.mark.parametrize("block", ["Block", "parallel_residual.parallel_block"])
def test_every_matrix_of_the_model_can_be_adapted(block):
    sizes = {"vocab_size": 16, "model_dim": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "parallel_from": 1}
    h = evaluation.knobs(
        **{**evaluation.SMALL, **LORA, **sizes, "block": block, "lora_targets": ("q", "k", "v", "o", "mlp", "head")}
    )
    model, shapes = GPT(h), Shapes()
    initialize(h, model, 1)
    ids = torch.randint(0, 16, (2, 12), generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(ids, lora=shapes), model(ids))
    assert set(shapes.found) == {(n, layer) for n in ("q", "k", "v", "o", "mlp") for layer in (0, 1)} | {("head", -1)}
    assert shapes.found["k", 0] == (32, 16)
    adapters = Adapters(h, evaluation.OneProcess(), model)
    assert torch.equal(model(ids, lora=adapters), model(ids))
    for _, b in adapters.pairs.values():
        b.data.normal_(generator=torch.Generator().manual_seed(b.size(1)))
    moved = model(ids, lora=adapters)
    moved.sum().backward()
    assert not torch.equal(moved, model(ids))
    for key, (a, b) in adapters.pairs.items():
        assert a.grad is not None, key
        assert b.grad is not None, key


def test_an_adapter_is_scaled_by_alpha_over_rank():
    h = evaluation.knobs(**{**evaluation.SMALL, **LORA, "lora_alpha": 6.0})
    adapters = Adapters(h, evaluation.OneProcess(), evaluation.StubGPT())
    a, b = adapters.pairs["mlp", 1]
    b.data.fill_(0.5)
    u = torch.ones(2, 3, 8, dtype=torch.float64)
    assert torch.allclose(adapters("mlp", 1, u, u), 3.0 * (u @ a.mT.double()) @ b.mT.double())
    assert float(a.detach().abs().max()) <= 1 / math.sqrt(8)
    assert adapters("q", 0, u, u) == 0.0
