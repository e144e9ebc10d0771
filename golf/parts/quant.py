"""Export: weights to integer codes and scales by role, and back. Small tensors stay floating point."""

import torch

from golf.parts.artifact import read_container, write_container
from golf.parts.knobs import Slot
from golf.parts.tags import collect


class Knobs:
    embed_quantizer: Slot = "int8_rows"  # (w, hessian, bits) -> codes, scales
    attn_quantizer: Slot = "int8_rows"
    mlp_quantizer: Slot = "int8_rows"
    embed_bits: int = 8
    attn_bits: int = 8
    mlp_bits: int = 8
    keep_float_numel: int = 65_536  # tensors up to this many values are stored as fp16
    coder: Slot = "ZlibCoder"


class Smoke:
    keep_float_numel = 256


def int8_rows(w, hessian, bits):
    """Symmetric codes with one fp16 scale a row, clipped at the 99.99984th percentile (the baseline's). w: (rows, columns) fp32."""
    limit = 2 ** (bits - 1) - 1
    clip = torch.quantile(w.abs(), 0.9999984, dim=1)
    scale = (clip / limit).clamp_min(1.0 / limit)
    clipped = torch.maximum(torch.minimum(w, clip[:, None]), -clip[:, None])
    codes = torch.round(clipped / scale[:, None]).clamp(-limit, limit)
    return codes.to(torch.int8), scale.half()


def quantizer_of(h, role):
    return {
        "embed": (h.embed_quantizer, h.embed_bits),
        "attn": (h.attn_quantizer, h.attn_bits),
        "mlp": (h.mlp_quantizer, h.mlp_bits),
    }[role]


def quantize(h, tagged, weights, hessians):
    """The artifact's tensors: `name.q` int8 codes and `name.s` fp16 scales, or `name` fp16 (control tensors fp32)."""
    tensors = {}
    for name, _, tag in tagged:
        w = weights[name].float().cpu()
        if tag.role == "control":
            tensors[name] = w
        elif w.numel() <= h.keep_float_numel:
            tensors[name] = w.half()
        else:
            quantizer, bits = quantizer_of(h, tag.role)
            tensors[f"{name}.q"], tensors[f"{name}.s"] = quantizer(w, hessians.get(name), bits)
    return tensors


def dequantize(tensors):
    """{name: fp32 weight} from what `quantize` made."""
    weights = {}
    for name, tensor in tensors.items():
        if name.endswith(".q"):
            weights[name[:-2]] = tensor.float() * tensors[f"{name[:-2]}.s"].float()[:, None]
        elif not name.endswith(".s"):
            weights[name] = tensor.float()
    return weights


def load_weights(model, weights):
    """Copy {name: weight} into the raw model; a name too many or too few is a fault."""
    params = {name: param for name, param, _ in collect(model)}
    if params.keys() != weights.keys():
        raise ValueError(f"these weights are not this model's: {sorted(params.keys() ^ weights.keys())[:5]} …")
    with torch.no_grad():
        for name, param in params.items():
            param.copy_(weights[name].view_as(param))


def save_artifact(h, path, tagged, weights, hessians):
    """Write the artifact; returns (its bytes, the bytes of its tensors before the coder)."""
    tensors = quantize(h, tagged, weights, hessians)
    return write_container(path, tensors, {}, h.coder), sum(t.numel() * t.element_size() for t in tensors.values())


def load_artifact(h, path, model):
    load_weights(model, dequantize(read_container(path, h.coder)[0]))
