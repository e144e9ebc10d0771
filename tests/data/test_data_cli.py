"""`golf data`: what each command prints, and its exit code."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from golf.cli.data import app
from golf.data.embedded import make_embedded
from golf.data.lock import differences, lock_text
from golf.data.shards import write_documents
from golf.data.source import resolve_data
from golf.errors import GolfError


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_world(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("DATA_PATH", raising=False)
    monkeypatch.delenv("TOKENIZER_PATH", raising=False)
    monkeypatch.chdir(tmp_path)


def golf_data(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_make_prints_counts_overlap_and_the_two_variables() -> None:
    made = make_embedded(512)
    printed = golf_data("make", "--vocab", "512").stdout
    assert f"export DATA_PATH={made.dataset}\nexport TOKENIZER_PATH={made.tokenizer}\n" in printed
    assert f"{made.manifest['val']['tokens']:,}" in printed
    assert "64_token_runs 0" in printed
    report = json.loads(golf_data("make", "--vocab", "512", "--json").stdout)
    assert (report["schema"], report["manifest"]) == (1, made.manifest)


def test_get_dry_run_prints_files_and_bytes_and_fetches_nothing(tmp_path: Path) -> None:
    found = golf_data("get", "--shards", "3", "--dry-run")
    assert found.exit_code == 0
    assert "datasets/datasets/fineweb10B_sp1024/fineweb_train_000002.bin" in found.stdout
    assert "5 of 5 files, about 724,047,360 bytes" in found.stdout
    report = json.loads(golf_data("get", "--shards", "1", "--repo", "me/mine", "--dry-run", "--json").stdout)
    assert (report["schema"], report["repo"], len(report["files"])) == (1, "me/mine", 3)
    assert list(tmp_path.iterdir()) == []


def test_lock_is_toml_that_checks_against_itself_and_notices_every_change(tmp_path: Path) -> None:
    source = resolve_data(512)
    assert golf_data("lock", "--vocab", "512").stdout == lock_text(source)
    assert golf_data("lock", "--vocab", "512", "--out", "data.lock").exit_code == 0
    locked = tomllib.loads((tmp_path / "data.lock").read_text())
    assert locked["sha256"] == source.sha256s
    assert (locked["data_sha256"], locked["tokenizer_sha256"]) == (source.data_sha256, source.tokenizer_sha256)
    same = golf_data("lock", "--vocab", "512", "--check", "data.lock")
    assert (same.exit_code, same.stdout) == (0, "3 files are as locked\n")
    text = (tmp_path / "data.lock").read_text().replace(source.tokenizer_sha256, "0" * 64)
    (tmp_path / "data.lock").write_text(text.replace("fineweb_val_000000.bin", "fineweb_val_000009.bin"))
    assert differences(source, tmp_path / "data.lock") == [
        "fineweb_val_000009.bin is locked, but not here",
        "fineweb_val_000000.bin is here, but not locked",
        f"{source.tokenizer_path.name} has sha256 {source.tokenizer_sha256[:12]}…, locked is 000000000000…",
    ]
    assert golf_data("lock", "--vocab", "512", "--check", "data.lock").exit_code == 1


@pytest.mark.parametrize("content", [None, "x = 1", "=", b"\xff"])
def test_a_lock_that_is_none_is_named(tmp_path: Path, content: str | bytes | None) -> None:
    if content is not None:
        (tmp_path / "data.lock").write_bytes(content.encode() if isinstance(content, str) else content)
    found = golf_data("lock", "--vocab", "512", "--check", "data.lock")
    assert isinstance(found.exception, GolfError)
    assert "data.lock" in found.exception.message


def test_a_lock_that_cannot_be_written_is_named() -> None:
    found = golf_data("lock", "--vocab", "512", "--out", "no/such/folder/data.lock")
    assert isinstance(found.exception, GolfError)


def test_prove_ends_with_0_for_disjoint_data_and_1_for_a_leak(tmp_path: Path) -> None:
    found = golf_data("prove", "--vocab", "512")
    assert (found.exit_code, found.stdout.splitlines()[-1]) == (0, "disjoint")
    rng = np.random.default_rng(0)
    documents = [rng.integers(4, 500, 90).tolist() for _ in range(5)]
    (train,) = write_documents(tmp_path / "sets" / "mine", documents, "train")
    write_documents(tmp_path / "sets" / "mine", documents[3:4], "val")
    leaked = golf_data("prove", "--train", str(train), "--val", str(tmp_path / "sets" / "mine"))
    assert (leaked.exit_code, leaked.stdout.splitlines()[-1]) == (1, "not disjoint")
    report = json.loads(golf_data("prove", "--train", str(train), "--val", str(train.parent), "--json").stdout)
    assert (report["schema"], report["shared_documents"], report["disjoint"]) == (1, 1, False)


def test_prove_forgives_shared_runs_within_the_tolerance(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shared = rng.integers(4, 500, 64).tolist()
    for split in ("train", "val"):
        write_documents(tmp_path / "set", [rng.integers(4, 500, 935).tolist() + shared], split)
    folder = str(tmp_path / "set")
    assert golf_data("prove", "--train", folder, "--val", folder).exit_code == 1
    assert golf_data("prove", "--train", folder, "--val", folder, "--tolerance", "0.064").exit_code == 0


def test_every_command_has_an_example_and_every_option_help() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"$ golf data {command.callback.__name__}" in (command.callback.__doc__ or "")
    for command in typer.main.get_command(app).commands.values():  # type: ignore[attr-defined]
        assert all(option.help for option in command.params)
