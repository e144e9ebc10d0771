"""The token tilt of order 16: its hints against a dictionary that is filled token by token, its scores against the definition."""

import json

import evaluation
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import execute, tiny

from golf.compose import compose
from golf.parts.techniques.token_tilt import KEY_FACTORS, TokenTilt, token_hints
from golf.parts.techniques.ttt_lora import ttt_lora
from golf.parts.techniques.ttt_phased import ttt_phased
from golf.recipe import changed

ORDER_4 = [7, 8, 9, 10, 7, 8, 9, 10, 7, 8, 9, 11, 7, 8, 9, 10, 7, 8, 9]


def slow_hints(targets, order, share):
    """(hint, p) per target by a table of counts, looked up before it learns; hint -1 where p < share."""
    table, found = {}, []
    history = [targets[0]]
    for target in targets:
        hint, p, key = -1, 0.0, None
        if len(history) >= order - 1:
            key = 0
            for token, factor in zip(history[-(order - 1) :], KEY_FACTORS, strict=False):
                key ^= token * factor
            if key in table:
                counts, best = table[key]
                p = float(np.float32(counts[best]) / np.float32(sum(counts.values())))
                hint = best
        found.append((hint, p))
        if key is not None:
            counts, best = table.setdefault(key, ({}, target))
            counts[target] = counts.get(target, 0) + 1
            if counts[target] > counts[best]:
                table[key] = (counts, target)
        history.append(target)
    return [hint if p >= np.float32(share) else -1 for hint, p in found], [p for _, p in found]


def fast_hints(targets, order, share=0.8):
    h = evaluation.knobs(tilt_order=order, tilt_share=share, vocab_size=8192)
    return token_hints(h, torch.tensor([1, *targets])).tolist()


def test_the_given_vectors():
    hints, shares = slow_hints(ORDER_4, 4, 0.8)
    assert [round(p, 4) for p in shares] == [0] * 7 + [1] * 5 + [0] * 3 + [0.6667] + [1] * 3
    assert fast_hints(ORDER_4, 4) == hints == [-1] * 7 + [10, 7, 8, 9, 10] + [-1] * 4 + [7, 8, 9]
    assert fast_hints(ORDER_4, 4, share=0.66)[15] == 10
    long = [*range(100, 118), *range(100, 118), 100]
    found = {i: hint for i, hint in enumerate(fast_hints(long, 16)) if hint >= 0}
    assert found == {33: 115, 34: 116, 35: 117, 36: 100}


def test_the_composed_file_makes_the_same_hints(tmp_path):
    values = {"reports": ("ttt_lora.ttt_lora",), "adapters": True, "tilt": "token_tilt.TokenTilt"}
    module = execute(compose(changed(tiny("baseline"), values)), tmp_path / "train_gpt.py")
    assert module.h.tilt_order == 16 and module.KEY_FACTORS == KEY_FACTORS and len(KEY_FACTORS) == 15
    long = [*range(100, 118), *range(100, 118), 100]
    assert module.token_hints(torch.tensor([1, *long])).tolist() == fast_hints(long, 16)


@settings(max_examples=60)
@given(st.lists(st.integers(3, 6), min_size=1, max_size=60), st.integers(2, 5), st.sampled_from([0.5, 0.6, 0.8, 1.0]))
def test_hints_are_those_of_a_table_filled_token_by_token(targets, order, share):
    assert fast_hints(targets, order, share) == slow_hints(targets, order, share)[0]


