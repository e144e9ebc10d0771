"""Bits per byte on the official validation prefix: the shipped metric against the independent oracle, for every tokenizer."""

import json
import math
import types

import evaluation
import numpy as np
import pytest
import torch

from golf.data.accounting import byte_tables as oracle_tables
from golf.data.accounting import count_bytes, decode_bytes, unigram
from golf.data.tokenizer import load_tokenizer
from golf.parts.data import Stream, byte_tables
from golf.parts.evaluate import plain

PREFIX_BYTES = 2_504_867  # of the 902 documents, after nmt_nfkc
OFFICIAL = [1024, 4096, 8192]


class Table(torch.nn.Module):
    """A model that gives every token one probability, whatever came before."""

    def __init__(self, log_p):
        super().__init__()
        self.nats = -log_p

    def forward(self, ids, targets=None, docs=None, loop=True, lora=None, head_at=None):
        return self.nats[targets]


def score(model, stream, **values):
    h = evaluation.knobs(eval_seq_len=64, val_batch_tokens=1 << 20, **values)
    return plain(h, evaluation.OneProcess(), model, stream)


@pytest.mark.parametrize("vocab_size", OFFICIAL)
def test_the_streams_bytes_are_the_texts_bytes(shared, vocab_size):
    env = types.SimpleNamespace(
        data_path=str(shared / f"shards/fineweb10B_sp{vocab_size}"),
        tokenizer_path=str(shared / f"tokenizers/fineweb_{vocab_size}_bpe.model"),
    )
    stream = Stream(evaluation.knobs(vocab_size=vocab_size), env)
    ids = stream.tokens.numpy().astype(np.uint16)
    sp = load_tokenizer(shared / f"tokenizers/fineweb_{vocab_size}_bpe.model")
    assert (
        int(stream.target_bytes.sum()) == decode_bytes(sp, ids) == count_bytes(oracle_tables(sp), ids) == PREFIX_BYTES
    )


def test_the_16384_tokenizer_counts_the_texts_bytes(shared):
    sp = load_tokenizer(shared / "tokenizers/fineweb_16384_bpe.model")
    lines = (shared / "text/fineweb_val_docs_prefix902.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    ids = np.array([token for text in texts for token in [1, *sp.encode(text)]])
    token_bytes, space, boundary = byte_tables(sp, 16_384)
    counted = token_bytes[ids[1:]] + (space[ids[1:]] & ~boundary[ids[:-1]])
    assert int(counted.sum()) == sum(len(text.encode()) for text in texts) == PREFIX_BYTES


@pytest.mark.parametrize("vocab_size", OFFICIAL)
def test_a_uniform_model_scores_the_logarithm_of_its_vocabulary(shared, vocab_size):
    stream = evaluation.official_stream(shared, vocab_size)
    trace = score(Table(torch.full((vocab_size,), -math.log(vocab_size), dtype=torch.float64)), stream)
    tokens = (len(stream.tokens) - 1) // 64 * 64
    ids = stream.tokens[: tokens + 1].numpy().astype(np.uint16)
    text_bytes = decode_bytes(load_tokenizer(shared / f"tokenizers/fineweb_{vocab_size}_bpe.model"), ids)
    assert trace.tokens == tokens
    assert abs(trace.loss - math.log(vocab_size)) < 1e-12
    # a tail that ends inside a character decodes to replacement marks of another length
    assert abs(trace.bytes - text_bytes) <= 4
    assert abs(trace.bpb - tokens * math.log2(vocab_size) / trace.bytes) < 1e-12


@pytest.mark.parametrize("vocab_size", OFFICIAL)
def test_a_unigram_model_scores_the_entropy_of_the_tokens(shared, vocab_size):
    stream = evaluation.official_stream(shared, vocab_size)
    tokens = (len(stream.tokens) - 1) // 64 * 64
    ids = stream.tokens[: tokens + 1]
    counts = torch.bincount(ids[1:], minlength=vocab_size).double()
    trace = score(Table(torch.log(counts / counts.sum())), stream)
    sp = load_tokenizer(shared / f"tokenizers/fineweb_{vocab_size}_bpe.model")
    told = unigram(oracle_tables(sp), ids.numpy().astype(np.uint16))
    assert (trace.tokens, trace.bytes) == (told.tokens, told.text_bytes)
    assert abs(trace.loss - told.nats_per_token) < 1e-10
    assert abs(trace.bpb - told.bpb) < 1e-10


def test_implied_bytes_are_the_bytes(shared):
    stream = evaluation.official_stream(shared, tokens=20_481)
    trace = score(Table(torch.full((1024,), -3.21, dtype=torch.float64)), stream)
    assert round(trace.tokens * trace.loss / (math.log(2) * trace.bpb)) == trace.bytes == int(stream.target_bytes.sum())


def test_an_embedded_tokenizer_counts_the_texts_bytes(tiny_data):
    env = types.SimpleNamespace(data_path=str(tiny_data), tokenizer_path=str(tiny_data / "tokenizer.model"))
    stream = Stream(evaluation.knobs(vocab_size=384), env)
    sp = load_tokenizer(tiny_data / "tokenizer.model")
    ids = stream.tokens.numpy().astype(np.uint16)
    assert int(stream.target_bytes.sum()) == count_bytes(oracle_tables(sp), ids)
    whole = ids[int(np.argmax(ids == 1)) : len(ids) - int(np.argmax(ids[::-1] == 1)) - 1]  # whole documents only
    tables = byte_tables(sp, 384)
    before, target = whole[:-1], whole[1:]
    assert int((tables[0][target] + (tables[1][target] & ~tables[2][before])).sum()) == decode_bytes(sp, whole)
