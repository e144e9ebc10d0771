"""Shards and tokenizer are a pair: documents of the shard, decoded and encoded again, are the same ids.

Measured on FineWeb's shards of three vocabularies and six tokenizers, 60 documents each: the right pairs give 60 of 60 back, every
other (also another tokenizer of the same vocabulary) at most one.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from sentencepiece import SentencePieceProcessor

from golf.data.shards import BOS, read_shard, split_documents
from golf.errors import GolfError

DOCUMENTS = 16  # that are tried
MOST_TOKENS = 4096  # of a document; what is cut has an end that may be encoded otherwise
CUT_TOKENS = 64
SHARD_TOKENS = 1 << 18  # of a shard that are looked at


def check_pair(sp: SentencePieceProcessor, shard: Path, tokenizer: Path, bos: int = BOS) -> int:
    """How many documents of `shard` the tokenizer gives back; GolfError when these are less than half, or none can be tried."""
    ids = np.asarray(read_shard(shard)[:SHARD_TOKENS])
    documents = [document for document in split_documents(ids, bos) if len(document)][: DOCUMENTS + 1]
    whole = (
        documents[:-1] or documents
    )  # what goes on beyond the tokens that are looked at is judged only where it is all there is
    same = sum(_comes_back(sp, document, cut=len(documents) == 1) for document in whole)
    if 2 * same < max(len(whole), 1):
        raise GolfError(
            f"{shard} was not made with {tokenizer}: of {len(whole)} documents, decoded and encoded again, {same} are the same ids",
            "name the tokenizer of these shards with TOKENIZER_PATH (`--tokenizer-path`), or the shards of this one with DATA_PATH",
        )
    return same


def _comes_back(sp: SentencePieceProcessor, document: npt.NDArray[np.integer], cut: bool) -> bool:
    """Whether a document's ids are what its text is encoded to; of one that is cut, all but its last tokens."""
    ids = document[:MOST_TOKENS].tolist()
    again = sp.encode(sp.decode(ids))
    kept = (
        max(len(ids) - CUT_TOKENS, 1)
        if (cut and len(ids) > 2 * CUT_TOKENS) or len(document) > MOST_TOKENS
        else len(ids)
    )
    return bool(again[:kept] == ids[:kept])