def test_contexts_of_one_key_are_one_context():
    a, b = KEY_FACTORS[0], KEY_FACTORS[1]
    first = (0, 0)
    second = next((x, y) for x in range(1, 65536) for y in [x * a // b] if x * a == y * b and y < 65536)
    targets = [5, 5, *first, 9, 5, *second, 9, 5]
    assert slow_hints(targets, 3, 0.8)[0] == fast_hints(targets, 3)
    assert fast_hints(targets, 3)[8] == 9  # what followed the other


def test_the_shared_text_has_the_published_gates_and_hits(shared):
    from golf.data import caseops
    from golf.data.tokenizer import load_tokenizer

    sp = load_tokenizer(shared / f"tokenizers/fineweb_8192_bpe_{caseops.NAME}.model")
    lines = (shared / "text/fineweb_val_docs_prefix902.jsonl").read_text().splitlines()
    encoded = sp.encode([caseops.encode(json.loads(line)["text"]) for line in lines])
    tokens = torch.tensor([token for ids in encoded for token in (1, *ids)])
    hints = token_hints(evaluation.knobs(vocab_size=8192), tokens)
    assert len(hints) == 808_826
    assert (int((hints >= 0).sum()), int((hints == tokens[1:]).sum())) == (5863, 4996)


def test_a_hint_depends_on_what_came_before_and_on_nothing_else():
    tokens = [int(one) for one in evaluation.tokens_of(400, vocab_size=5)]
    whole = fast_hints(tokens, 4, 0.6)
    assert sum(hint >= 0 for hint in whole) > 50
    for cut in (50, 123, 250):
        changed = [*tokens[:cut], *(7 for _ in tokens[cut:])]
        assert fast_hints(changed, 4, 0.6)[: cut + 1] == whole[: cut + 1]  # also of the first changed target
    assert fast_hints(tokens[:3], 16) == [-1] * 3


@pytest.fixture
def tilt():
    h = evaluation.knobs(vocab_size=4, tilt_order=2)
    return TokenTilt(h, evaluation.OneProcess(), evaluation.stream_of([0, 1, 1, 1, 0, 1, 2, 3]))


def test_scores_are_the_definitions_and_sum_to_one(tilt):
    logits = torch.tensor([1.0, 2.0, 0.5, -1.0])
    tilt.hints = torch.tensor([1, -1, 1])
    nats, scores = tilt(logits.expand(3, 4), torch.tensor([1, 1, 0]), torch.arange(3))
    assert nats.tolist() == pytest.approx([0.495182, 0.495182, 1.495182], abs=1e-6)
    assert scores.tolist() == pytest.approx([0.045374, 0.495182, 3.670374], abs=1e-6)
    rng = torch.Generator().manual_seed(0)
    for hint in (-1, 0, 3):
        tilt.hints = torch.full((4,), hint)
        row = 5 * torch.randn(4, generator=rng)
        _, scores = tilt(row.expand(4, 4), torch.arange(4), torch.arange(4))
        assert float(torch.exp(-scores.double()).sum()) == pytest.approx(1, abs=1e-6)


def test_adapters_learn_from_the_nats_without_the_tilt(tilt):
    logits = torch.randn(2, 3, 4, requires_grad=True)
    targets, at = torch.randint(4, (2, 3)), torch.tensor([[0, 1, 2], [3, 4, 5]])
    nats, scores = tilt(logits, targets, at)
    assert nats.shape == scores.shape == (2, 3) and not scores.requires_grad
    (grad,) = torch.autograd.grad(nats.sum(), logits)
    plain = torch.softmax(logits.detach(), -1) - torch.nn.functional.one_hot(targets, 4)
    assert torch.allclose(grad, plain, atol=1e-6)
    gated = tilt.hints[at] >= 0
    assert gated.any() and torch.allclose(scores[~gated], nats[~gated], atol=1e-6)
    assert not torch.allclose(scores[gated], nats[gated])


LORA = {
    "adapters": True, "lora_targets": ("mlp", "head"), "lora_rank": 2, "lora_alpha": 2.0, "lora_lr": 0.05, "lora_wd": 0.0,
    "lora_chunk_tokens": 8, "lora_batch_docs": 2, "phased_docs": 2, "ttt_chunk_tokens": 32, "ttt_batch_seqs": 1,
    "tilt_order": 3, "tilt_share": 0.5,
}  # fmt: skip
TOKENS = evaluation.tokens_of(161, bos_every=40)
TILT = "token_tilt.TokenTilt"


@pytest.mark.parametrize("report", [ttt_lora, ttt_phased])
def test_an_evaluator_with_the_tilt_scores_otherwise_where_there_is_a_hint_and_learns_the_same(report):
    plain = evaluation.scored(report, TOKENS, **LORA)
    tilted = evaluation.scored(report, TOKENS, **LORA, tilt=TILT)
    hints = token_hints(evaluation.knobs(vocab_size=16, tilt_order=3, tilt_share=0.5), torch.as_tensor(TOKENS))
    gated = hints >= 0
    assert gated.sum() > 20 and (tilted.visits == 1).all()
    assert torch.allclose(tilted.nats[~gated], plain.nats[~gated], atol=1e-4)  # fp32 beside fp64
    hit = gated & (hints == torch.as_tensor(TOKENS[1:]))
    assert hit.any() and (tilted.nats[hit] < plain.nats[hit]).all()
    missed = gated & ~hit
    assert missed.any() and (tilted.nats[missed] > plain.nats[missed]).all()
    assert tilted.loss < plain.loss
    assert evaluation.scored(report, TOKENS, **LORA, tilt=TILT, tilt_boost=0.0).loss == pytest.approx(
        plain.loss, abs=1e-4
    )


def test_with_the_tilt_every_targets_probabilities_sum_to_one():
    hints = token_hints(evaluation.knobs(vocab_size=16, tilt_order=3, tilt_share=0.5), torch.as_tensor(TOKENS))
    positions = [int(one) + 1 for one in torch.nonzero(hints >= 0).flatten()[:2]]
    sums = evaluation.kraft_sums(ttt_lora, TOKENS, positions, **LORA, tilt=TILT)
    assert sums == pytest.approx(1, abs=1e-5)
