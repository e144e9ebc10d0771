"""Strange and damaged folders: always a verdict or one clear sentence, never a traceback, never long."""

import os

import pytest
from strange_folders import judge_strange

FOLDERS = int(os.environ.get("GOLF_STRANGE_FOLDERS", "40"))  # thousands: benchmarks/strange.py


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_strange_folders_get_a_verdict_or_one_sentence(tmp_path, part):
    for turn in range(FOLDERS // 4):
        seed = part * 1_000_000 + turn
        base = tmp_path / str(turn)
        base.mkdir()
        judge_strange(seed, base)
