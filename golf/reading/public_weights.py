"""Open the checkpoints of public scripts: their parameter names on ours, banks split and joined.

Names as they stand in the public state dicts of the baseline, #740, #1573 and #1809 and the records between them (recorded in
the golden vectors). A weight without a counterpart, on either side, is an error.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import torch

from golf.errors import GolfError

# public name -> our name; groups are layer numbers
SAME = (
    r"tok_emb\.weight",
    r"blocks\.\d+\.(attn_scale|mlp_scale|resid_mix)",
    r"blocks\.\d+\.attn\.(q_gain|c_q\.weight|c_k\.weight|c_v\.weight|proj\.weight)",
    r"blocks\.\d+\.mlp\.(fc|proj)\.weight",
)
RENAMED = (
    (r"(skip_weights|skip_gates)", r"route.\1"),
    (r"bigram_hash\.(.+)", r"embed_pre.Bigram740.\1"),
    (r"smear_gate", r"embed_pre.SmearPre.gate"),
    (r"bigram\.(.+)", r"embed_pre.BigramXor.\1"),
    (r"smear\.gate", r"embed_post.SmearPost.gate"),
    (r"ve_shared\.(.+)", r"lookups.ValueTable.\1"),
    (r"recycle_mods\.(\d+)\.(scale|bias)", r"route.core.RecycledCore.\2.\1"),
    (r"(blocks\.\d+\.attn)\.vr_lambda", r"\1.value.ValueResidual.mix"),
    (r"(blocks\.\d+\.attn)\.attn_gate\.(weight|bias)", r"\1.head_gate.\2"),
    (r"(blocks\.\d+\.attn)\.(attn_gate_proj\.weight|attn_gate_w)", r"\1.head_gate.w"),
    (r"parallel_post_lambdas", r"route.lane_add"),
    (r"parallel_resid_lambdas", r"route.lane_keep"),
    (r"smear_gate\.weight", r"embed_pre.SmearInput.w"),
    (r"smear_lambda", r"embed_pre.SmearInput.strength"),
    (r"softcap_pos", r"eval_cap.up"),
    (r"softcap_neg", r"eval_cap.down"),
)


def from_public(state: Mapping[str, torch.Tensor], ve_layers: Iterable[int] = ()) -> dict[str, torch.Tensor]:
    """{our name: weight} of a public state dict; `ve_layers` are the layers that its value embeddings reach, in order.

    Shapes stay as they are, except that banks (qo, kv, mlp_up, mlp_down: all layers in one tensor) are split into the layers'
    matrices. GolfError names a weight that nothing here corresponds to.
    """
    ours: dict[str, torch.Tensor] = {}
    for name, weight in state.items():
        if name.endswith("_bank"):
            ours.update(_split_bank(name, weight))
        else:
            ours[our_name(name, list(ve_layers))] = weight
    return ours


def our_name(name: str, ve_layers: Sequence[int] = ()) -> str:
    """Our name of a public weight that is not a bank. GolfError where nothing here corresponds to it."""
    if any(re.fullmatch(pattern, name) for pattern in SAME):
        return name
    if scale := re.fullmatch(r"ve_layer_scales\.(\d+)", name):
        if int(scale[1]) < len(ve_layers):
            return f"blocks.{ve_layers[int(scale[1])]}.attn.value.ValueEmbed.scale"
    for pattern, ours in RENAMED:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, ours, name)
    raise GolfError(
        f"the public weight `{name}` has no counterpart here",
        "name the layers of the value embeddings"
        if "ve_layer" in name
        else "a technique of that script is not in golf yet",
    )


def _split_bank(name: str, bank: torch.Tensor) -> dict[str, torch.Tensor]:
    """qo: all queries, then all output projections; kv: all keys, then all values; mlp_up, mlp_down: one a layer."""
    pairs = {"qo_bank": ("attn.c_q", "attn.proj"), "kv_bank": ("attn.c_k", "attn.c_v")}
    single = {"mlp_up_bank": ("mlp.fc",), "mlp_down_bank": ("mlp.proj",)}
    roles = {**pairs, **single}.get(name)
    if roles is None:
        raise GolfError(f"the public bank `{name}` is unknown", "known: qo_bank, kv_bank, mlp_up_bank, mlp_down_bank")
    layers = len(bank) // len(roles)
    return {
        f"blocks.{layer}.{role}.weight": bank[part * layers + layer]
        for part, role in enumerate(roles)
        for layer in range(layers)
    }
