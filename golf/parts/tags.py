"""Tags: a parameter says when it is made how it starts, who optimises it and how it is stored. Nothing is routed by name."""

import zlib
from typing import NamedTuple

import torch


class Tag(NamedTuple):
    # optimizer: "matrix" (Muon), "scalar", "embed", "bias" (Adam); "measured": statistics, which learn nothing; "untrained": none
    group: str
    role: str  # quantizer: "attn", "mlp", "embed", "table", "gate", "control"
    master: str  # "fp32", or "compute": the optimizer updates it in the dtype of the activations
    init: object  # (h, weight, rng) -> None fills the weight in place; None keeps the value it was made with


class Tagged(NamedTuple):
    name: str
    param: torch.nn.Parameter
    tag: Tag


def tag(param, *, group, role, master="fp32", init=None):
    param.tag = Tag(group, role, master, init)
    return param


def collect(model):
    """Every parameter of the raw model with its tag, in the order of the state dict."""
    tagged = [Tagged(name, param, getattr(param, "tag", None)) for name, param in model.named_parameters()]
    untagged = [entry.name for entry in tagged if entry.tag is None]
    assert not untagged, f"parameters without a tag: {', '.join(untagged)}"
    return tagged


def has_group(tagged, group):
    """Whether any parameter's tag names this group."""
    return any(entry.tag.group == group for entry in tagged)


def initialize(h, model, seed):
    """Fill every weight from a generator of its own, seeded by (seed, name): a technique more leaves the others' start as it was."""
    with torch.no_grad():
        for entry in collect(model):
            if entry.tag.init is not None:
                rng = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{entry.name}".encode()))
                entry.tag.init(h, entry.param, rng)


def cast_masters(model, dtype):
    """Keep the tables that say so in the dtype of the activations (their Adam updates them in place); the rest stays fp32."""
    for entry in collect(model):
        if entry.tag.master == "compute":
            entry.param.data = entry.param.data.to(dtype)
