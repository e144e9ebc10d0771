"""Two processes train what one process trains (`ddp`, a loader whose batches do not depend on the world size)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from places import HELPERS
from worlds import covered_by_another, tiny

from golf.compose import compose

DRIVER = HELPERS / "ddp_driver.py"
THREADS = HELPERS / "threads_driver.py"
THREADS_ARE_LISTED = Path("/proc/self/task").is_dir()


def drive(folder: Path, data: Path, processes: int, *mode: str) -> dict:
    out = folder / f"{processes}{''.join(mode)}.pt"
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    env = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    env |= {
        "DATA_PATH": str(data),
        "TOKENIZER_PATH": str(data / "tokenizer.model"),
        "MAX_WALLCLOCK_SECONDS": "0",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, *launcher, str(DRIVER), str(folder / "train_gpt.py"), str(out), "4", *mode]
    subprocess.run(command, env=env, check=True, capture_output=True, timeout=300)
    return torch.load(out)


def furthest(found: dict, reference: dict) -> float:
    """The largest difference of any tensor, as a share of that tensor's largest value."""
    return max(
        float((found[n] - reference[n]).abs().max() / reference[n].abs().max().clamp_min(1e-30)) for n in reference
    )


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp")
    (folder / "train_gpt.py").write_text(compose(tiny("baseline")))
    return folder


@pytest.mark.slow
def test_two_processes_and_one_agree_to_fp32_rounding(script, tiny_data):
    one, two = drive(script, tiny_data, 1), drive(script, tiny_data, 2)
    assert furthest(two["gradients"][0], one["gradients"][0]) <= 1e-5
    assert all(abs(a - b) <= 1e-5 * b for a, b in zip(two["losses"], one["losses"], strict=True))
    assert furthest({"": two["logits"]}, {"": one["logits"]}) <= 1e-4


@pytest.mark.slow
def test_in_double_precision_every_step_agrees_so_the_rest_is_rounding(script, tiny_data):
    """In fp32 the bf16 orthogonalisation turns the last bit of a gradient into a direction of its own after some steps."""
    one, two = drive(script, tiny_data, 1, "double"), drive(script, tiny_data, 2, "double")
    assert all(furthest(b, a) <= 1e-12 for a, b in zip(one["gradients"], two["gradients"], strict=True))
    assert furthest({"": two["logits"]}, {"": one["logits"]}) <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "pr1573",
        "pr1809",
        pytest.param("baseline", marks=covered_by_another),
        pytest.param("cayley_512", marks=covered_by_another),
    ],
)
def test_all_phases_run_in_one_process_group(name, tiny_data, tmp_path):
    (tmp_path / "train_gpt.py").write_text(compose(tiny(name)))
    env = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    env |= {
        "DATA_PATH": str(tiny_data),
        "TOKENIZER_PATH": str(tiny_data / "tokenizer.model"),
        "MAX_WALLCLOCK_SECONDS": "0",
    }
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(THREADS)]
    done = subprocess.run(
        [*launcher, "train_gpt.py"], cwd=tmp_path, env=env, check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    if THREADS_ARE_LISTED:
        # a thread of the group that outlives it may abort the interpreter while it shuts down, after a complete result
        assert done.stdout.count("threads left 0 of ") == 2, done.stdout[-300:]
    result = json.loads(done.stdout.split("golf_result ")[1].splitlines()[0])
    assert result["world_size"] == 2
    assert 0 < result["val_bpb"] < 10
    assert (tmp_path / "model.golf").stat().st_size == result["model_bytes"]
