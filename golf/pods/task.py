"""A SkyPilot task for a submission: machine, set-up, data, seeds, and two ends that need nobody: an idle stop and a deadline by its cost."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from golf.challenge import SCRIPT
from golf.errors import Exit, GolfError
from golf.run.launch import run_id, told
from golf.run.plan import Plan

CLOUDS = {"runpod": "runpod", "lambda": "lambda", "vast": "vast", "slurm": "slurm", "kubernetes": "k8s", "ssh": "ssh"}
SXM = {"runpod": "H100-SXM"}  # its "H100" is the PCIe card; Lambda has one kind, Vast does not tell them apart
CONTAINERS = ("runpod", "vast", "kubernetes")  # take a docker image
IMAGE = "docker:pytorch/pytorch:2.9.1-cuda12.8-cudnn9-devel"
DISK_GB = 100
IDLE_MINUTES = 10
PODS_SECONDS = 900.0  # to start and set up, for an estimate; nobody knows it before
DATA = "golf-data"  # below the home of the pod
TOKENIZER = f"{DATA}/tokenizer.model"
WORK = "golf-work"
NUMBERED = re.compile(r"(\d{3,})\.bin$")  # of a shard


@dataclass(frozen=True)
class Order:
    """What is ordered. rate: dollars an hour of the whole machine; budget: dollars at most, machine start to tear-down."""

    cloud: str
    gpus: str = "H100"
    count: int = 8
    image: str | None = None
    rate: float | None = None
    budget: float | None = None
    setup: tuple[str, ...] = ()
    fetched: tuple[
        tuple[str, str, str], ...
    ] = ()  # (repository, file, place below DATA) that the pod fetches from the hub itself

    def __post_init__(self) -> None:
        if self.cloud.partition("/")[0] not in CLOUDS:
            raise GolfError(f"no cloud `{self.cloud}`", f"there are: {', '.join(CLOUDS)}; `ssh/POOL`, `slurm/CLUSTER`")
        for name, value in (("rate", self.rate), ("budget", self.budget)):
            if value is not None and not 0 < value < float("inf"):
                raise GolfError(f"a {name} of ${value:g} is none", f"for example `--{name} 20`")
        if self.budget is not None and self.rate is None:
            raise GolfError(
                f"a budget of ${self.budget:g} needs the price of the machine", "name it: `--rate 20` ($/h)"
            )

    @property
    def most_seconds(self) -> float | None:
        """The seconds that the budget pays for."""
        return None if self.budget is None or not self.rate else self.budget / self.rate * 3600


def h100_sxm(cloud: str) -> str:
    """What SkyPilot calls the contest's GPU on a cloud."""
    return SXM.get(cloud.partition("/")[0], "H100")


def predicted_seconds(plan: Plan, seeds: Sequence[int]) -> float:
    """An upper estimate of the whole pod: its start, then every seed's set-up, clock and evaluation; a prediction."""
    return PODS_SECONDS + len(seeds) * plan.seconds_per_seed


def refuse_budget(order: Order, plan: Plan, seeds: Sequence[int]) -> None:
    """GolfError (10) where the budget would not pay for all seeds at their longest."""
    most, needed = order.most_seconds, predicted_seconds(plan, seeds)
    if most is not None and needed > most:
        dollars = needed * (order.rate or 0.0) / 3600
        raise GolfError(
            f"{len(seeds)} seed{'s' * (len(seeds) > 1)} may take ${dollars:.2f} ({needed:.0f} s at ${order.rate:g}/h, predicted), the budget is ${order.budget:g}",
            f"fewer seeds, or `--budget {dollars:.0f}`", Exit.REFUSED,
        )  # fmt: skip


def cluster_name(plan: Plan) -> str:
    """What the cluster is called: letters, digits and dashes, the same for the same script."""
    stem = "".join(letter if letter.isalnum() else "-" for letter in plan.source.name.lower()).strip("-")[:20]
    return f"golf-{stem or 'run'}-{plan.source.set_id[:6]}"


def task_text(order: Order, plan: Plan, seeds: Sequence[int], *, script: Path, runs: bool = True) -> str:
    """The task as YAML. script: the file that is sent; runs: with the command that trains all seeds, without it a bare machine."""
    most = order.most_seconds
    head, _, place = order.cloud.partition("/")
    infra = CLOUDS[head] + (f"/{place}" if place else "")
    resources: list[tuple[str, object]] = [("infra", infra), ("accelerators", f"{order.gpus}:{order.count}")]
    if head in CONTAINERS or order.image is not None:
        resources.append(("image_id", order.image or IMAGE))
    if head in ("runpod", "lambda", "vast", "kubernetes"):
        resources += [("disk_size", DISK_GB)] if head != "lambda" else []
        resources.append(("autostop", {"idle_minutes": IDLE_MINUTES, "down": True}))
    sent = [
        f"  ~/{DATA}/shards: {json.dumps(str(plan.inputs.data_path))}",
        f"  ~/{TOKENIZER}: {json.dumps(str(plan.inputs.tokenizer_path))}",
    ]
    sent = [] if order.fetched else sent
    lines = [
        f"# {plan.source.name} on {order.count} × {order.gpus}: written by golf. `sky launch THIS --down` starts it, `sky down` ends it.",
        *(["# nobody stops it at a cost: plan it with --budget and --rate"] if most is None else
          [f"# ends itself after {most:.0f} s: ${order.budget:g} at ${order.rate:g}/h; and when it is idle for {IDLE_MINUTES} minutes"]),
        f"name: {cluster_name(plan)}", "num_nodes: 1", "resources:",
        *(f"  {key}: {json.dumps(value)}" for key, value in resources),
        "file_mounts:",
        f"  ~/{WORK}/{SCRIPT}: {json.dumps(str(script))}",
        *sent,
        "setup: |", *(f"  {line}" for line in [*setup_lines(), *fetch_lines(order.fetched), *order.setup]),
    ]  # fmt: skip
    if runs:
        lines += ["run: |", *(f"  {line}" for line in run_lines(plan, seeds, order.count, most))]
    return "\n".join(lines) + "\n"


