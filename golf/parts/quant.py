"""Export: weights to integer codes and scales by role, and back. Small tensors stay floating point.

The artifact holds `name:q` codes and `name:s` scales (one a row), or `name` in floating point. A colon cannot occur in a
parameter's name.

Corrections add `name:…` of their own.
"""

import os
import tempfile

import torch
import torch.distributed as dist

from golf.parts.artifact import read_container, write_container
from golf.parts.knobs import Chain, Slot
from golf.parts.tags import collect


class Knobs:
    embed_quantizer: Slot = "int8_rows"  # (h, w, hessian, bits, role) -> codes, scale; "" keeps the role in fp16
    attn_quantizer: Slot = "int8_rows"  # (h, w, hessian, bits, role) -> codes, scale of the attention's matrices
    mlp_quantizer: Slot = "int8_rows"  # (h, w, hessian, bits, role) -> codes, scale of the MLP's matrices
    table_quantizer: Slot = (
        ""  # (h, w, hessian, bits, role) -> codes, scale of hashed and value tables, and their projections
    )
    gate_quantizer: Slot = ""  # (h, w, hessian, bits, role) -> codes, scale of gates of any number of values
    embed_bits: "2 <= int <= 8" = 8
    attn_bits: "2 <= int <= 8" = 8
    mlp_bits: "2 <= int <= 8" = 8
    table_bits: "2 <= int <= 8" = 8
    gate_bits: "2 <= int <= 8" = 8
    embed_clip_sigmas: "0 < float <= 1000" = (
        20.0  # SDClip: the largest code stands for this many standard deviations of the row
    )
    attn_clip_sigmas: "0 < float <= 1000" = 12.85
    mlp_clip_sigmas: "0 < float <= 1000" = 12.85
    table_clip_sigmas: "0 < float <= 1000" = 20.0
    assign_bits: Slot = ""  # (h, tagged, hessians) -> {name: bits}, for mixed precision, 16 for fp16; "" by role
    steps: Slot = (
        ""  # (h, tagged, weights, hessians) -> {name: bits, a real number}: a step for every tensor; "" by role
    )
    keep_float_numel: "0 <= int <= 1000000000" = 65_536  # tensors up to this many values are stored as fp16
    storage: Slot = ""  # class with put(w) -> tensor, get(tensor) -> w: of what is not quantized, in place of fp16
    sparsify: Slot = ""  # (h, tagged, weights) -> weights, before they are quantized
    code_together: Slot = ""  # (h, tagged, weights) -> {name: (codes, scale)} of matrices that share one choice
    half_controls: bool = False  # control tensors as fp16 (#162 and after) | off: fp32 (the baseline, #65, #740)
    wide_groups: Slot = (
        ""  # class: choose(h, tagged, weights, hessians), code, rescale: columns with more bits than their matrix
    )
    log_scales: bool = False  # scales as 8 bits, sixteen steps an octave | off: fp16
    prune: Slot = ""  # (h, tensors) -> None changes codes in place
    fit_bytes: "1 <= int <= 1000000000" = 16_000_000  # of artifact and code, where something makes them fit
    packed_code_bytes: "1 <= int <= 1000000" = 24_500  # the script counts as that at most: the one that ships is packed
    refit: Slot = ""  # (h, env, log, tagged, weights, hessians, tensors) -> tensors: another artifact, where this one is over the cap
    corrections: Chain = ()  # classes: add(h, tensors, weights) to the artifact, apply(tensors, weights) when it is read
    levels: Slot = ""  # (codes) -> levels of codes that are indices (uint8); "" for none
    coder: Slot = "ZlibCoder"  # class with name, encode(tensors), decode(payload, specs, unpacked_bytes)


class Smoke:
    keep_float_numel = 256


def int8_rows(h, w, hessian, bits, role):
    """Symmetric codes with one scale a row, clipped at the 99.99984th percentile (the baseline's). w: (rows, columns) fp32."""
    limit = 2 ** (bits - 1) - 1
    clip = torch.quantile(w.abs(), 0.9999984, dim=1)
    scale = (clip / limit).clamp_min(1.0 / limit)
    clipped = torch.maximum(torch.minimum(w, clip[:, None]), -clip[:, None])
    codes = torch.round(clipped / scale[:, None]).clamp(-limit, limit)
    return codes.to(torch.int8), scale


def quantizer_of(h, role):
    """(quantizer, bits) of a role; a role without a quantizer stays fp16."""
    if h.embed_quantizer and role == "embed":
        return h.embed_quantizer, h.embed_bits
    if h.attn_quantizer and role == "attn":
        return h.attn_quantizer, h.attn_bits
    if h.mlp_quantizer and role == "mlp":
        return h.mlp_quantizer, h.mlp_bits
    if h.table_quantizer and role == "table":
        return h.table_quantizer, h.table_bits
    if h.gate_quantizer and role == "gate":
        return h.gate_quantizer, h.gate_bits
    return None, 16


