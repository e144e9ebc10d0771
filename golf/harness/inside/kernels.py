"""Triton kernels run by their own text on a CPU: one program of the grid after the other, pointers as offsets into a tensor's memory.

The language as documented by Triton (triton.language), as far as the contest's kernels use it; what is not here is told by its name.
Half types are float32, as everywhere in a play. Slow, and exact enough: a play's grids are small.
"""

import inspect
import itertools
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

import torch

MOST_PROGRAMS = 200_000  # of a launch; a larger grid is no small play's


class Grid:
    """Which program runs."""

    at: tuple[int, ...] = (0, 0, 0)
    size: tuple[int, ...] = (1, 1, 1)


class Pointer:
    """Places in a tensor's memory: `memory` flat, `offset` a number or a tensor of them."""

    def __init__(self, memory: Any, offset: Any) -> None:
        self.memory, self.offset = memory, offset
        self.dtype = types.SimpleNamespace(element_ty=memory.dtype)

    @property
    def shape(self) -> Any:
        return getattr(self.offset, "shape", ())

    def __add__(self, other: Any) -> "Pointer":
        return Pointer(self.memory, self.offset + other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> "Pointer":
        return Pointer(self.memory, self.offset - other)

    def __getitem__(self, index: Any) -> "Pointer":
        return Pointer(self.memory, self.offset[index])

    def to(self, *_: Any, **__: Any) -> "Pointer":
        return self


def pointer_to(tensor: Any) -> Pointer:
    """The memory of a tensor, from where its first element lies."""
    memory = torch.empty(0, dtype=tensor.dtype).set_(tensor.detach().untyped_storage())
    return Pointer(memory, tensor.storage_offset())


def _as(value: Any) -> Any:
    return value if isinstance(value, torch.Tensor) else torch.as_tensor(value)


def load(pointer: Pointer, mask: Any = None, other: Any = 0.0, **_: Any) -> Any:
    """What lies there; `other` where the mask is off."""
    at = _as(pointer.offset).long()
    if mask is None:
        return pointer.memory[at]
    at, allowed = torch.broadcast_tensors(at, _as(mask).bool())
    found = pointer.memory[torch.where(allowed, at, 0)]
    return torch.where(allowed, found, _as(other).to(found.dtype))


def store(pointer: Pointer, value: Any, mask: Any = None, **_: Any) -> None:
    """Write there, but where the mask is off."""
    _write(pointer, value, mask, added=False)


def atomic_add(pointer: Pointer, value: Any, mask: Any = None, **_: Any) -> None:
    """Add to what lies there."""
    _write(pointer, value, mask, added=True)


def _write(pointer: Pointer, value: Any, mask: Any, *, added: bool) -> None:
    at = _as(pointer.offset).long()
    allowed = torch.ones((), dtype=torch.bool) if mask is None else _as(mask).bool()
    at, value, allowed = torch.broadcast_tensors(at, _as(value).to(pointer.memory.dtype), allowed)
    pointer.memory.index_put_((at[allowed],), value[allowed], accumulate=added)


class TensorDescriptor:
    """Blocks of a tensor by their corner: zeros beyond its edges, nothing written there."""

    def __init__(self, base: Any, shape: Sequence[Any], strides: Sequence[Any], block_shape: Sequence[int]) -> None:
        self.base = base if isinstance(base, Pointer) else pointer_to(base)
        self.shape, self.strides, self.block_shape = list(shape), list(strides), list(block_shape)
        self.dtype = self.base.memory.dtype

    @classmethod
    def from_tensor(cls, tensor: Any, block_shape: Sequence[int], *_: Any, **__: Any) -> "TensorDescriptor":
        return cls(tensor, tensor.shape, tensor.stride(), block_shape)

    def _places(self, corner: Sequence[Any]) -> tuple[Pointer, Any]:
        offset: Any = torch.zeros((), dtype=torch.int64)
        inside: Any = torch.ones((), dtype=torch.bool)
        for axis, (begin, length) in enumerate(zip(corner, self.block_shape, strict=True)):
            at = _as(begin) + torch.arange(int(length))
            at = at.view(*[-1 if other == axis else 1 for other in range(len(self.block_shape))])
            offset, inside = offset + at * self.strides[axis], inside & (at >= 0) & (at < self.shape[axis])
        return self.base + offset, inside

    def load(self, corner: Sequence[Any]) -> Any:
        pointer, inside = self._places(corner)
        return load(pointer, inside)

    def store(self, corner: Sequence[Any], value: Any) -> None:
        pointer, inside = self._places(corner)
        store(pointer, value, inside)


class Whole(int):
    """A number that kernels know when they are compiled."""

    @property
    def value(self) -> int:
        return int(self)


class Broken(float):
    """A fraction that kernels know when they are compiled."""

    @property
    def value(self) -> float:
        return float(self)


class Known:
    """Anything else that they know; as an annotation, that a parameter is so known."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __new__(cls, value: Any = None) -> Any:
        if type(value) is int:
            return Whole(value)
        return Broken(value) if type(value) is float else super().__new__(cls)


class Kernel:
    """A kernel: called by another one as the function that it is, launched over a grid by `kernel[grid](…)`."""

    def __init__(self, function: Callable[..., Any], more: dict[str, Any] | None = None) -> None:
        self.fn, self.more = function, more or {}
        self.__name__ = getattr(function, "__name__", "kernel")
        self.names = list(inspect.signature(function).parameters)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.fn(*args, **options)

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        return lambda *args, **options: self.launch(grid, args, options)

    def run(self, *args: Any, grid: Any, **options: Any) -> None:
        self.launch(grid, args, options)

    def launch(self, grid: Any, args: Sequence[Any], options: dict[str, Any]) -> None:
        given = dict(zip(self.names, args, strict=False)) | {**self.more, **options}
        for name, rule in list(given.items()):
            if name in self.more and callable(rule):  # a heuristic
                given[name] = rule(given)
        size = grid(given) if callable(grid) else grid
        size = tuple(int(each) for each in (size if isinstance(size, tuple | list) else (size,)))
        programs = 1
        for each in size:
            programs *= each
        if programs > MOST_PROGRAMS:
            raise NotImplementedError(
                f"the Triton kernel {self.__name__} asks for {programs:,} programs, too many here"
            )
        taken = {
            name: pointer_to(value) if isinstance(value, torch.Tensor) else value for name, value in given.items() if name in self.names
        }  # fmt: skip
        outer = Grid.at, Grid.size
        Grid.size = (*size, 1, 1)[:3]
        with torch.no_grad():
            for at in itertools.product(*(range(each) for each in reversed(Grid.size))):
                Grid.at = at[::-1]
                try:
                    self.fn(**taken)
                except (AttributeError, TypeError, NameError) as fault:
                    raise NotImplementedError(f"the Triton kernel {self.__name__} has no twin here: {fault}") from fault
        Grid.at, Grid.size = outer


def jit(function: Any = None, **_: Any) -> Any:
    """A kernel of a function, or what makes one."""
    return Kernel(function) if function is not None else Kernel


def autotune(configs: Any = (), *_: Any, **__: Any) -> Any:
    """The first of the settings to try: they differ in speed alone."""
    first = dict(getattr(configs[0], "kwargs", {})) if configs else {}
    return lambda kernel: Kernel(kernel.fn, {**kernel.more, **first})


def heuristics(values: dict[str, Any]) -> Any:
    """Settings that are computed from the arguments."""
    return lambda kernel: Kernel(kernel.fn, {**kernel.more, **values})


class Config:
    """Settings to try."""

    def __init__(self, kwargs: Any = None, **_: Any) -> None:
        self.kwargs = dict(kwargs or {})


def cdiv(a: Any, b: Any) -> Any:
    """The quotient, rounded up."""
    return -(-a // b)


def _reduced(function: Any) -> Any:
    def over(x: Any, axis: Any = None, keep_dims: bool = False, **_: Any) -> Any:
        if axis is None:
            return function(x.flatten(), 0)
        found = function(x, axis)
        return found.unsqueeze(axis) if keep_dims else found

    return over


def _pointwise(function: Any) -> Any:
    return lambda x, *rest, **_: function(_as(x), *map(_as, rest))


def dot(a: Any, b: Any, acc: Any = None, *_: Any, **__: Any) -> Any:
    """a b + acc, in float32."""
    found = a.float() @ b.float()
    return found if acc is None else acc + found


MATH = {
    **{name: _pointwise(getattr(torch, name)) for name in (
        "exp", "exp2", "log", "log2", "sqrt", "rsqrt", "abs", "sin", "cos", "tanh", "erf", "sigmoid", "floor", "ceil", "maximum", "minimum",
        "pow", "expm1", "log1p",
    )},
    "fma": lambda a, b, c: a * b + c, "clamp": lambda x, low, high, **_: _as(x).clamp(low, high),
}  # fmt: skip
LANGUAGE = {
    **MATH,
    **{name: getattr(torch, name) for name in ("float32", "float64", "int8", "int16", "int32", "int64", "uint8")},
    "float16": torch.float32, "bfloat16": torch.float32, "int1": torch.bool, "constexpr": Known, "cdiv": cdiv, "load": load, "store": store,
    "atomic_add": atomic_add, "dot": dot, "program_id": lambda axis=0: _as(Grid.at[axis]), "num_programs": lambda axis=0: Grid.size[axis],
    "arange": lambda a, b: torch.arange(int(a), int(b)), "zeros": lambda shape, dtype=torch.float32: torch.zeros([int(n) for n in shape], dtype=dtype),
    "full": lambda shape, value, dtype=torch.float32: torch.full([int(n) for n in shape], value, dtype=dtype),
    "zeros_like": torch.zeros_like, "where": lambda mask, a, b: torch.where(mask, _as(a), _as(b)),
    "cast": lambda x, dtype, **_: _as(x).to(dtype), "sum": _reduced(torch.sum), "max": _reduced(torch.amax), "min": _reduced(torch.amin),
    "argmax": _reduced(torch.argmax), "argmin": _reduced(torch.argmin), "cumsum": lambda x, axis=0, **_: x.cumsum(axis),
    "trans": lambda x, *_: x.transpose(-1, -2), "reshape": lambda x, *shape: x.reshape([int(n) for each in shape for n in (each if isinstance(each, tuple | list) else (each,))]),
    "expand_dims": lambda x, axis: x.unsqueeze(axis), "broadcast_to": lambda x, *shape: x.broadcast_to(shape[0] if len(shape) == 1 else shape),
    "softmax": lambda x, axis=-1, **_: x.softmax(axis), "range": lambda *a, **_: range(*map(int, a)), "static_range": lambda *a, **_: range(*map(int, a)),
    "multiple_of": lambda x, *_: x, "max_contiguous": lambda x, *_: x, "static_assert": lambda *_: None, "device_assert": lambda *_: None,
    "debug_barrier": lambda *_: None, "assume": lambda *_: None, "make_tensor_descriptor": lambda base, shape, strides, block_shape, **_: TensorDescriptor(base, shape, strides, block_shape),
}  # fmt: skip


def modules() -> dict[str, types.ModuleType]:
    """`triton` and its parts, under the names by which they are imported."""

    def made(name: str, **content: Any) -> types.ModuleType:
        module = types.ModuleType(name)
        module.__dict__.update({"__path__": [], "__version__": "3.4.0", **content})
        return module

    libdevice = made("triton.language.extra.libdevice", **MATH)
    cuda = made("triton.language.extra.cuda", libdevice=libdevice)
    extra = made("triton.language.extra", libdevice=libdevice, cuda=cuda)
    language = made("triton.language", **LANGUAGE, extra=extra, math=made("triton.language.math", **MATH))
    descriptor = made("triton.tools.tensor_descriptor", TensorDescriptor=TensorDescriptor)
    tools = made("triton.tools", tensor_descriptor=descriptor)
    triton = made(
        "triton", jit=jit, autotune=autotune, heuristics=heuristics, Config=Config, cdiv=cdiv, language=language, tools=tools,
        next_power_of_2=lambda n: 1 << (int(n) - 1).bit_length(), set_allocator=lambda *_: None,
    )  # fmt: skip
    found = {each.__name__: each for each in (triton, language, extra, cuda, libdevice, tools, descriptor)}
    return found | {"triton.language.extra.cuda.libdevice": libdevice, "triton.language.math": language.math}


def install() -> None:
    """Put them in the place of what is installed, which wants a GPU."""
    sys.modules.update(modules())
