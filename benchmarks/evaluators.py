"""What each evaluator gains on a small model that is really trained here, what it costs, and whether it is a distribution.

    python benchmarks/evaluators.py FOLDER --data-path … --tokenizer-path … [--steps 900] [--tokens 131072]

Trains a model of 0.6 million parameters into FOLDER (kept: a second call only evaluates), scores the first tokens of the
validation split by every evaluator, sums the caches of PR #740 over the vocabulary, and times the n-gram counts. One thread.
A weak model on a short text gains far more from n-grams than a record does: read the differences, not the scores.
"""

import argparse
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
import evaluation

from golf.compose import compose
from golf.parts.data import Stream
from golf.parts.model import GPT
from golf.parts.quant import load_artifact
from golf.parts.techniques.ngram_hash_740 import buckets_740
from golf.parts.techniques.ngram_kneser_ney import kneser_ney
from golf.parts.techniques.ngram_tilt import hints
from golf.recipe import changed, load_recipe
from golf.recipe.namespace import namespace

MODEL = {
    "num_layers": 4, "model_dim": 128, "num_heads": 4, "num_kv_heads": 2, "activation": "leaky_relu2.leaky_relu2",
    "train_seq_len": 256, "eval_seq_len": 256, "train_batch_tokens": 4096, "val_batch_tokens": 65_536,
    "matrix_lr": 0.02, "scalar_lr": 0.02, "tied_embed_lr": 0.03, "muon_wd": 0.02,
    "warmup_steps": 0, "val_loss_every": 0, "train_log_every": 20, "momentum_warmup_steps": 50,
}  # fmt: skip
EVALUATION = {
    "eval_stride": 64, "adapters": True, "ttt_chunk_tokens": 4096, "ttt_batch_seqs": 16, "lora_rank": 8, "lora_alpha": 8.0,
    "lora_lr": 3e-3, "lora_chunk_tokens": 64, "lora_batch_docs": 16, "phased_docs": 32,
}  # fmt: skip
LEARNING = {"reader": "ttt_sgd.ttt_window"}
EVALUATORS = {
    "plain": "plain",
    "sliding": "sliding.sliding",
    "document-isolated": "doc_isolated.doc_isolated",
    "TTT by SGD": "ttt_sgd.ttt_sgd",
    "TTT by adapters": "ttt_lora.ttt_lora",
    "TTT in phases": "ttt_phased.ttt_phased",
    "tilt": "ngram_tilt.ngram_tilt",
    "Kneser–Ney mixture": "ngram_kneser_ney.ngram_kneser_ney",
    "TTT by SGD + tilt": ("ngram_tilt.ngram_tilt", LEARNING),
    "TTT by SGD + Kneser–Ney": ("ngram_kneser_ney.ngram_kneser_ney", LEARNING),
    "#740 v1 (R38)": "ngram_hash_740.ngram_hash_740",
    "#740 v2 (R38)": "ngram_backoff_740.ngram_backoff_740",
}
FULL_TOKENS = 62_021_632  # of the official validation split, SP1024


def knobs(**values):
    return namespace(changed(load_recipe("baseline"), {**MODEL, **EVALUATION, **values}))


class Inputs(evaluation.OneProcess):
    """One process with the data of the command line."""

    def __init__(self, arguments):
        self.data_path, self.tokenizer_path = arguments.data_path, arguments.tokenizer_path


