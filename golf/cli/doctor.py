"""`golf doctor`: whether this machine can compose, train and score, and what is missing for a contest run."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from golf.cli.output import print_json, print_table
from golf.errors import Exit, GolfError

DISTRIBUTION = "parameter-golf"
PINNED = ("libcst", "ruff", "python-minifier")  # the composed file depends on what these print
LEAST_FREE_BYTES = 2_000_000_000
LEAST_MEMORY_BYTES = 4_000_000_000
CONTEST_GPUS = 8

State = Literal["OK", "WARN", "FAIL"]


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, how it stands, what was found, and the way out where it is not well."""

    name: str
    state: State
    found: str
    hint: str = ""


def doctor(
    vocab: Annotated[int, typer.Option("--vocab", help="Vocabulary whose data to look for.")] = 1024,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check this machine: OK, WARN (golf works, a contest run would not), FAIL (golf does not work; exit 10).

    $ golf doctor
    """
    checks = [*check_software(), *check_torch(), *check_machine(), *check_disk(), check_data(vocab)]
    if json:
        print_json({"checks": [asdict(check) for check in checks], "fit": all(c.state != "FAIL" for c in checks)})
    else:
        rows = [[check.state, check.name, check.found] for check in checks]
        print_table(None, ["", "what", "found"], rows)
        for check in checks:
            if check.hint:
                print(f"{check.name}: {check.hint}")
    if any(check.state == "FAIL" for check in checks):
        raise typer.Exit(Exit.REFUSED)


def check_software() -> Iterator[Check]:
    """Python and every distribution that golf requires; the three pinned ones and torch by name."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    needs_python, needs = requirements()
    version = platform.python_version()
    fits = SpecifierSet(needs_python).contains(version, prereleases=True)
    yield Check("python", "OK" if fits else "FAIL", version, "" if fits else f"use Python {needs_python}")
    others = 0
    for need in map(Requirement, needs):
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        found = installed(need.name)
        fits = found is not None and need.specifier.contains(found, prereleases=True)
        if fits and need.name not in (*PINNED, "torch"):
            others += 1
            continue
        way_out = "" if fits else f"`pip install -c constraints.txt '{need.name}{need.specifier}'`"
        yield Check(need.name, "OK" if fits else "FAIL", f"{found or 'missing'} (needs {need.specifier})", way_out)
    yield Check("other packages", "OK", f"{others} present, in range")


def requirements() -> tuple[str, list[str]]:
    """(Python range, requirements) as golf was installed; in a checkout that is not, as its pyproject.toml says."""
    try:
        found = metadata.metadata(DISTRIBUTION)
        return found["Requires-Python"], metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        import tomllib

        import golf

        project = tomllib.loads((Path(golf.__file__).parents[1] / "pyproject.toml").read_text())["project"]
        return project["requires-python"], project["dependencies"]


def installed(name: str) -> str | None:
    """The installed version of a distribution."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_torch() -> Iterator[Check]:
    """GPUs, attention kernels, communication, compiler; WARN where only a contest run wants them."""
    if util.find_spec("torch") is None:
        return
    import torch

    yield check_gpus(torch)
    cuda = torch.cuda.is_available()
    if cuda:
        fast = util.find_spec("flash_attn_interface") is not None
        yield Check("FlashAttention 3", "OK" if fast else "WARN", "importable" if fast else "missing",
                    "" if fast else "golf takes SDPA instead; install flash-attn 3 (`flash_attn_interface`)")  # fmt: skip
        compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
        yield Check("C compiler", "OK" if compiler else "FAIL", compiler or "missing",
                    "" if compiler else "torch.compile needs one: install gcc")  # fmt: skip
    backend = "nccl" if cuda else "gloo"
    there = torch.distributed.is_available() and getattr(torch.distributed, f"is_{backend}_available")()
    yield Check(backend, "OK" if there else "WARN", "available" if there else "missing",
                "" if there else "runs use one process; install a torch build that has it")  # fmt: skip


def check_gpus(torch: Any) -> Check:
    """The GPUs, held against the contest's eight H100."""
    way_out = "golf works; a contest result needs 8×H100, every run here is of track `local`"
    if not torch.cuda.is_available():
        return Check(
            "GPUs", "WARN", f"none (torch {torch.__version__}, CUDA build: {torch.version.cuda or 'no'})", way_out
        )
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    found = ", ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names))
    contest = len(names) == CONTEST_GPUS and all("H100" in name for name in names)
    return Check("GPUs", "OK" if contest else "WARN", f"{found}, CUDA {torch.version.cuda}", "" if contest else way_out)


def check_machine() -> Iterator[Check]:
    """Cores and memory."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    yield Check("cores", "OK" if cores > 1 else "WARN", str(cores), "" if cores > 1 else "runs work, slowly")
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    enough = memory_bytes >= LEAST_MEMORY_BYTES
    yield Check("memory", "OK" if enough else "WARN", f"{memory_bytes / 1e9:.1f} GB",
                "" if enough else f"smoke runs want about {LEAST_MEMORY_BYTES / 1e9:.0f} GB")  # fmt: skip


def check_disk() -> Iterator[Check]:
    """Free space of the current folder's disk, and whether the cache can be written."""
    free_bytes = shutil.disk_usage(Path.cwd()).free
    enough = free_bytes >= LEAST_FREE_BYTES
    yield Check("disk", "OK" if enough else "WARN", f"{free_bytes / 1e9:.1f} GB free",
                "" if enough else f"have {LEAST_FREE_BYTES / 1e9:.0f} GB free: `golf clean` shows what golf holds")  # fmt: skip
    from golf.project import cache_dir

    folder = cache_dir()
    probe = folder / f".doctor.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
        yield Check("cache", "OK", str(folder))
    except OSError as fault:
        yield Check("cache", "FAIL", f"{folder}: {fault.strerror}", "make it writable, or set XDG_CACHE_HOME")


def check_data(vocab_size: int) -> Check:
    """The data that a run of this vocabulary would read; nothing is built for it."""
    from golf.data.embedded import key_of, recipe_of
    from golf.data.source import names_data, resolve_data
    from golf.project import cache_dir

    way_out = "fine for trying things; for a contest result: `golf data get`"
    try:
        if names_data(vocab_size):
            source = resolve_data(vocab_size)
            found = f"{source.name}: {source.train_tokens:,} train, {source.val_tokens:,} validation tokens"
            official = source.track == "10min_16mb"
            return Check("data", "OK" if official else "WARN", found, "" if official else way_out)
        built = (cache_dir() / "data" / key_of(recipe_of(vocab_size))).is_dir()
        return Check("data", "WARN", f"embedded corpus, {'in the cache' if built else 'built at first use'}", way_out)
    except GolfError as fault:
        return Check("data", "FAIL", fault.message, fault.hint or "")
