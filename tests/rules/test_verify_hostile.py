"""Hostile input: contained, reported, nothing left behind."""

import ast
import base64
import os
import subprocess
import time
import zlib

import pytest

from golf.harness.box import namespaces
from golf.rules import State, verify_folder
from golf.rules.calibration.scripts import script
from golf.rules.sandbox import run_sandboxed


def foreign(text, seconds=90.0):
    """What the sandbox of golf's own scripts answers to one that only looks composed."""
    return run_sandboxed({"text": f"class h:\n    vocab_size = 16\n{text}", "quick": True}, seconds)


def states(verdict):
    return {finding.code: finding.state for finding in verdict.findings}


def test_a_script_of_fifty_megabytes_is_refused_in_seconds(tmp_path):
    path = tmp_path / "train_gpt.py"
    path.write_bytes(b"x = 1\n" * (50_000_000 // 6))
    started = time.perf_counter()
    verdict = verify_folder(path, only=["static", "folder"])
    assert time.perf_counter() - started < 2.0
    assert State.PASS not in {
        finding.state for finding in verdict.findings if finding.code in ("R03", "R34", "R36", "R38")
    }


@pytest.mark.parametrize("form", ["zlib", "nested"])
def test_a_decompression_bomb_is_named_and_never_unpacked(tmp_path, form):
    bomb = zlib.compress(b"#" * 200_000_000, 9)
    inner = f'import zlib,base64\nexec(zlib.decompress(base64.b64decode("{base64.b64encode(bomb).decode()}")))\n'
    text = (
        inner
        if form == "zlib"
        else f"import zlib,base64\nexec(zlib.decompress(base64.b64decode({base64.b64encode(zlib.compress(inner.encode()))!r})))\n"
    )
    path = tmp_path / "train_gpt.py"
    path.write_text(text)
    verdict = verify_folder(path, only=["static"])
    assert not verdict.having(State.PASS)
    assert any("more than" in finding.message for finding in verdict.findings)


@pytest.mark.parametrize(
    "text",
    [
        "def f(:\n",
        "\0\0\0",
        "x = " + "(" * 5000,
        "class Größe: π = 3\n变量 = Größe.π\n",
        "",
        "exec(input())\n",
        "exec(open('/etc/passwd').read())\n",
    ],
)
def test_odd_scripts_give_a_verdict_and_no_crash(tmp_path, text):
    path = tmp_path / "train_gpt.py"
    path.write_text(text)
    verdict = verify_folder(path)
    assert len(verdict.findings) == 41
    assert not any("failed" in finding.message for finding in verdict.findings)


def test_odd_folders_give_a_verdict_and_no_crash(tmp_path):
    (tmp_path / "submission.json").write_text("[1, 2")
    (tmp_path / "train_seed1.log").write_bytes(os.urandom(3000))
    (tmp_path / "train_gpt.py").write_bytes(b"")
    verdict = verify_folder(tmp_path)
    assert states(verdict)["R11"] is State.FAIL and states(verdict)["R10"] is State.FAIL


TRIES = {
    "forks": ("os.fork()", "process"),
    "shell": ("subprocess.run(['touch', {mark}])", "process"),
    "system": ("os.system('touch ' + {mark})", "process"),
    "socket": ("socket.socket().connect(('127.0.0.1', 9))", "network"),
    "name service": ("socket.getaddrinfo('example.invalid', 80)", "network"),
    "writes outside": ("open({mark}, 'w').write('x')", "write"),
    "appends outside": ("open({keep}, 'a').write('x')", "write"),
    "opens by flags": ("os.open({mark}, os.O_CREAT | os.O_WRONLY)", "write"),
    "removes": ("os.remove({keep})", "change"),
    "renames": ("os.rename({keep}, {mark})", "change"),
    "kills": ("os.kill(os.getppid(), 9)", "signal"),
    "libc": ("ctypes.CDLL('libc.so.6').fork()", "library"),
}  # fmt: skip


def test_what_a_script_tries_is_refused_and_told(tmp_path):
    keep, mark = tmp_path / "keep me", tmp_path / "was here"
    keep.write_text("kept")
    lines = ["import os, socket, subprocess, ctypes", "outcomes = {}"]
    for what, (line, _) in TRIES.items():
        tried = line.replace("{mark}", repr(str(mark))).replace("{keep}", repr(str(keep)))
        lines += [
            "try:",
            f"    {tried}",
            f"    outcomes[{what!r}] = 'done'",
            "except PermissionError as fault:",
            f"    outcomes[{what!r}] = str(fault)",
        ]
    answer = foreign("\n".join([*lines, "raise SystemExit(repr(outcomes))"]))
    outcomes = ast.literal_eval(answer["fault"].removeprefix("SystemExit: ").partition("}")[0] + "}")
    assert {what: kind in outcomes[what] for what, (_, kind) in TRIES.items()} == dict.fromkeys(TRIES, True)
    assert {kind for _, kind in TRIES.values()} <= answer["touched"].keys()
    assert keep.read_text() == "kept" and not mark.exists()


def test_a_script_that_sleeps_is_stopped_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    started = time.perf_counter()
    answer = foreign("import time\ntime.sleep(600)\n", seconds=8.0)
    assert time.perf_counter() - started < 20.0
    assert "stopped after 8 s" in answer["fault"]
    assert not list(tmp_path.iterdir())
    assert str(tmp_path) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_memory_and_endless_output_are_bounded():
    answer = foreign("x = bytearray(40 << 30)\n")
    assert "MemoryError" in answer["fault"]
    answer = foreign("import sys\nwhile True:\n    sys.stdout.write('x' * 1000000)\n", seconds=60.0)
    assert answer["fault"]


def test_an_exit_inside_the_script_is_an_answer():
    assert "SystemExit" in foreign("import sys\nsys.exit(0)\n")["fault"]


@pytest.mark.skipif(not namespaces(), reason="this machine permits no namespaces")
def test_the_child_has_no_network_even_without_the_hook():
    done = subprocess.run([*namespaces(), "cat", "/proc/net/dev"], capture_output=True, text=True, check=True)
    assert [line.split(":")[0].strip() for line in done.stdout.splitlines()[2:]] == ["lo"]


def test_without_execute_nothing_of_a_stranger_runs(tmp_path):
    mark = tmp_path / "ran"
    (tmp_path / "train_gpt.py").write_text(f"open({str(mark)!r}, 'w')\n" + script())
    verdict = verify_folder(tmp_path / "train_gpt.py")
    assert not mark.exists() and states(verdict)["R31"] is State.UNKNOWN
