"""Energy that GPUs have drawn, by the counter that NVML keeps (Volta and later); None where there is no such counter."""

import ctypes
from collections.abc import Sequence


def drawn_joules(gpus: Sequence[str]) -> float | None:
    """What these GPUs (numbers, as CUDA_VISIBLE_DEVICES names them) have drawn together since their driver was loaded, in joules.

    None without NVML, without GPUs, for one that is not named by a number, or where a GPU has no counter: unknown, never 0.
    """
    if not gpus or not all(name.strip().isdecimal() for name in gpus):
        return None
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        if nvml.nvmlInit_v2() != 0:
            return None
    except (OSError, AttributeError):
        return None
    try:
        total = 0
        for name in gpus:
            handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
            if nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(name)), ctypes.byref(handle)) != 0:
                return None
            if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)) != 0:
                return None
            total += millijoules.value
        return total / 1000
    except AttributeError:
        return None
    finally:
        nvml.nvmlShutdown()
