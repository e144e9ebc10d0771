"""What a node does with a script, without a cluster: its log as it comes, its files, its exit code; other data are refused."""

import errno
import os
import sys
from pathlib import Path

import pytest
from study_fakes import fake_script

from golf.engine.on_node import data_state, run_script


def spec(tmp_path, **changes):
    shards, tokenizer = tmp_path / "data", tmp_path / "tok.model"
    shards.mkdir(exist_ok=True)
    (shards / "fineweb_val_000000.bin").write_bytes(b"1" * 100)
    tokenizer.write_bytes(b"t")
    env = {"SEED": "5", "FAKE_STEP_SECONDS": "0.001"}
    return {"script": fake_script(), "command": [None, "../train_gpt.py"], "env": env, "files": {},
            "data": (str(shards), str(tokenizer), data_state(shards, tokenizer)), **changes}  # fmt: skip


def told(answers):
    log = b"".join(value for kind, value in answers if kind == "log").decode()
    return log, dict(pair for pair in answers if pair[0] != "log")


def test_a_script_comes_back_with_its_log_its_files_and_its_exit_code(tmp_path):
    log, rest = told(list(run_script(spec(tmp_path))))
    assert rest["exit"] == 0 and sorted(rest["files"]) == ["float.golf", "model.golf"]
    assert "seed:5\n" in log and log.rstrip().splitlines()[-1].startswith("golf_result ")
    again, _ = told(
        list(
            run_script(
                spec(
                    tmp_path,
                    command=[None, "../train_gpt.py", "export", "eval"],
                    files={"float.golf": rest["files"]["float.golf"]},
                )
            )
        )
    )
    assert "golf_phase export" in again and "golf_phase train" not in again, "what an earlier phase left is laid out"


def test_a_fault_of_the_script_is_its_exit_code_and_its_words(tmp_path):
    log, rest = told(list(run_script(spec(tmp_path, env={"SEED": "5", "FAKE": "crash:train"}))))
    assert rest["exit"] == 1 and "told to crash in train" in log


@pytest.mark.parametrize("change", ["no data", "other data"])
def test_a_node_without_the_data_or_with_others_refuses(tmp_path, change):
    asked = spec(tmp_path)
    if change == "no data":
        (tmp_path / "data" / "fineweb_val_000000.bin").unlink()
    else:
        (tmp_path / "data" / "fineweb_val_000000.bin").write_bytes(b"2" * 100)
    ((kind, said),) = list(run_script(asked))
    assert kind == "refused" and ("no data there" in said) == (change == "no data")


def test_a_reader_that_goes_away_ends_the_script(tmp_path):
    script = b"import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n"
    stream = run_script(spec(tmp_path, script=script))
    _, said = next(stream)
    stream.close()
    if sys.platform == "linux":
        assert not os.path.exists(f"/proc/{int(said)}")  # noqa: PTH110


def test_a_full_disk_on_a_node_is_said_and_nothing_is_left(tmp_path, monkeypatch):
    """As it would be on the node: its folder of scratch files takes no more than a page."""

    def full(self, content):
        if len(content) > 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return len(content)

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setattr(Path, "write_bytes", full)
    asked = {**spec(tmp_path), "script": b"#" * 200}
    ((kind, said),) = list(run_script(asked))
    assert kind == "refused" and "No space left on device" in said and str(scratch) in said
    assert not list(scratch.iterdir())
