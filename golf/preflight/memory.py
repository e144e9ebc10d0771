"""Peak memory of a rank in training, predicted: every allocation of one real step is counted on the meta device, none is made.

What lives is what eager PyTorch would keep alive, tensor by tensor, so temporaries count too. Not in it: the CUDA context, the
allocator's rounding and its cache, NCCL's buffers, and what torch.compile fuses away (which makes less).

Measured: the peak of eager training on a CPU, small twins in fp32 of three recipes, agrees within 300 bytes of 60 to 144 MB. The public
logs of four recipes on eight H100 (compiled, FlashAttention 3; baseline 10,184, pr414 20,600, pr1019 22,847, pr1493 39,045 MiB) say 0.65
to 0.78 of the eager prediction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from golf.preflight.blame import blaming
from golf.preflight.full_size import build_on_meta, documents_of, optimizers_of, update
from golf.recipe import Recipe
from golf.recipe.namespace import namespace

COMPILED_SHARE = (0.64, 0.79)  # of the eager peak: round four public logs


@dataclass(frozen=True)
class Memory:
    """Bytes of one rank. activations: kept for the backward pass of one micro-batch; peak: the most that lives at one moment.

    The parts do not add up to the peak: gradients grow while activations go, and the optimizer's temporaries come after both.
    """

    sequences: int
    parameters_bytes: int
    averages_bytes: int
    optimizer_bytes: int
    gradients_bytes: int
    activations_bytes: int
    logits_bytes: int
    peak_bytes: int
    peak_in: str


class Ledger:
    """What lives now and what lived most, by the storages that are alive."""

    def __init__(self) -> None:
        self.live_bytes = self.peak_bytes = 0
        self.at = self.peak_in = "construction"
        self.known: dict[int, int] = {}

    def take(self, tensor: Any) -> None:
        """Count a tensor's storage, once, until it dies."""
        import weakref

        storage = tensor.untyped_storage()
        if storage._cdata in self.known:
            return
        size = storage.nbytes()
        self.known[storage._cdata] = size
        weakref.finalize(storage, self._gone, storage._cdata)
        self.live_bytes += size
        if self.live_bytes > self.peak_bytes:
            self.peak_bytes, self.peak_in = self.live_bytes, self.at

    def _gone(self, key: int) -> None:
        self.live_bytes -= self.known.pop(key, 0)


@contextmanager
def counting(ledger: Ledger) -> Iterator[None]:
    """Every tensor that an operator returns is taken into the ledger."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Counter(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            for leaf in tree_leaves(result):
                if isinstance(leaf, torch.Tensor):
                    ledger.take(leaf)
            return result

    with Counter():
        yield


def predict_memory(recipe: Recipe, dtype_name: str = "bfloat16", sequences: int | None = None) -> Memory:
    """The memory of one rank on eight (or fewer: a micro-batch is the same) in the first training step.

    dtype_name: of the activations, bf16 on a GPU. sequences: of a micro-batch, else the recipe's own.
    """
    import torch

    values, h, ledger = recipe.values, namespace(recipe), Ledger()
    if sequences is None:
        sequences = max(values["train_batch_tokens"] // (values["micro_batches"] or 8) // values["train_seq_len"], 1)
    dtype = getattr(torch, dtype_name)
    with blaming(recipe, "predicting the memory"), counting(ledger), _plain_attention(recipe):
        model = build_on_meta(recipe, dtype)
        tagged = _tagged(model)
        parameters = sum(_bytes(p) for p in model.parameters()) + sum(_bytes(b) for b in model.buffers())
        before = ledger.live_bytes
        averages = [T(h, model) for T in h.after_step]
        averages_bytes = ledger.live_bytes - before
        optimizers = optimizers_of(recipe, tagged)
        ledger.at = "the forward pass"
        ids = torch.zeros((sequences, values["train_seq_len"]), dtype=torch.int64, device="meta")
        before = ledger.live_bytes
        loss = model(ids, ids, docs=documents_of(recipe, h, ids)).mean()
        activations = ledger.live_bytes - before
        ledger.at = "the backward pass"
        loss.backward()
        del loss
        gradients = sum(_bytes(p.grad) for p in model.parameters() if p.grad is not None)
        ledger.at, before = "the optimizer's step", ledger.live_bytes
        update(recipe, model, optimizers)
        state = ledger.live_bytes - before + gradients
        # steps after the first have the optimizer's state while they run forward and backward
        peak = ledger.peak_bytes + (state if ledger.peak_in != ledger.at else 0)
    del averages
    logits = sequences * values["train_seq_len"] * values["vocab_size"] * (4 + dtype.itemsize)
    return Memory(sequences, parameters, averages_bytes, state, gradients, activations, logits, peak, ledger.peak_in)


def _tagged(model: Any) -> Any:
    from golf.parts.tags import collect

    return collect(model)


def _bytes(tensor: Any) -> int:
    return int(tensor.numel()) * int(tensor.element_size())


@contextmanager
def _plain_attention(recipe: Recipe) -> Iterator[None]:
    """Attention keeps no T × T matrix on a GPU: while this is open, SDPA on meta has the shapes of the fused kernel."""
    import torch
    import torch.nn.functional as F

    before = F.scaled_dot_product_attention

    class Fused(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, q: Any, k: Any, v: Any) -> Any:
            y = torch.empty_like(q)
            ctx.save_for_backward(q, k, v, y, q.new_empty(q.shape[:-1], dtype=torch.float32))
            return y

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            q, k, v, _, _ = ctx.saved_tensors
            return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)

    def fused(q: Any, k: Any, v: Any, *_: Any, **__: Any) -> Any:
        return Fused.apply(q, k, v)

    F.scaled_dot_product_attention = fused  # type: ignore[assignment]
    try:
        yield
    finally:
        F.scaled_dot_product_attention = before
