"""A small GPTNeoX with a tokenizer of its own, trained on a text from nothing: a model of real text for `dictionaries_curves.py`.

    python benchmarks/dictionaries_gptneox.py text.jsonl FOLDER --steps 600

Only documents that golf does not hold out are trained on, for the tokenizer too. The folder opens as `hf:FOLDER`.
"""

import argparse
import math
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from golf.models.corpus import Windows
from golf.models.documents import documents
from golf.models.open import open_source

SEED, WARMUP = 1337, 0.05


def tokenizer_of(text: Path, vocab_size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE, as GPTNeoX has."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        documents("train", text),
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=sorted(alphabet),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|endoftext|>", bos_token="<|endoftext|>")


def train(folder: Path, text: Path, steps: int, batch_tokens: int, seq_len: int, rate: float) -> None:
    """Train the model in `folder` on the text's ids, in windows of a seeded order, and save it there."""
    source = open_source(f"hf:{folder}", "cpu")
    ids = source.tokens("train", text)
    model = source.model.train()
    windows = Windows(ids, seq_len, SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.01)
    print(f"{len(ids):,} tokens of text, {steps} steps of {batch_tokens}: {steps * batch_tokens / len(ids):.1f} passes")
    begun = time.process_time()
    for step in range(1, steps + 1):
        batch = torch.from_numpy(windows.next(batch_tokens // seq_len))
        loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        share = step / (WARMUP * steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * min(share, 0.5 * (1 + math.cos(math.pi * step / steps)))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 50 == 0 or step == steps:
            print(f"step {step}: loss {loss.item():.4f} after {time.process_time() - begun:.0f} CPU s", flush=True)
    model.save_pretrained(folder)


def main() -> None:
    torch.set_num_threads(1)
    wishes = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    wishes.add_argument("text", type=Path)
    wishes.add_argument("folder", type=Path)
    for name, default in (("width", 64), ("layers", 4), ("heads", 4), ("vocab", 2048), ("steps", 600), ("batch-tokens", 4096),
                          ("seq-len", 128)):  # fmt: skip
        wishes.add_argument(f"--{name}", type=int, default=default)
    wishes.add_argument("--rate", type=float, default=3e-3)
    given = wishes.parse_args()
    torch.manual_seed(SEED)
    tokenizer = tokenizer_of(given.text, given.vocab)
    tokenizer.save_pretrained(given.folder)
    GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=len(tokenizer), hidden_size=given.width, num_hidden_layers=given.layers,
            num_attention_heads=given.heads, intermediate_size=4 * given.width, max_position_embeddings=4 * given.seq_len,
            bos_token_id=0, eos_token_id=0,
        )
    ).save_pretrained(given.folder)  # fmt: skip
    train(given.folder, given.text, given.steps, given.batch_tokens, given.seq_len, given.rate)


if __name__ == "__main__":
    main()
