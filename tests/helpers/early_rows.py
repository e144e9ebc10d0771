"""The early and middle rows' golden vectors: public names on ours, and a recipe's model holding public weights."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from public_weights import from_public

from golf.parts.model import GPT
from golf.recipe import changed, load_recipe, shipped_recipes
from golf.recipe.namespace import namespace

SIZES = {"vocab_size": 128, "model_dim": 32, "num_heads": 4, "num_kv_heads": 2}
# file → recipe, and what the script ran with beside the sizes
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "pr180": ("pr180", {"num_layers": 4, "bigram_buckets": 64, "bigram_dim": 16}),
    "pr1334": ("pr1334", {"rope_dims": 4, "ve_dim": 24}),
    "pr1204": ("pr1204", {"rope_dims": 4, "ve_dim": 24, "bigram_buckets": 64, "bigram_dim": 16}),
    "pr640_ternary": (
        "pr640",
        {"num_layers": 4, "model_dim": 64, "mlp_mult": 2.0, "embed_dim": 22, "weight_group": 32, "train_seq_len": 48, "yarn_tokens": 96},
    ),
    "rv5": ("pr65b", {"num_layers": 4, "bigram_v5_buckets": 64, "bigram_v5_dim": 16}),
    "dg_attention": ("pr542", {"num_layers": 5, "bigram_buckets": 64, "bigram_dim": 16}),
    "overtone": ("pr60", {"vocab_size": 96, "rope_train_len": 48}),
    "eval_pr77": (
        "pr77",
        {"vocab_size": 1024, "num_layers": 3, "train_seq_len": 128, "eval_seq_len": 128, "lora_rank": 4, "lora_alpha": 4.0,
         "lora_chunk_tokens": 32, "lora_batch_docs": 4},
    ),
}  # fmt: skip
# names that only these rows have, and what a place of #1204 has of its own
OURS = {
    "pr1204": (
        (r"blocks\.(\d+)\.(attn_scale|mlp_scale|resid_mix)", r"route.places.\1.\2"),
        (r"blocks\.(\d+)\.attn\.q_gain", r"route.places.\1.q_gain"),
        (r"repeat_mlp\.(.+)", r"route.repeat.\1"),
        (r"ve_layer_scales\.0", "route.places.9.value.ValueEmbed.scale"),
        (r"ve_layer_scales\.1", "route.places.10.value.ValueEmbed.scale"),
    ),
    "pr640_ternary": (
        (r"vocab_bias", "cap.bias"),
        (r"embed_proj\.weight", "embed_pre.FactoredEmbedding.weight"),
        (r"embed_proj_rev\.weight", "output_norm.weight"),
        (r"(blocks\.\d+\.attn\.c_qkv\.weight)", r"\1"),
    ),
    "rv5": (
        (r"bigram_hash\.table\.weight", "embed_pre.BigramV5.embed.weight"),
        (r"bigram_hash\.proj\.weight", "embed_pre.BigramV5.proj.weight"),
        (r"smeargate\.gate", "embed_pre.SmearPre.gate"),
    ),
    "pr1334": ((r"lane_merge", "route.share"),),
    "dg_attention": (
        (r"local_conv\.mix", "embed_post.LocalConvolution.mix"),
        (r"local_conv\.conv\.weight", "embed_post.LocalConvolution.weight"),
        (r"(blocks\.\d+\.attn)\.c_dq\.weight", r"\1.c_q.weight"),
        (r"(blocks\.\d+\.attn)\.c_dk\.weight", r"\1.c_k.weight"),
        (r"(blocks\.\d+\.attn)\.c_payload\.weight", r"\1.c_v.weight"),
    ),
}
BANKS = {
    "qo_bank": ("attn.c_q", "attn.proj"),
    "kv_bank": ("attn.c_k", "attn.c_v"),
    "mlp_up_bank": ("mlp.fc",),
    "mlp_down_bank": ("mlp.proj",),
}


class Early:
    """A file's vectors, and our model of its recipe with its weights."""

    def __init__(self, folder: Path, file: str, **values: Any) -> None:
        name, sizes = FILES[file]
        self.file = file
        self.arrays = np.load(folder / f"{file}.npz")
        self.about = json.loads((folder / f"{file}.json").read_text())
        self.h = namespace(changed(load_recipe(shipped_recipes()[name]), {**SIZES, **sizes, **values}))
        self.model = GPT(self.h)
        self.params = dict(self.model.named_parameters())
        weights = self.public("param/")
        assert weights.keys() == self.params.keys(), sorted(weights.keys() ^ self.params.keys())
        for key, weight in weights.items():
            self.params[key].data.copy_(weight)

    def tensor(self, key: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[key])

    def public(self, prefix: str) -> dict[str, torch.Tensor]:
        """Public arrays under `prefix`, by our names; the frozen head of zeros of #640 is no weight of ours."""
        found, own = {}, {}
        for key in self.arrays.files:
            name = key.removeprefix(prefix)
            if not key.startswith(prefix) or name == "lm_head.weight":
                continue
            for pattern, ours in OURS.get(self.file, ()):
                if re.fullmatch(pattern, name):
                    own[re.sub(pattern, ours, name)] = self.tensor(key)
                    break
            else:
                found[name] = self.tensor(key)
        return {**from_public(found, (9, 10)), **own}

    def batch(self, case: str) -> tuple[torch.Tensor, torch.Tensor]:
        return self.tensor(f"{case}/ids").long(), self.tensor(f"{case}/targets").long()
