"""The lawful n-gram evaluators: exact counts, distributions that sum to one, no future, each target once."""

from collections import Counter, defaultdict

import evaluation
import numpy as np
import pytest
import torch

from golf.parts.grams import empty_context, grams
from golf.parts.techniques.ngram_kneser_ney import kneser_ney, ngram_kneser_ney
from golf.parts.techniques.ngram_tilt import hints, ngram_tilt
from golf.parts.techniques.sliding import sliding
from golf.parts.techniques.ttt_sgd import ttt_sgd

LEARNING = {"reader": "ttt_sgd.ttt_window", "ttt_chunk_tokens": 64, "ttt_lr": 0.1}
LEGAL = {
    "ngram_kneser_ney": ngram_kneser_ney,
    "ngram_tilt": ngram_tilt,
    "ttt+kneser_ney": ngram_kneser_ney,
    "ttt+tilt": ngram_tilt,
}
TILT = {"tilt_contexts": (4, 3, 2), "tilt_shares": (0.5, 0.5, 0.6), "tilt_counts": (2, 2, 3)}
COUNTS = {"kn_context": 3, "kn_chunk_tokens": 50}
SETTINGS = {
    "ngram_kneser_ney": COUNTS,
    "ngram_tilt": TILT,
    "ttt+kneser_ney": COUNTS | LEARNING,
    "ttt+tilt": TILT | LEARNING,
}
PAD = -1


def reference(tokens, vocab_size, contexts, discount):
    """Per target the full distribution of the definition, from sets of grams: continuation counts for all but the longest."""
    rows, grams_seen = [], [Counter() for _ in range(contexts + 2)]
    padded = [PAD] * (contexts + 1) + list(map(int, tokens))
    for position in range(contexts + 1, len(padded)):
        chance = np.full(vocab_size, 1 / vocab_size)
        for order in range(contexts + 1):
            context = tuple(padded[position - order : position])
            counts = np.zeros(vocab_size)
            if order == contexts:
                for gram, count in grams_seen[order + 1].items():
                    if gram[:-1] == context:
                        counts[gram[-1]] += count
            else:
                for gram in grams_seen[order + 2]:
                    if gram[1:-1] == context:
                        counts[gram[-1]] += 1
            if counts.sum():
                left = discount * (counts > 0).sum() / counts.sum()
                chance = np.maximum(counts - discount, 0) / counts.sum() + left * chance
        rows.append(chance)
        for order in range(contexts + 1):
            grams_seen[order + 1][tuple(padded[position - order : position + 1])] += 1
    return np.array(rows)


@pytest.fixture(scope="module")
def thousand():
    """1,201 tokens over a vocabulary of 12, and the distribution of the definition before each."""
    tokens = np.minimum(evaluation.tokens_of(1201, vocab_size=12), 11)
    return tokens, reference(tokens, 12, contexts=2, discount=0.9)


def test_kneser_ney_equals_the_definition_at_a_thousand_positions(thousand):
    tokens, rows = thousand
    h = evaluation.knobs(vocab_size=12, kn_context=2, kn_discount=0.9)
    chance, _ = kneser_ney(h, torch.as_tensor(tokens))
    wanted = rows[np.arange(1, 1201), tokens[1:]]
    assert np.abs(chance.numpy() - wanted).max() < 1e-14


def test_kneser_ney_sums_to_one_at_a_thousand_positions(thousand):
    _, rows = thousand
    assert len(rows) > 1000
    assert np.abs(rows.sum(axis=1) - 1).max() < 1e-13
    assert rows.min() > 0


def test_counts_before_every_position_equal_a_running_table():
    tokens = torch.as_tensor(evaluation.tokens_of(400))
    context = empty_context(tokens)
    for order in range(4):
        gram = grams(context, tokens, 16)
        table, followers, wanted = Counter(), Counter(), []
        for g in range(400):
            key = (PAD,) * max(order - g, 0) + tuple(tokens[max(g - order, 0) : g].tolist())
            wanted.append((followers[key], table[(*key, int(tokens[g]))]))
            followers[key] += 1
            table[(*key, int(tokens[g]))] += 1
        ones = torch.ones_like(tokens)
        assert context.before(ones).tolist() == [seen for seen, _ in wanted]
        assert gram.before(ones).tolist() == [count for _, count in wanted]
        context = gram.next()


def running_hints(tokens, contexts, shares, counts, beta):
    """Hints from tables that are filled token by token, looked up before the token is counted."""
    tables, found = [defaultdict(Counter) for _ in contexts], []
    for g in range(len(tokens)):
        hint = (0, 0.0)
        for table, length, share, least in zip(tables, contexts, shares, counts, strict=True):
            followed = table.get(tuple(tokens[g - length : g])) if g >= length else None
            if followed:
                token, best = max(followed.items(), key=lambda item: item[1])
                seen = sum(followed.values())
                if seen >= least and best / seen >= share:
                    hint = (int(token), beta * best / seen)
                    break
        found.append(hint)
        for table, length in zip(tables, contexts, strict=True):
            if g >= length:
                followed = table[tuple(tokens[g - length : g])]
                token = tokens[g]
                followed[token] += 1
    return found[1:]


