"""A golf checkpoint or artifact as a source: the very script that made it builds the model and reads the weights.

The script's definitions are executed, as `golf run` would; its `main` is not. So a user's own techniques, a small twin and a recipe that
has moved on since are all what they were when the weights were made.
"""

import types
from pathlib import Path
from typing import Any

import torch

from golf.challenge import SCRIPT
from golf.data.shards import BOS
from golf.errors import Exit, GolfError
from golf.files import sha256_of_file
from golf.models.corpus import golf_decode, golf_encode, golf_tokens
from golf.models.source import Source
from golf.run.definitions import load_script
from golf.run.layout import ARTIFACT, CHECKPOINT


def open_golf(place: str, device: str) -> Source:
    """The model behind a path to a checkpoint, artifact, run folder or submission, or a submission's name; "" for the current folder's.

    GolfError: nothing trained there (10), a script that golf did not compose (10), weights that are not this script's (2).
    """
    weights = find_weights(place)
    script = next((path for path in (weights.parent / SCRIPT, weights.parents[1] / SCRIPT) if path.is_file()), None)
    if script is None:
        raise GolfError(f"{weights} has no {SCRIPT} beside it or one folder up",
                        "name weights in the folder of their run", Exit.REFUSED)  # fmt: skip
    module = load_script(script)
    env = module.Env()
    env.device = type(env.device)(device)
    env.cuda = device.startswith("cuda")
    env.dtype = env.dtype if env.cuda else torch.float32
    model = build(module, env, weights, script)

    def logits(ids: Any) -> Any:
        with env.autocast():
            return model(ids)

    vocab_size, tokenizer = int(module.h.vocab_size), tokenizer_of(weights)
    facts = {
        "weights": str(weights),
        "weights_sha256": sha256_of_file(weights),
        "script_sha256": sha256_of_file(script),
        "tokenizer_sha256": tokenizer,
    }
    return Source(
        model,
        model.blocks,
        logits,
        golf_tokens(vocab_size, tokenizer),
        spec=f"golf:{weights}",
        name=f"{module.h.name}-{weights.parent.name}",
        vocab_size=vocab_size,
        seq_len=int(module.h.train_seq_len),
        encode=golf_encode(vocab_size, tokenizer),
        prefix=(BOS,),
        decode=golf_decode(vocab_size, tokenizer),
        head=head_of(model, int(module.h.model_dim)),
        facts=facts,
    )


def head_of(model: Any, width: int) -> torch.Tensor | None:
    """The tied head (V, d), where the table has the width of the stream."""
    weight = getattr(getattr(model, "tok_emb", None), "weight", None)
    return weight if weight is not None and weight.shape[1] == width else None


def find_weights(place: str) -> Path:
    """`place` itself where it is a file; else the youngest checkpoint of a run folder or submission, or artifact where there is none."""
    from golf.project import find_submission

    path = Path(place).expanduser()
    if place and path.is_file():
        return path.resolve()
    folder = path.resolve() if place and path.is_dir() else find_submission(place or None)
    for name in (CHECKPOINT, ARTIFACT):
        for pattern in (name, f"seed_*/{name}", f"runs/*/seed_*/{name}", f"runs/*/package/seed_*/{name}"):
            found = [path for path in folder.glob(pattern) if "." not in path.parent.name]  # seed_7.1 was moved aside
            if found:
                return max(found, key=lambda path: path.stat().st_mtime)
    raise GolfError(
        f"{folder} holds no trained weights: no {CHECKPOINT} and no {ARTIFACT}",
        f"train it: `golf run {folder.name}` (`--smoke` for its small twin)", Exit.REFUSED,
    )  # fmt: skip


def tokenizer_of(weights: Path) -> str | None:
    """sha256 of the tokenizer that a run was trained with, from the store of the project that it lies in; None where none knows it."""
    from golf.project import find_root
    from golf.run.store import has_store, open_store

    root = find_root(weights.parent)
    if not has_store(root):
        return None
    with open_store(root) as store:
        known = [run.tokenizer_sha256 for run in store.runs() if weights.is_relative_to(run.folder.resolve())]
    return known[-1] if known else None


def build(module: types.ModuleType, env: Any, weights: Path, script: Path) -> Any:
    """The script's model on its device with the weights of a checkpoint (raw) or of an artifact (coded)."""
    model = module.build(env)
    try:
        if weights.name == ARTIFACT:
            module.load_artifact(str(weights), model)
        else:
            module.load_weights(model, module.read_container(str(weights), module.RawCoder)[0])
    except (ValueError, KeyError) as fault:
        raise GolfError(
            f"{weights} cannot be read by {script}: {fault}", "name the weights of that script's own runs"
        ) from fault
    return model
