"""`golf doctor`: one line a check, the way out where it is not well, and an exit code that says whether golf works."""

import importlib.util
import json
import os
import sys
import types
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from golf.cli import doctor as module
from golf.cli.doctor import Check, check_data, check_disk, check_gpus, check_machine, check_software, doctor

app = typer.Typer()
app.command()(doctor)


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DATA_PATH", raising=False)
    monkeypatch.delenv("TOKENIZER_PATH", raising=False)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_the_machine_that_runs_the_tests_is_fit_and_nothing_is_built(tmp_path: Path) -> None:
    found = run("--json")
    report = json.loads(found.stdout)
    assert (found.exit_code, report["schema"], report["fit"]) == (0, 1, True)
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert {states[name] for name in ("python", "torch", "libcst", "ruff", "python-minifier", "cache")} == {"OK"}
    assert all(check["hint"] for check in report["checks"] if check["state"] != "OK")
    assert not (tmp_path / "cache" / "golf" / "data").exists()


def test_a_fail_ends_with_10_and_prints_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "installed", lambda name: "0.0.1" if name == "ruff" else "999.0")
    found = run()
    assert found.exit_code == 10
    assert "FAIL  ruff" in found.stdout
    assert "pip install -c constraints.txt 'ruff==" in found.stdout


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "installed", lambda name: None)
    checks = {check.name: check for check in check_software()}
    assert checks["numpy"].state == "FAIL"
    assert checks["numpy"].found.startswith("missing (needs ")


def test_the_requirements_are_read_where_golf_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DISTRIBUTION", "no-such-distribution")
    python, needs = module.requirements()
    assert python.startswith(">=3.11")
    assert any(need.startswith("libcst==") for need in needs)


def gpus(names: list[str]) -> types.SimpleNamespace:
    cuda = types.SimpleNamespace(
        is_available=lambda: bool(names), device_count=lambda: len(names), get_device_name=names.__getitem__
    )
    return types.SimpleNamespace(cuda=cuda, __version__="2.x", version=types.SimpleNamespace(cuda="12.8"))


@pytest.mark.parametrize(
    ("names", "state", "found"),
    [
        ([], "WARN", "none"),
        (["NVIDIA H100 80GB HBM3"] * 8, "OK", "8 × NVIDIA H100 80GB HBM3, CUDA 12.8"),
        (["NVIDIA H100 80GB HBM3"], "WARN", "1 × NVIDIA H100 80GB HBM3, CUDA 12.8"),
        (["NVIDIA A100"] * 8, "WARN", "8 × NVIDIA A100, CUDA 12.8"),
        (["A", "B", "A"], "WARN", "2 × A, 1 × B, CUDA 12.8"),
    ],
)
def test_only_eight_h100_are_the_contest_machine(names: list[str], state: str, found: str) -> None:
    check = check_gpus(gpus(names))
    assert check.state == state
    assert check.found.startswith(found)
    assert ("8×H100" in check.hint) == (state == "WARN")


def test_on_cuda_the_kernels_and_the_compiler_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = gpus(["NVIDIA H100"])
    fake.distributed = types.SimpleNamespace(is_available=lambda: True, is_nccl_available=lambda: True)
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.setattr(
        module.util, "find_spec", lambda name: None if "flash" in name else importlib.machinery.ModuleSpec(name, None)
    )
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    states = {check.name: check.state for check in module.check_torch()}
    assert states == {"GPUs": "WARN", "FlashAttention 3": "WARN", "C compiler": "FAIL", "nccl": "OK"}


def test_a_cache_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    cache = next(check for check in check_disk() if check.name == "cache")
    assert cache.state == "FAIL"
    assert "XDG_CACHE_HOME" in cache.hint


def test_little_disk_memory_and_one_core_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_FREE_BYTES", 1 << 62)
    monkeypatch.setattr(module, "LEAST_MEMORY_BYTES", 1 << 62)
    monkeypatch.setattr(os, "sched_getaffinity" if sys.platform == "linux" else "cpu_count", lambda *_: {0})
    states = {check.name: check.state for check in [*check_machine(), *check_disk()]}
    assert (states["memory"], states["disk"]) == ("WARN", "WARN")
    assert sys.platform != "linux" or states["cores"] == "WARN"


def test_data_is_embedded_named_or_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_data(1024).found == "embedded corpus, built at first use"
    monkeypatch.setenv("DATA_PATH", str(tmp_path / "nowhere"))
    broken = check_data(1024)
    assert broken.state == "FAIL"
    assert broken.hint


def test_official_data_is_described(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_PATH", str(shared / "shards" / "fineweb10B_sp1024"))
    found = check_data(1024)
    assert found == Check("data", "WARN", "fineweb10B_sp1024: 628,457 train, 1,040,298 validation tokens", found.hint)
