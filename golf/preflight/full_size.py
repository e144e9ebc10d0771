"""One forward, backward and optimizer step of the full size on torch's meta device: shapes without memory or arithmetic."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from golf.preflight.blame import blaming
from golf.preflight.hooks import watching
from golf.preflight.world import OneProcess
from golf.recipe import Recipe
from golf.recipe.namespace import namespace


def check_full_size(recipe: Recipe) -> None:
    """GolfError (exit 10) where the recipe's model cannot be built, run, trained or scored with its own shapes.

    One sequence of the real length, in the order of the layers with and without loops.
    """
    import torch

    from golf.parts.tags import collect

    with blaming(recipe, "building the model"):
        model = build_on_meta(recipe)
        optimizers = optimizers_of(recipe, collect(model))
    h = namespace(recipe)
    with blaming(recipe, "one step at full size"), watching(recipe, model):
        if recipe.values["loop_from"]:
            backward(recipe, model, loop=False)
        backward(recipe, model, loop=True)
        with _one_of_a_shape(optimizers):
            update(recipe, model, optimizers)
    ids = torch.zeros((1, recipe.values["eval_seq_len"]), dtype=torch.int64, device="meta")
    with blaming(recipe, "scoring at full size"), watching(recipe, model), torch.no_grad():
        docs = documents_of(recipe, h, ids)
        check_shape(model(ids, ids, docs=docs), ids.shape, "nats")
        check_shape(model(ids, docs=docs), (*ids.shape, recipe.values["vocab_size"]), "logits")


def build_on_meta(recipe: Recipe, dtype: Any = None) -> Any:
    """The raw model without memory for its weights; dtype: of the tables that live in the activations' (None: fp32)."""
    import torch

    from golf.parts.model import GPT
    from golf.parts.tags import cast_masters, collect, has_group

    h = namespace(recipe)
    with torch.device("meta"):
        model = GPT(h)
    cast_masters(model, dtype or torch.float32)
    if has_group(collect(model), "measured"):
        model.train()
    return model


def optimizers_of(recipe: Recipe, tagged: Any) -> list[Any]:
    from golf.parts.optim import build_optimizers

    found: list[Any] = build_optimizers(namespace(recipe), tagged, OneProcess(recipe, "meta", Path()))
    return found


def backward(recipe: Recipe, model: Any, *, loop: bool, sequences: int = 1) -> None:
    """Forward and backward of one micro-batch."""
    import torch

    h = namespace(recipe)
    ids = torch.zeros((sequences, recipe.values["train_seq_len"]), dtype=torch.int64, device="meta")
    nats = model(ids, ids, docs=documents_of(recipe, h, ids), loop=loop)
    check_shape(nats, ids.shape, "nats")
    nats.mean().backward()


def update(recipe: Recipe, model: Any, optimizers: list[Any]) -> None:
    """One step of every optimizer; the gradients are freed after it."""
    import torch

    if recipe.values["grad_clip_norm"]:
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.values["grad_clip_norm"])
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            if "momentum" in group:
                group["momentum"], group["wd_factor"] = recipe.values["momentum"], 1.0
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


@contextmanager
def _one_of_a_shape(optimizers: list[Any]) -> Iterator[None]:
    """Muon treats every matrix alike and alone: of each shape one is enough to see that it can."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups if "momentum" in group]
    kept = [group["params"] for group in groups]
    for group in groups:
        group["params"] = list({tuple(param.shape): param for param in group["params"]}.values())
    try:
        yield
    finally:
        for group, params in zip(groups, kept, strict=True):
            group["params"] = params


def documents_of(recipe: Recipe, h: Any, ids: Any) -> Any:
    """The bounds of documents as training hands them to attention, counted on real tokens; None where it hands none."""
    import torch

    from golf.parts.schedule import Clock

    if not h.documents:
        return None
    clock = Clock(OneProcess(recipe, "cpu", Path()), 0.0)
    docs = h.documents(h, torch.zeros(ids.shape, dtype=torch.int64), clock)
    return docs._replace(bounds=docs.bounds.to(ids.device))


def check_shape(tensor: Any, shape: tuple[int, ...], what: str) -> None:
    if tuple(tensor.shape) != tuple(shape):
        raise ValueError(f"the model returns {what} of shape {tuple(tensor.shape)}, expected {tuple(shape)}")
