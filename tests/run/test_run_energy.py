"""Joules of a run by NVML's counter; unknown wherever a part of it is missing."""

import ctypes

import pytest

from golf.run.energy import drawn_joules


class Nvml:
    """GPU n has drawn 1,000 J and n J; GPU 7 has no counter, 9 is not there."""

    shut = 0

    def nvmlInit_v2(self):
        return 0

    def nvmlShutdown(self):
        Nvml.shut += 1

    def nvmlDeviceGetHandleByIndex_v2(self, number, handle):
        handle._obj.value = 1 + number.value
        return 2 if number.value == 9 else 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, millijoules):
        number = handle.value - 1
        millijoules._obj.value = 1_000_000 + 1000 * number
        return 3 if number == 7 else 0


@pytest.mark.parametrize(
    ("gpus", "joules"),
    [
        (("0",), 1000.0),
        (("0", "1", "2"), 3003.0),
        (("0", "7"), None),
        (("9",), None),
        ((), None),
        (("GPU-5f3a",), None),
    ],
)
def test_the_sum_over_gpus(gpus, joules, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Nvml())
    shut = Nvml.shut
    assert drawn_joules(gpus) == joules
    assert Nvml.shut - shut == (1 if gpus and gpus[0].isdecimal() else 0)


def test_without_the_library_it_is_unknown(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert drawn_joules(("0",)) is None
