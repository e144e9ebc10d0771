"""A causal language model of the transformers library as a source: a folder on disk, or a name that is in the local cache already.

The hub is never asked (`golf.models.specs`).
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.models.corpus import text_tokens
from golf.models.source import Source
from golf.models.specs import hf_folder

DEFAULT_CONTEXT = 1024  # tokens of a window, at most: longer ones cost memory and change little


def open_hf(name: str, device: str) -> Source:
    """The model `name`: a folder, or `owner/model` in the cache.

    GolfError (10), at once: not installed, not here, not a causal language model.
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
        model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=dtype)
        model.to(device)
    except (OSError, ValueError) as fault:
        raise GolfError(f"{name} does not open as a causal language model: {_first_line(fault)}",
                        "name a folder with config.json and its weights", Exit.REFUSED) from fault  # fmt: skip
    config = model.config.get_text_config()

    def encode(texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = _tokenizer(AutoTokenizer, folder, name)(texts, add_special_tokens=False, verbose=False)[
            "input_ids"
        ]
        if (largest := max((max(row) for row in ids if row), default=0)) >= int(config.vocab_size):
            raise GolfError(f"the tokenizer of {name} gives id {largest}, its model knows {config.vocab_size}",
                            "put the model's own tokenizer beside it", Exit.REFUSED)  # fmt: skip
        return ids

    return Source(
        model,
        blocks_of(model, int(config.num_hidden_layers), name),
        lambda ids: model(input_ids=ids, use_cache=False).logits,
        text_tokens(name, encode),
        spec=f"hf:{name}",
        name=Path(name).name,
        vocab_size=int(config.vocab_size),
        seq_len=min(int(getattr(config, "max_position_embeddings", DEFAULT_CONTEXT)), DEFAULT_CONTEXT),
        encode=encode,
    )


@cache
def _tokenizer(opener: Any, folder: str, name: str) -> Any:
    try:
        tokenizer = opener.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as fault:
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
