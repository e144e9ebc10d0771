"""A causal language model of the transformers library as a source: a folder on disk, or a name that is in the local cache already.

The hub is never asked (`golf.models.specs`).
"""

import pickle
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from golf.data.hashes import digest_of, remembered_sha256
from golf.errors import Exit, GolfError
from golf.models.corpus import text_tokens
from golf.models.source import Source
from golf.models.specs import hf_folder

WEIGHT_FILES = ("*.safetensors", "*.bin", "*.index.json")
TOKENIZER_FILES = ("tokenizer*", "vocab.*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model")
DEFAULT_CONTEXT = 1024  # tokens of a window, at most: longer ones cost memory and change little


def open_hf(name: str, device: str, *, trust: bool = False) -> Source:
    """The model `name`: a folder, or `owner/model` in the cache. trust: the folder's own code may run.

    GolfError (10), at once: not installed, not here, not a causal language model, damaged, or only readable by running its code.
    """
    folder = hf_folder(name)
    if find_spec("transformers") is None:
        raise GolfError("reading a Hugging Face model needs the `transformers` library",
                        "install it: `pip install 'parameter-golf[sae]'`", Exit.REFUSED)  # fmt: skip
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()

    try:
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, dtype=dtype, trust_remote_code=trust
        )
        model.to(device)
    except pickle.UnpicklingError as fault:
        raise GolfError(f"the weights of {name} hold more than tensors: reading them would run their code",
                        "have its maker save a safetensors file", Exit.REFUSED) from fault  # fmt: skip
    except Exception as fault:  # a damaged folder makes the library raise nearly anything
        if "trust_remote_code" in str(fault):
            raise GolfError(f"{name} only opens by running code of its own",
                            "read that code; where you trust it: `--trust-remote-code`", Exit.REFUSED) from fault  # fmt: skip
        raise GolfError(f"{name} does not open as a causal language model: {_first_line(fault)}",
                        "name a folder with config.json and its weights", Exit.REFUSED) from fault  # fmt: skip
    config = model.config.get_text_config()
    tokenizer_sha256 = digest_of_files(Path(folder), TOKENIZER_FILES)

    def encode(texts: list[str]) -> list[list[int]]:
        tokenizer = _tokenizer(AutoTokenizer, folder, name, tokenizer_sha256, trust)
        ids: list[list[int]] = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        if (largest := max((max(row) for row in ids if row), default=0)) >= int(config.vocab_size):
            raise GolfError(f"the tokenizer of {name} gives id {largest}, its model knows {config.vocab_size}",
                            "put the model's own tokenizer beside it", Exit.REFUSED)  # fmt: skip
        return ids

    def decode(id: int) -> str:
        return str(_tokenizer(AutoTokenizer, folder, name, tokenizer_sha256, trust).decode([id]))

    head = model.get_output_embeddings()
    return Source(
        model,
        blocks_of(model, int(config.num_hidden_layers), name),
        lambda ids: model(input_ids=ids, use_cache=False).logits,
        text_tokens(tokenizer_sha256, encode),
        spec=f"hf:{name}",
        name=Path(name).name,
        vocab_size=int(config.vocab_size),
        seq_len=min(int(getattr(config, "max_position_embeddings", DEFAULT_CONTEXT)), DEFAULT_CONTEXT),
        encode=encode,
        decode=decode,
        head=getattr(head, "weight", None),
        facts={
            "weights_sha256": digest_of_files(Path(folder), (*WEIGHT_FILES, "config.json")),
            "tokenizer_sha256": tokenizer_sha256,
        },
    )


def digest_of_files(folder: Path, patterns: Sequence[str]) -> str:
    """One sha256 for the files right in `folder` that match; of nothing where there are none."""
    found = {path.name: path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return digest_of({name: remembered_sha256(path) for name, path in found.items()})


@cache
def _tokenizer(opener: Any, folder: str, name: str, sha256: str, trust: bool) -> Any:
    """The tokenizer; sha256: of its files, so that a changed one is read again."""
    try:
        tokenizer = opener.from_pretrained(folder, local_files_only=True, trust_remote_code=trust)
    except Exception as fault:  # as above
        raise GolfError(f"{name} has no tokenizer that opens: {_first_line(fault)}",
                        "put its tokenizer.json beside config.json", Exit.REFUSED) from fault  # fmt: skip
    if len(tokenizer("the").input_ids) == 0:  # without files, the library makes one that knows nothing
        raise GolfError(
            f"{name} has no tokenizer: a word becomes no token",
            "put its tokenizer.json beside config.json",
            Exit.REFUSED,
        )
    return tokenizer


def blocks_of(model: Any, layers: int, name: str) -> list[Any]:
    """The model's blocks: its first list of modules that has as many as the config says there are layers."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == layers:
            return list(module)
    raise GolfError(f"{name} has no list of {layers} blocks", "name a decoder-only model", Exit.REFUSED)


def _first_line(fault: Exception) -> str:
    return str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__
