"""A composed script's own evaluators on the stub model: the shipped code, with other numbers inside `class h`.

Runs in the sandbox's child only: it executes the script's definitions.
"""

import ast
import copy
import sys
import types
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from golf.challenge import SCRIPT
from golf.rules.dynamic.scores import Evaluator, Ids, Scores
from golf.rules.dynamic.suite import run_suite

VOCAB, WINDOW, STRIDE, CHUNK = 16, 32, 8, 64
TOKENS = 193
FLOOR_NATS = 1e-6  # evaluators may cast logits to fp32
KRAFT_TOLERANCE = 1e-5
# knob → value of the stub run; what a script does not have is passed over
SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "eval_seq_len": WINDOW,
    "train_seq_len": WINDOW,
    "eval_stride": STRIDE,
    "ngram_stride": STRIDE,
    "eval_batch_windows": 2,
    "val_batch_tokens": 8 * 2 * WINDOW,
    "ttt_chunk_tokens": CHUNK,
    "ttt_batch_seqs": 2,
    "lora_chunk_tokens": STRIDE,
    "lora_batch_docs": 2,
    "lora_rank": 4,
    "phased_docs": 4,
}
SMALL = {"bucket": 64, "table": 64}


def stub_sizes(text: str) -> dict[str, Any]:
    """The values of the stub run for the settings that `text` has: sizes of windows, chunks and hash tables."""
    from golf.compose.rescale import scalars

    sizes: dict[str, Any] = {}
    for name, value in scalars(text).items():
        if name in SIZES:
            sizes[name] = SIZES[name]
        elif name.endswith("chunk_tokens"):
            sizes[name] = CHUNK
        elif type(value) is int and any(word in name for word in SMALL) and value > 64:
            sizes[name] = 64
    return sizes


def reports_of(text: str) -> list[str]:
    """The evaluators that `evaluate` calls with (env, model, stream), or runs over in a loop; the last one is the score."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == "evaluate":
            envs, streams = _locals(node)
            found: list[tuple[int, int, str]] = []
            for each in ast.walk(node):
                if (
                    isinstance(each, ast.Call)
                    and isinstance(each.func, ast.Name)
                    and len(each.args) == 3
                    and _is(each.args[0], envs)
                    and _is(each.args[2], streams)
                ):
                    found.append((each.lineno, each.col_offset, each.func.id))
                elif isinstance(each, ast.For) and isinstance(each.iter, ast.Tuple):
                    found += [
                        (each.lineno, item.col_offset, item.id) for item in each.iter.elts if isinstance(item, ast.Name)
                    ]
            looped = {
                each.target.id
                for each in ast.walk(node)
                if isinstance(each, ast.For) and isinstance(each.target, ast.Name)
            }
            return [name for _, _, name in sorted(found) if name not in looped]
    return []


def _locals(evaluate: ast.FunctionDef) -> tuple[set[str], set[str]]:
    """The names that hold the environment and the stream inside `evaluate`: packing renames what is local."""
    envs, streams = {arg.arg for arg in evaluate.args.args[:1]}, {"stream"}
    for node in ast.walk(evaluate):
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name):
            if _is(node.value, envs):
                envs.add(target.id)
            elif isinstance(node.value, ast.Call) and _is(node.value.func, {"Stream"}):
                streams.add(target.id)
    return envs, streams


def _is(node: ast.expr, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def load(text: str, folder: Path) -> types.ModuleType:
    """The script's definitions as a module (its `main` is not called)."""
    path = folder / SCRIPT
    path.write_text(text, encoding="utf-8")
    module = types.ModuleType("submission")
    module.__file__ = str(path)
    sys.modules["submission"] = module
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module


def evaluator_of(module: types.ModuleType, name: str) -> Evaluator:
    """`name` of the script as an `Evaluator`: a fresh stub model and a fresh Trace for every stream."""
    import torch

    from golf.rules.dynamic.stub import StubGPT

    start = StubGPT(VOCAB)
    report = getattr(module, name)

    def score(stream: Ids) -> Scores:
        torch.manual_seed(0)
        tokens = torch.from_numpy(np.asarray(stream, dtype=np.int64))
        data = types.SimpleNamespace(tokens=tokens, target_bytes=torch.ones(len(tokens) - 1, dtype=torch.int64))
        trace = report(module.Env(), copy.deepcopy(start), data, keep=True)
        return Scores(
            trace.nats.detach().numpy().copy(),
            trace.visits.numpy().astype(np.int64),
            trace.order.numpy().astype(np.int64),
        )

    chunk = getattr(module.h, "ttt_chunk_tokens", None) if "ttt" in name else None
    return Evaluator(name, VOCAB, score, chunk)


def check(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Every check on the evaluator that gives the score; unless quick, a brief look at the other reports too, the score last."""
    from golf.compose.rescale import rescale

    text = job["text"]
    module = load(rescale(text, stub_sizes(text)), folder)
    names = reports_of(text)
    if not names:
        return {"fault": "its `evaluate` calls no evaluator that could be found"}
    tail = STRIDE if "legacy" in text else 0
    suites = []
    for name in names[-1:] if job.get("quick") else names:
        quick = bool(job.get("quick")) or name != names[-1]  # what only reports is looked at briefly
        evaluator = evaluator_of(module, name)
        suites.append(
            run_suite(evaluator, TOKENS, quick=quick, floor_nats=FLOOR_NATS, kraft_tolerance=KRAFT_TOLERANCE, tail=tail)
        )
    return {"suites": suites, "bytes": byte_count(module, job), "timer": timer(module, text)}


def timer(module: types.ModuleType, text: str) -> dict[str, Any]:
    """D7 on the script's own `evaluate`: the outcome, or the fault that says why it could not be watched."""
    import torch

    from golf.rules.dynamic.scores import random_stream
    from golf.rules.dynamic.stub import StubGPT
    from golf.rules.dynamic.timer import timed

    stream = random_stream(VOCAB, TOKENS, np.random.default_rng(7), TOKENS // 5)
    try:
        return {"outcome": asdict(timed(module, text, StubGPT(VOCAB), torch.from_numpy(stream)))}
    except Exception as why:  # whatever the script raises under the watch leaves its timer untold
        return {"fault": f"{type(why).__name__}: {str(why)[:200]}"}


def byte_count(module: types.ModuleType, job: dict[str, Any]) -> dict[str, Any] | None:
    """D6: the script's own bytes of every target of the real validation shards against the decoded text; None without data."""
    import os

    if not job.get("data_path"):
        return None
    import sentencepiece

    from golf.data.accounting import decode_bytes
    from golf.data.side_car import has_side_car

    os.environ |= {"DATA_PATH": job["data_path"], "TOKENIZER_PATH": job["tokenizer_path"]}
    module.h.vocab_size = job["vocab_size"]
    stream = module.Stream(module.Env())
    sp = sentencepiece.SentencePieceProcessor(model_file=job["tokenizer_path"])
    end = min(len(stream.tokens), 400_000)
    return {
        "counted": int(stream.target_bytes[: end - 1].sum()),
        "decoded": int(decode_bytes(sp, stream.tokens[:end].numpy())),
        "tokens": end,
        "side_car": has_side_car(Path(job["data_path"])),
    }
