"""What a `golf run` will do, decided and refused before anything is started."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.challenge import EVAL_CAP_SECONDS, TRAIN_CAP_SECONDS
from golf.errors import Exit, GolfError
from golf.run.clocks import Limits, limits_for
from golf.run.launch import Inputs
from golf.run.layout import SeedFolder
from golf.run.machine import Machine, free_bytes
from golf.run.source import Source

# rules that forbid how a submission is evaluated; R01 and R06 (bytes, clocks) are measured by the run itself, so only said
FORBIDDING_FROM = 20
CONTESTED = ("R23", "R43", "R47")  # warnings: rows with them stand on the board
ASSUMED_PARAMS = 40_000_000  # the largest that fits the cap at low bit-widths, where nothing was measured yet
SMOKE_BYTES = 64 << 20
ARTIFACT_BYTES = 32 << 20  # artifact, its scratch file, logs

SETUP_SECONDS = 120.0  # set-up and compile on eight H100, for an estimate only


@dataclass(frozen=True)
class Wishes:
    """What the user asked for, as the command line parsed it."""

    seeds: str | None = None
    nproc: int | None = None
    smoke: bool = False
    resume: bool = False
    again: bool = False
    allow: tuple[str, ...] = ()
    data_path: Path | None = None
    tokenizer_path: Path | None = None
    max_wallclock_seconds: float | None = None
    iterations: int | None = None
    stall_seconds: float = 1800.0
    parallel: int = 1
    nnodes: int = 1
    node_rank: int = 0
    master: str | None = None  # HOST:PORT where node 0 listens; None: its name, and a free port


@dataclass(frozen=True)
class Data:
    """The data of a run: where it is, what it is, and whether it is the contest's."""

    path: Path
    tokenizer: Path
    name: str
    sha256: str
    tokenizer_sha256: str
    official: bool
    val_tokens: int | None = None
    train_shards: int | None = None


@dataclass(frozen=True)
class Plan:
    """One script over several seeds, ready to start."""

    root: Path
    source: Source
    data: Data
    seeds: tuple[int, ...]
    nproc: int
    machine: Machine
    inputs: Inputs
    limits: Limits
    track: str
    allowed: tuple[str, ...]
    resume: bool
    again: bool
    derived: dict[str, Any] | None = None  # the keys changed after training, with their values
    parallel: int = 1  # seeds at a time
    nnodes: int = 1  # that one run is spread over, `nproc` processes each
    node_rank: int = 0
    master: str | None = None

    @property
    def world_size(self) -> int:
        """Processes of a run, on all its nodes."""
        return self.nproc * self.nnodes

    @property
    def set_folder(self) -> Path:
        """The folder of all runs of this script."""
        return self.source.folder / "runs" / self.source.set_id

    def place(self, seed: int) -> SeedFolder:
        """Where a seed of this plan runs."""
        return SeedFolder(self.set_folder, seed)

    @property
    def seconds_per_seed(self) -> float:
        """An upper estimate of a full-size seed: set-up, the training cap, the evaluation cap."""
        cap = self.inputs.max_wallclock_seconds
        return SETUP_SECONDS + (TRAIN_CAP_SECONDS if cap is None else cap) + EVAL_CAP_SECONDS


