"""Triton where it is there: the guarded import, and what kernels are declared with.

A kernel is chosen by a slot and runs on CUDA only; every slot has a plain twin with the same meaning, which a CPU takes.
Kernels read block sizes as globals (`constant`) and everything else as plain arguments: no annotation has to survive packing.
"""

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None
    tl = None


def jit(kernel):
    """A Triton kernel, compiled at its first launch; without Triton a function that nobody calls."""
    return kernel if triton is None else triton.jit(kernel)


def constant(value):
    """A number that kernels know when they are compiled."""
    return value if tl is None else tl.constexpr(value)
