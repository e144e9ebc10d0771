"""torch as a stranger's script expects it on its GPUs, on one CPU process: float32 for every half type, no compiler, one rank."""

import contextlib
import functools
import importlib
import sys
import types
from importlib.machinery import ModuleSpec
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F

from golf.harness.inside import flex, kernels


class Plain(contextlib.ContextDecorator):
    """Stands in for autocast, streams and profilers: a context and a decorator that does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> "Plain":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _nothing


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _identity(function: Any = None, *_: Any, **__: Any) -> Any:
    return function if function is not None else lambda inner: inner


class Event(Plain):
    """A CUDA event: no time passes."""

    def elapsed_time(self, _: Any) -> float:
        return 1.0

    def query(self) -> bool:
        return True


PROPERTIES = types.SimpleNamespace(
    name="NVIDIA H100 80GB HBM3", multi_processor_count=132, total_memory=80 << 30, major=9, minor=0,
    shared_memory_per_block_optin=232_448, warp_size=32,
)  # fmt: skip


REAL_HALF = (torch.float16, torch.Tensor.half, torch.nn.Module.half)


def keep_half() -> None:
    """Give float16 back, for scripts that lay out its two bytes by hand; bfloat16 stays float32."""
    torch.float16 = torch.half = REAL_HALF[0]
    torch.Tensor.half, torch.nn.Module.half = REAL_HALF[1], REAL_HALF[2]


def patch_torch() -> None:
    """Replace what needs a GPU; the script's own arithmetic stays."""
    torch.set_num_threads(1)
    torch.bfloat16 = torch.float16 = torch.half = torch.float32
    torch.compile = _identity
    torch.autocast = torch.amp.autocast = torch.cuda.amp.autocast = Plain
    torch.inference_mode = torch.no_grad
    for owner in (torch.Tensor, torch.nn.Module):
        owner.cuda = _same
        for half in ("bfloat16", "half"):
            setattr(owner, half, owner.float)
    torch.Tensor.pin_memory = _same
    torch.Tensor.record_stream = _nothing
    torch.set_float32_matmul_precision = _nothing
    _patch_cuda()
    _patch_loading()
    _patch_optimizers()
    _patch_ranks()
    _patch_packers()
    kernels.install()
    torch._dynamo = sys.modules["torch._dynamo"] = Absent(
        "torch._dynamo", config=Unset(), set_stance=Plain,
        compiled_autograd=Absent("torch._dynamo.compiled_autograd", _disable=Plain),  # torch.func enters it
    )  # fmt: skip
    torch.compiler.set_stance = Plain
    for name in ("disable", "allow_in_graph", "assume_constant_result"):
        setattr(torch.compiler, name, _identity)
    torch.compiler.cudagraph_mark_step_begin = torch.compiler.reset = _nothing
    sys.modules["torch.nn.attention.varlen"] = _module("torch.nn.attention.varlen", varlen_attn=attention_varlen)
    flexible = _module("torch.nn.attention.flex_attention", **flex.CONTENT)
    torch.nn.attention.flex_attention = sys.modules["torch.nn.attention.flex_attention"] = flexible
    for name in ("flash_attn_interface", "flash_attn", "flash_attn.flash_attn_interface", "kernels"):
        sys.modules[name] = _module(
            name, flash_attn_func=attention, flash_attn_varlen_func=attention_varlen, flash_attn_with_kvcache=attention,
            get_kernel=lambda *_, **__: sys.modules["flash_attn_interface"],
        )  # fmt: skip


class Absent(types.ModuleType):
    """A module of which every function gives back what it is given: a compiler that compiles nothing."""

    def __init__(self, name: str, **content: Any) -> None:
        super().__init__(name)
        self.__dict__.update({"__path__": [], **content})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _identity


