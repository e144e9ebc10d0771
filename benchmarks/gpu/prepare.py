"""Everything that run.py needs on a bare machine, in one folder: scripts, tokens, tokenizers, wheels.

    python benchmarks/gpu/prepare.py --shards DIR --tokenizers DIR [--recipes baseline,pr1493,…] [--out .carry] [--no-wheels]

DIR of --shards holds fineweb10B_sp1024/ and fineweb10B_sp8192/; the first train shard is taken, of the validation shard its
beginning. Scripts are the recipes at full size, with two warm-up steps where the recipe has twenty and a log line every five
steps, readable and packed; the CaseOps rows train on the same text, with its bytes as their side-car; and the small twins, with which run.py --cpu --tiny is tried out.
"""

import argparse
import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from sentencepiece import SentencePieceProcessor
from torch.utils.flop_counter import FlopCounterMode

from golf.compose import compose
from golf.compose.pack import pack
from golf.data.shards import read_shard, write_shard
from golf.parts.data import byte_tables
from golf.recipe import load_recipe, smoke_recipe

RECIPES = "baseline,pr50,pr1493,pr1855,pr2135,pr1573,pr740,pr549,pr1809_legal"
FULL = ("warmup_steps=2", "val_loss_every=0", "train_log_every=5")
TINY = (*FULL, "train_log_every=2")
# whole batches of windows, so that scoring needs one compiled shape
FULL_VAL_TOKENS, TINY_VAL_TOKENS = 3 * 65_536 + 1, 4 * 2048 + 1
WHEELS = ("brotli", "zstandard", "sentencepiece")
LIMIT_BYTES = 60_000_000


def flops_per_token(text: str) -> dict[str, dict[str, float]]:
    """Forward FLOPs of one token at the training length, by torch's own counter on the meta device; with the loop off and on.

    mm: matrices, 2 per weight and application; attention: scores and values over the whole square, twice what causal needs.
    """
    scope: dict[str, Any] = {"__name__": "composed", "__file__": "composed"}
    exec(compile(text, "composed", "exec"), scope)
    model, tokens = scope["GPT"]().to("meta"), scope["h"].train_seq_len
    ids = torch.zeros(1, tokens, dtype=torch.int64, device="meta")
    found = {}
    loops = (False, True) if "loop" in inspect.signature(model.forward).parameters else (True,)
    for loop in loops:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(ids, ids, **({"loop": loop} if len(loops) == 2 else {}))
        counts = {str(op): flops / tokens for op, flops in counter.get_flop_counts()["Global"].items()}
        attention = sum(flops for op, flops in counts.items() if "bmm" in op or "attention" in op)
        found["on" if loop else "off"] = {"mm": sum(counts.values()) - attention, "attention": attention}
    return found


def scripts(name: str, out: Path) -> dict[str, Any]:
    """Write the recipe's scripts; what run.py has to know about it."""
    recipe, twin = load_recipe(name, FULL), smoke_recipe(load_recipe(name, TINY))
    text = compose(recipe)
    small = compose(twin)
    (out / "scripts" / f"{name}.py").write_text(text)
    (out / "scripts" / f"{name}_packed.py").write_bytes(pack(text))
    (out / "tiny" / f"{name}.py").write_text(small)
    (out / "tiny" / f"{name}_packed.py").write_bytes(pack(small))

    def about(values: Any) -> dict[str, Any]:
        names = ("vocab_size", "train_batch_tokens", "train_seq_len", "eval_seq_len", "loop_from", "warmup_steps")
        return {key: values[key] for key in names}

    return {
        "full": about(recipe.values) | {"forward_flops_per_token": flops_per_token(text)},
        "tiny": about(twin.values) | {"forward_flops_per_token": flops_per_token(small)},
        "published": {key: recipe.published.get(key) for key in ("step_ms", "params", "steps")},
        "recipe_warmup_steps": load_recipe(name).values["warmup_steps"],
    }


def bytes_of(tokens: Any, tokenizers: Path, vocab: int) -> Any:
    """The side-car that the CaseOps rows read, here of ordinary text: what the tokenizer's pieces say of every token."""
    sp = SentencePieceProcessor(model_file=str(tokenizers / f"fineweb_{vocab}_bpe.model"))
    token_bytes, space, boundary = byte_tables(sp, vocab)
    found = token_bytes[tokens]
    found[1:] += space[tokens[1:]] & ~boundary[tokens[:-1]]
    return found


def data(shards: Path, tokenizers: Path, vocabs: set[int], out: Path) -> None:
    for vocab in sorted(vocabs):
        source = shards / f"fineweb10B_sp{vocab}"
        validation = read_shard(sorted(source.glob("fineweb_val_*.bin"))[0])
        for folder, tokens in (("data", FULL_VAL_TOKENS), ("tiny_data", TINY_VAL_TOKENS)):
            into = out / folder / source.name
            into.mkdir(parents=True)
            shutil.copyfile(sorted(source.glob("fineweb_train_*.bin"))[0], into / "fineweb_train_000000.bin")
            write_shard(into / "fineweb_val_000000.bin", validation[:tokens])
            write_shard(into / "fineweb_val_bytes_000000.bin", bytes_of(validation[:tokens], tokenizers, vocab))
        shutil.copyfile(tokenizers / f"fineweb_{vocab}_bpe.model", out / "tokenizers" / f"fineweb_{vocab}_bpe.model")


def wheels(out: Path) -> None:
    """For CPython 3.12 on x86-64 Linux, what composed scripts import beside torch and numpy."""
    platforms = [word for tag in ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
                 for word in ("--platform", f"{tag}_x86_64")]  # fmt: skip
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--python-version", "3.12",
         "--implementation", "cp", "--abi", "cp312", *platforms, "--dest", str(out / "wheels"), *WHEELS],
        check=True,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--recipes", default=RECIPES)
    parser.add_argument("--out", type=Path, default=Path(".carry"))
    parser.add_argument("--no-wheels", action="store_true")
    args = parser.parse_args()
    if args.out.exists():
        shutil.rmtree(args.out)
    for folder in ("scripts", "tiny", "tokenizers", "wheels"):
        (args.out / folder).mkdir(parents=True)
    recipes = {}
    for name in args.recipes.split(","):
        recipes[name] = scripts(name, args.out)
        print(f"composed {name}", flush=True)
    vocabs = {about[size]["vocab_size"] for about in recipes.values() for size in ("full", "tiny")}
    data(args.shards, args.tokenizers, vocabs, args.out)
    if not args.no_wheels:
        wheels(args.out)
    (args.out / "manifest.json").write_text(json.dumps({"recipes": recipes}, indent=1))
    size_bytes = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    if size_bytes > LIMIT_BYTES:
        raise SystemExit(f"{args.out} holds {size_bytes:,} bytes, over {LIMIT_BYTES:,}")
    print(f"{args.out}: {size_bytes:,} bytes, {len(recipes)} recipes")


if __name__ == "__main__":
    main()
