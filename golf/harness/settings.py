"""The environment of a small play: what the submission publishes first, then sizes that a CPU can do in seconds.

Layers, loops and lists of layers stay as they are, so that every family of the script stays in it.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from golf.files import files_below, read_text

PAIR = re.compile(r"(?<![\w.])([A-Z][A-Z0-9_]{2,})=(\"[^\"\n]*\"|'[^'\n]*'|[^\s\\;,`|]+)")
LOGGED = re.compile(r"(?m)^\s*([a-z][a-z0-9_]*):((?:[a-z][a-z0-9_]*=[^\s,]+[\s,]*)+)")
MOST_TEXT_BYTES = 2_000_000
SEQ, WIDTH = 128, 64
SIZES: Mapping[str, float] = MappingProxyType({
    "MODEL_DIM": WIDTH, "D_MODEL": WIDTH, "N_EMBD": WIDTH, "NUM_HEADS": 4, "N_HEAD": 4, "NUM_KV_HEADS": 2, "EMBEDDING_DIM": WIDTH,
    "ROPE_DIMS": 8, "TRAIN_SEQ_LEN": SEQ, "EVAL_SEQ_LEN": SEQ, "TTT_EVAL_SEQ_LEN": SEQ, "ROPE_TRAIN_SEQ_LEN": SEQ, "ROPE_TRAIN_LEN": SEQ,
    "SEQ_LEN": SEQ, "EVAL_STRIDE": SEQ // 2, "SLIDING_STRIDE": SEQ // 2, "NGRAM_STRIDE": SEQ // 2, "TRAIN_BATCH_TOKENS": 8 * SEQ,
    "TRAIN_BATCH_SIZE": 8 * SEQ, "VAL_BATCH_SIZE": 8192, "VAL_BATCH_TOKENS": 8192, "ITERATIONS": 3, "WARMUP_STEPS": 1,
    "MAX_WALLCLOCK_SECONDS": 36000, "VAL_LOSS_EVERY": 0, "TRAIN_LOG_EVERY": 1, "TTT_CHUNK_TOKENS": 1024, "TTT_CHUNK_SIZE": 1024,
    "TTT_BATCH_SEQS": 4, "TTT_BATCH_SIZE": 8, "EVAL_BATCH_SEQS": 16, "EVAL_BATCH_WINDOWS": 16, "CALIBRATION_BATCHES": 1,
    "GPTQ_CALIBRATION_BATCHES": 1, "BIGRAM_VOCAB_SIZE": 256, "BIGRAM_BUCKETS": 256, "WARMDOWN_ITERS": 1, "GRAD_ACCUM_STEPS": 1,
    "LORA_CHUNK_TOKENS": 64, "LORA_BATCH_DOCS": 8, "PHASED_DOCS": 4, "VE_DIM": 16, "BIGRAM_DIM": 16, "GPTQ_RESERVE_SECONDS": 0,
})  # fmt: skip
MOST_EPOCHS = 10
SLOTS = re.compile(r"BUCKETS?$|_SLOTS$|SLOTS$|TABLE_SIZE$|CACHE_SIZE$|HASH_SIZE$")
CHUNK = re.compile(r"CHUNK(_TOKENS|_SIZE)?$")


def names_read(texts: Iterable[str]) -> frozenset[str]:
    """Every text constant of the sources that could be a variable's name: capitals, digits and underscores."""
    found: set[str] = set()
    for text in texts:
        found |= set(re.findall(r"[\"']([A-Z][A-Z0-9_]{2,})[\"']", text))
    return frozenset(found)


def published(folder: Path, names: frozenset[str]) -> dict[str, str]:
    """NAME=VALUE pairs of README and run scripts, and `family:key=value` lines of the logs, of those `names` that the script reads."""
    found: dict[str, str] = {}
    logs: dict[str, str] = {}
    for path in files_below(folder):
        kind = path.suffix.lower()
        if kind in (".log", ".txt"):
            for family, pairs in LOGGED.findall(read_text(path, MOST_TEXT_BYTES) or ""):
                for key, value in re.findall(r"([a-z][a-z0-9_]*)=([^\s,]+)", pairs):
                    if (name := f"{family}_{key}".upper()) in names:
                        logs.setdefault(name, value)
        if kind in (".md", ".sh", ".yaml", ".yml", ".env") or path.name.upper().startswith("README"):
            for name, value in PAIR.findall(read_text(path, MOST_TEXT_BYTES) or ""):
                if name in names and "$" not in value:
                    found.setdefault(name, value.strip("\"'").rstrip("."))
    return logs | found


def environment(names: frozenset[str], shown: Mapping[str, str]) -> dict[str, str]:
    """Variables of a small play: `shown` with the sizes on top, hashed tables and chunks small, epochs at most ten."""
    values = {
        name: value
        for name, value in shown.items()
        if name not in ("DATA_PATH", "TOKENIZER_PATH", "RANK", "WORLD_SIZE", "LOCAL_RANK")
    }
    values |= {name: f"{value:g}" for name, value in SIZES.items()}
    for name in names - SIZES.keys():
        if SLOTS.search(name):
            values[name] = "1024"
        elif CHUNK.search(name):
            values[name] = "1024"
        elif name.endswith("EPOCHS") and values.get(name, "").isdigit() and int(values[name]) > MOST_EPOCHS:
            values[name] = str(MOST_EPOCHS)
    return values


def class_sizes(
    texts: Iterable[str], vocab_size: int, overrides: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Lower-case name → small value, for constants in classes and at module level. overrides: in capitals, as in the environment."""
    sizes = {name.lower(): value for name, value in {**SIZES, **(overrides or {})}.items()}
    sizes["vocab_size"] = vocab_size
    for text in texts:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and isinstance(node.value, ast.Constant)
            ):
                name, value = node.targets[0].id, node.value.value
                if type(value) is int and value > 1024 and (SLOTS.search(name.upper()) or CHUNK.search(name.upper())):
                    sizes.setdefault(name.lower(), 1024)
    return sizes
