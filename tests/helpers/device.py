"""A device that is not there: tensors on it are held by this CPU, and whatever would make the host wait for a GPU is noted.

    device = Device(path of the script)
    with device, Literals():
        model = device.move(model)  # its parameters and buffers

A script that runs with `device.type` as its device cannot tell it from a GPU: what is made there stays there, operands on two devices are an error,
and a number is read (`.item()`, `float`, `bool`), a tensor copied back or to the device without `non_blocking`, or a shape made to depend on data
(`nonzero`) only by a call that is noted with the line of the script that makes it. Of what CUDA does itself (allocation, NCCL, a kernel's own
checks) nothing is seen here.
"""

import sys
from collections import Counter
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
# PyTorch knows it without a driver, and nothing else of a script uses it
NAME = "meta"
# the host must know how many elements come out
SHAPE_OF_DATA = (aten.nonzero, aten.masked_select, aten._unique2, aten.unique_consecutive, aten.unique_dim, aten.repeat_interleave.Tensor, aten.bincount, aten.equal)  # fmt: skip


class There(torch.Tensor):
    """A tensor on the device; `here` holds its numbers."""

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> "There":
        return torch.Tensor._make_wrapper_subclass(
            cls, here.size(), here.stride(), here.storage_offset(), dtype=here.dtype, layout=here.layout, device=NAME
        )

    def __init__(self, here: torch.Tensor) -> None:
        self.here = here

    def __repr__(self) -> str:  # type: ignore[override]
        return f"There({self.here})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} of a tensor on the device outside `with Device()`")


class Device(TorchDispatchMode):
    """`waits`: line of the script → how often the host waited there, while `watching`."""

    def __init__(self, script: str) -> None:
        super().__init__()
        self.script, self.waits, self.watching = script, Counter[str](), False
        self.type = torch.device(NAME)

    def move(self, model: torch.nn.Module) -> torch.nn.Module:
        """The model on the device, its parameters' own attributes kept."""
        for module in model.modules():
            for name, param in module._parameters.items():
                if param is not None:
                    moved = torch.nn.Parameter(There(param.data), param.requires_grad)
                    moved.__dict__.update(param.__dict__)
                    module._parameters[name] = moved
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = There(buffer)
        return model

    def note(self, what: str) -> None:
        """Count a wait at the innermost line of the script that is on the stack."""
        if not self.watching:
            return
        frame: Any = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != self.script:
            frame = frame.f_back
        where = f"{frame.f_code.co_name}:{frame.f_lineno}" if frame else "outside the script"
        self.waits[f"{what} in {where}"] += 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        inside = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        there = [leaf for leaf in inside if isinstance(leaf, There)]
        asked = kwargs.get("device")
        asked = None if asked is None else torch.device(asked).type
        if not there and asked != NAME:
            return func(*args, **kwargs)
        packet = func.overloadpacket
        copies = packet in (aten._to_copy, aten.copy_)
        elsewhere = [leaf for leaf in inside if not isinstance(leaf, There) and leaf.dim()]
        blocking = not (kwargs.get("non_blocking") or (packet is aten.copy_ and len(args) > 2 and args[2]))
        onto = asked == NAME if asked else bool(there)
        if packet is aten._local_scalar_dense:
            self.note("a number is read")
        elif func in SHAPE_OF_DATA or packet in SHAPE_OF_DATA:
            self.note("a shape of data")
        elif (packet is aten._to_copy and onto != bool(there)) or (packet is aten.copy_ and len(there) == 1):
            if blocking:
                self.note(
                    "a copy from the device"
                    if there and (packet is aten._to_copy or isinstance(inside[1], There))
                    else "a copy to the device"
                )
        elif packet in (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_):
            indices = [leaf for leaf in tree_leaves(args[1]) if isinstance(leaf, torch.Tensor)]
            if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
                self.note("a shape of data")
            elif any(not isinstance(index, There) for index in indices):
                self.note("a copy to the device")
        elif elsewhere and not copies:
            raise RuntimeError(f"{func}: operands on two devices")
        if asked == NAME:
            kwargs["device"] = torch.device("cpu")

        def back(leaf: Any) -> Any:
            return leaf.here if isinstance(leaf, There) else leaf

        answer = func(*tree_map(back, args), **tree_map(back, kwargs))
        if not onto or packet is aten._local_scalar_dense:
            return answer
        answer = tree_map(
            lambda leaf: There(leaf) if isinstance(leaf, torch.Tensor) and not isinstance(leaf, There) else leaf, answer
        )
        return return_and_correct_aliasing(func, args, kwargs, answer) if there else answer


class Literals(TorchFunctionMode):
    """`torch.tensor(…, device=…)` and `new_tensor` as CUDA does them: made by the host, then copied, and waited for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            return func(*args, **{**kwargs, "device": None}).to(kwargs["device"])
        if func is torch.Tensor.new_tensor and isinstance(args[0], There):
            return torch.tensor(args[1], dtype=kwargs.get("dtype", args[0].dtype)).to(args[0].device)
        return func(*args, **kwargs)