def train(folder, arguments):
    folder.mkdir(parents=True, exist_ok=True)
    values = {**MODEL, "iterations": arguments.steps, "warmdown_iters": arguments.steps // 2}
    (folder / "train_gpt.py").write_text(compose(changed(load_recipe("baseline"), values)), encoding="utf-8")
    inputs = {
        "DATA_PATH": arguments.data_path,
        "TOKENIZER_PATH": arguments.tokenizer_path,
        "MAX_WALLCLOCK_SECONDS": "0",
    }
    subprocess.run(
        [sys.executable, "train_gpt.py", "train", "export"], cwd=folder, env={**os.environ, **inputs}, check=True
    )


def score_all(folder, env, stream, names):
    """A row per evaluator; returns the BPB of sliding."""
    print("| evaluator | BPB | against sliding | s | tokens/s |")
    print("|---|--:|--:|--:|--:|")
    sliding = None
    for name in names:
        reference, values = EVALUATORS[name] if isinstance(EVALUATORS[name], tuple) else (EVALUATORS[name], {})
        h = knobs(reports=(reference,), **values)
        model = GPT(h)
        load_artifact(h, str(folder / "model.golf"), model)
        begun = time.perf_counter()
        trace = h.reports[0](h, env, model, stream)
        seconds = time.perf_counter() - begun
        sliding = trace.bpb if name == "sliding" else sliding
        against = "" if sliding is None else f"{trace.bpb - sliding:+.4f}"
        print(f"| {name} | {trace.bpb:.4f} | {against} | {seconds:.1f} | {trace.tokens / seconds:,.0f} |", flush=True)


def cache_sums(tokens, buckets, order=5, weight=0.2, vocab_size=1024, positions=1000):
    """Sums over the vocabulary of #740's first mixture at the last positions, with the tables as they stand before them."""
    h = knobs(ngram_740_buckets=buckets)
    ids = tokens.numpy().astype(np.uint64)
    contexts, pairs = np.zeros(buckets, np.int64), np.zeros(buckets, np.int64)
    context, pair = buckets_740(h, ids, np.arange(order - 1, len(ids) - positions), order)
    np.add.at(contexts, context, 1)
    np.add.at(pairs, pair, 1)
    sums = []
    for target in range(len(ids) - positions, len(ids)):
        window = np.tile(ids[target - order + 1 : target + 1], (vocab_size, 1))
        window[:, -1] = np.arange(vocab_size)
        context, pair = buckets_740(h, window.ravel(), np.arange(vocab_size) * order + order - 1, order)
        seen = contexts[context[0]]
        hit = seen >= h.ngram_740_min_count
        sums.append((1 - weight) + weight * np.minimum(pairs[pair], seen).sum() / seen if hit else 1.0)
    return np.array(sums)


def time_counts(tokens):
    """Tokens a second of the two lawful counts, and what the whole split would take: n · log n, one core."""
    print("\n| counts | threads | s | tokens/s | s for 62,021,632 tokens | peak memory, bytes a token |")
    print("|---|--:|--:|--:|--:|--:|")
    h, count = knobs(), len(tokens)
    for name, work in (("Kneser–Ney, 5 contexts", kneser_ney), ("hints, 5 contexts of 8 to 16", hints)):
        for threads in (1, 2):
            torch.set_num_threads(threads)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            clock = (
                time.process_time if threads == 1 else time.perf_counter
            )  # one thread's work does not depend on the load
            begun = clock()
            work(h, tokens)
            seconds = clock() - begun
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / count
            whole = seconds * FULL_TOKENS / count * math.log(FULL_TOKENS) / math.log(count)
            memory = f"{grown:.0f}" if threads == 1 else ""
            print(
                f"| {name} | {threads} | {seconds:.2f} | {count / seconds:,.0f} | {whole:.0f} | {memory} |", flush=True
            )
    torch.set_num_threads(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data-path", required=True)
    parser.add_argument("--tokenizer-path", required=True)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--tokens", type=int, default=131_072)
    parser.add_argument("--only", nargs="+", default=list(EVALUATORS), choices=list(EVALUATORS), metavar="EVALUATOR")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    env = Inputs(arguments)
    whole = Stream(knobs(), env)
    time_counts(whole.tokens)  # first, while the process is small
    if not (arguments.folder / "model.golf").exists():
        train(arguments.folder, arguments)
    count = min(arguments.tokens, len(whole.tokens) - 1)
    part = evaluation.stream_of(whole.tokens[: count + 1], whole.target_bytes[:count])
    print(f"\n{count} validation tokens, {int(part.target_bytes.sum())} bytes\n")
    score_all(arguments.folder, env, part, arguments.only)
    print("\n| sum over the vocabulary at 1,000 positions | mean | largest |\n|---|--:|--:|")
    loads = {"as posted, 4,194,304 buckets": 1 << 22, "with the load that 62 M tokens give 4,194,304": 1 << 16}
    for name, buckets in loads.items():
        sums = cache_sums(whole.tokens, buckets)
        print(f"| #740 v1 after {len(whole.tokens)} tokens, {name} | {sums.mean():.4f} | {sums.max():.2f} |")


if __name__ == "__main__":
    main()
