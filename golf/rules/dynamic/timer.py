"""D7: the seconds that a composed script reports for its evaluation hold every read of the validation tokens.

Its own `evaluate` runs on the stub under a clock that stands still but for those reads: each takes one tick. What it then reports
as `eval_seconds`, the number that the time limit is held against, must be all ticks there were. Loading (making the stream, moving
it, slicing it) is no read. Runs in the sandbox's child, or on scripts of the calibration.
"""

import ast
import contextlib
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

from golf.rules.dynamic.properties import Outcome

TICK_SECONDS = 1 / 64  # exact in binary; short enough that no evaluator thinks that its time is up
STARTED = 1000.0
READERS = ("perf_counter", "monotonic", "time", "process_time", "thread_time")
LOADED = {"tokens", "target_bytes"}
USERS = {"evaluate", "train"}  # who may make a Stream: the score, and the log lines of training (R34 looks at those)
# what brings tokens to another place or type, and what asks for their shape only
MOVES = frozenset(
    ("to", "cpu", "cuda", "long", "int", "short", "type", "clone", "contiguous", "pin_memory", "detach", "__deepcopy__")
)  # fmt: skip
SHAPES = frozenset(("__len__", "size", "dim", "numel", "nelement", "element_size", "stride", "is_contiguous"))


class CannotTell(Exception):
    """Why the timer of a script could not be watched."""


class Clock:
    """Stands in for the module `time`: moved by reads only. calls: what was answered; reads: (when, line of the script)."""

    def __init__(self, script: str) -> None:
        self.now = STARTED
        self.calls: list[float] = []
        self.reads: list[tuple[float, int]] = []
        self.script = script

    def read(self) -> None:
        """A read of the validation tokens, by the innermost line of the script."""
        frame: types.FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != self.script:
            frame = frame.f_back
        self.reads.append((self.now, frame.f_lineno if frame is not None else 0))
        self.now += TICK_SECONDS

    def ask(self) -> float:
        """What every clock answers."""
        self.calls.append(self.now)
        return self.now

    def __getattr__(self, name: str) -> Any:
        if name in READERS:
            return self.ask
        if name.endswith("_ns") and name[:-3] in READERS:
            return lambda: int(self.ask() * 1e9)
        return getattr(time, name)


class Log:
    """Takes what `evaluate` says: text lines, and the fields of the result line."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def __call__(self, *_: Any, **__: Any) -> None:
        pass

    def record(self, **fields: Any) -> None:
        self.fields |= fields


def watched(tensor: Any, read: Callable[[], None]) -> Any:
    """`tensor` such that `read` is called when its values are used; views, copies and other types of it stay watched."""
    import torch

    class Watched(torch.Tensor):  # type: ignore[misc]
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = func.__name__
            with torch._C.DisableTorchFunctionSubclass():
                result = func(*args, **(kwargs or {}))
                if name in SHAPES:
                    return result
                if isinstance(result, torch.Tensor) and isinstance(args[0], cls) and _is_same(name, result, args[0]):
                    return result.as_subclass(cls)
            if name not in ("__get__", "__set__"):
                read()
            return result

    return tensor.as_subclass(Watched)


def _is_same(name: str, result: Any, source: Any) -> bool:
    """Whether an operation gave the same tokens: elsewhere, as another type, or as a view."""
    in_place = name.endswith("_") and not name.endswith("__")
    shares = result.untyped_storage().data_ptr() == source.untyped_storage().data_ptr()
    return name in MOVES or (shares and not in_place)


def cannot_tell(text: str) -> str | None:
    """What in the script's text could hold tokens out of sight: a stream that keeps more than it loads, or is made elsewhere."""
    for node in ast.parse(text).body:
        name = getattr(node, "name", "its module")
        for each in ast.walk(node):
            if name == "Stream" and isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store):
                if each.attr not in LOADED:
                    return f"its Stream keeps `{each.attr}`, which may be more than loading (line {each.lineno})"
            elif isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "Stream":
                if name not in USERS:
                    return f"`{name}` makes a Stream of the validation tokens (line {each.lineno})"
    return None


@contextlib.contextmanager
def _under(module: types.ModuleType, clock: Clock, stream: Any, load: Callable[..., None]) -> Iterator[None]:
    """The module with our clock, a stream that is watched, and weights that need no file."""
    ours: dict[str, Any] = {"Stream": lambda *_, **__: stream, "load_artifact": load}
    for name, value in vars(module).items():
        if value is time:
            ours[name] = clock
        elif any(value is getattr(time, reader) for reader in READERS):
            ours[name] = clock.ask
    before = {name: vars(module)[name] for name in ours if name in vars(module)}
    if "Stream" not in before or "load_artifact" not in before:
        raise CannotTell("it has no Stream or no load_artifact of its own")
    vars(module).update(ours)
    try:
        yield
    finally:
        vars(module).update(before)


def timed(module: types.ModuleType, text: str, model: Any, tokens: Any) -> Outcome:
    """D7 on a loaded script. model: the stub; tokens: int64 (N + 1,) of its vocabulary. figure: the reads that are not timed.

    CannotTell when the script hides what it does with the tokens, or reports no seconds.
    """
    import torch

    if (why := cannot_tell(text)) is not None:
        raise CannotTell(why)
    clock, log = Clock(str(module.__file__)), Log()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    stream = types.SimpleNamespace(
        tokens=watched(tokens, clock.read),
        target_bytes=watched(torch.ones(len(tokens) - 1, dtype=torch.int64), clock.read),
    )
    torch.manual_seed(0)
    with _under(module, clock, stream, lambda *_, **__: model.load_state_dict(start)):
        module.evaluate(module.Env(), log, model)
    seconds = log.fields.get("eval_seconds")
    if not isinstance(seconds, int | float) or not clock.reads or not clock.calls:
        raise CannotTell("its `evaluate` reports no eval_seconds, or no read of the validation tokens was seen")
    return _outcome(clock, float(seconds))


def _outcome(clock: Clock, seconds: float) -> Outcome:
    count, inside = len(clock.reads), round(seconds / TICK_SECONDS)
    if inside >= count:
        return Outcome("D7", True, 0.0, f"all {count} reads of the validation tokens lie inside its eval_seconds")
    end = clock.calls[-1]
    begun = end - seconds
    known = begun in clock.calls  # else the number is a sum of several spans
    lines = sorted({line for when, line in clock.reads if when < begun or when >= end}) if known else []
    detail = f"{count - inside} of {count} reads of the validation tokens lie outside its eval_seconds"
    if lines:
        detail += f" (line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines[:6]))} of the script)"
    return Outcome("D7", False, float(count - inside), detail, tuple(lines[:6]))