def make_plan(
    root: Path, source: Source, wishes: Wishes, machine: Machine, data: Callable[[], Data], *, trains: bool = True
) -> Plan:
    """The plan of a run. GolfError with exit code 10: what must not, or cannot usefully, be started here.

    data: finds and checks the data; called last, because it may have to build or read a lot. trains: False for a plan that only
    exports and evaluates what was trained before.
    """
    seeds = parse_seeds(wishes.seeds) if wishes.seeds is not None else source.seeds
    nproc = wishes.nproc or default_nproc(wishes, machine)
    refuse_world_size(nproc, machine)
    refuse_parallel(wishes.parallel, nproc, machine)
    refuse_nodes(wishes, nproc)
    if trains:
        refuse_ruling(source, wishes.allow)
        refuse_days(source, wishes, machine, nproc)
    cap = 0.0 if wishes.smoke and wishes.max_wallclock_seconds is None else wishes.max_wallclock_seconds
    is_contest = (
        wishes.nnodes == 1
        and machine.is_contest(nproc)
        and not wishes.smoke
        and (cap is None or 0 < cap <= TRAIN_CAP_SECONDS)
    )
    found = data()
    return Plan(
        root=root,
        source=source,
        data=found,
        seeds=seeds,
        nproc=nproc,
        machine=machine,
        inputs=Inputs(found.path, found.tokenizer, cap, wishes.iterations),
        limits=limits_for(contest=is_contest, cap_seconds=cap, stall_seconds=wishes.stall_seconds),
        track=source.track if found.official and is_contest else "local",
        allowed=tuple(code for code in wishes.allow if code in source.ruling),
        resume=wishes.resume,
        again=wishes.again,
        parallel=wishes.parallel,
        nnodes=wishes.nnodes,
        node_rank=wishes.node_rank,
        master=wishes.master,
    )


def default_nproc(wishes: Wishes, machine: Machine) -> int:
    """Every GPU; on a CPU two processes share a small twin's eight micro-batches where there are the cores: nearly twice as fast."""
    if wishes.parallel > 1:
        return 1
    return len(machine.gpus) or (2 if wishes.smoke and machine.cores > 1 else 1)


def parse_seeds(text: str) -> tuple[int, ...]:
    """`1337,42,7` as numbers. GolfError: not whole numbers, negative, or one twice (one seed three times is not three runs)."""
    words = [word.strip() for word in text.split(",")]
    try:
        seeds = tuple(int(word) for word in words)
    except ValueError:
        wrong = next(word for word in words if not word.lstrip("-").isdecimal())
        raise GolfError(f"seeds are whole numbers with commas between them; `{wrong}` is none",
                        "for example `--seeds 1337,42,7`") from None  # fmt: skip
    for seed in seeds:
        if not 0 <= seed < 1 << 32:
            raise GolfError(f"seed {seed} is outside 0 … {(1 << 32) - 1}", "for example `--seeds 1337,42,7`")
        if seeds.count(seed) > 1:
            raise GolfError(f"seed {seed} is asked for {seeds.count(seed)} times: runs of one seed are one run",
                            "name different seeds: `--seeds 1337,42,7`")  # fmt: skip
    return seeds


def refuse_world_size(nproc: int, machine: Machine) -> None:
    """A step is the same eight micro-batches on any number of processes, so their number divides eight."""
    if nproc not in (1, 2, 4, 8):
        raise GolfError(f"{nproc} processes do not divide a step's 8 micro-batches",
                        "`--nproc` is 1, 2, 4 or 8", Exit.REFUSED)  # fmt: skip
    if machine.gpus and nproc > len(machine.gpus):
        raise GolfError(f"{nproc} processes on {len(machine.gpus)} GPUs", f"`--nproc {len(machine.gpus)}` at most",
                        Exit.REFUSED)  # fmt: skip


def refuse_parallel(parallel: int, nproc: int, machine: Machine) -> None:
    """Runs side by side have their GPUs, or on a CPU their cores, to themselves."""
    if parallel < 1:
        raise GolfError(f"{parallel} seeds at a time", "`--parallel 1` runs one after another")
    units = len(machine.gpus) or machine.cores
    if parallel > 1 and parallel * nproc > units:
        what = "GPUs" if machine.gpus else "cores"
        raise GolfError(f"{parallel} seeds of {nproc} process{'es' * (nproc > 1)} at a time on {units} {what}",
                        f"`--parallel {max(units // nproc, 1)}` at most, or fewer processes: `--nproc 1`",
                        Exit.REFUSED)  # fmt: skip


