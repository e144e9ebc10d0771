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
MOST_EVENTS = 2000
UNREAD_SECONDS = 1.0  # the time of access of what was written and not read
LOGS = (".txt", ".log", ".md", ".json", ".csv", ".tsv", ".jsonl")
BY_HAND = 16  # backward passes without an optimizer's step: more than the micro-batches of one
OFTEN = 5  # calls of the clock after packing: more than take the time of an evaluation
TWIN_MARK = "== twin of "
TWIN_BEGUN = "== begun"  # without it, that a twin printed no score says nothing of what it read
MOST_HANDLES = 256  # open files of a process, see `walls.limit`
STAND_INS = ("nvidia-smi", "pip", "pyminify", "git", "uname", "hostname", "lscpu")


class Watch:
    """The event file, one JSON object per line."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.count = 0

    def tell(self, event: str, **what: Any) -> None:
        if self.count < MOST_EVENTS:
            self.count += 1
            os.write(self.handle, (json.dumps({"event": event, **what}) + "\n").encode())


def play(job: Mapping[str, Any], events: int, twin_output: int) -> None:
    """Run the script of `job` to its end; raises what it raises.

    job: script (path in the working folder), folder, environment, sizes, seed, train_rate, train_steps, late_rate, quiet, twin, product, half,
    is_cuda, drawn, vocab_size, late_call_seconds, kept (folder of products that are read in place of its own; None: its own).
    """
    watch = Watch(events)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    random.seed(job["seed"])
    clock = Clock(watch, job.get("late_call_seconds") or MILLISECOND)
    _programs(watch)
    _compiler(job)
    _files(watch, job, twin_output, clock)
    _torch(watch, job)
    if job.get("half"):
        from golf.harness.inside.cpu import keep_half

        keep_half()
    path = os.path.join(job["folder"], job["script"])
    with open(path, encoding="utf-8", errors="replace") as source:
        text = source.read()
    main = types.ModuleType("__main__")
    main.__dict__.update({"__file__": path, "__builtins__": builtins, "__spec__": None})
    sys.modules["__main__"] = main
    sys.argv = [path]
    sys.path.insert(0, job["folder"])
    exec(builtins.compile(text, path, "exec"), main.__dict__)


class Clock:
    """Time by calls: one millisecond each, so that no schedule and no time-out depends on this machine; `late_call_seconds` each once the
    script has written something, so that what its evaluation does when time runs out can be seen."""

    def __init__(self, watch: Watch, late_call_seconds: float) -> None:
        import time

        self.watch, self.late_call_seconds = watch, late_call_seconds
        self.now, self.late, self.late_calls = 1_700_000_000.0, False, 0
        for name in ("time", "perf_counter", "monotonic", "process_time"):
            setattr(time, name, self.seconds)
            setattr(time, f"{name}_ns", lambda: int(self.seconds() * 1e9))
        time.sleep = self.sleep

    def seconds(self) -> float:
        self.now += self.late_call_seconds if self.late else MILLISECOND
        self.late_calls += self.late
        if self.late_calls == OFTEN:
            self.watch.tell("looks at the clock")
        return self.now

    def sleep(self, span: Any) -> None:
        self.now += float(span)


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
                source = for_cpu(text, name, job["sizes"], is_cuda=job.get("is_cuda", True))
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


class ReadBack:
    """What the run reads of what it wrote: there a twin is forked that reads garbage instead. A play that is to be disturbed gets other
    tensors wherever it loads some into a model after it wrote something."""

    def __init__(self, watch: Watch, job: Mapping[str, Any], output: int, clock: Clock) -> None:
        self.watch, self.here, self.output, self.clock = watch, job["folder"], output, clock
        self.kept = job.get("kept")
        self.laid = {os.path.join(folder, name) for folder, _, names in os.walk(self.here) for name in names}
        self.twins, self.product = job.get("twin"), job.get("product")
        self.vocab_size = job["vocab_size"]
        self.read: set[str] = set()
        self.wrote = False
        self.instead: dict[str, str] = {}  # in a twin: what to open in place of a path
        self.alone = ""  # in a twin: the folder that it has moved to

    def is_written(self, path: str) -> bool:
        """Whether a path is one of the run's own products."""
        return path.startswith(self.here) and path not in self.laid

    def reading(self, file: Any) -> Any:
        """The path to open for reading `file`; anything that is no path as it is."""
        if not isinstance(file, str | bytes | os.PathLike):
            return file
        path = os.path.abspath(os.fsdecode(file))
        if path in self.instead:
            return self.instead[path]
        if self.alone:
            return self._moved(path)
        if not self.is_written(path):
            self.watch.tell("open", path=path)
        elif self.kept and self._is_meant(path):
            other = os.path.join(self.kept, os.path.relpath(path, self.here))
            self.watch.tell("read another's" if os.path.isfile(other) else "read its own", path=path)
            return other if os.path.isfile(other) else file
        elif path not in self.read:
            self.read.add(path)
            self.watch.tell("read back", path=path)
            kind = self.twins if self.twins in ("garbage", "alone") else None
            fits = kind is not None and self._is_meant(path) and len(self.read) <= MOST_TWINS and os.path.isfile(path)
            if fits and kind is not None and self._fork(kind, path):
                if kind == "alone":
                    return self._move(path)
                with io.FileIO(path) as stream:
                    size = len(stream.readall())
                with io.FileIO(self._aside(path), "w") as stream:
                    stream.write(random.Random(size).randbytes(size))
                return self.instead[path]
        return file

    def writing(self, file: Any) -> Any:
        """The path to open for writing `file`: a twin's products lie elsewhere."""
        if isinstance(file, str | bytes | os.PathLike):
            path = os.path.abspath(os.fsdecode(file))
            self.wrote |= self.is_written(path) and not path.endswith(LOGS)
            self.clock.late = self.wrote
            if self.alone:
                return self._placed(path)
            if self.instead and path.startswith(self.here):
                return self._aside(path)
        return file

    def written(self, file: Any) -> None:
        """Mark a product as not read since: a file's time of access moves when it is read, by whatever route, not when it is written."""
        try:
            os.utime(file, (UNREAD_SECONDS, os.stat(file).st_mtime))
        except (OSError, TypeError, ValueError):
            pass

    def loading(self, module: Any, state: Any) -> Any:
        """The tensors to load into a module, or disturbed ones."""
        self.watch.tell("loaded")
        is_model = any(self.vocab_size in getattr(each, "shape", ()) for each in module.parameters())
        disturbs = self.twins == "disturbed" and self.wrote and is_model
        if disturbs:
            self.watch.tell("disturbed")
        return {name: _disturbed(each) for name, each in state.items()} if disturbs else state

    def _move(self, product: str) -> str:
        """Go on in an empty folder with what ships and one product; where that lies now."""
        self.alone, self.instead = os.path.join(os.environ["TMPDIR"], f"alone{os.getpid()}"), {}
        for path in (*self.laid, product):
            place = self._moved(path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with io.FileIO(path) as old, io.FileIO(place, "w") as new:
                new.write(old.readall())
        data = os.path.join(self.here, "data")
        if os.path.islink(data):
            os.symlink(os.readlink(data), os.path.join(self.alone, "data"))
        os.chdir(self.alone)
        return self._moved(product)

    def _is_meant(self, path: str) -> bool:
        """Whether twins and what was kept are for this product."""
        return self.product in (None, os.path.basename(path))

    def _placed(self, path: str) -> str:
        """Where a twin that has moved writes: the folders that the run had made before, as for its log, are made again, empty."""
        place = self._moved(path)
        folder = os.path.dirname(place)
        if os.path.isdir(os.path.join(self.here, os.path.relpath(folder, self.alone))):
            os.makedirs(folder, exist_ok=True)
        return place

    def _moved(self, path: str) -> str:
        """Where a path of the play's folder lies for the twin that has moved; others as they are."""
        return os.path.join(self.alone, os.path.relpath(path, self.here)) if path.startswith(self.here) else path

    def _aside(self, path: str) -> str:
        return self.instead.setdefault(
            path, os.path.join(os.environ["TMPDIR"], f"twin{os.getpid()}-{os.path.basename(path)}")
        )

    def _fork(self, kind: str, path: str) -> bool:
        """True in the twin; False in the play, when its twin has ended."""
        sys.stdout.flush()
        os.write(self.output, f"\n{TWIN_MARK}{kind} {os.path.basename(path)}\n".encode())
        child = os.fork()
        if child:
            self.watch.tell(kind, path=path)
            try:
                _, status = os.waitpid(child, 0)
                self.watch.tell(f"{kind} ended", code=os.waitstatus_to_exitcode(status))
            except ChildProcessError:
                pass
            return False
        self.twins = None
        self.instead[""] = ""
        self.watch.count = MOST_EVENTS  # the twin's events are not the play's
        quiet = os.open(os.devnull, os.O_WRONLY)
        for handle in range(
            3, MOST_HANDLES
        ):  # the list of them in /proc is behind the walls for a process that was forked inside
            if handle != self.output and _is_log(handle, self.here):
                os.dup2(quiet, handle)  # what was opened before the fork is the play's
        sys.stdout = sys.stderr = os.fdopen(self.output, "w", encoding="utf-8", errors="replace", buffering=1)
        sys.stdout.write(TWIN_BEGUN + "\n")
        return True


def _is_log(handle: int, folder: str) -> bool:
    """Whether a handle writes to a file of the play."""
    import fcntl

    try:
        writes = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        return writes and os.readlink(f"/proc/self/fd/{handle}").startswith(folder)
    except OSError:
        return False


def _disturbed(tensor: Any) -> Any:
    """A floating tensor with noise as large as itself; anything else as it is."""
    import torch

    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        return tensor
    noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(tensor.numel()))
    return tensor + (noise * (tensor.detach().float().abs().mean() + 0.1)).to(tensor.dtype)


