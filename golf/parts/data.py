"""Token shards, the batches made of them, and the bytes that every token stands for.

A shard is 256 little-endian int32 (magic 20240520, version 1, token count, zeros), then uint16 tokens; every document starts
with BOS.
"""

import glob
import os

import numpy as np
import sentencepiece
import torch

from golf.parts.knobs import Slot


class Knobs:
    loader: Slot = (
        "SequentialStream"  # class (h, env): next_batch() gives ids, targets of a micro-batch, int64, by the host
    )
    target_bytes: Slot = "table_bytes"  # (h, env, tokens) -> bytes of text that every target stands for
    train_seq_len: "2 <= int <= 1048576" = 1024  # tokens
    train_batch_tokens: "8 <= int <= 1073741824" = 524_288  # per step, over all ranks and micro-batches
    bos_id: "0 <= int < 65536" = 1  # the token that starts a document


class Smoke:
    train_seq_len = 128
    train_batch_tokens = 1024


def shard_paths(env, split):
    paths = sorted(glob.glob(os.path.join(env.data_path, f"fineweb_{split}_[0-9]*.bin")))
    if not paths:
        raise FileNotFoundError(f"no fineweb_{split}_*.bin in {env.data_path}")
    return paths


def load_shard(path):
    """The tokens of a shard, uint16, mapped from disk."""
    header = np.fromfile(path, dtype="<i4", count=256)
    if (
        header.size < 256
        or header[0] != 20240520
        or header[1] != 1
        or os.path.getsize(path) != 1024 + 2 * int(header[2])
    ):
        raise ValueError(f"{path} is no token shard, or cut short")
    return np.memmap(path, dtype="<u2", mode="r", offset=1024)


class SequentialStream:
    """Every rank reads the same stream, shard after shard, and takes its own span of it; the seed changes nothing."""

    def __init__(self, h, env):
        self.h = h
        self.env = env
        self.paths = shard_paths(env, "train")
        self.shard = -1
        self.tokens = np.empty(0, dtype=np.uint16)
        self.at = 0

    def take(self, count):
        pieces = []
        while count:
            if self.at == len(self.tokens):
                self.shard = (self.shard + 1) % len(self.paths)
                self.tokens, self.at = load_shard(self.paths[self.shard]), 0
            piece = self.tokens[self.at : self.at + count]
            self.at += len(piece)
            count -= len(piece)
            pieces.append(piece)
        return np.concatenate(pieces)

    def next_batch(self):
        """ids, targets: (sequences, T) of this rank's micro-batch. The span's last token is a target only."""
        assert self.h.train_batch_tokens % (8 * self.h.train_seq_len) == 0, (
            f"train_batch_tokens = {self.h.train_batch_tokens} are not 8 micro-batches of whole sequences of train_seq_len = {self.h.train_seq_len}"
        )
        assert self.h.micro_batches in (0, 8) or "MicroBatches" in str(self.h.loader), (
            f"this loader makes 8 micro-batches a step and micro_batches is {self.h.micro_batches}: choose `MicroBatches`"
        )
        span = self.h.train_batch_tokens // 8 + 1
        tokens = self.take(span * self.env.world_size)[self.env.rank * span :][:span].astype(np.int64)
        rows = (-1, self.h.train_seq_len)
        return torch.from_numpy(tokens[:-1].reshape(rows)), torch.from_numpy(tokens[1:].reshape(rows))


def byte_tables(sp, vocab_size):
    """Per token id: bytes of its text without the leading space, whether it has one, whether it is a boundary.

    The bytes of target y after token x are bytes[y] + (space[y] and not boundary[x]): a space that starts a document is free.
    """
    size = max(sp.vocab_size(), vocab_size)
    token_bytes, space, boundary = np.zeros(size, np.int64), np.zeros(size, bool), np.ones(size, bool)
    for token in range(sp.vocab_size()):
        if sp.is_control(token) or sp.is_unknown(token) or sp.is_unused(token):
            continue
        boundary[token] = False
        piece = sp.id_to_piece(token)
        space[token] = piece.startswith("▁")
        token_bytes[token] = 1 if sp.is_byte(token) else len(piece.removeprefix("▁").encode())
    return token_bytes, space, boundary


def table_bytes(h, env, tokens):
    """By the tokenizer's pieces. A tokenizer of transformed text has pieces that stand for none: it needs a side-car."""
    sp = sentencepiece.SentencePieceProcessor(model_file=env.tokenizer_path)
    assert sp.piece_to_id("\ue001") == sp.unk_id(), (
        "this tokenizer reads CaseOps text: its bytes are in a side-car only"
    )
    token_bytes, space, boundary = (torch.from_numpy(table) for table in byte_tables(sp, h.vocab_size))
    previous, target = tokens[:-1], tokens[1:]
    return token_bytes[target] + (space[target] & ~boundary[previous])


class Stream:
    """The validation split: tokens (N + 1,) int64, and the bytes of each of the N targets. `tokens[0]` is never scored."""

    def __init__(self, h, env):
        self.tokens = torch.from_numpy(
            np.concatenate([load_shard(path) for path in shard_paths(env, "val")]).astype(np.int64)
        )
        self.target_bytes = h.target_bytes(h, env, self.tokens)
