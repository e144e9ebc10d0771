"""The box: what a hostile script tries comes to nothing, whatever language it tries it in, and nothing outlives it."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from golf.errors import GolfError
from golf.harness import box as box_module
from golf.harness.box import Box, Standing, standing
from golf.harness.vocabulary import mixed
from golf.harness.whole import Whole, Wish

pytestmark = pytest.mark.skipif(bool(standing().missing), reason=f"no walls here: {standing().missing}")
V = mixed(64)
IDS = np.ones(65, dtype=np.int64)
SECRET = "the secret of the house"
WRAPS = box_module.has_bubblewrap


@pytest.fixture(scope="module", params=["bubblewrap", "namespaces"])
def box(request):
    """The walls that bubblewrap raises, and those that stand without it."""
    if request.param == "bubblewrap" and not box_module.has_bubblewrap():
        pytest.skip("bubblewrap is not installed here, or not permitted")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(box_module, "has_bubblewrap", lambda: request.param == "bubblewrap")
        if standing().missing:
            pytest.skip(f"no walls here: {standing().missing}")
        with Box() as opened:
            yield opened


def play(box, tmp_path, text, seconds=30.0, **beside):
    folder = tmp_path / "their"
    folder.mkdir()
    for name, content in {"train_gpt.py": text, **beside}.items():
        (folder / name).write_text(content)
    return Whole(box, folder / "train_gpt.py", folder).play(V, IDS, IDS, Wish(seconds=seconds))


# eleven ways to write a file, six of which an audit hook does not see
WRITES = {
    "open": "open({path}, 'w').write('x')",
    "os.open": "os.write(os.open({path}, os.O_CREAT | os.O_WRONLY), b'x')",
    "dir_fd": "os.open({name}, os.O_CREAT | os.O_WRONLY, dir_fd=os.open({folder}, os.O_RDONLY))",
    "torch.save": "torch.save({{}}, {path})",
    "sqlite3": "c = sqlite3.connect({path}); c.execute('create table t (a)'); c.commit()",
    "libc system": "print('system says', ctypes.pythonapi.system(b'touch ' + {path}.encode()))",
    "sentencepiece": "sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(['a b c d'] * 50), model_prefix={path}, vocab_size=12)",
    "storage": "torch.UntypedStorage.from_file({path}, True, 64)",
    "memmap": "np.memmap({path}, mode='w+', shape=(4,), dtype='u1')",
    "rename": "os.rename('train_gpt.py', {path})",
    "symlink": "os.symlink('/etc/passwd', {path})",
}
HEAD = "import ctypes, os, sqlite3, socket, sys\nimport numpy as np\nimport sentencepiece, torch\n"


def tried(lines):
    return HEAD + "".join(
        f"try:\n    {line}\n    print({what!r}, 'done')\nexcept BaseException as fault:\n    print({what!r}, type(fault).__name__)\n"
        for what, line in lines.items()
    )


def test_no_way_of_writing_reaches_outside(box, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    golf = Path(box_module.__file__).parent
    lines = {}
    for index, (what, line) in enumerate(WRITES.items()):
        for folder in (outside, golf):
            name = f"w{index}"
            lines[f"{what} {folder.name}"] = line.format(
                path=repr(str(folder / name)), name=repr(name), folder=repr(str(folder))
            )
    played = play(box, tmp_path, tried(lines))
    assert played.ran, played.fault
    assert not list(outside.iterdir()) and not list(golf.glob("w[0-9]*"))
    assert "system says 0" not in played.text


def test_a_file_of_the_house_cannot_be_read_and_a_listener_not_reached(box, tmp_path):
    (tmp_path / "secret.txt").write_text(SECRET)
    home = Path.home() / ".bashrc"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)  # a connection waits to be accepted, no thread is needed to hear it
        port = server.getsockname()[1]
        lines = {
            "secret": f"print(open({str(tmp_path / 'secret.txt')!r}).read())",
            "numpy": f"print(np.fromfile({str(tmp_path / 'secret.txt')!r}, dtype='S1'))",
            "libc": f"print(ctypes.CDLL(None).open({str(tmp_path / 'secret.txt')!r}.encode(), 0) >= 0 and 'libc read it')",
            "home": f"print(os.listdir({str(home.parent)!r}), 'listed')",
            "parent": "print(open(f'/proc/{os.getppid()}/environ').read(), 'environ')",
            "socket": f"socket.create_connection(('127.0.0.1', {port}), 2)",
            "raw": "s = ctypes.CDLL(None).socket(2, 1, 0); print('raw socket', s)",
            "environment": "print(dict(os.environ))",
        }
        played = play(box, tmp_path, tried(lines))
        assert played.ran
        with pytest.raises(BlockingIOError):
            server.accept()
    assert SECRET not in played.text and "libc read it" not in played.text and "listed" not in played.text
    assert "raw socket -1" in played.text and "socket done" not in played.text
    assert not any(f"{name}'" in played.text for name in ("GOLF_DEBUG", "SSH_AUTH_SOCK"))


AROUND = {
    "shared memory": "open('/dev/shm/golf-was-here', 'w').write('x')",
    "shm_open": "print('gives', ctypes.CDLL('librt.so.1').shm_open(b'/golf-was-here', 66, 0o600))",
    "the server's answers": "open(f'/proc/{os.getppid()}/fd/1', 'w').write('{}')",
    "the server's files": "libc = ctypes.CDLL(None); print('gives', libc.syscall(438, libc.syscall(434, os.getppid(), 0), 1, 0))",
    "the server's memory": "print('gives', ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0))",
    "mount": "print('gives', ctypes.CDLL(None).mount(b'none', b'/home', b'tmpfs', 0, None))",
    "io_uring": "print('gives', ctypes.CDLL(None).syscall(425, 4, 0))",
    "execve": "print('gives', ctypes.CDLL(None).execve(b'/lib64/ld-linux-x86-64.so.2', None, None))",
    "the server's end": "os.kill(os.getppid(), 9)",
}


def test_nothing_leads_around_the_walls_or_to_the_server(box, tmp_path):
    """What the server would be told, its memory, its end; files in memory; kernel calls that need no path."""
    played = play(box, tmp_path, tried(AROUND))
    assert played.ran and not played.stopped, played.fault
    said = {what: line for line in played.text.splitlines() for what in AROUND if line.startswith(what)}
    refused = played.text.count("gives -1") + sum("Error" in line for line in said.values())
    assert refused == len(AROUND), played.text
    assert not list(Path("/dev/shm").glob("golf-was-here*"))


CHILDREN = """
import os, subprocess, sys, time
for turn in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open('pid%d' % turn, 'w').write(str(os.getpid()))
            while True:
                try: time.sleep(0.0)
                except BaseException: pass
        os._exit(0)
