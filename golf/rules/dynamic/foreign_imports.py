"""Load a stranger's script as a module without running its main: packages that are not here are replaced by empty shells."""

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock


class Shell(types.ModuleType):
    """A module that has every name; what it gives can be called and used as a decorator."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=f"{self.__name__}.{name}")


class Shells(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds what nothing else finds."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return Shell(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__path__ = []


class Plain(contextlib.ContextDecorator):
    """Stands in for autocast: full precision, so that sums are exact to rounding."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> "Plain":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def without_gpu() -> None:
    """Make what scripts ask of a GPU harmless: compiled graphs, streams, half precision, other ranks."""
    import torch

    def identity(function: Any = None, *_: Any, **__: Any) -> Any:
        return function if function is not None else lambda inner: inner

    torch.compile = identity
    torch.cuda.synchronize = lambda *_: None
    torch.autocast = torch.amp.autocast = torch.cuda.amp.autocast = Plain
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_, **__: self
    for half in ("bfloat16", "float16", "half"):
        setattr(torch, half, torch.float32)
        if hasattr(torch.Tensor, half):
            setattr(torch.Tensor, half, torch.Tensor.float)
            setattr(torch.nn.Module, half, torch.nn.Module.float)
    for name in ("all_reduce", "barrier", "broadcast"):  # of one process
        setattr(torch.distributed, name, lambda *_, **__: None)
    torch.distributed.get_rank, torch.distributed.get_world_size = lambda *_: 0, lambda *_: 1


def load_foreign(text: str, folder: Path) -> types.ModuleType:
    """The script's definitions; what it asks of a GPU is made harmless. Raises what the script raises."""
    without_gpu()
    sys.meta_path.append(Shells())
    path = folder / "train_gpt.py"
    path.write_text(text, encoding="utf-8")
    module = types.ModuleType("submission")
    module.__file__ = str(path)
    sys.modules["submission"] = module
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module
