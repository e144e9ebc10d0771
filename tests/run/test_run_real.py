"""The composed baseline itself, a few steps of its small twin: run, killed and resumed, packaged, derived, evaluated."""

import json
import os
import subprocess
import sys
import time

import pytest

from golf.run.layout import ARTIFACT
from golf.run.store import open_store

STEPS = ("--smoke", "--iterations", "3")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a submission made from the baseline."""
    root = tmp_path_factory.mktemp("project")
    golf(root, "new", "mine", "--from", "baseline")
    return root


def start(root, *words):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-m", "golf", *words], cwd=root, env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def golf(root, *words, code=0):
    process = start(root, *words)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    return out


@pytest.mark.slow
def test_a_real_script_is_run_killed_resumed_packaged_derived_and_evaluated(project):
    first = start(project, "run", "mine", *STEPS, "--seeds", "1337")
    checkpoint = wait_for(project, "float.golf")
    first.kill()
    first.communicate()
    report = json.loads(golf(project, "run", "mine", *STEPS, "--seeds", "1337", "--resume", "--json"))
    assert [seed["seed"] for seed in report["seeds"]] == [1337] and report["challenge_result"] is False
    assert all(seed["result"]["steps"] == 3 for seed in report["seeds"])
    assert read_marks(checkpoint.parent / "train_seed1337.log").count("train") == 1

    package = json.loads(golf(project, "package", "mine", "--json"))
    assert [one["difference_bpb"] for one in package["alone"]] == [0] and package["fits"]
    derived = json.loads(golf(project, "package", "mine", "mlp_bits=5", "--json"))
    assert derived["derived"] == {"mlp_bits": 5}
    assert derived["bytes"]["worst_bytes"] < package["bytes"]["worst_bytes"]
    fitted = json.loads(golf(project, "package", "mine", "--fit", "--target-bytes", "240000", "--dry-run", "--json"))[
        "fit"
    ]
    (chosen,) = [one for one in fitted["tried"] if one["chosen"]]
    assert fitted["overrides"] and 0 <= chosen["target_bytes"] - chosen["model_bytes"] <= 5000
    ledger = json.loads(golf(project, "package", "mine", "--ledger", "--dry-run", "--json"))["ledger"]
    assert sum(tensor["coded_bytes"] for tensor in ledger["tensors"]) == package["bytes"]["seeds"][0]["model"]
    with open_store(project) as store:
        runs = store.runs("mine", "finished")
    assert [run.derived for run in runs] == [None, {"mlp_bits": 5}]
    assert runs[1].result["train_loss"] == runs[0].result["train_loss"]

    folder = runs[1].folder
    assert (folder / ARTIFACT).stat().st_size < (runs[0].folder / ARTIFACT).stat().st_size
    score = json.loads(golf(project, "eval", str(folder), "--json"))
    assert score["val_bpb"] == runs[1].result["val_bpb"]

    damaged = bytearray((folder / ARTIFACT).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (folder / ARTIFACT).write_bytes(damaged)
    golf(project, "eval", str(folder), code=10)


def wait_for(root, name):
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        if found := list(root.glob(f"submissions/*/runs/*/seed_*/{name}")):
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no {name} appeared")


def read_marks(log):
    return [line.split()[1] for line in log.read_text().splitlines() if line.startswith("golf_phase ")]