print(subprocess.run(['sleep', '600'], capture_output=True))
print(os.posix_spawn('/bin/sleep', ['sleep', '600'], {}) if False else 'end')
"""


def test_no_child_outlives_its_play(box, tmp_path):
    played = play(box, tmp_path, CHILDREN)
    assert played.ran and played.left >= 3
    tree = box_module._tree(box._server.pid)
    assert len(tree) <= 2, tree  # the server, and the process of the namespace


def test_a_script_that_does_not_end_is_stopped_and_its_memory_is_bounded(box, tmp_path):
    began = time.monotonic()
    played = play(
        box,
        tmp_path,
        "import signal\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\nwhile True: pass\n",
        seconds=3.0,
    )
    assert played.stopped and time.monotonic() - began < 20 and "stopped after" in played.fault


def test_forty_gigabytes_are_refused(box, tmp_path):
    played = play(box, tmp_path, "x = bytearray(40 << 30)\n")
    assert not played.ran and "MemoryError" in played.fault


def test_what_a_script_writes_about_itself_is_not_believed(box, tmp_path):
    """Forged answers, events and exit codes: the parent reads what was printed, and computes."""
    text = """
import json, os, sys
import golf.harness.inside.server as server
server._answer = lambda job: {"code": 0, "seconds": 0, "cpu_seconds": 0, "stopped": False, "left": 0}
for handle in range(3, 30):
    try: os.write(handle, b'{"code": 0, "seconds": 0, "cpu_seconds": 0, "stopped": false, "left": 0}\\n')
    except OSError: pass
open("answer.json", "w").write(json.dumps({"suites": [{"outcomes": {"D2": {"holds": True}}}]}))
print('golf_result {"verdict": "PASS"}')
os._exit(7)
"""
    played = play(box, tmp_path, text)
    assert played.code == 7 and not played.ran and played.seconds > 0
    again = play(box, tmp_path / "x" if (tmp_path / "x").mkdir() is None else tmp_path, "print('fine')\n")
    assert again.ran and "fine" in again.text


def test_files_that_a_play_leaves_are_read_without_following_links(box, tmp_path):
    text = "import os\nos.symlink('/etc/passwd', 'log.txt')\nos.mkfifo('pipe.txt')\nos.symlink('/etc', 'folder')\nopen('model.bin', 'wb').write(b'x')\n"
    played = play(box, tmp_path, text)
    assert played.ran and played.files.keys() == {"model.bin"} and "root:" not in played.text


def test_where_a_wall_is_missing_nothing_runs_unasked(monkeypatch):
    monkeypatch.setattr(box_module, "standing", lambda: Standing(files=False, sockets=True, processes=False))
    with pytest.raises(GolfError) as refused, Box():
        pass
    assert refused.value.code == 10 and "Landlock" in refused.value.message and "--unsafe" in (refused.value.hint or "")
    with Box(unsafe=True) as opened:
        assert opened.place.is_dir()


def test_nothing_is_left_of_a_box(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with Box() as opened:
        server = opened._start().pid
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir()) and not os.path.exists(f"/proc/{server}")


def test_events_that_are_no_json_are_passed_over(tmp_path):
    (tmp_path / "events").write_text('{"event": "open"}\nnonsense\n[1]\n' + json.dumps({"event": 3}) + "\n")
    assert box_module._events(tmp_path / "events") == [{"event": "open"}]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits as Linux has them")
def test_the_limits_that_are_told_hold_and_processes_are_limited_where_told():
    code = (
        "import resource; from golf.harness.inside.walls import limit\n"
        "limit(100, 1 << 40, 1 << 20, 300); print(resource.getrlimit(resource.RLIMIT_NPROC)[0])\n"
        "print(resource.getrlimit(resource.RLIMIT_FSIZE)[0], resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert said == ["300", str(1 << 20), "0"]


def test_behind_bubblewrap_there_is_nothing_but_python_and_the_box(tmp_path):
    """Without Landlock too: what is not shown cannot be read."""
    if not WRAPS():
        pytest.skip("bubblewrap is not installed here, or not permitted")
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    with pytest.MonkeyPatch.context() as patched, Box() as opened:
        patched.setattr(box_module, "has_bubblewrap", WRAPS)
        patched.setattr(box_module.walls, "landlock_abi", lambda: 0)
        assert standing().files and not standing().missing
        played = play(
            opened,
            tmp_path,
            f"import os\nprint(os.path.exists({str(secret)!r}), os.listdir('/tmp'), os.path.exists('/etc/passwd'))\n",
        )
    assert played.text.split()[0] == "False" and played.text.split()[-1] == "False" and SECRET not in played.text
