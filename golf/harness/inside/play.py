"""One play: a script run as `__main__` in a process of its own, with a clock that counts calls and with what is watched written down.

What is written to `events` are observations; the judged process could forge them, so no verdict rests on them alone.
"""

import builtins
import io
import json
import os
import random
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

MILLISECOND = 0.001
MOST_TWINS = 3
TWIN_MARK = "== twin of "
STAND_INS = ("nvidia-smi", "pip", "pyminify", "git", "uname", "hostname", "lscpu")


class Watch:
    """The event file, one JSON object per line."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.count = 0

    def tell(self, event: str, **what: Any) -> None:
        if self.count < 2000:
            self.count += 1
            os.write(self.handle, (json.dumps({"event": event, **what}) + "\n").encode())


def play(job: Mapping[str, Any], events: int, twin_output: int) -> None:
    """Run the script of `job` to its end; raises what it raises.

    job: script (path in the working folder), folder, environment, sizes, seed, train_rate, train_steps, late_rate, quiet, twin, drawn, vocab_size.
    """
    watch = Watch(events)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    random.seed(job["seed"])
    _clock()
    _programs(watch)
    _compiler(job)
    _files(watch, job, twin_output)
    _torch(watch, job)
    path = os.path.join(job["folder"], job["script"])
    with open(path, encoding="utf-8", errors="replace") as source:
        text = source.read()
    main = types.ModuleType("__main__")
    main.__dict__.update({"__file__": path, "__builtins__": builtins, "__spec__": None})
    sys.modules["__main__"] = main
    sys.argv = [path]
    sys.path.insert(0, job["folder"])
    exec(builtins.compile(text, path, "exec"), main.__dict__)


def _clock() -> None:
    """Time by calls: one millisecond each, so that no schedule and no time-out depends on this machine."""
    import time

    now = [1_700_000_000.0]

    def seconds() -> float:
        now[0] += MILLISECOND
        return now[0]

    def nanoseconds() -> int:
        return int(seconds() * 1e9)

    for name in ("time", "perf_counter", "monotonic", "process_time"):
        setattr(time, name, seconds)
        setattr(time, f"{name}_ns", nanoseconds)
    time.sleep = lambda span: now.__setitem__(0, now[0] + float(span))


def _programs(watch: Watch) -> None:
    """Programs answer nothing: none can be started in here."""
    import subprocess

    def told(command: Any) -> Any:
        watch.tell("program", what=str(command)[:200])
        return ""

    class Done(subprocess.CompletedProcess):  # type: ignore[type-arg]
        def __init__(self, command: Any, *, text: bool) -> None:
            super().__init__(command, 0, "" if text else b"", "" if text else b"")

    def run(command: Any, *_: Any, **options: Any) -> Any:
        told(command)
        return Done(
            command, text=bool(options.get("text") or options.get("universal_newlines") or options.get("encoding"))
        )

    subprocess.run = run  # type: ignore[assignment]
    subprocess.check_output = lambda command, *_, **options: run(command, **options).stdout  # type: ignore[assignment]
    subprocess.check_call = subprocess.call = lambda command, *_, **__: run(command).returncode  # type: ignore[assignment]
    os.system = lambda command: int(bool(told(command)))
    os.popen = lambda command, *_: io.StringIO(told(command))  # type: ignore[assignment]


def _compiler(job: Mapping[str, Any]) -> None:
    """Every text that the script or its wrapper compiles is made ready for the CPU first, and so are the modules beside it."""
    from golf.harness.inside.rewrite import for_cpu

    real, plain_exec = builtins.compile, builtins.exec
    import ast

    def ready(source: Any, filename: Any, mode: str, flags: int = 0, *rest: Any, **options: Any) -> Any:
        name = os.fsdecode(filename) if isinstance(filename, str | bytes | os.PathLike) else str(filename)
        foreign = mode == "exec" and isinstance(source, str | bytes) and not flags & ast.PyCF_ONLY_AST
        if foreign and (name.startswith(job["folder"]) or (name.startswith("<") and not name.startswith("<frozen"))):
            text = source.decode("utf-8", "replace") if isinstance(source, bytes) else source
            try:
                source = for_cpu(text, name, job["sizes"])
            except (SyntaxError, ValueError, RecursionError):
                pass  # the real compiler says what is wrong
        return real(source, filename, mode, flags, *rest, **options)

    def execute(source: Any, *spaces: Any, **options: Any) -> Any:
        if isinstance(source, str | bytes):
            source = ready(source, "<string>", "exec", 0, True)
            if not spaces:
                frame = sys._getframe(1)
                spaces = (frame.f_globals, frame.f_locals)
        elif not spaces:
            frame = sys._getframe(1)
            spaces = (frame.f_globals, frame.f_locals)
        return plain_exec(source, *spaces, **options)

    builtins.compile, builtins.exec = ready, execute
    import importlib.machinery

    class Loader(importlib.machinery.SourceFileLoader):
        def source_to_code(self, data: Any, path: Any, *, _optimization: int = -1) -> Any:  # type: ignore[override]
            return ready(data, path, "exec", 0, True)

        def set_data(self, *_: Any, **__: Any) -> None:
            pass

    def hook(folder: str) -> Any:
        if not os.path.abspath(folder or ".").startswith(job["folder"]):
            raise ImportError
        return importlib.machinery.FileFinder(folder, (Loader, [".py"]))

    sys.path_hooks.insert(0, hook)


def _files(watch: Watch, job: Mapping[str, Any], twin_output: int) -> None:
    """Which files are opened, and which of those that the run wrote it reads back; there a twin is forked that reads garbage."""
    opening = io.open
    here = job["folder"]
    before = {os.path.join(folder, name) for folder, _, names in os.walk(here) for name in names}
    state: dict[str, Any] = {"twin": job.get("twin"), "read": set()}

    def opened(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if isinstance(file, str | bytes | os.PathLike):
            path = os.path.abspath(os.fsdecode(file))
            reads = not any(sign in str(mode) for sign in "wax+")
            if (
                reads
                and path.startswith(here)
                and path not in before
                and "b" in str(mode)
                and path not in state["read"]
            ):
                state["read"].add(path)
                watch.tell("read back", path=path)
                if (spoiled := _twin(watch, state, path, twin_output)) is not None:
                    return spoiled
            elif reads:
                watch.tell("open", path=path)
        return opening(file, mode, *rest, **options)

    def _spoil(path: str) -> bytes:
        with opening(path, "rb") as file:
            size = len(file.read())
        return random.Random(size).randbytes(size)

    def _twin(watch: Watch, state: dict[str, Any], path: str, output: int) -> Any:
        """None in the play itself; in its twin, a stream of garbage as long as the file."""
        if state["twin"] != "garbage" or len(state["read"]) > MOST_TWINS:
            return None
        sys.stdout.flush()
        os.write(output, f"\n{TWIN_MARK}{os.path.basename(path)}\n".encode())
        child = os.fork()
        if child:
            watch.tell("twin", path=path)
            try:
                _, status = os.waitpid(child, 0)
                watch.tell("twin ended", code=os.waitstatus_to_exitcode(status))
            except ChildProcessError:
                pass
            return None
        sys.stdout = sys.stderr = os.fdopen(output, "w", encoding="utf-8", errors="replace", buffering=1)
        state["twin"] = None
        watch.count = 2000  # the twin's events are not the play's
        return io.BytesIO(_spoil(path))

    builtins.open = io.open = opened
    import torch

    load = torch.load

    def loaded(file: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(file, str | os.PathLike):
            with builtins.open(file, "rb") as stream:
                return load(stream, *rest, **options)
        return load(file, *rest, **options)

    torch.load = loaded
    for module, names in (
        ("zlib", ("decompress",)),
        ("lzma", ("decompress",)),
        ("bz2", ("decompress",)),
        ("brotli", ("decompress",)),
        ("zstandard", ("ZstdDecompressor",)),
    ):
        _tell_calls(watch, module, names, "unpacked")
    plain = torch.nn.Module.load_state_dict

    def told(self: Any, *args: Any, **options: Any) -> Any:
        watch.tell("loaded")
        return plain(self, *args, **options)

    torch.nn.Module.load_state_dict = told


def _tell_calls(watch: Watch, module: str, names: tuple[str, ...], event: str) -> None:
    """Tell of calls from the script itself: torch's late imports unpack texts of their own."""
    libraries = (os.path.dirname(os.__file__), sys.prefix, "<frozen")
    try:
        found = __import__(module)
    except ImportError:
        return
    for name in names:
        function: Callable[..., Any] | None = getattr(found, name, None)
        if function is None:
            continue

        def told(*args: Any, _function: Callable[..., Any] = function, **options: Any) -> Any:
            if not sys._getframe(1).f_code.co_filename.startswith(libraries):
                watch.tell(event)
            return _function(*args, **options)

        setattr(found, name, told)


