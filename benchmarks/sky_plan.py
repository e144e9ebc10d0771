"""Lets SkyPilot itself plan a task that golf wrote: `golf pod plan`, then `sky launch --dryrun`, without account and network.

SkyPilot plans from catalogs of machines and prices that it fetches, and only on clouds that its check found enabled. Both are supplied here, in
a home of their own that is thrown away: a catalog of two machines a cloud with made-up prices (`CATALOGS`), and the entry in SkyPilot's state
that the clouds are enabled. So what is shown is that SkyPilot reads golf's task, finds the machine asked for, chooses a region and reaches
the point where it would order it; not that a cloud would sell it.

python benchmarks/sky_plan.py [--click FOLDER]      # FOLDER: click below 8.2, where the environment has a newer one
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCHEMA = "v8"  # of the catalogs of SkyPilot 0.14
_GPUS = "\"{{'Gpus': [{{'Name': '{name}', 'Manufacturer': 'NVIDIA', 'Count': {count}.0, 'MemoryInfo': {{'SizeInMiB': 81920}}}}], 'TotalGpuMemoryInMiB': 81920}}\""


def _info(name: str, count: int) -> str:
    return _GPUS.format(name=name, count=count)


# columns as SkyPilot's own fetchers write them; prices are made up
CATALOGS = {
    "runpod": (
        "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Region,SpotPrice,Price,AvailabilityZone,GpuInfo",
        f"8x_H100-SXM_SECURE,H100-SXM,8.0,128,1000,US,14.00,21.52,US-KS-2,{_info('H100-SXM', 8)}",
        f"8x_H100_SECURE,H100,8.0,128,1000,US,11.00,19.12,US-KS-2,{_info('H100', 8)}",
        f"1x_H100_SECURE,H100,1.0,16,125,US,1.40,2.39,US-KS-2,{_info('H100', 1)}",
    ),
    "lambda": (
        "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice",
        f"gpu_8x_h100_sxm5,H100,8.0,208,1800,23.92,us-east-1,{_info('H100', 8)},",
        f"gpu_1x_h100_sxm5,H100,1.0,26,225,3.29,us-east-1,{_info('H100', 1)},",
    ),
    "vast": (
        "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,HostingType",
        f'8x-H100-128-1000,H100,8.0,128,1000,{_info("H100", 8)},18.40,9.20,"Kansas, US, NA",1',
        f'1x-H100-16-125,H100,1.0,16,125,{_info("H100", 1)},2.30,1.15,"Kansas, US, NA",1',
    ),
}  # fmt: skip
ACCELERATORS = (
    "AcceleratorName,Clouds",
    "H100,\"['RunPod', 'Lambda', 'Vast']\"",
    "H100-SXM,\"['RunPod']\"",
)  # the names that SkyPilot accepts, `common/accelerators.csv`
NAMES = {"runpod": "RunPod", "lambda": "Lambda", "vast": "Vast"}
# the server looks for accounts itself when it has started, and would say last that there are none
ENABLE = f"""
import time
from sky import check, global_user_state
from sky.clouds import cloud
until = time.monotonic() + 120
while not global_user_state.get_cached_check_results("default") and time.monotonic() < until:
    time.sleep(0.5)
global_user_state.set_allowed_clouds(check._get_workspace_allowed_clouds("default"), "default")
global_user_state.set_enabled_clouds({list(NAMES.values())!r}, cloud.CloudCapability.COMPUTE, "default")
"""


def say(words: list[str], folder: Path, env: dict[str, str], seconds: float = 300) -> subprocess.CompletedProcess[str]:
    """A command's end and what it said, without colours."""
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout + done.stderr)
    return subprocess.CompletedProcess(words, done.returncode, text, "")


def main() -> None:
    """Plan on every cloud of the catalogs; exit 1 where one of them is not planned."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--click", type=Path, help="Folder with click below 8.2, for SkyPilot's command line.")
    options.add_argument("--recipe", default="pr1493")
    options.add_argument("--verbose", action="store_true", help="Print all that SkyPilot says.")
    asked = options.parse_args()
    failed = []
    with tempfile.TemporaryDirectory(prefix="golf-sky-") as top:
        home, project = Path(top) / "home", Path(top) / "project"
        project.mkdir()
        files = {f"{cloud}/vms.csv": lines for cloud, lines in CATALOGS.items()} | {
            "common/accelerators.csv": ACCELERATORS
        }
        tools = Path(top) / "bin"
        tools.mkdir()
        if (
            shutil.which("rsync") is None
        ):  # it asks whether there is one before it orders; nothing is copied in a dry run
            (tools / "rsync").write_text('#!/bin/sh\n[ "$1" = --version ]\n')
            (tools / "rsync").chmod(0o755)
        for name, lines in files.items():
            place = home / ".sky" / "catalogs" / SCHEMA / name
            place.parent.mkdir(parents=True)
            place.write_text("\n".join(lines) + "\n")
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("SKY", "RUNPOD", "LAMBDA", "VAST"))
        }
        golf = {**kept, "PYTHONPATH": str(ROOT)}
        sky = {
            **kept, "HOME": str(home), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1", "PYTHONPATH": str(asked.click or ""),
            "PATH": f"{os.environ['PATH']}:{tools}",
        }  # fmt: skip
        made = say([sys.executable, "-m", "golf", "new", "mine", "--from", asked.recipe], project, golf)
        launcher = str(Path(sys.executable).parent / "sky")
        try:
            started = say([launcher, "api", "start"], project, sky)
            enabled = say([sys.executable, "-c", ENABLE], project, sky)
            for done in (made, started, enabled):
                if done.returncode:
                    sys.exit(done.stdout[-2000:])
            for cloud in CATALOGS:
                words = ["pod", "plan", "mine", "--cloud", cloud, "--shards", "80", "--rate", "24", "--budget", "60"]
                planned = say([sys.executable, "-m", "golf", *words, "--out", "task.yaml"], project, golf)
                if planned.returncode:
                    sys.exit(planned.stdout[-2000:])
                done = say([launcher, "launch", "--dryrun", "--yes", "--down", "task.yaml"], project, sky)
                rows = [line.strip() for line in done.stdout.splitlines() if "H100" in line or "ryrun" in line]
                print(f"{cloud}: sky launch --dryrun ended with {done.returncode}")
                print("\n".join(f"  {row}" for row in ([done.stdout] if asked.verbose else rows)), flush=True)
                chosen = (
                    any(re.search(r"H100(-SXM)?:8 ", row) and "✔" in row for row in rows)
                    and "Dryrun finished" in done.stdout
                )
                if done.returncode or not chosen:
                    failed.append(cloud)
        finally:
            say([launcher, "api", "stop"], project, sky)
    if failed:
        sys.exit(f"not planned: {', '.join(failed)}")


if __name__ == "__main__":
    main()
