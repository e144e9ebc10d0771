"""What the machine is and what its parts can do, as one JSON line: versions, a compiled function, matmul and attention speed."""

import importlib
import json
import platform
import subprocess
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

MODULES = ("triton", "flash_attn_interface", "flash_attn", "numpy", "sentencepiece", "brotli", "zstandard")


def version(name: str) -> str | None:
    """The version of a module that imports here; None where it does not."""
    try:
        return str(getattr(importlib.import_module(name), "__version__", "imports"))
    except Exception as fault:  # a broken wheel may raise anything
        return None if isinstance(fault, ModuleNotFoundError) else f"broken: {fault}"[:120]


def driver() -> str | None:
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm,power.limit", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def milliseconds(call: Callable[[], object], cuda: bool, times: int) -> float:
    """Mean of `times` calls after three that are not counted."""
    for _ in range(3):
        call()
    if cuda:
        torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(times):
        call()
    if cuda:
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - begun) / times


def attention(device: str, dtype: torch.dtype, batch: int, tokens: int) -> dict[str, object]:
    """Forward and backward of causal attention, 8 query and 4 key heads of 64, ms per backend that runs it."""
    shapes = [(batch, heads, tokens, 64) for heads in (8, 4, 4)]
    q, k, v = (torch.randn(s, device=device, dtype=dtype, requires_grad=True) for s in shapes)
    found: dict[str, object] = {}
    for name in ("FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION"):
        try:
            with sdpa_kernel(getattr(SDPBackend, name)):
                found[name] = milliseconds(
                    lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).sum().backward(),
                    device == "cuda", 10,
                )  # fmt: skip
        except Exception as fault:
            found[name] = f"{type(fault).__name__}: {fault}"[:120]
    try:
        flash_attn_func = importlib.import_module("flash_attn_interface").flash_attn_func
        q, k, v = (x.detach().transpose(1, 2).contiguous().requires_grad_() for x in (q, k, v))
        found["FA3"] = milliseconds(lambda: flash_attn_func(q, k, v, causal=True).sum().backward(), True, 10)
    except Exception as fault:
        found["FA3"] = f"{type(fault).__name__}: {fault}"[:120]
    return found


def compiling() -> dict[str, object]:
    """Whether inductor and triton work at all, and how long the first function takes."""
    begun, said = time.perf_counter(), "works"
    try:
        x = torch.randn(1024, device="cuda", requires_grad=True)
        torch.compile(lambda x: torch.relu(x).square().sum(), fullgraph=True)(x).backward()
    except Exception as fault:
        said = f"{type(fault).__name__}: {fault}"[-600:]
    return {"compile": said, "compile_seconds": time.perf_counter() - begun}


def main() -> None:
    cuda = torch.cuda.is_available()
    device = "cuda" if cuda else "cpu"
    said: dict[str, object] = {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "driver": driver(),
        "modules": {name: version(name) for name in MODULES},
    }
    if cuda:
        about = torch.cuda.get_device_properties(0)
        said |= {"memory_mib": about.total_memory >> 20, "multiprocessors": about.multi_processor_count}
    if cuda:
        said |= compiling()
    size, dtype = (8192, torch.bfloat16) if cuda else (256, torch.float32)
    a, b = torch.randn(size, size, device=device, dtype=dtype), torch.randn(size, size, device=device, dtype=dtype)
    ms = milliseconds(lambda: a @ b, cuda, 20)
    said["matmul"] = {"size": size, "ms": ms, "tflops": 2 * size**3 / ms / 1e9}
    said["attention_ms"] = attention(device, dtype, 48 if cuda else 1, 2048 if cuda else 64)
    print("environment " + json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
