"""Matrices are coded by all ranks in turn: the artifact of two processes is that of one, byte for byte."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from worlds import tiny

from golf.compose import compose


@pytest.mark.slow
def test_two_processes_export_the_artifact_of_one(tiny_data: Path, tmp_path: Path) -> None:
    recipe = tiny(
        "baseline", num_layers=3, keep_float_numel=600, calibrate="calibrate.from_training_text", calibration_batches=4,
        **{f"{role}_quantizer": "gptq.gptq_sdclip" for role in ("embed", "attn", "mlp")}, attn_bits=6, mlp_bits=6,
        prune="prune.prune_cheapest", prune_share=0.1, corrections=("lqer.LQER",), coder="rans.RansCoder",
    )  # fmt: skip
    env = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    env |= {"DATA_PATH": str(tiny_data), "TOKENIZER_PATH": str(tiny_data / "tokenizer.model"), "ITERATIONS": "2",
            "MAX_WALLCLOCK_SECONDS": "0", "OMP_NUM_THREADS": "1"}  # fmt: skip
    one, two = tmp_path / "1", tmp_path / "2"
    for folder, ranks, phases in ((one, 1, ("train", "export")), (two, 2, ("export",))):
        folder.mkdir()
        (folder / "train_gpt.py").write_text(compose(recipe))
        if ranks == 2:
            for name in ("float.golf", "hessians.golf"):
                shutil.copy(one / name, two / name)
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
        done = subprocess.run(
            [*launcher, "train_gpt.py", *phases], cwd=folder, env=env, check=False, capture_output=True, text=True,
            timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    assert (one / "model.golf").read_bytes() == (two / "model.golf").read_bytes()
