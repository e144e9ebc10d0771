"""What a stranger's evaluation is given to score: the stub, or the script's own model made small, and the calls that wrap it.

The script's own model is tried where the stub does not do: evaluators that reach into layers (adapters, banks). Attention kernels of
the GPU are replaced by their definition on the CPU; a script whose model cannot be made here stays untold.
"""

import inspect
import re
import types
from itertools import pairwise
from typing import Any

from golf.rules.dynamic.stub_foreign import ForeignStub

# sizes of the script's own model; layers and what refers to them stay as they are
SIZES = {
    "model_dim": 64, "embedding_dim": 64, "num_heads": 4, "num_kv_heads": 2, "rope_dims": 8, "bigram_vocab_size": 64, "bigram_dim": 16,
    "ttt_lora_rank": 4, "ttt_chunk_size": 8, "ttt_batch_size": 2, "ttt_grad_steps": 1,
}  # fmt: skip
FORWARD = re.compile(r"^(?:forward\w*|compiled\w*|\w*logits_fn|\w*forward_fn|fwd\w*|\w*_forward)$")
PER_TOKEN = re.compile(r"ttt|train|nll|loss")
MODEL_NAMES = ("GPT", "GPTModel", "Transformer", "Model")


def own_model(module: types.ModuleType, hyper: Any, vocab_size: int) -> Any:
    """The script's own model at a small size, fp32, seeded, nowhere zero; ValueError where it cannot be made."""
    import torch

    cls = next((found for name in MODEL_NAMES if isinstance(found := getattr(module, name, None), type)), None)
    if cls is None:
        raise ValueError("it has no class GPT")
    for name, value in {**SIZES, "vocab_size": vocab_size}.items():
        if hasattr(hyper, name):
            setattr(hyper, name, value)
    torch.manual_seed(0)
    model = cls(**_arguments(cls, hyper)).float()
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for param in model.parameters():
            param.add_(0.05 * torch.randn(param.shape, generator=source))
    return model.eval()


def _arguments(cls: Any, hyper: Any) -> dict[str, Any]:
    """The constructor's arguments: the hyper-parameters whole, or one by one by their names."""
    arguments = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        if name in ("args", "h", "hp", "hparams", "hyp", "cfg", "config", "hyper", "hyperparameters"):
            arguments[name] = hyper
        elif hasattr(hyper, name):
            arguments[name] = getattr(hyper, name)
        elif parameter.default is parameter.empty and parameter.kind in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        ):
            raise ValueError(f"nothing is known to give its model `{name}`")
    return arguments


def forward_of(name: str, model: Any) -> Any:
    """What a parameter such as `forward_logits` or `forward_ttt_train` is given; None for a parameter of another kind."""
    if not FORWARD.match(name):
        return None
    if "model" in name:
        return model
    for method in (name, name.removeprefix("compiled_"), "forward_ttt" if "ttt" in name else "forward_logits"):
        if callable(found := getattr(model, method, None)):
            return found
    return model.per_token if PER_TOKEN.search(name) and isinstance(model, ForeignStub) else model


def attention(q: Any, k: Any, v: Any, *_: Any, causal: bool = True, **__: Any) -> Any:
    """What FlashAttention computes, (B, T, H, D), by its definition; heads of k and v are shared."""
    import torch.nn.functional as F

    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    shared = q.shape[1] // k.shape[1]
    k, v = (each.repeat_interleave(shared, dim=1) for each in (k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2)


def attention_varlen(q: Any, k: Any, v: Any, cu_seqlens_q: Any, *_: Any, causal: bool = True, **__: Any) -> Any:
    """The same over documents laid end to end, (T, H, D), whose bounds `cu_seqlens_q` holds."""
    import torch

    bounds = sorted({int(at) for at in cu_seqlens_q.tolist()} | {0, q.shape[0]})
    parts = [
        attention(q[None, start:end], k[None, start:end], v[None, start:end], causal=causal)[0]
        for start, end in pairwise(bounds)
    ]
    return torch.cat(parts)


def put_on_cpu(module: types.ModuleType) -> None:
    """Replace the attention kernels that the script imported by their definition."""
    for name in list(vars(module)):
        if re.fullmatch(r"flash_attn\w*varlen\w*|_?fa3_varlen\w*", name):
            setattr(module, name, attention_varlen)
        elif re.fullmatch(r"flash_attn\w*func|_?fa3\w*func|flash_attention\w*", name):
            setattr(module, name, attention)
