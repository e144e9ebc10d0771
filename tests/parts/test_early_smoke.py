"""The early and middle rows whole on real text: a tiny twin trained, packed and scored from its bytes alone by the composed script.

On the beginning of FineWeb's validation split and on the embedded corpus. One row goes a few steps; GOLF_EVERY_RECIPE=1 takes all rows
on both, and asks of each to be below the unigram entropy.
"""

import itertools

import pytest
from smoke_rows import CORPORA, sources_of, trained_and_scored_alone
from worlds import ALL_CASES

ROWS = (
    "lower_lr", "pr42", "pr39", "pr49", "pr52", "pr50", "pr77", "pr60", "pr65a", "pr65b", "pr63", "pr61", "pr86", "pr162", "pr180", "pr265",
    "pr287", "pr315", "pr640", "pr1060", "pr1120", "pr1204", "pr1218", "pr1285", "pr1334", "pr641", "pr1388", "pr542", "pr2058", "pr73",
)  # fmt: skip
# QAT, tables, smear, orthogonal start: the others wait for GOLF_EVERY_RECIPE=1
CASES = tuple(itertools.product(ROWS, CORPORA)) if ALL_CASES else (("pr65b", "fineweb"),)


@pytest.fixture(scope="module")
def sources(shared, tmp_path_factory):
    return sources_of(shared, tmp_path_factory.mktemp("caseops"))


@pytest.mark.parametrize(("name", "corpus"), CASES, ids=map("-".join, CASES))
def test_a_row_learns_from_real_text_and_scores_from_its_bytes_alone(tmp_path, monkeypatch, sources, name, corpus):
    found = trained_and_scored_alone(tmp_path, monkeypatch, sources, name, corpus)
    assert 2 < found["val_bpb"] < 7  # between a trained model and a uniform one
    if ALL_CASES:
        assert max(found["losses"]) < found["entropy"]