class Unset(types.SimpleNamespace):
    """A compiler's settings: what a script sets is kept, and the rest is off, as torch's own code asks for some of them."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return False


def _module(name: str, **content: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__dict__.update({"__version__": "3.0", **content})
    return module


def _same(self: Any, *_: Any, **__: Any) -> Any:
    return self


def _patch_cuda() -> None:
    cuda = torch.cuda
    for name, value in {
        "is_available": lambda: True, "device_count": lambda: 1, "current_device": lambda: 0, "is_bf16_supported": lambda *_: True,
        "get_device_name": lambda *_: PROPERTIES.name, "get_device_properties": lambda *_: PROPERTIES,
        "get_device_capability": lambda *_: (9, 0), "max_memory_allocated": lambda *_: 0, "max_memory_reserved": lambda *_: 0,
        "memory_allocated": lambda *_: 0, "memory_reserved": lambda *_: 0, "mem_get_info": lambda *_: (80 << 30, 80 << 30),
        "Event": Event, "Stream": Plain, "stream": Plain, "device": Plain, "current_stream": lambda *_: Plain(),
        "default_stream": lambda *_: Plain(), "graph": Plain, "get_rng_state": lambda *_: torch.get_rng_state(),
        "set_rng_state": lambda state, *_: torch.set_rng_state(state), "initial_seed": torch.initial_seed,
    }.items():  # fmt: skip
        setattr(cuda, name, value)
    for name in (
        "synchronize", "set_device", "empty_cache", "manual_seed", "manual_seed_all", "reset_peak_memory_stats", "ipc_collect",
        "init", "reset_max_memory_allocated", "memory_summary", "set_stream",
    ):  # fmt: skip
        setattr(cuda, name, _nothing)
    for name in ("enable_cudnn_sdp", "enable_flash_sdp", "enable_math_sdp", "enable_mem_efficient_sdp"):
        setattr(torch.backends.cuda, name, _nothing)


def _patch_loading() -> None:
    load = torch.load

    @functools.wraps(load)
    def on_cpu(f: Any, *rest: Any, **options: Any) -> Any:
        options["map_location"] = "cpu"
        options["weights_only"] = False
        return load(f, *rest[1:], **options)

    torch.load = on_cpu


def _patch_optimizers() -> None:
    for cls in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
        start = cls.__init__

        @functools.wraps(start)
        def plain(self: Any, *args: Any, _start: Any = start, **options: Any) -> None:
            options.pop("fused", None)
            options.pop("capturable", None)
            _start(self, *args, **options)

        cls.__init__ = plain


def _patch_packers() -> None:
    """Compressors at a level that takes no time: the size of a small play's artifact says nothing."""
    for name, option, level, where in (
        ("brotli", "quality", 3, 2),
        ("lzma", "preset", 0, 4),
        ("bz2", "compresslevel", 1, 1),
    ):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        real: Any = getattr(module, "compress")  # noqa: B009

        @functools.wraps(real)
        def fast(
            data: Any,
            *rest: Any,
            _real: Any = real,
            _option: str = option,
            _level: int = level,
            _at: int = where,
            **options: Any,
        ) -> Any:
            if len(rest) < _at and not options.get("filters"):
                options[_option] = _level
            return _real(data, *rest, **options)

        setattr(module, "compress", fast)  # noqa: B010


def _patch_ranks() -> None:
    """One process: collective calls leave what they are given, the wrapper of data parallelism is the model."""
    dist = torch.distributed
    for name in (
        "init_process_group",
        "destroy_process_group",
        "barrier",
        "broadcast",
        "broadcast_object_list",
        "monitored_barrier",
    ):
        setattr(dist, name, _nothing)
    dist.is_initialized, dist.is_available = lambda: False, lambda: True
    dist.get_rank, dist.get_world_size, dist.get_backend = lambda *_: 0, lambda *_: 1, lambda *_: "gloo"

    class Work:
        def wait(self, *_: Any) -> bool:
            return True

        def get_future(self) -> Any:
            future: Any = torch.futures.Future()
            future.set_result([])
            return future

    def reduced(*_: Any, **__: Any) -> Any:
        return Work()

    def gathered(output: Any, given: Any = None, *_: Any, **__: Any) -> Any:
        if isinstance(output, list) and given is not None:
            output[0].copy_(given) if isinstance(given, torch.Tensor) else output.__setitem__(0, given)
        elif isinstance(output, torch.Tensor) and isinstance(given, torch.Tensor):
            output.view(-1).copy_(given.reshape(-1))
        return Work()

    dist.all_reduce = dist.reduce = reduced
    dist.all_gather = dist.all_gather_into_tensor = dist.all_gather_object = dist.reduce_scatter_tensor = gathered

    class Wrapped(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, module: torch.nn.Module, *_: Any, **__: Any) -> None:
            super().__init__()
            self.module = module
            self.require_backward_grad_sync = True

        def forward(self, *args: Any, **options: Any) -> Any:
            return self.module(*args, **options)

        def no_sync(self) -> Plain:
            return Plain()

    torch.nn.parallel.DistributedDataParallel = Wrapped


def attention(
    q: Any,
    k: Any,
    v: Any,
    *_: Any,
    causal: bool = False,
    window_size: Any = (-1, -1),
    softmax_scale: Any = None,
    **__: Any,
) -> Any:
    """FlashAttention by its definition: q (B, T, H, D); k, v (B, S, G, D) with G a divisor of H."""
    groups = q.shape[2] // k.shape[2]
    k, v = (each.repeat_interleave(groups, 2) if groups > 1 else each for each in (k, v))
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    left, right = window_size if isinstance(window_size, tuple | list) else (-1, -1)
    causal = causal or right == 0
    if left is not None and left >= 0:
        rows = torch.arange(q.shape[2])[:, None] + k.shape[2] - q.shape[2]
        columns = torch.arange(k.shape[2])[None]
        mask = (columns <= rows) & (columns >= rows - left) if causal else (columns - rows).abs() <= left
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=softmax_scale).transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=softmax_scale).transpose(1, 2)


def attention_varlen(
    q: Any,
    k: Any,
    v: Any,
    cu_seqlens_q: Any = None,
    *_: Any,
    causal: bool = False,
    is_causal: bool = False,
    window_size: Any = (-1, -1),
    **__: Any,
) -> Any:
    """The same over documents laid end to end, (T, H, D), whose bounds `cu_seqlens_q` holds; zeros behind the last."""
    bounds = sorted({min(int(at), q.shape[0]) for at in cu_seqlens_q.tolist()})
    parts = [
        attention(q[None, a:b], k[None, a:b], v[None, a:b], causal=causal or is_causal, window_size=window_size)[0]
        for a, b in pairwise(bounds)
        if b > a
    ]
    rest = q.shape[0] - (bounds[-1] if bounds else 0)
    return torch.cat([*parts, q.new_zeros(rest, *q.shape[1:])]) if rest or not parts else torch.cat(parts)
