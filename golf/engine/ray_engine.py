"""The Ray engine: tasks and scripts on the nodes of a cluster (`pip install 'parameter-golf[fleet]'`), at RAY_ADDRESS or on this machine.

Ray places and restarts; golf keeps its store here: a script's log and files come back to the folder in which it would have run.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from golf.engine import on_node
from golf.engine.local import ATTEMPTS, Died
from golf.errors import Exit, GolfError
from golf.files import write_atomically

Argument = TypeVar("Argument")
Found = TypeVar("Found")

# what belongs to a machine, not to a run
OWN_NAMES = (
    "PATH",
    "HOME",
    "PWD",
    "OLDPWD",
    "TMPDIR",
    "CUDA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "HOSTNAME",
)
_CONNECTING = threading.Lock()  # the first scripts of a study start in several threads
LOST = -9  # exit code of a script whose worker or node is gone


def connect() -> Any:
    """The module ray, connected. GolfError (10): not installed, no cluster at RAY_ADDRESS."""
    try:
        import ray
    except ImportError as fault:
        raise GolfError("`--engine ray` needs Ray, which is not installed", "`pip install 'parameter-golf[fleet]'`, or `--engine local`", Exit.REFUSED) from fault  # fmt: skip
    with _CONNECTING:
        if not ray.is_initialized():
            address = os.environ.get("RAY_ADDRESS")
            try:
                ray.init(
                    address=address,
                    include_dashboard=None if address else False,
                    log_to_driver=False,
                    logging_level="ERROR",
                )
            except (ConnectionError, RuntimeError, ValueError, OSError) as fault:
                said = str(fault).strip().splitlines()
                raise GolfError(f"no Ray cluster at {address or 'this machine'}: {said[0] if said else fault!r}",
                                f"{_token_hint()}start one: `ray start --head`; or unset RAY_ADDRESS for one of this machine alone", Exit.REFUSED) from fault  # fmt: skip
    return ray


def _token_hint() -> str:
    """What to do where a user has a token: `ray start` asks for it then (seen in 2.60), while a driver shows none unless it is told to."""
    held = (
        any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
        or (Path.home() / ".ray" / "auth_token").is_file()
    )
    if not held or os.environ.get("RAY_AUTH_MODE"):
        return ""
    return "if it asks for a token, as what `ray start` begins does where you have one: `RAY_AUTH_MODE=token golf …`; else "


def run_all(
    task: Callable[[Argument], Found], arguments: Sequence[Argument], processes: int
) -> Iterator[tuple[int, Found | Died]]:
    """As `golf.engine.local.run_all`, at most `processes` at a time, on the cluster; golf must be on its nodes."""
    ray = connect()
    remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(task)
    todo, at_work = iter(range(len(arguments))), dict[Any, int]()

    def more() -> None:
        at = next(todo, None)
        if at is not None:
            at_work[remote.remote(arguments[at])] = at

    for _ in range(processes):
        more()
    while at_work:
        (done,), _ = ray.wait(list(at_work), num_returns=1)
        at = at_work.pop(done)
        more()
        try:
            yield at, ray.get(done)
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as fault:
            yield at, Died(f"its worker died twice: {type(fault).__name__}")


def in_order(task: Callable[[Argument], Found], arguments: Iterable[Argument], processes: int) -> Iterator[Found]:
    """As `golf.engine.local.in_order`, at most `processes` at work, on the cluster; golf must be on its nodes. What the task carries
    (a `functools.partial`) is sent to a node once. A worker or node that goes costs its tasks one attempt."""
    ray = connect()

    def called(argument: Argument) -> Found:  # a partial is no function to Ray
        return task(argument)

    remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(called)
    waiting: deque[Any] = deque()

    def first() -> Found:
        try:
            found: Found = ray.get(waiting.popleft())
        except ray.exceptions.RayTaskError as fault:
            raise fault.cause from None
        except ray.exceptions.RayError as fault:
            raise Died(f"a worker died twice: {type(fault).__name__}") from fault
        return found

    try:
        for argument in arguments:
            waiting.append(remote.remote(argument))
            if len(waiting) > 2 * processes:
                yield first()
        while waiting:
            yield first()
    finally:
        for reference in waiting:
            ray.cancel(reference)


class RayScript:
    """A script on a node of the cluster; to whoever watches it the same as `golf.run.launch.Script`.

    Its log is added to `log` as it comes, its files stand in `folder` when `poll` first gives its exit code. The lock is held as long
    as it runs, by this process: it ends with the driver, whose tasks Ray ends.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, log: Path, env: Mapping[str, str], lock: Any = None
    ) -> None:
        ray = connect()
        ray.cloudpickle.register_pickle_by_value(on_node)
        self.pid: int | None = None
        self._code: int | None = None
        self._held = os.dup(lock.handle) if lock is not None and lock.handle is not None else None
        nproc = next((int(word.partition("=")[2]) for word in command if word.startswith("--nproc_per_node=")), 1)
        on_gpus = "CUDA_VISIBLE_DEVICES" in env or bool(ray.cluster_resources().get("GPU"))
        needs = {"num_gpus": nproc, "num_cpus": nproc} if on_gpus else {"num_cpus": nproc}
        refuse_too_large((node["Resources"] for node in ray.nodes() if node["Alive"]), needs)
        shards, tokenizer = env["DATA_PATH"], env["TOKENIZER_PATH"]
        spec = {
            "script": (folder.parent / "train_gpt.py").read_bytes(),
            "command": [None if word == sys.executable else word for word in command],
            "env": {
                name: value for name, value in env.items() if name not in OWN_NAMES and not name.startswith("RAY_")
            },
            "files": {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path != log},
            "data": (shards, tokenizer, on_node.data_state(Path(shards), Path(tokenizer))),
        }
        task = ray.remote(num_returns="streaming", max_retries=0, **needs)(on_node.run_script)
        self._stream = task.remote(spec)
        self._thread = threading.Thread(target=self._listen, args=(ray, folder, log), daemon=True)
        self._thread.start()

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._code

    def stop(self, grace_seconds: float) -> None:
        """End it on its node."""
        import ray

        if self._code is None:
            ray.cancel(self._stream)
            self._thread.join(grace_seconds + 5.0)

    def _listen(self, ray: Any, folder: Path, log: Path) -> None:
        code, said = LOST, ""
        try:
            for reference in self._stream:
                kind, value = ray.get(reference)
                if kind == "log":
                    with log.open("ab") as file:
                        file.write(value)
                elif kind == "files":
                    for name, content in value.items():
                        write_atomically(folder / name, content)
                elif kind == "exit":
                    code = value
                else:
                    said, code = f"Traceback (most recent call last):\nGolfError: {value}", int(Exit.REFUSED)
        except ray.exceptions.RayError as fault:
            said = f"golf: the worker or its node is gone ({type(fault).__name__})"
        except OSError as fault:
            said = f"golf: what it sent back cannot be written: {fault}"
        finally:
            if said:
                with log.open("ab") as file:
                    file.write(f"\n{said}\n".encode())
            if self._held is not None:
                os.close(self._held)
            self._code = code


def refuse_too_large(nodes: Iterable[Mapping[str, float]], needs: Mapping[str, int]) -> None:
    """GolfError (10) where no node can hold a run, for the processes of one are neighbours: Ray would wait for ever. nodes: what each has."""
    every = list(nodes)
    words = {"GPU": needs.get("num_gpus", 0), "CPU": needs.get("num_cpus", 0)}
    if any(all(has.get(word, 0.0) >= count for word, count in words.items()) for has in every):
        return
    largest = {word: max((has.get(word, 0.0) for has in every), default=0.0) for word in words}
    word = next((word for word, count in words.items() if count > largest[word]), "CPU")
    raise GolfError(f"a run asks for {words[word]} {word}s of one node; the largest of the cluster's {len(every)} has {largest[word]:g}",
                    "fewer processes: `--nproc 1`; or a node that has them", Exit.REFUSED)  # fmt: skip
