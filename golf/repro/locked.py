"""What a record needs to be run again: script, helper files, environment, packages, data, machine; and what of it is missing here."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.files import own_files, read_text, sha256_of_file, toml_text, write_atomically
from golf.logs import RunResult
from golf.reading.folder import MOST_TEXT_BYTES, open_folder
from golf.reading.needs import Needs, needs_of
from golf.reading.script import find_script
from golf.run.foreign import shipped_beside
from golf.run.machine import Machine

FILE = "repro.lock"
FENCE = re.compile(r"^\s*(?:```|~~~)")
LAUNCH = re.compile(r"\b(?:torchrun|python3?|accelerate)\b")
SETTING = re.compile(r"[A-Z][A-Z0-9_]*=.*", re.DOTALL)
PIN = re.compile(r"^\s*([A-Za-z0-9][\w.-]*)\s*==\s*([\w.+!-]+)")
PINNED_IN_TEXT = re.compile(r"(?<![\w-])([a-z][\w-]*)==(\d[\w.+]*)")
# where the data lies and which seed runs is this machine's word, not the record's
OURS = frozenset(("SEED", "RUN_ID", "DATA_PATH", "DATA_DIR", "TOKENIZER_PATH", "CUDA_VISIBLE_DEVICES", "MASTER_ADDR", "MASTER_PORT", "PYTHONPATH", "PATH"))  # fmt: skip


@dataclass(frozen=True)
class Lock:
    """sha256: file → hash, the script first. environment: settings of the README's command. packages: name → pinned version.

    data, machine: what the record's logs say of them; seeds: those that it ran.
    """

    record: str
    script: str
    sha256: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def lock_of(folder: Path, runs: Mapping[str, RunResult]) -> Lock:
    """The lock of a record folder with these runs; GolfError where it has no script."""
    record = open_folder(folder)
    script = find_script(folder)
    if script is None:
        raise GolfError(
            f"`{folder}` has no training script", "a record folder holds train_gpt.py; `--from-logs` needs none"
        )
    run = next(iter(runs.values()), None)
    helpers = [path for path in shipped_beside(folder) if path != script and path.suffix not in (".log", ".txt")]
    return Lock(
        folder.resolve().name,
        script.name,
        {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in (script, *helpers)},
        environment_of(record.readme or ""),
        packages_of(folder, record.readme or ""),
        _stated(run, "dataset", "vocab_size", "train_shards", "val_tokens", "val_files"),
        _stated(run, "gpu", "world_size", "torch", "python", "steps", "step_ms"),
        tuple(int(seed) for seed in runs if seed.isdecimal()),
    )


def _stated(run: RunResult | None, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(run, name, None)) is not None}


def environment_of(readme: str) -> dict[str, str]:
    """The settings before the first command of a README's code that starts the script, however it breaks its lines."""
    for block in _blocks(readme):
        settings: dict[str, str] = {}
        for line in block.replace("\\\n", " ").splitlines():
            try:
                words = shlex.split(line.strip().removeprefix("$ "), comments=True)
            except ValueError:
                continue
            start = next((place for place, word in enumerate(words) if LAUNCH.search(word)), len(words))
            named = [word for word in words[:start] if SETTING.fullmatch(word)]
            settings |= {name: value for name, _, value in (word.partition("=") for word in named) if "$" not in value}
            if start < len(words) and any(word.endswith(".py") for word in words[start:]):
                return {name: value for name, value in settings.items() if name not in OURS}
    return {}


def _blocks(readme: str) -> list[str]:
    """The texts between fences."""
    blocks, inside = [], False
    for line in readme.splitlines():
        if FENCE.match(line):
            inside = not inside
            if inside:
                blocks.append("")
        elif inside:
            blocks[-1] += line + "\n"
    return blocks


def packages_of(folder: Path, readme: str) -> dict[str, str]:
    """Versions that requirements.txt or the README pin."""
    found = dict(PINNED_IN_TEXT.findall(readme))
    for path in own_files(folder, "requirements*.txt"):
        for line in (read_text(path, MOST_TEXT_BYTES) or "").splitlines():
            if pin := PIN.match(line):
                found[pin[1]] = pin[2]
    return dict(sorted(found.items()))


def write_lock(lock: Lock, folder: Path) -> Path:
    """Write it as TOML into `folder`; its path."""
    path = folder / FILE
    table = {"schema": 1, **{name: value for name, value in lock.to_dict().items() if value not in (None, {}, ())}}
    table["seeds"] = list(lock.seeds)
    write_atomically(path, toml_text(table).encode())
    return path


def lacking(lock: Lock, folder: Path, machine: Machine) -> list[str]:
    """What keeps a run here from being the record's, in words: hardware first, then software. Data is looked for when a run starts."""
    needs: Needs = needs_of(folder / lock.script)
    found = needs.lacking(has_cuda=bool(machine.gpus))
    wanted, gpu = lock.machine.get("world_size"), lock.machine.get("gpu")
    if wanted and wanted > len(machine.gpus):
        found.append(f"{wanted} GPUs ({len(machine.gpus)} here)")
    elif gpu and machine.gpus and _kind(gpu) != _kind(machine.device):
        found.append(f"{gpu} ({machine.device} here)")
    for name, pinned in lock.packages.items():
        try:
            here = version(name)
        except PackageNotFoundError:
            found.append(f"{name}=={pinned} (not installed)")
            continue
        if here.partition("+")[0] != pinned.partition("+")[0]:
            found.append(f"{name}=={pinned} ({here} here)")
    torch = lock.machine.get("torch")
    if torch and "torch" not in lock.packages:
        try:
            if version("torch").partition("+")[0] != torch.partition("+")[0]:
                found.append(f"torch {torch} ({version('torch')} here)")
        except PackageNotFoundError:
            found.append(f"torch {torch} (not installed)")
    return list(dict.fromkeys(found))


def _kind(gpu: str) -> str:
    """H100 of `NVIDIA H100 80GB HBM3`."""
    return next((word for word in gpu.split() if re.fullmatch(r"[A-Z]{1,2}\d{2,4}\w*|\d{4}", word)), gpu)
