"""Score-first test-time training: chunks, order of scoring and learning, equality with the public script and between ranks."""

import json
import math

import evaluation
import numpy as np
import pytest
import torch

from golf.parts.techniques import ttt_sgd as module
from golf.parts.techniques.sliding import full_windows, sliding
from golf.parts.techniques.ttt_sgd import ttt_sgd


def chunks_of(total, length=2048, stride=64, chunk_tokens=32_768):
    """Per chunk the targets that it scores, as (first, last + 1)."""
    h = evaluation.knobs(eval_seq_len=length, eval_stride=stride)
    starts, first = full_windows(h, total)
    chunk = ((starts + first) // chunk_tokens).clamp(max=math.ceil(total / chunk_tokens) - 1)
    spans = []
    for number in range(math.ceil(total / chunk_tokens)):
        of = chunk == number
        spans.append((int((starts + first)[of].min()), int((starts[of] + length).max().clamp(max=total))))
    return spans


def test_a_chunk_scores_exactly_its_own_targets():
    spans = chunks_of(5 * 32_768 + 4096)
    assert spans == [(c * 32_768, min((c + 1) * 32_768, 5 * 32_768 + 4096)) for c in range(6)]


def test_chunk_counts_of_published_logs():
    assert math.ceil(62_021_632 / 32_768) == 1_893
    assert math.ceil(40_540_160 / 32_768) == 1_238


def test_learning_reads_no_token_after_the_last_scored_target(monkeypatch):
    tokens = evaluation.tokens_of(257)
    read, scored = [], []
    learn, add = module.learn_chunk, module.Trace.add

    def watched_learn(h, env, model, tokens, params, optimizer, chunk, chunks):
        read.append((chunk * h.ttt_chunk_tokens + 1, (chunk + 1) * h.ttt_chunk_tokens))
        return learn(h, env, model, tokens, params, optimizer, chunk, chunks)

    def watched_add(trace, nats, at):
        scored.append((len(read), int(at.min()) + 1, int(at.max()) + 1))
        return add(trace, nats, at)

    monkeypatch.setattr(module, "learn_chunk", watched_learn)
    monkeypatch.setattr(module.Trace, "add", watched_add)
    evaluation.scored(ttt_sgd, tokens)
    assert read == [(1, 64), (65, 128), (129, 192)]  # the last chunk of 4 is scored and not trained on
    for updates, first, last in scored:
        assert last <= 64 * (updates + 1)
        assert all(learned_last < first for _, learned_last in read[:updates])


def test_ttt_sees_no_future_sums_to_one_and_really_adapts():
    tokens = evaluation.tokens_of(257)
    assert evaluation.future_dependence(ttt_sgd, tokens, (40, 70, 129, 200)) < 1e-12
    sums = evaluation.kraft_sums(ttt_sgd, tokens, (20, 64, 65, 100, 129, 256))
    assert abs(sums - 1).max() < 1e-12
    other = tokens.copy()
    other[30] = 2 if tokens[30] != 2 else 3
    base, changed = (evaluation.scored(ttt_sgd, t).nats for t in (tokens, other))
    assert torch.equal(base[:29], changed[:29])
    assert (base[64:] != changed[64:]).all()


def test_ttt_scores_each_target_once_in_order():
    trace = evaluation.scored(ttt_sgd, evaluation.tokens_of(257))
    assert (trace.visits == 1).all()
    assert (trace.order.diff() >= 0).all()


def test_without_epochs_ttt_is_sliding():
    tokens = evaluation.tokens_of(257)
    assert torch.equal(evaluation.scored(ttt_sgd, tokens, ttt_epochs=0).nats, evaluation.scored(sliding, tokens).nats)


def test_learning_rate_falls_as_a_cosine_over_the_chunks(monkeypatch):
    rates = []
    learn = module.learn_chunk
    monkeypatch.setattr(module, "learn_chunk", lambda *a: (learn(*a), rates.append(a[5].param_groups[0]["lr"])))
    evaluation.scored(ttt_sgd, evaluation.tokens_of(257), ttt_lr=0.8)
    assert np.allclose(rates, [0.8 * 0.5 * (1 + math.cos(math.pi * c / 3)) for c in range(3)])


def test_frozen_blocks_stay_and_are_freed_afterwards():
    model = evaluation.StubGPT()
    before = [block.weight.detach().clone() for block in model.blocks]
    evaluation.scored(ttt_sgd, evaluation.tokens_of(257), model=model, ttt_freeze_blocks=1)
    assert torch.equal(model.blocks[0].weight, before[0])
    assert not torch.equal(model.blocks[1].weight, before[1])
    assert all(param.requires_grad and param.grad is None for param in model.parameters())


@pytest.mark.slow
def test_ttt_equals_the_public_script_and_leaves_its_weights(shared):
    told = json.loads((shared / "golden/eval_pr1809.json").read_text())["results"]["ttt"]
    h, model = evaluation.golden_model(
        shared, "eval_pr1809", "pr1809", eval_stride=32, ttt_chunk_tokens=2048, ttt_lr=0.005, ttt_batch_seqs=32,
        windows="full_windows",
    )  # fmt: skip
    trace = ttt_sgd(h, evaluation.OneProcess(), model, evaluation.official_stream(shared, tokens=20_481))
    assert abs(trace.loss / told["val_loss"] - 1) < 1e-7
    assert abs(trace.bpb / told["val_bpb"] - 1) < 1e-7
    from public_weights import from_public

    with np.load(shared / "golden/eval_pr1809.npz") as arrays:
        after = {key[10:]: torch.from_numpy(arrays[key]) for key in arrays.files if key.startswith("after_ttt/")}
    ours = dict(model.named_parameters())
    for name, weight in from_public(after).items():
        assert (ours[name].detach() - weight).abs().max() <= 1e-6 * max(float(weight.abs().max()), 1.0), name
