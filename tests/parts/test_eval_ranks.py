"""Two processes score what one does."""

import evaluation
import pytest
import torch

from golf.parts.evaluate import plain
from golf.parts.techniques.doc_isolated import doc_isolated
from golf.parts.techniques.ngram_kneser_ney import ngram_kneser_ney
from golf.parts.techniques.ngram_tilt import ngram_tilt
from golf.parts.techniques.sliding import sliding
from golf.parts.techniques.ttt_lora import ttt_lora
from golf.parts.techniques.ttt_phased import ttt_phased
from golf.parts.techniques.ttt_sgd import ttt_sgd

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
}
TOKENS = evaluation.tokens_of(257, bos_every=51)


def score_all(env):
    """{report: (nats, visits, order, loss, bytes)} of every evaluator in one environment."""
    found = {}
    for name, report in REPORTS.items():
        reader = {"reader": "ttt_sgd.ttt_window"} if name.startswith("ttt+") else {}
        h = evaluation.knobs(**evaluation.SMALL, **evaluation.LORA, **reader)
        trace = report(h, env, evaluation.StubGPT(), evaluation.stream_of(TOKENS), keep=True)
        found[name] = (trace.nats, trace.visits, trace.order, trace.loss, trace.bytes)
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return score_all(evaluation.OneProcess()), evaluation.run_ranks(score_all, 2, tmp_path_factory.mktemp("ranks"))


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
