"""Two processes score what one does, and the late rows' loader and reduction give both the gradients of one."""

from functools import partial

import evaluation
import numpy as np
import pytest
import torch
from worlds import tiny

from golf.data.shards import write_shard
from golf.parts.evaluate import plain
from golf.parts.model import GPT
from golf.parts.schedule import Clock
from golf.parts.techniques.doc_isolated import doc_isolated
from golf.parts.techniques.ngram_kneser_ney import ngram_kneser_ney
from golf.parts.techniques.ngram_tilt import ngram_tilt
from golf.parts.techniques.sliding import sliding
from golf.parts.techniques.ttt_lora import ttt_lora
from golf.parts.techniques.ttt_phased import ttt_phased
from golf.parts.techniques.ttt_sgd import ttt_sgd
from golf.parts.train import take_step
from golf.recipe import changed
from golf.recipe.namespace import namespace

REPORTS = {
    "plain": plain,
    "sliding": sliding,
    "doc_isolated": doc_isolated,
    "ttt_sgd": ttt_sgd,
    "ttt_lora": ttt_lora,
    "ttt_phased": ttt_phased,
    "ngram_kneser_ney": ngram_kneser_ney,
    "ngram_tilt": ngram_tilt,
    "ttt+kneser_ney": ngram_kneser_ney,
    "ttt_phased+tilt": ttt_phased,
    "ttt_phased+three": ttt_phased,
}
MORE = {
    "ttt+kneser_ney": {"reader": "ttt_sgd.ttt_window"},
    "ttt_phased+tilt": {"tilt": "token_tilt.TokenTilt", "tilt_order": 3, "tilt_share": 0.5},
    "ttt_phased+three": {"phased_docs": 4, "phased_phases": 2, "lora_batch_docs": 1},
}
LATE = ("pr1530", "pr2135")
TOKENS = evaluation.tokens_of(257, bos_every=51)


def score_all(env):
    """{report: (nats, visits, order, loss, bytes)} of every evaluator in one environment."""
    found = {}
    for name, report in REPORTS.items():
        h = evaluation.knobs(**{**evaluation.SMALL, **evaluation.LORA, **MORE.get(name, {})})
        trace = report(h, env, evaluation.StubGPT(), evaluation.stream_of(TOKENS), keep=True)
        found[name] = (trace.nats, trace.visits, trace.order, trace.loss, trace.bytes)
    return found


class Remembering:
    """In place of an optimizer: keeps the gradients that a step would take."""

    def __init__(self, model):
        self.model, self.gradients, self.param_groups = model, {}, []

    def step(self):
        self.gradients = {n: p.grad.clone() for n, p in self.model.named_parameters() if p.grad is not None}

    def zero_grad(self, set_to_none):
        self.model.zero_grad(set_to_none)


def late_gradients(env, data):
    """{recipe: the gradients of one step}, in double precision; unclipped, since each rank clips its own."""
    env.data_path, env.grad_accum_steps, env.iterations = data, 8 // env.world_size, 3
    found = {}
    for name in LATE:
        h = namespace(changed(tiny(name), {"grad_clip_norm": 0.0, "train_batch_tokens": 512, "model_dim": 16}))
        torch.manual_seed(0)
        model = GPT(h).double()
        with torch.no_grad():
            for param in model.parameters():
                param.copy_(torch.randn(param.shape, dtype=torch.float64) / 8)
        remembering = Remembering(model)
        take_step(h, env, model, h.loader(h, env), [remembering], Clock(env, 0.0))
        found[name] = remembering.gradients
    return found


def everything(env, data):
    return score_all(env), late_gradients(env, data)


@pytest.fixture(scope="module")
def worlds_of(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(5)
    tokens = rng.integers(2, 300, 4000).astype(np.uint16)
    tokens[::37] = 1
    write_shard(data / "fineweb_train_000000.bin", tokens)
    work = partial(everything, data=str(data))
    return work(evaluation.OneProcess()), evaluation.run_ranks(work, 2, tmp_path_factory.mktemp("ranks"))


@pytest.fixture(scope="module")
def both(worlds_of):
    alone, ranks = worlds_of
    return alone[0], [rank[0] for rank in ranks]


@pytest.mark.slow
@pytest.mark.parametrize("name", LATE)
def test_two_processes_learn_from_the_same_packed_documents_as_one(worlds_of, name):
    (_, alone), ((_, first), (_, second)) = worlds_of
    assert set(first[name]) == set(alone[name]) and len(alone[name]) > 100
    for parameter, gradient in alone[name].items():
        assert torch.equal(first[name][parameter], second[name][parameter]), parameter
        assert (first[name][parameter] - gradient).abs().max() <= 1e-12 * (1 + gradient.abs().max()), parameter


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTS)
def test_two_processes_score_what_one_does(both, name):
    alone, (first, second) = both
    nats, visits, _, loss, count = alone[name]
    assert torch.equal(first[name][0], second[name][0])
    assert (first[name][0] - nats).abs().max() < 1e-10
    assert torch.equal(first[name][1], visits)
    assert abs(first[name][3] - loss) < 1e-12
    assert first[name][4] == second[name][4] == count
    assert (first[name][2] >= 0).equal(visits > 0)