def setup_lines() -> list[str]:
    """What a fresh machine needs for a composed script: the packages that it may import; an absent wheel is said, not fatal."""
    return [
        "set -e",
        "python3 -m pip install --quiet numpy sentencepiece brotli zstandard",
        "python3 -c 'import torch' || python3 -m pip install --quiet 'torch>=2.9,<2.14'",
        "python3 -m pip install --quiet flash_attn_interface 2>/dev/null || echo 'golf: no FlashAttention 3 wheel, the script takes SDPA'",
        "nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv || true",
    ]


def fetch_lines(files: Sequence[tuple[str, str, str]]) -> list[str]:
    """The hub's client fetches the data on the pod, whose line is faster than one's own."""
    if not files:
        return []
    return [
        "python3 -m pip install --quiet huggingface_hub",
        "python3 - <<'EOF'",
        "import pathlib, shutil",
        "from huggingface_hub import hf_hub_download",
        "files = []",
        *_runs_of_names(files),
        "for repo, file, place in files:",
        f"    target = pathlib.Path.home() / {DATA!r} / place",
        "    target.parent.mkdir(parents=True, exist_ok=True)",
        "    if not target.exists():",
        "        shutil.move(shutil.copy(hf_hub_download(repo, file, repo_type='dataset'), f'{target}.part'), target)",
        "EOF",
    ]


def _runs_of_names(files: Sequence[tuple[str, str, str]]) -> list[str]:
    """Python that fills `files`: what differs by one number that counts up is one line, however many there are."""
    lines, at = [], 0
    while at < len(files):
        pattern, first = _pattern(files[at])
        count = 1
        while at + count < len(files) and _pattern(files[at + count]) == (pattern, first + count):
            count += 1
        if count > 2:
            lines.append(
                f"files += [({', '.join(f'f{part!r}' for part in pattern)}) for n in range({first}, {first + count})]"
            )
        else:
            lines += [f"files += [{tuple(files[at])!r}]"]
            count = 1
        at += count
    return lines


def _pattern(names: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """The names with the number before their suffix as `{n:06d}`, and that number; as they are and -1 where they have no common one."""
    numbers = {match[1] for name in names if (match := NUMBERED.search(name))}
    if len(numbers) != 1 or any("{" in name or "}" in name for name in names):
        return tuple(names), -1
    number = numbers.pop()
    return tuple(NUMBERED.sub(f"{{n:0{len(number)}d}}.bin", name) for name in names), int(number)


def run_lines(plan: Plan, seeds: Sequence[int], count: int, most_seconds: float | None) -> list[str]:
    """The seeds one after another, each in a folder of its own, all within the deadline."""
    guard = "" if most_seconds is None else "timeout --kill-after=30 $((DEADLINE - $(date +%s))) "
    lines = [] if most_seconds is None else [f"DEADLINE=$(($(date +%s) + {int(most_seconds)}))"]
    for seed in seeds:
        folder = f"$HOME/{WORK}/seed_{seed}"
        exports = " ".join(f"{key}={value}" for key, value in script_env(plan, seed).items())
        lines += [
            f"mkdir -p {folder} && cd {folder}",
            f"{exports} {guard}{' '.join(torchrun_words(count))} ../{SCRIPT} 2>&1 | tee train_seed{seed}.log",
        ]
    return lines


def torchrun_words(count: int) -> list[str]:
    """The launcher on the pod."""
    return ["python3", "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"] if count > 1 else ["python3"]  # fmt: skip


def script_env(plan: Plan, seed: int) -> dict[str, str]:
    """The script's inputs as words of a shell on the pod."""
    words = told(plan.inputs, seed, run_id(plan.source.name, plan.source.set_id, seed))
    places = {"DATA_PATH": f'"$HOME/{DATA}/shards"', "TOKENIZER_PATH": f'"$HOME/{TOKENIZER}"'}
    return {key: shlex.quote(value) for key, value in words.items()} | places


def validated(text: str) -> str | None:
    """What SkyPilot's own parser says against a task; None where it takes it. ModuleNotFoundError without SkyPilot."""
    import sky
    import yaml

    table = yaml.safe_load(text)
    table["file_mounts"] = {}  # their sources need not be on the machine that looks
    try:
        sky.Task.from_yaml_config(table)
    except Exception as fault:
        return f"{type(fault).__name__}: {fault}"
    return None
