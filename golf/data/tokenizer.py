"""SentencePiece tokenizers: training with the challenge's options, loading with one clear error."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from golf.errors import GolfError

# As the trainer specification inside the published models says (1024, 4096, 8192 and 16384 agree).
OPTIONS: dict[str, Any] = {
    "model_type": "bpe",
    "character_coverage": 0.999,
    "byte_fallback": True,
    "split_digits": True,
    "normalization_rule_name": "nmt_nfkc",
    "add_dummy_prefix": False,
    "hard_vocab_limit": False,
    "pad_id": 0,
    "bos_id": 1,
    "eos_id": 2,
    "unk_id": 3,
    # more threads count pairs in another order and give another model: with one the bytes repeat
    "num_threads": 1,
    # the default drops lines over 4,192 bytes
    "max_sentence_length": 1 << 20,
}
LEAST_VOCABULARY = 4 + 256  # the special ids and the byte pieces


def train_tokenizer(lines: Iterable[str], vocab_size: int, symbols: Sequence[str] = ()) -> bytes:
    """A SentencePiece BPE model of exactly `vocab_size` pieces trained on `lines`: the bytes of the `.model` file.

    symbols: characters that are pieces by themselves and join no other, the first ids after the special ones.

    The same lines and sentencepiece version give the same bytes. GolfError where the text is too small for the vocabulary.
    """
    if not LEAST_VOCABULARY < vocab_size <= 1 << 16:
        raise GolfError(f"a vocabulary of {vocab_size:,} cannot be: shards hold {LEAST_VOCABULARY + 1} to 65,536",
                        "take 1024, 4096, 8192 or 16384")  # fmt: skip
    model = io.BytesIO()
    options = OPTIONS | ({"user_defined_symbols": list(symbols)} if symbols else {})
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, vocab_size=vocab_size, minloglevel=2, **options
        )
    except RuntimeError as fault:
        raise GolfError(f"no tokenizer of {vocab_size:,} pieces from this text: {fault}",
                        "take a vocabulary between 512 and 16384") from fault  # fmt: skip
    found = SentencePieceProcessor(model_proto=model.getvalue()).vocab_size()
    if found != vocab_size:
        raise GolfError(f"the text gives {found:,} pieces, {vocab_size:,} were asked for", f"take at most {found:,}")
    return model.getvalue()


def tokenizer_of(model: bytes, name: str = "the tokenizer") -> SentencePieceProcessor:
    """The tokenizer of a SentencePiece model's bytes; GolfError, which calls it `name`, when they are none."""
    try:
        sp = SentencePieceProcessor(model_proto=model)
        if int(sp.vocab_size()):
            return sp
    except (RuntimeError, ValueError, TypeError):
        pass
    raise GolfError(f"{name} is no SentencePiece model ({len(model):,} bytes)", "fetch it again: `golf data get`")


def load_tokenizer(path: Path, vocab_size: int | None = None) -> SentencePieceProcessor:
    """The tokenizer in `path`; GolfError when it is missing, no SentencePiece model, or not of `vocab_size` pieces."""
    try:
        model = path.read_bytes()
    except OSError as fault:
        raise GolfError(f"no tokenizer {path}: {fault.strerror}",
                        "name a SentencePiece model with TOKENIZER_PATH, or fetch one: `golf data get`") from None  # fmt: skip
    sp = tokenizer_of(model, str(path))
    found = int(sp.vocab_size())
    if vocab_size is not None and found != vocab_size:
        raise GolfError(f"{path} has {found:,} pieces, the recipe's vocab_size is {vocab_size:,}",
                        f"set `vocab_size={found}`, or name the tokenizer of {vocab_size:,} with TOKENIZER_PATH")  # fmt: skip
    return sp
