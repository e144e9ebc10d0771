"""Where in a block a stream can be read or replaced: what the block leaves, what its attention and its MLP give, what the MLP reads and
what it has inside.

    resid        the residual stream after the block
    attn_out     what the attention module gives, before it is scaled or added
    mlp_in       what the MLP module reads: the normed stream
    mlp_out      what the MLP module gives, before it is scaled or added
    mlp_hidden   what the MLP's last projection reads: its neurons after the nonlinearity

The modules are found by the names that model code gives them; a block without such a module does not have the place.
"""

from collections.abc import Iterable
from typing import NamedTuple

from torch import nn

RESID = "resid"
ATTENTIONS = ("attn", "attention", "self_attn", "self_attention")
MLPS = ("mlp", "feed_forward", "ffn")
DOWNS = ("proj", "down", "down_proj", "c_proj", "dense_4h_to_h", "fc2", "fc_out", "w2", "wo", "lin2")


class Site(NamedTuple):
    """A place in a layer."""

    layer: int
    place: str = RESID


class Tap(NamedTuple):
    """A module, and whether what it reads or what it gives is meant."""

    module: nn.Module
    reads: bool


def taps_of(block: nn.Module) -> dict[str, Tap]:
    """{place: where it is} of a block, without `resid`, which is the block's own output."""
    found = {}
    if (attention := _child(block, ATTENTIONS)) is not None:
        found["attn_out"] = Tap(attention, False)
    if (mlp := _child(block, MLPS)) is not None:
        found["mlp_in"], found["mlp_out"] = Tap(mlp, True), Tap(mlp, False)
        if (down := _child(mlp, DOWNS)) is not None:
            found["mlp_hidden"] = Tap(down, True)
    return found


def _child(module: nn.Module, names: Iterable[str]) -> nn.Module | None:
    children = dict(module.named_children())
    return next((children[name] for name in names if name in children), None)