def test_hints_equal_running_tables():
    tokens = evaluation.tokens_of(600, vocab_size=6)
    tokens = np.minimum(tokens, 5)
    h = evaluation.knobs(vocab_size=6, tilt_contexts=(5, 3, 2), tilt_shares=(0.5, 0.5, 0.6), tilt_counts=(2, 2, 3))
    hint, beta = hints(h, torch.as_tensor(tokens))
    wanted = running_hints(list(tokens), (5, 3, 2), (0.5, 0.5, 0.6), (2, 2, 3), 2.0)
    assert np.allclose(beta.numpy(), [b for _, b in wanted], atol=1e-15)
    assert sum(b > 0 for _, b in wanted) > 100
    clear = [i for i, (_, b) in enumerate(wanted) if b > 1.01]  # more than half: no ties
    assert [int(hint[i]) for i in clear] == [wanted[i][0] for i in clear]


@pytest.mark.slow
@pytest.mark.parametrize("name", LEGAL)
def test_a_lawful_mixture_sums_to_one_and_sees_no_future(name):
    tokens, values = evaluation.tokens_of(257), SETTINGS[name]
    assert evaluation.future_dependence(LEGAL[name], tokens, (60, 129, 200), **values) < 1e-12
    sums = evaluation.kraft_sums(LEGAL[name], tokens, (2, 33, 64, 101, 150, 180, 200, 220, 240, 256), **values)
    assert abs(sums - 1).max() < 1e-12


@pytest.mark.parametrize("name", LEGAL)
def test_a_lawful_mixture_scores_each_target_once_and_differs_from_sliding(name):
    tokens = evaluation.tokens_of(257)
    trace = evaluation.scored(LEGAL[name], tokens, **SETTINGS[name])
    assert (trace.visits == 1).all()
    plain = evaluation.scored(sliding, tokens)
    assert trace.tokens == plain.tokens
    assert not torch.allclose(trace.nats, plain.nats)


def test_the_share_of_the_n_grams_learns_from_earlier_chunks_only():
    """A text that only repeats: the n-grams win later chunks, and the first chunk is scored with the starting share."""
    tokens = np.resize(np.arange(2, 16), 257)
    tokens[0] = 1
    trace = evaluation.scored(ngram_kneser_ney, tokens, kn_context=2, kn_chunk_tokens=64)
    plain = evaluation.scored(sliding, tokens)
    gain = (plain.nats - trace.nats).reshape(4, 64).mean(1)
    assert gain[3] > gain[1] > 0


def test_one_chunk_and_no_start_is_the_model_alone():
    tokens = evaluation.tokens_of(257)
    trace = evaluation.scored(ngram_kneser_ney, tokens, kn_start=0.0, kn_chunk_tokens=10_000)
    assert torch.allclose(trace.nats, evaluation.scored(sliding, tokens).nats, atol=1e-6)


class Running:
    """Interpolated Kneser–Ney from tables that are filled token by token: full distributions, fast enough for real text."""

    def __init__(self, vocab_size, contexts, discount):
        self.vocab_size, self.contexts, self.discount = vocab_size, contexts, discount
        self.followed = [defaultdict(Counter) for _ in range(contexts + 1)]
        self.seen = [set() for _ in range(contexts + 1)]
        self.past = [PAD] * (contexts + 1)

    def distribution(self):
        chance = np.full(self.vocab_size, 1 / self.vocab_size)
        for order, table in enumerate(self.followed):
            counts = table.get(tuple(self.past[len(self.past) - order :]))
            if counts:
                seen = sum(counts.values())
                chance = chance * (self.discount * len(counts) / seen)
                chance[list(counts)] += (np.array(list(counts.values())) - self.discount) / seen
        return chance

    def add(self, token):
        new = True
        for order in range(self.contexts, -1, -1):
            context = tuple(self.past[len(self.past) - order :])
            if new:  # after the shorter contexts a token counts once per word before them
                self.followed[order][context][token] += 1
            new = (context, token) not in self.seen[order]
            self.seen[order].add((context, token))
        self.past = [*self.past[1:], token]


def test_on_real_text_kneser_ney_equals_running_tables_and_sums_to_one(shared):
    tokens = evaluation.official_stream(shared, tokens=20_001).tokens
    h = evaluation.knobs(vocab_size=1024, kn_context=5, kn_discount=0.9)
    chance, _ = kneser_ney(h, tokens)
    tables, worst_sum, worst = Running(1024, 5, 0.9), 0.0, 0.0
    for position, token in enumerate(tokens.tolist()):
        if position > 18_800:
            row = tables.distribution()
            worst_sum = max(worst_sum, abs(row.sum() - 1))
            worst = max(worst, abs(row[token] / float(chance[position - 1]) - 1))
        tables.add(token)
    assert worst_sum < 1e-12
    assert worst < 1e-12


@pytest.mark.parametrize("name", LEGAL)
def test_a_lawful_mixture_is_not_read_as_a_family_that_the_rules_exclude(name):
    from golf.logs.backing import stage_of

    trace = evaluation.scored(LEGAL[name], evaluation.tokens_of(65), **SETTINGS[name])
    stage = "ttt" if name.startswith("ttt") else "sliding"
    assert stage_of(trace.name) == stage_of(trace.label) == stage


def test_mixed_into_test_time_training_without_n_grams_it_is_test_time_training_alone():
    tokens = evaluation.tokens_of(257)
    trace = evaluation.scored(ngram_kneser_ney, tokens, kn_start=0.0, **LEARNING | {"kn_chunk_tokens": 10_000})
    alone = evaluation.scored(ttt_sgd, tokens, **LEARNING)
    assert torch.allclose(trace.nats, alone.nats, atol=1e-6)
    assert not torch.allclose(alone.nats, evaluation.scored(sliding, tokens).nats, atol=1e-3)
