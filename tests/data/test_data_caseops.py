"""CaseOps: text to marked lower case and back, and the bytes of every token, against given pairs and an independent decoder."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from golf.data import caseops
from golf.data.accounting import decode_bytes
from golf.data.tokenizer import load_tokenizer

T, A, C, X = caseops.MARKERS
TOKENIZER = f"tokenizers/fineweb_8192_bpe_{caseops.NAME}.model"
UNUSUAL = [
    "McDonald's iPhone, eBay & NASA's USA-wide O'NEIL",
    "ÉCOLE École naïVE ZOË straße STRASSE",  # letters beyond ASCII are copied, and end a run
    "ＡＢＣ ａBc ①Ⅷ ﬁNE",  # folded by the tokenizer, not by CaseOps
    "日本語ABC日本Abc\u0301D",
    "👩\u200d👩\u200d👧 FAMILY\ufeff\u200bZero",
    "a\x00B\x01C\x7f\u2028D",
    "x86_64 USB3.0 A1B2c3 0xDEADbeef",
    " Two  Blanks\t\nNEW\r\nLine ",
    T + A + C + X,
    f"a{T}b {A}B{C} {X}{X}Z",
    "I",
    "II Ii iI iIi IIi",
    "\U0010ffff\ue000\ue005A",
    "İstanbul ıI ſS K",  # characters whose lower or upper case is ASCII
]


def decoded_slowly(text: str) -> str | None:
    """The decoder as a machine that reads one character at a time, from its description; None for an error."""
    found, mode, allcaps, capnext, inside, escape = [], "", False, False, False, False
    for one in text:
        letter = one.isascii() and one.isalpha()
        if escape:
            if mode:
                return None
            found.append(one)
            escape = False
            if not letter:
                inside = allcaps = False
        elif one == X:
            escape = True
        elif one in (T, A):
            if mode or inside or capnext:
                return None
            mode = one
        elif one == C:
            if capnext:
                return None
            capnext = True
        elif letter:
            capital = capnext or (bool(mode) if not inside else allcaps)
            if not inside:
                allcaps, mode, inside = mode == A, "", True
            capnext = False
            found.append(one.upper() if capital else one)
        else:
            if mode or capnext:
                return None
            inside = allcaps = False
            found.append(one)
    return None if mode or capnext or escape else "".join(found)


def decoded(text: str) -> str | None:
    try:
        return caseops.decode(text)
    except caseops.NotCaseOps:
        return None


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict:
    return json.loads((shared / "golden" / "caseops.json").read_text())


def test_every_given_pair_and_every_text_to_decode(golden: dict, shared: Path) -> None:
    sp = load_tokenizer(shared / TOKENIZER, 8192)
    assert caseops.is_caseops(sp) and [sp.piece_to_id(one) for one in caseops.MARKERS] == [4, 5, 6, 7]
    assert len(golden["pairs"]) == 53 and len(golden["decode_only"]) == 25
    for pair in golden["pairs"]:
        assert caseops.encode(pair["text"]) == pair["encoded"] and caseops.decode(pair["encoded"]) == pair["text"]
        ids, sizes = caseops.tokenize(sp, pair["encoded"])
        assert (ids, sizes.tolist()) == (pair["ids"], pair["bytes"])
        assert int(sizes.sum()) == pair["bytes_total"]
    for case in golden["decode_only"]:
        assert decoded(case["encoded"]) == case.get("decoded"), case


def test_the_shared_documents_give_the_published_counts(shared: Path) -> None:
    sp = load_tokenizer(shared / TOKENIZER, 8192)
    lines = (shared / "text/fineweb_val_docs_prefix902.jsonl").read_text().splitlines()
    tokens = counted = raw = 0
    markers = np.zeros(8, dtype=np.int64)
    for number, line in enumerate(lines):
        text = json.loads(line)["text"]
        encoded = caseops.encode(text)
        ids, sizes = caseops.tokenize(sp, encoded)
        if number % 40 == 0:
            assert caseops.decode(sp.decode(ids)) == caseops.decode(encoded) == text
            assert decode_bytes(sp, np.array([1, *ids])) == sizes.sum()
        tokens, counted, raw = tokens + 1 + len(ids), counted + int(sizes.sum()), raw + len(text.encode())
        markers += np.bincount(ids, minlength=8)[:8]
    assert (tokens, counted, raw) == (808_827, 2_504_867, 2_504_867)
    assert markers[4:].tolist() == [72_363, 7_267, 1_796, 0]


@pytest.mark.parametrize("text", UNUSUAL)
def test_unusual_text_comes_back(text: str) -> None:
    encoded = caseops.encode(text)
    assert caseops.decode(encoded) == text == decoded_slowly(encoded)
    assert int(caseops.char_bytes(encoded).sum()) == len(text.encode())
    assert not any("A" <= one <= "Z" for one in encoded)


@given(st.text(st.sampled_from([*"aBcDE 1é日", *caseops.MARKERS, "\ue000", "\u200b", "\n"]), max_size=14))
@example("")
def test_any_text_comes_back_with_its_bytes(text: str) -> None:
    encoded = caseops.encode(text)
    assert caseops.decode(encoded) == text
    assert int(caseops.char_bytes(encoded).sum()) == len(text.encode())


@settings(max_examples=40)
@given(st.text(max_size=40))
def test_any_text_of_unicode_comes_back(text: str) -> None:
    assert caseops.decode(caseops.encode(text)) == text


@given(st.text(st.sampled_from([*"aaBc 1é", *caseops.MARKERS, *caseops.MARKERS]), max_size=12))
@example(f"{C}{X}ab")
@example(f"{X}Ab{A}c")
def test_the_decoder_is_the_machine_that_reads_one_character_at_a_time(text: str) -> None:
    assert decoded(text) == decoded_slowly(text)


def test_long_runs_take_linear_time() -> None:
    for text in ("a" * 300_000, "A" * 300_000, "aB" * 100_000, T * 100_000, "a " * 150_000):
        assert caseops.decode(caseops.encode(text)) == text
