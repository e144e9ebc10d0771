"""The evaluators of a composed file are the library's, to the bit."""

import evaluation
import pytest
import torch

from golf.compose import compose
from golf.recipe import changed, load_recipe

REPORTS = {
    "plain": "evaluate.plain",
    "sliding": "sliding.sliding",
    "doc_isolated": "doc_isolated.doc_isolated",
    "ttt_sgd": "ttt_sgd.ttt_sgd",
    "ttt_lora": "ttt_lora.ttt_lora",
    "ttt_phased": "ttt_phased.ttt_phased",
    "ngram_kneser_ney": "ngram_kneser_ney.ngram_kneser_ney",
    "ngram_tilt": "ngram_tilt.ngram_tilt",
    "ngram_hash_740": "ngram_hash_740.ngram_hash_740",
    "ngram_backoff_740": "ngram_backoff_740.ngram_backoff_740",
}
VALUES = {
    **evaluation.SMALL,
    **evaluation.LORA,
    "tilt_contexts": (4, 3, 2),
    "tilt_shares": (0.5, 0.5, 0.6),
    "tilt_counts": (2, 2, 3),
}


@pytest.fixture(scope="module")
def generated():
    recipe = changed(load_recipe("baseline"), {**VALUES, "reports": tuple(REPORTS.values())})
    text, names = compose(recipe), {"__name__": "generated"}
    exec(compile(text, "train_gpt.py", "exec"), names)
    return names


@pytest.mark.parametrize("name", ["ngram_kneser_ney", "ngram_tilt"])
def test_a_composed_mixture_with_a_learning_model_scores_what_the_librarys_does(name):
    from golf.recipe.namespace import namespace

    tilt = {key: value for key, value in VALUES.items() if key.startswith("tilt_") and name == "ngram_tilt"}
    small = {key: value for key, value in evaluation.SMALL.items() if not key.startswith("ngram_740")}
    values = {**small, **tilt, "reports": (REPORTS[name],), "reader": "ttt_sgd.ttt_window"}
    recipe, tokens, names = (
        changed(load_recipe("baseline"), values),
        evaluation.tokens_of(257),
        {"__name__": "generated"},
    )
    exec(compile(compose(recipe), "train_gpt.py", "exec"), names)
    h = namespace(recipe)
    (report,) = h.reports
    library = report(h, evaluation.OneProcess(), evaluation.StubGPT(), evaluation.stream_of(tokens), keep=True)
    composed = names[name](evaluation.OneProcess(), evaluation.StubGPT(), evaluation.stream_of(tokens), keep=True)
    assert torch.equal(composed.nats, library.nats)
    assert (composed.name, composed.label) == (library.name, library.label)
    assert "ttt" in composed.name


@pytest.mark.parametrize("name", REPORTS)
def test_a_composed_evaluator_scores_what_the_librarys_does(generated, name):
    from golf.recipe.namespace import namespace

    tokens = evaluation.tokens_of(257, bos_every=51)
    h = namespace(changed(load_recipe("baseline"), {**VALUES, "reports": (REPORTS[name],)}))
    (report,) = h.reports
    library = report(h, evaluation.OneProcess(), evaluation.StubGPT(), evaluation.stream_of(tokens), keep=True)
    composed = generated[name](evaluation.OneProcess(), evaluation.StubGPT(), evaluation.stream_of(tokens), keep=True)
    assert torch.equal(composed.nats, library.nats)
    assert torch.equal(composed.order, library.order)
    assert (composed.label, composed.loss, composed.bpb) == (library.label, library.loss, library.bpb)
