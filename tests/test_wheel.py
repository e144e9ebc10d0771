"""A plain wheel works: what it needs besides Python files is in it, and the commands run outside the repository."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
from places import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The project's wheel, built from a copy without the network."""
    if importlib.util.find_spec("setuptools") is None or importlib.util.find_spec("pip") is None:
        pytest.skip("needs setuptools and pip to build a wheel offline")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "golf", source / "golf", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", folder, source)
    return next(folder.glob("*.whl"))


def pip(*words):
    made = subprocess.run([sys.executable, "-m", "pip", *map(str, words)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


def test_every_file_of_the_package_is_in_it(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    ours = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "golf").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= inside, ours - inside


def test_the_commands_run_outside_the_repository(wheel, tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    pip("install", "--no-deps", "--no-index", "--target", site, wheel)
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def golf(*words):
        made = subprocess.run(
            [sys.executable, "-m", "golf", *words],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        return made.stdout

    where = subprocess.run(
        [sys.executable, "-c", "import golf; print(golf.__file__)"],
        cwd=elsewhere, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert where.stdout.startswith(str(site))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert golf("--version").startswith(f"golf {version}, ")
    assert "pr1809_legal" in golf("ls", "recipes")
    assert "sparse_gate" in golf("show", "sparse_gate")
    assert "R38" in golf("explain", "R38")
    golf("new", "mine", "--from", "pr1809_legal")
    golf("compose", "mine")
    script = (elsewhere / "submissions/mine/train_gpt.py").read_text()
    compile(script, "train_gpt.py", "exec")
    assert "class GPT(nn.Module)" in script
