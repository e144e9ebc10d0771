"""The late rows whole on real text: a tiny twin trained until it knows more than token frequencies, packed, and scored again alone.

On the beginning of FineWeb's validation split and on the embedded corpus; rows that count bytes by a side-car on the same text after
CaseOps. One row goes a few steps; GOLF_EVERY_RECIPE=1 takes all rows on both, and asks of each to be below the unigram entropy.
"""

import itertools

import pytest
from smoke_rows import CORPORA, sources_of, trained_and_scored_alone
from worlds import ALL_CASES

ROWS = (
    "pr1412", "pr1413", "pr1477", "pr1514", "pr1529", "pr1530", "pr1610", "pr1626", "pr1667", "pr1729", "pr1736", "pr1769", "pr1787",
    "pr1851", "pr1868", "pr1855", "pr1945", "pr1953", "pr2014", "pr2130", "pr2135",
)  # fmt: skip
CASES = tuple(itertools.product(ROWS, CORPORA)) if ALL_CASES else (("pr2014", "fineweb"),)


@pytest.fixture(scope="module")
def sources(shared, tmp_path_factory):
    return sources_of(shared, tmp_path_factory.mktemp("caseops"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "corpus"), CASES, ids=map("-".join, CASES))
def test_a_row_learns_from_real_text_and_scores_from_its_bytes_alone(tmp_path, monkeypatch, sources, name, corpus):
    found = trained_and_scored_alone(tmp_path, monkeypatch, sources, name, corpus)
    assert found["model_bytes"] < found["float_bytes"] / 3
    if ALL_CASES:
        assert max(found["losses"]) < found["entropy"]