def _files(watch: Watch, job: Mapping[str, Any], twin_output: int, clock: Clock) -> None:
    """Every route by which Python opens files goes through `ReadBack`."""
    opening, os_open = io.open, os.open
    back = ReadBack(watch, job, twin_output, clock)

    def opened(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if not any(sign in str(mode) for sign in "wax+"):
            return opening(back.reading(file) if "b" in str(mode) else file, mode, *rest, **options)
        stream = opening(back.writing(file), mode, *rest, **options)
        if "w" in str(mode) or "x" in str(mode):
            back.written(stream.fileno())
        return stream

    def opened_by_number(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if dir_fd is None and isinstance(path, str | bytes | os.PathLike):
            path = back.reading(path) if flags & os.O_ACCMODE == os.O_RDONLY else back.writing(path)
        handle = os_open(path, flags, mode, dir_fd=dir_fd)
        if flags & os.O_ACCMODE != os.O_RDONLY:
            back.written(handle)
        return handle

    builtins.open = io.open = opened
    os.open = opened_by_number
    import torch

    load, save, plain = torch.load, torch.save, torch.nn.Module.load_state_dict
    torch.load = lambda file, *rest, **options: load(back.reading(file), *rest, **options)
    for owner in (torch, torch.UntypedStorage):
        mapped = owner.from_file
        owner.from_file = staticmethod(
            lambda file, *rest, _mapped=mapped, **options: _mapped(back.reading(file), *rest, **options)
        )

    def saved(content: Any, file: Any, *rest: Any, **options: Any) -> Any:
        place = back.writing(file)
        found = save(content, place, *rest, **options)
        if isinstance(place, str | bytes | os.PathLike):
            back.written(place)
        return found

    torch.save = saved
    torch.nn.Module.load_state_dict = lambda self, state, *rest, **options: plain(
        self, back.loading(self, state), *rest, **options
    )
    from sentencepiece import SentencePieceProcessor

    plain_model = SentencePieceProcessor.LoadFromFile  # opened by its own library

    def model_loaded(self: Any, path: Any) -> Any:
        watch.tell("open", path=str(path))
        return plain_model(self, path)

    setattr(SentencePieceProcessor, "LoadFromFile", model_loaded)  # noqa: B010
    for module, names in (
        ("zlib", ("decompress",)),
        ("lzma", ("decompress",)),
        ("bz2", ("decompress",)),
        ("brotli", ("decompress",)),
        ("zstandard", ("ZstdDecompressor",)),
    ):
        _tell_calls(watch, module, names, "unpacked")


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

    state: dict[str, Any] = {"stepped": False, "quiet": job["quiet"], "since": 0}
    early: set[int] = set()
    steps: dict[int, int] = {}
    quieted: set[int] = set()
    start = base.Optimizer.__init__

    unowned = Unowned(watch)

    def made(self: Any, *args: Any, **options: Any) -> None:
        start(self, *args, **options)
        unowned.optimizers.append(self)
        if state["stepped"]:
            watch.tell("late optimizer", kind=type(self).__name__)
        else:
            early.add(id(self))
            if state["quiet"] != 1.0:
                _quieten(self, job["vocab_size"], state["quiet"], quieted)

    base.Optimizer.__init__ = made
    kept: dict[int, list[Any]] = {}

    def before(optimizer: Any, *_: Any) -> None:
        state["stepped"], state["since"] = True, 0
        taken = steps[id(optimizer)] = steps.get(id(optimizer), 0) + 1
        trains = id(optimizer) in early and taken <= job["train_steps"]
        if trains:
            unowned.step(taken)
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
    _by_hand(watch, job, state)
    if job.get("drawn"):
        _drawn_text(watch, job)


class Unowned:
    """Parameters of a model in training that ask for a gradient, that no optimizer has, and that a step of training leaves as they are."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.optimizers: list[Any] = []
        self.before: dict[str, tuple[Any, Any]] | None = None  # name → parameter and its value
        self.told = False

    def step(self, taken: int) -> None:
        """Ahead of an optimizer's step: the second is when all of them are there, the third when all have moved what is theirs."""
        if taken == 2 and self.before is None:
            self.before = {name: (each, each.detach().clone()) for name, each in self._found()}
        elif taken == 3 and self.before and not self.told:
            self.told = True
            names = [name for name, (each, value) in self.before.items() if each.detach().equal(value)]
            if names:
                self.watch.tell("unowned", names=names[:20])

    def _found(self) -> "list[tuple[str, Any]]":
        import gc

        import torch

        owned = {id(each) for one in self.optimizers for group in one.param_groups for each in group["params"]}
        modules = [each for each in gc.get_objects() if issubclass(type(each), torch.nn.Module)]
        inner = {id(child) for module in modules for child in module.children()}
        found = {}
        for module in modules:
            own = list(module.named_parameters())
            if id(module) not in inner and any(id(each) in owned for _, each in own):
                found.update(
                    {
                        id(each): (name, each) for name, each in own
                        if each.requires_grad and id(each) not in owned
                    }
                )  # fmt: skip
        return list(found.values())


def _by_hand(watch: Watch, job: Mapping[str, Any], state: dict[str, Any]) -> None:
    """Gradients that no optimizer takes: what adapts by hand is sped up by its gradients."""
    import torch

    backward, grad = torch.Tensor.backward, torch.autograd.grad
    calls = {"grad": 0}

    def factor(count: int, most: int) -> float:
        if count == most + 1:
            watch.tell("late optimizer", kind="by hand")
        return float(job["late_rate"]) if count > most else 1.0

    def passed(self: Any, *args: Any, **options: Any) -> None:
        state["since"] += 1
        scale = factor(state["since"], BY_HAND)
        backward(self * scale if scale != 1.0 else self, *args, **options)

    def taken(*args: Any, **options: Any) -> Any:
        calls["grad"] += 1
        scale = factor(calls["grad"], job["train_steps"] + BY_HAND)
        found = grad(*args, **options)
        return found if scale == 1.0 else tuple(each if each is None else each * scale for each in found)

    torch.Tensor.backward, torch.autograd.grad = passed, taken


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