def refuse_nodes(wishes: Wishes, nproc: int) -> None:
    """All nodes together are 1, 2, 4 or 8 processes; side by side only one of them works."""
    if wishes.nnodes * nproc not in (1, 2, 4, 8) or wishes.nnodes < 1:
        raise GolfError(f"{wishes.nnodes} nodes of {nproc} processes do not divide a step's 8 micro-batches",
                        "`--nnodes` times `--nproc` is 1, 2, 4 or 8", Exit.REFUSED)  # fmt: skip
    if not 0 <= wishes.node_rank < wishes.nnodes:
        raise GolfError(
            f"node {wishes.node_rank} of {wishes.nnodes} nodes", f"`--node-rank` is 0 to {wishes.nnodes - 1}"
        )
    if wishes.nnodes > 1 and wishes.parallel > 1:
        raise GolfError("seeds side by side do not go over several nodes", "leave out `--parallel`", Exit.REFUSED)
    if wishes.master is not None and not re.fullmatch(r"\S+:\d{1,5}", wishes.master):
        raise GolfError(f"`--master {wishes.master}` is no address", "HOST:PORT, as in `--master node0:29500`")


def refuse_days(source: Source, wishes: Wishes, machine: Machine, nproc: int) -> None:
    """A full-size run without a GPU never ends in time."""
    if not machine.gpus and not wishes.smoke and wishes.iterations is None and wishes.max_wallclock_seconds is None:
        if source.foreign:
            raise GolfError(f"a full-size run of {source.name} on {machine.describe(nproc)} would take days",
                            "bound it: `--iterations N` or `--max-wallclock-seconds S`", Exit.REFUSED)  # fmt: skip
        raise GolfError(f"a full-size run of {source.name} on {machine.describe(nproc)} would take days",
                        "the small twin takes a minute: add `--smoke`; or cut it with `--iterations N`",
                        Exit.REFUSED)  # fmt: skip


def refuse_ruling(source: Source, allowed: Sequence[str]) -> None:
    """A recipe whose evaluation a rule forbids runs only when the user names the rule."""
    open_codes = [code for code in source.ruling if forbids(code) and code not in allowed]
    if open_codes:
        codes = ", ".join(open_codes)
        raise GolfError(f"{source.name} is ruled out by {codes}: its score would not count",
                        f"read why: `golf explain {open_codes[0]}`; run it all the same: "
                        + " ".join(f"`--allow {code}`" for code in open_codes), Exit.REFUSED)  # fmt: skip


def forbids(code: str) -> bool:
    """Whether a ruling forbids the evaluation itself (R20 and up), rather than naming a measured limit (R01, R06) or a contested point."""
    digits = code.lstrip("R")
    return code not in CONTESTED and digits.isdecimal() and int(digits) >= FORBIDDING_FROM


def refuse_disk(plan: Plan, seeds: Sequence[int], params: int | None) -> None:
    """A checkpoint is 4 bytes a parameter, and twice that while it is written; Hessians are about as large again."""
    per_seed = SMOKE_BYTES if plan.source.smoke else (params or ASSUMED_PARAMS) * 4 * 3 + ARTIFACT_BYTES
    needed, free = per_seed * len(seeds), free_bytes(plan.set_folder)
    if free < needed:
        raise GolfError(f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''} of {plan.source.name} need about "
                        f"{needed / 1e6:,.0f} MB on disk; {free / 1e6:,.0f} MB are free",
                        "see what can go: `golf clean --dry-run`", Exit.REFUSED)  # fmt: skip


def find_data(vocab_size: int, wishes: Wishes, root: Path, side_car: bool | None = None) -> Data:
    """The data that the run reads, checked (golf.data): what is named, else FineWeb in the project, else the embedded corpus.

    A small twin scores the first documents of it only. side_car: whether bytes are counted by a side-car (None: not known).
    """
    from golf.data.bounded import bounded
    from golf.data.source import resolve_data

    found = resolve_data(vocab_size, wishes.data_path, wishes.tokenizer_path, root, side_car)
    if wishes.smoke:
        found = bounded(found)
    return Data(
        found.data_path, found.tokenizer_path, found.name, found.data_sha256, found.tokenizer_sha256,
        official=found.track == "10min_16mb", val_tokens=found.val_tokens, train_shards=found.train_shards,
    )  # fmt: skip
