"""A small checkpoint whose tensors can be quantized."""

import torch
from quantizing import inputs_gram

from golf.artifact.dials import Checkpoint
from golf.parts.tags import collect, tag

SDCLIP = ["embed_quantizer=gptq_sdclip", "attn_quantizer=gptq_sdclip", "mlp_quantizer=gptq_sdclip", "attn_bits=6",
          "mlp_bits=6", "keep_float_numel=256", "gptq_block=32", "calibrate=calibrate.from_training_text"]  # fmt: skip


class Weights(torch.nn.Module):
    """Matrices of three roles, heavy-tailed the more the higher the seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        for role, (rows, columns) in {"embed": (768, 96), "attn": (128, 96), "mlp": (384, 96)}.items():
            w = torch.randn(rows, columns, generator=rng) * (1 + 0.1 * seed * torch.rand(rows, columns, generator=rng))
            self.register_parameter(role, tag(torch.nn.Parameter(w * 0.03), group="matrix", role=role))
        self.register_parameter(
            "gain", tag(torch.nn.Parameter(torch.randn(96, generator=rng)), group="scalar", role="control")
        )


def checkpoint(seed: int) -> Checkpoint:
    model = Weights(seed)
    weights = {name: param.detach() for name, param in model.named_parameters()}
    return Checkpoint(collect(model), weights, {name: inputs_gram(96, seed) for name in ("embed", "attn", "mlp")})