def _torch(watch: Watch, job: Mapping[str, Any]) -> None:
    """Rates: optimizers made before the first step train, and are slowed; those made later, or that go on after the steps of training,
    adapt, and are sped up."""
    import numpy as np
    import torch

    np.random.seed(job["seed"])
    torch.manual_seed(job["seed"])
    from torch.optim import optimizer as base

    state = {"stepped": False, "quiet": job["quiet"]}
    early: set[int] = set()
    steps: dict[int, int] = {}
    quieted: set[int] = set()
    start = base.Optimizer.__init__

    def made(self: Any, *args: Any, **options: Any) -> None:
        start(self, *args, **options)
        if state["stepped"]:
            watch.tell("late optimizer", kind=type(self).__name__)
        else:
            early.add(id(self))
            if state["quiet"] != 1.0:
                _quieten(self, job["vocab_size"], state["quiet"], quieted)

    base.Optimizer.__init__ = made
    kept: dict[int, list[Any]] = {}

    def before(optimizer: Any, *_: Any) -> None:
        state["stepped"] = True
        taken = steps[id(optimizer)] = steps.get(id(optimizer), 0) + 1
        trains = id(optimizer) in early and taken <= job["train_steps"]
        if id(optimizer) in early and taken == job["train_steps"] + 1:
            watch.tell("late optimizer", kind=type(optimizer).__name__)  # it goes on after training
        factor = job["train_rate"] if trains else job["late_rate"]
        if factor != 1.0:
            kept[id(optimizer)] = [group.get("lr") for group in optimizer.param_groups]
            for group in optimizer.param_groups:
                if "lr" in group:
                    group["lr"] = group["lr"] * factor

    def after(optimizer: Any, *_: Any) -> None:
        for group, rate in zip(optimizer.param_groups, kept.pop(id(optimizer), ()), strict=False):
            if rate is not None:
                group["lr"] = rate

    base.register_optimizer_step_pre_hook(before)
    base.register_optimizer_step_post_hook(after)
    if job.get("drawn"):
        _drawn_text(watch, job)


def _quieten(optimizer: Any, vocab_size: int, factor: float, done: set[int]) -> None:
    """Scale the tables and heads over the vocabulary, once, so that the untrained model is near the uniform distribution."""
    import torch

    with torch.no_grad():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if vocab_size in parameter.shape and id(parameter) not in done:
                    done.add(id(parameter))
                    parameter.mul_(factor)


def _drawn_text(watch: Watch, job: Mapping[str, Any]) -> None:
    """A script that draws its text by `torch.randint` instead of reading a shard is given ours, of the length that is wanted."""
    import numpy as np
    import torch

    real = torch.randint
    least = min(64, 4 * int(job["environment"].get("TRAIN_SEQ_LEN", 64)))
    text = torch.from_numpy(np.array(job["drawn"], dtype=np.int64))

    def randint(*args: Any, **options: Any) -> Any:
        size = next((arg for arg in args if isinstance(arg, tuple | list | torch.Size)), options.get("size"))
        numbers = [arg for arg in args if isinstance(arg, int)]
        if size is not None and len(size) == 1 and size[0] >= least and numbers and numbers[-1] == job["vocab_size"]:
            watch.tell("drew its text", tokens=len(text))
            return text.clone()
        return real(*args, **options)

    torch.randint = randint
