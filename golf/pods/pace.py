"""The first steps of a submission on this machine, run in a folder that goes away: its pace, held against its record's."""

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from golf.errors import GolfError
from golf.pods.check import Finding, Pace, measured_step_ms, pace_of
from golf.project import find_submission
from golf.recipe import load_recipe
from golf.run.api import Wishes, plan_run
from golf.run.before import check_before
from golf.run.launch import environment, torchrun
from golf.run.lines import Follower, Progress
from golf.run.plan import Plan

STEPS_SECONDS = 1200.0  # compiling included


def pace_here(
    name: str,
    steps: int,
    *,
    smoke: bool,
    data_path: Path | None,
    tokenizer_path: Path | None,
    say: Callable[[str], None],
) -> tuple[Pace | None, list[Finding]]:
    """Run the first steps of a submission in a folder of their own; its pace, none of a small twin or of a CPU, and what was seen."""
    plan = plan_run(
        name,
        Wishes(
            smoke=smoke, data_path=data_path, tokenizer_path=tokenizer_path, iterations=steps, max_wallclock_seconds=0.0
        ),
    )
    check_before(plan, say)
    seen = [
        Finding(
            "data",
            "OK" if plan.data.official else "WARN",
            f"{plan.data.name}, sha256 {plan.data.sha256[:12]}, {plan.data.train_shards or '?'} train shards",
        )
    ]
    progress = first_steps(plan, steps, say)
    if not progress.losses:
        last = [line for line in progress.last if line.strip()]
        return None, [*seen, Finding(f"{steps} steps", "FAIL", last[-1][:120] if last else "it said nothing")]
    points = [(step, seconds) for step, seconds, _ in progress.losses if seconds is not None]
    step_ms = progress.step_ms or 0.0
    try:
        step_ms = measured_step_ms(points)
    except GolfError as fault:
        seen.append(Finding("pace", "WARN", fault.message))
    seen.append(
        Finding(f"{progress.step} steps", "OK", f"{step_ms:.1f} ms each, loss {progress.losses[-1][2]:.4f}", step_ms)
    )
    if smoke or not plan.machine.gpus:
        return None, seen
    published = load_recipe(find_submission(name) / "recipe.toml").published
    return pace_of(step_ms, dict(published)), seen


def first_steps(plan: Plan, steps: int, say: Callable[[str], None]) -> Progress:
    """Run the script's training for so many steps in a folder that goes away, and read its log."""
    progress = Progress()
    with tempfile.TemporaryDirectory(prefix="golf-pod-check-") as top:
        script, folder = Path(top) / "train_gpt.py", Path(top) / "run"
        script.write_bytes(plan.source.script)
        folder.mkdir()
        env = environment(plan.inputs, plan.seeds[0], "pod-check", plan.machine, plan.nproc)
        command = torchrun(script, plan.nproc, bool(plan.machine.gpus), ("train",))
        say(f"{steps} steps of {plan.source.name} on {plan.machine.describe(plan.nproc)}")
        with (folder / "log").open("wb") as log:
            try:
                subprocess.run(
                    command,
                    cwd=folder,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    check=False,
                    timeout=STEPS_SECONDS,
                )
            except subprocess.TimeoutExpired:
                say(f"ended after {STEPS_SECONDS:.0f} s")
        for line in Follower(folder / "log").lines(to_end=True):
            progress.read(line)
    return progress
