"""CaseOps: text in lower case with markers for its capitals, without loss, and the bytes that its tokens stand for.

The transform `lossless_caps_caseops_v1` of PR #1729 (Romeo, @romeerp): "The FBI" is written "\\ue001the \\ue002fbi", so a vocabulary spends
no pieces on capitals. ASCII letters only; everything else is copied. A marker stands for no byte of the text, so a look-up table
by piece cannot count: every token's bytes go into a side-car file.
"""

import re
from itertools import chain

import numpy as np
import numpy.typing as npt
from sentencepiece import SentencePieceProcessor

TITLE, ALLCAPS, CAPNEXT, ESCAPE = MARKERS = "\ue001\ue002\ue003\ue004"
NAME = "lossless_caps_caseops_v1_reserved"  # of the data set and its tokenizer, as published
RUN = re.compile(f"(?<![A-Za-z])[a-z]*[A-Z][A-Za-z]*|[{MARKERS}]")  # letters with a capital among them, or a marker
MARKER = re.compile(f"[{MARKERS}]")
LETTERS = re.compile("[A-Za-z]*")
ESCAPED = re.compile(f"{ESCAPE}.", re.DOTALL)


class NotCaseOps(ValueError):
    """A text that no encoder wrote: a marker where nothing can follow it."""


def encode(text: str) -> str:
    """The text in lower case with markers; any text, also one that holds the markers' characters."""
    return RUN.sub(_encode_run, text)


def _encode_run(match: re.Match[str]) -> str:
    run = match[0]
    if run in MARKERS:
        return ESCAPE + run
    rest = run[1:]
    if rest and run.isupper():
        return ALLCAPS + run.lower()
    first = TITLE + run[0].lower() if run[0].isupper() else run[0]
    return first + "".join(CAPNEXT + letter.lower() if letter.isupper() else letter for letter in rest)


def decode(text: str) -> str:
    """What `encode` was given. NotCaseOps for a text that it cannot have come from; more is accepted than `encode` writes."""
    found: list[str] = []
    mode = ""  # TITLE or ALLCAPS that waits for a word
    upper = next_upper = inside = False  # all of this word in capitals; the next letter; within a word
    at = 0
    while at < len(text):
        one = text[at]
        if one not in MARKERS:
            end = _next_marker(text, at)
            letters = LETTERS.match(text, at, end)
            assert letters is not None
            word = letters[0]
            if word:
                capital = next_upper or upper or (not inside and bool(mode))
                if not inside:
                    upper, mode = mode == ALLCAPS, ""
                head = word[0].upper() if capital else word[0]
                found.append(head + (word[1:].upper() if upper else word[1:]))
                inside, next_upper = True, False
                at += len(word)
            if at < end:
                if mode or next_upper:
                    raise NotCaseOps(f"a marker before {text[at]!r}, which is no letter")
                upper = inside = False
                # words in between are copied as they are: no marker is near them
                tail = text[at:end]
                found.append(tail)
                inside = tail[-1].isascii() and tail[-1].isalpha()
            at = end
        elif one == ESCAPE:
            if at + 1 == len(text):
                raise NotCaseOps("the text ends after an escape")
            if mode:
                raise NotCaseOps("a marker of capitals before an escaped character")
            literal = text[at + 1]
            found.append(literal)
            if not (literal.isascii() and literal.isalpha()):
                upper = inside = False
            at += 2
        else:
            if one == CAPNEXT:
                if next_upper:
                    raise NotCaseOps("two markers for one capital")
                next_upper = True
            else:
                if mode or next_upper or inside:
                    raise NotCaseOps("a marker of a word's capitals inside a word or after another marker")
                mode = one
            at += 1
    if mode or next_upper:
        raise NotCaseOps("the text ends after a marker")
    return "".join(found)


def _next_marker(text: str, at: int) -> int:
    found = MARKER.search(text, at)
    return found.start() if found else len(text)


def is_caseops(sp: SentencePieceProcessor) -> bool:
    """Whether this tokenizer was made for CaseOps: it has the four markers as pieces."""
    return all(sp.piece_to_id(marker) != sp.unk_id() for marker in MARKERS)


def char_bytes(text: str, *, marked: bool = True) -> npt.NDArray[np.int64]:
    """Bytes of the original that every character of a text stands for: (characters,). marked: the text is encoded.

    A letter 1, a marker 0, an escaped marker 3, any other its UTF-8 length. UnicodeEncodeError for half a surrogate pair.
    """
    codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    sizes = 1 + (codes >= 0x80).astype(np.int64) + (codes >= 0x800) + (codes >= 0x10000)
    if marked:
        sizes[(codes >= ord(TITLE)) & (codes <= ord(ESCAPE))] = 0
        for match in ESCAPED.finditer(text) if ESCAPE in text else ():
            sizes[match.end() - 1] = len(match[0][1].encode())
    return sizes


def tokenize(sp: SentencePieceProcessor, text: str, *, marked: bool = True) -> tuple[list[int], npt.NDArray[np.int64]]:
    """Token ids of a text, without BOS, and the bytes of the original that each stands for. marked: the text is encoded.

    A piece counts what it covers of the text before normalisation; of the byte pieces of one character the last has it all.
    Characters that the normaliser drops without a piece (blanks at both ends) count nowhere.
    """
    found = sp.encode(text, out_type="offset_mapping")
    ids: list[int] = found["ids"]
    if not ids:
        return ids, np.zeros(0, dtype=np.int64)
    upto = np.concatenate(([0], np.cumsum(char_bytes(text, marked=marked))))
    offsets = np.fromiter(chain.from_iterable(found["offsets"]), np.int64, 2 * len(ids))  # half the time of asarray
    return ids, upto[offsets[1::2]] - upto[offsets[::2]]
