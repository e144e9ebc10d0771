"""Studies over the torch-free fake script: trials whose scores are what a test plants, without composing anything."""

import sys
from dataclasses import replace
from pathlib import Path

from run_fakes import CPU, FAKE, data_of, source_of

from golf.challenge import SCRIPT
from golf.run.plan import Wishes, make_plan
from golf.study.ablation import AGAIN, BASE
from golf.study.drive import Budget, Driver
from golf.study.study import Study, Trial, load, named, save

ASKED = {"smoke": True, "iterations": None, "max_wallclock_seconds": None, "nproc": None, "allow": [], "prune": False}


class Heard:
    """A view that keeps what it is told."""

    def __init__(self):
        self.lines = []

    def begin(self, run, number, count, where):
        pass

    def progress(self, progress):
        pass

    def say(self, sentence):
        self.lines.append(sentence)

    def close(self):
        pass

    def beside(self):
        return self


def fake_script(effect: float = 0.0, steps: int = 3, noise: float = 0.0, salt: str = "") -> bytes:
    """The fake with another final loss: `effect` BPB above its own, and normal noise of sd `noise` BPB for every seed and `salt`, in
    place of its own small effect of the seed."""
    drawn = (
        f"{2 * noise!r} * __import__('random').Random(f'{{SEED}} {salt}').gauss(0, 1)"
        if noise
        else "(used % 97) * 1e-4"
    )
    text = FAKE.read_text().replace("iterations = 20", f"iterations = {steps}").replace("(used % 97) * 1e-4", drawn)
    return text.replace("loss = 1 + 6 * 0.9**step", f"loss = {1 + 2 * effect!r} + 6 * 0.9**step").encode()


def make_fakes(root: Path, count: int, seeds=(1, 2), steps=3) -> Study:
    """A project at `root` with a sweep `fake` of `count` trials, the first the best, each 0.01 BPB above the one before."""
    trials = named([Trial("", {"effect": str(i)}, "baseline") for i in range(count)], "fake")
    return _made(root, Study("fake", "sweep", "baseline", tuple(seeds), trials, ASKED, "0"), steps)


def make_ablation(root: Path, rows: int, seeds=(1, 2), noise=0.0, effect=0.01) -> Study:
    """A project at `root` with an ablation `why`: the base, a row worth `effect` BPB, then rows that are worth nothing."""
    again = tuple(seed + AGAIN for seed in seeds)
    base = Trial("", {BASE: ""}, "baseline", seeds=(*seeds, *again))
    trials = named([base, *(Trial("", {f"− t{i}": ""}, "baseline", without=(f"t{i}",)) for i in range(rows))], "why")
    study = Study("why", "ablation", "baseline", tuple(seeds), trials, ASKED, "0")
    return _made(root, study, 3, lambda number: effect * (number == 1), noise)


def _made(root, study, steps, worth=lambda number: 0.01 * number, noise=0.0):
    (root / "data").mkdir(parents=True, exist_ok=True)
    for number, trial in enumerate(study.trials):
        folder = root / "submissions" / trial.name
        folder.mkdir(parents=True)
        (folder / "recipe.toml").write_text('extends = "baseline"\n')
        (folder / SCRIPT).write_bytes(fake_script(worth(number), steps, noise, trial.name))
    save(root, study)
    return study


def planner(root: Path, **changes):
    """Plans of the fake's small twin, one CPU process."""

    def plan(name, wishes):
        data = replace(data_of(root), **changes)
        return make_plan(root, source_of(root / "submissions" / name), replace(wishes, nproc=1), CPU, lambda: data)

    return plan


def driver(root: Path, *, name="fake", view=None, parallel=1, budget=None, **more) -> Driver:
    """The driver of a study."""
    study = load(root, name)
    wishes = Wishes(smoke=True, nproc=1, resume=True, parallel=parallel)
    more.setdefault("planner", planner(root))
    return Driver(
        study,
        root,
        wishes,
        budget or Budget(),
        view or Heard(),
        checker=lambda plan, say: None,
        grace_seconds=1.0,
        **more,
    )


def main() -> None:
    """Run the study `fake` of the project argv[1], on the cluster at RAY_ADDRESS if there is one; argv[2]: the session's point at whose argv[3]-th passing the driver is killed."""
    import os
    import signal

    root, point, left = Path(sys.argv[1]), sys.argv[2], [int(sys.argv[3])]

    def at(name):
        if name == point:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    more = {}
    if "RAY_ADDRESS" in os.environ:
        from golf.engine.ray_engine import RayScript

        more = {"starter": RayScript, "width": 2}
    driver(root, at=at, **more).run()


if __name__ == "__main__":
    main()
