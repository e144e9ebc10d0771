"""One launch over several nodes (`golf run --nnodes 2`): node 0 is the run, the others lend it their processes.

The nodes share the project's folder, as clusters do: node 0 leaves in the run's folder where it listens, and each other node joins with
`golf run NAME --nnodes N --node-rank R`. torchrun's static rendezvous connects them.
"""

import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from golf.errors import Exit, GolfError
from golf.files import Lock, is_locked, json_text, read_json, write_atomically
from golf.run.launch import ELASTIC, PHASES, Script, environment, run_id
from golf.run.layout import SeedFolder
from golf.run.plan import Plan
from golf.run.processes import end
from golf.run.watch import Interrupts

RENDEZVOUS = ".rendezvous.json"  # in the run's folder, as long as the run is one of several nodes
POLL_SECONDS = 0.5
NODE_GRACE_SECONDS = 10.0


def leave_address(plan: Plan, place: SeedFolder, phases: Sequence[str]) -> dict[str, object]:
    """Write down where this node listens, for the others to join; what was written."""
    host, _, port = (plan.master or "").rpartition(":") if plan.master else ("", "", "")
    told = {
        "host": host or socket.gethostname(), "port": int(port) if port else _free_port(), "phases": list(phases),
        "nproc": plan.nproc, "nnodes": plan.nnodes, "token": time.time_ns(),
    }  # fmt: skip
    write_atomically(place.path / RENDEZVOUS, json_text(told).encode())
    return told


def command_of(told: dict[str, object], rank: int, script: Path) -> list[str]:
    """The launcher of one node."""
    phases = told["phases"]
    assert isinstance(phases, list)
    wanted = [] if tuple(phases) == PHASES else phases
    return [
        sys.executable, "-m", "torch.distributed.run", f"--nnodes={told['nnodes']}", f"--node_rank={rank}",
        f"--nproc_per_node={told['nproc']}", f"--master_addr={told['host']}", f"--master_port={told['port']}",
        f"--log-dir={ELASTIC}_{rank}" if rank else f"--log-dir={ELASTIC}", str(script), *wanted,
    ]  # fmt: skip


def join(plan: Plan, say: Callable[[str], None], stop: Interrupts, patience_seconds: float) -> None:
    """Lend this node to every seed of the plan, in their order. GolfError (6): node 0 did not begin one in time, or a node's part failed;
    (10): node 0 asks for other numbers of processes, another golf is this node already. KeyboardInterrupt after Ctrl-C."""
    mine = Lock(plan.set_folder / f".node_{plan.node_rank}.lock")
    if not mine.take():
        raise GolfError(
            f"another golf is node {plan.node_rank} already", "each node has a `--node-rank` of its own", Exit.REFUSED
        )
    try:
        _join_all(plan, say, stop, patience_seconds)
    finally:
        mine.release()


def _join_all(plan: Plan, say: Callable[[str], None], stop: Interrupts, patience_seconds: float) -> None:
    for seed in plan.seeds:
        place = plan.place(seed)
        say(f"node {plan.node_rank} of {plan.nnodes}: waits for seed {seed}")
        told = _awaited(plan, place, stop, patience_seconds)
        if told is None:
            say(f"seed {seed} is finished")
            continue
        if (told["nproc"], told["nnodes"]) != (plan.nproc, plan.nnodes):
            raise GolfError(f"node 0 runs {told['nnodes']} nodes of {told['nproc']} processes, this one is asked for {plan.nnodes} of {plan.nproc}",
                            "the same `--nnodes` and `--nproc` on every node", Exit.REFUSED)  # fmt: skip
        # a RUN_ID of its own: node 0 ends what is left of its run by that name
        env = environment(
            plan.inputs,
            seed,
            f"{run_id(plan.source.name, plan.source.set_id, seed)}_node{plan.node_rank}",
            plan.machine,
            plan.nproc,
        )
        log = place.set_folder / f"seed_{seed}_node{plan.node_rank}.log"
        process = Script(command_of(told, plan.node_rank, Path("..") / place.script.name), place.path, log, env)
        say(f"seed {seed}: joined {told['host']}:{told['port']}")
        try:
            while (code := process.poll()) is None and not stop.asked:
                time.sleep(POLL_SECONDS / 5)
        finally:
            if process.poll() is None:
                end(process, NODE_GRACE_SECONDS)
        if stop.asked:
            raise KeyboardInterrupt
        if code:
            raise GolfError(
                f"seed {seed}: the part of node {plan.node_rank} ended with {code}",
                f"what it said: {log}",
                Exit.UNKNOWN,
            )


def _awaited(plan: Plan, place: SeedFolder, stop: Interrupts, patience_seconds: float) -> dict[str, object] | None:
    """Where node 0 listens for this seed, once its script runs; None where the seed is finished already."""
    from golf.run.store import has_store, open_store

    since = time.monotonic()
    while True:
        if stop.asked:
            raise KeyboardInterrupt
        told, _ = read_json(place.path / RENDEZVOUS) if (place.path / RENDEZVOUS).is_file() else (None, None)
        if told is not None and is_locked(place.script_lock):
            return dict(told)
        if has_store(plan.root) and not is_locked(place.watch_lock):
            with open_store(plan.root) as store:
                held = store.runs(plan.source.name, set_id=plan.source.set_id, seed=place.seed)
            if held and held[-1].state == "finished" and not plan.again:
                return None
        if time.monotonic() - since > patience_seconds:
            raise GolfError(f"node 0 did not begin seed {place.seed} within {patience_seconds:.0f} s", "start it there: the same command with `--node-rank 0`", Exit.UNKNOWN)  # fmt: skip
        time.sleep(POLL_SECONDS)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])