def quantize(h, tagged, weights, hessians, rank=0, world_size=1, fewer_bits=0.0):
    """{name: weight} to the artifact's tensors, the same on every rank; weights may be of any dtype and on any device.

    fewer_bits: a real number, by which every step is wider where the artifact would not fit.
    """
    tensors, turn = {}, 0
    if h.sparsify:
        weights = h.sparsify(h, tagged, weights)
    if h.code_together:
        together = h.code_together(h, tagged, weights)
    if h.assign_bits:
        assigned = h.assign_bits(h, tagged, hessians)
    if h.steps:
        stepped = h.steps(h, tagged, weights, hessians)
    if h.wide_groups:
        wide = h.wide_groups.choose(h, tagged, weights, hessians)
    for name, _, tag in tagged:
        w = weights[name].float().cpu()
        quantizer, bits = quantizer_of(h, tag.role)
        small = w.numel() <= h.keep_float_numel
        if h.gate_quantizer:
            small = small and tag.role != "gate"
        if h.assign_bits:
            bits = assigned.get(name, bits)
            small = small or bits == 16
        if h.steps:
            bits = stepped.get(name, bits)
        if h.refit and tag.role != "gate":
            bits = bits - fewer_bits
        if h.storage and (tag.role == "control" or small or quantizer is None):
            tensors[name] = h.storage.put(w)
        elif tag.role == "control":
            tensors[name] = w.half() if h.half_controls else w
        elif small or quantizer is None:
            tensors[name] = w.half()
        else:
            tensors[f"{name}:q"] = tensors[f"{name}:s"] = None
            if h.wide_groups and name in wide:
                tensors[f"{name}:g"], tensors[f"{name}:gs"] = wide[name], None
            if turn % world_size == rank:  # the ranks take turns
                if h.wide_groups and name in wide:
                    codes, scale, wide_scale = h.wide_groups.code(h, w, hessians[name], bits, tag.role, wide[name])
                    tensors[f"{name}:gs"] = wide_scale.half()
                elif h.code_together and name in together:
                    codes, scale = together[name]
                else:
                    codes, scale = quantizer(
                        h, w.reshape(-1, w.size(-1)), hessians.get(name) if h.calibrate else None, bits, tag.role
                    )
                tensors[f"{name}:q"] = codes.view(w.shape)
                tensors[f"{name}:s"] = log_codes(scale) if h.log_scales else scale.half()
            turn += 1
    if world_size > 1:
        gathered = [None] * world_size
        dist.all_gather_object(gathered, tensors)
        tensors = {name: next(share[name] for share in gathered if share[name] is not None) for name in tensors}
    if h.prune:
        h.prune(h, tensors)
    if h.corrections:
        for Correction in h.corrections:
            Correction.add(h, tensors, weights)
    return tensors


def dequantize(h, tensors):
    """{name: fp32 weight} from what `quantize` made; a quantized weight comes as (rows, columns)."""
    weights = {}
    for name, tensor in tensors.items():
        base, _, kind = name.partition(":")
        if not kind:
            weights[name] = h.storage.get(tensor) if h.storage else tensor.float()
        elif kind == "q":
            weights[base] = rows_of(h, tensors, base)
    if h.corrections:
        for Correction in h.corrections:
            Correction.apply(tensors, weights)
    return weights


def rows_of(h, tensors, name):
    """The fp32 weight (rows, columns) of a quantized tensor, before corrections."""
    rows = scaled(h, tensors[f"{name}:q"], tensors[f"{name}:s"])
    if h.wide_groups and f"{name}:g" in tensors:
        h.wide_groups.rescale(h, rows, tensors[f"{name}:q"], tensors[f"{name}:g"], tensors[f"{name}:gs"])
    return rows


def scaled(h, codes, scale):
    """The fp32 weight (rows, columns) that codes and their stored scale stand for."""
    codes = codes.view(len(scale), -1)
    if h.levels and codes.dtype == torch.uint8:
        codes = h.levels(codes)
    return codes.float() * (log_values(scale) if h.log_scales else scale.float())[:, None]


def log_codes(scale):
    """Scales as 8 bits, sixteen steps an octave, from 1 down to 2 ** -15.9."""
    return (-16 * scale.float().clamp_min(1e-10).log2()).round().clamp(0, 255).to(torch.uint8)


def log_values(codes):
    return torch.exp2(codes.float() / -16)


def readable_scale(h, scale):
    """`scale` as the decoder will read it, for quantizers that count with that; never 0, so that a row of zeros has codes."""
    if h.log_scales:
        return log_values(log_codes(scale))
    return scale.half().float().clamp_min(2.0**-24)


def load_weights(model, weights):
    """Copy {name: weight} into the raw model; a name too many or too few is a fault."""
    params = {name: param for name, param, _ in collect(model)}
    if params.keys() != weights.keys():
        raise ValueError(f"these weights are not this model's: {sorted(params.keys() ^ weights.keys())[:5]} …")
    with torch.no_grad():
        for name, param in params.items():
            param.copy_(weights[name].view_as(param))


def save_artifact(h, path, tensors):
    """Write the artifact of what `quantize` made; returns (its bytes, the bytes of its tensors before the coder)."""
    return write_container(path, tensors, {}, h.coder), sum(t.numel() * t.element_size() for t in tensors.values())


def bytes_over(h, tensors):
    """Bytes of the packed model and the code over `fit_bytes`, negative below it."""
    with tempfile.TemporaryDirectory() as folder:
        model_bytes = save_artifact(h, os.path.join(folder, "model.golf"), tensors)[0]
    return model_bytes + min(os.path.getsize(__file__), h.packed_code_bytes) - h.fit_bytes


def load_artifact(h, path, model):
    tensors = read_container(path, h.coder)[0]
    try:
        load_weights(model, dequantize(h, tensors))
    except (KeyError, IndexError, RuntimeError) as fault:
        raise ValueError(f"{path} does not hold this model: {fault}") from fault
