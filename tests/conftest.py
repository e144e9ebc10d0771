"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of official data beside the checkout; tests that want it skip without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the official data in ../shared/data")
    return SHARED_DATA
