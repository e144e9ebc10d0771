"""What the hooks of a model return is looked at while it runs: a tensor of the shape and type that goes on through the stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from golf.errors import Exit, GolfError
from golf.preflight.blame import shown_at
from golf.recipe import Recipe

# attribute of a module, as the knob is called → whether (tensor, flow) comes back
KEEPS_SHAPE = {
    "embed_pre": False, "embed_post": False, "value": False, "attn_out": False, "head_gate": False, "mlp_in": False,
    "mlp": False, "output_norm": False, "route": False, "core": True, "blocks": True,
}  # fmt: skip

# a factored embedding is as narrow as `embed_dim` outside of the blocks: attribute → the width that it may change to
WIDENS = {"embed_pre": "model_dim", "output_norm": "embed_dim"}


@contextmanager
def watching(recipe: Recipe, model: Any) -> Iterator[None]:
    """While this is open, GolfError (exit 10) where a hook of `model` returns what is not like its first argument."""
    handles = [
        module.register_forward_hook(_watch(recipe, knob, with_flow))
        for knob, module, with_flow in _hooks(model)
    ]  # fmt: skip
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hooks(model: Any) -> Iterator[tuple[str, Any, bool]]:
    from torch import nn

    for owner in model.modules():
        for name, child in owner.named_children():
            if name in KEEPS_SHAPE and not isinstance(owner, nn.ModuleDict | nn.ModuleList):
                inside = isinstance(child, nn.ModuleDict | nn.ModuleList)
                for module in child.children() if inside else (child,):
                    yield "block" if name == "blocks" else name, module, KEEPS_SHAPE[name]


def _watch(recipe: Recipe, knob: str, with_flow: bool) -> Any:
    import torch

    def look(module: Any, arguments: tuple[Any, ...], result: Any) -> None:
        if with_flow and not (isinstance(result, tuple) and len(result) == 2):
            raise _fault(recipe, knob, module, f"{_kind(result)}, not a tensor and the flow")
        found, before = (result[0] if with_flow else result), arguments[0]
        if not isinstance(found, torch.Tensor):
            raise _fault(recipe, knob, module, f"{_kind(found)}, not a tensor")
        widths = {before.shape[-1:], (recipe.values.get(WIDENS.get(knob, "")) or before.shape[-1],)}
        if found.shape[:-1] != before.shape[:-1] or found.shape[-1:] not in widths or found.dtype != before.dtype:
            raise _fault(recipe, knob, module, f"{_kind(found)} for {_kind(before)}")

    return look


def _fault(recipe: Recipe, knob: str, module: Any, what: str) -> GolfError:
    return GolfError(
        f"`{type(module).__name__}` in `{knob}` returns {what}  [{shown_at(recipe.catalogue, type(module).forward)}]",
        "what a hook returns is like what it was given", Exit.REFUSED,
    )  # fmt: skip


def _kind(value: Any) -> str:
    import torch

    if isinstance(value, torch.Tensor):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    return "None" if value is None else f"a {type(value).__name__}"
