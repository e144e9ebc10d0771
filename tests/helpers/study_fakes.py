"""Studies over the torch-free fake script: trials whose scores are what a test plants, without composing anything."""

import sys
from dataclasses import replace
from pathlib import Path

from run_fakes import CPU, FAKE, data_of, source_of

from golf.challenge import SCRIPT
from golf.run.plan import Wishes, make_plan
from golf.study.drive import Budget, Driver
from golf.study.study import Study, Trial, load, named, save


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


def fake_script(effect: float = 0.0, steps: int = 3) -> bytes:
    """The fake with another final loss; 2 nats are 1 BPB in it."""
    text = FAKE.read_text().replace("iterations = 20", f"iterations = {steps}")
    return text.replace("loss = 1 + 6 * 0.9**step", f"loss = {1 + 2 * effect!r} + 6 * 0.9**step").encode()


def make_fakes(root: Path, count: int, seeds=(1, 2), kind="sweep", steps=3) -> Study:
    """A project at `root` with a study of `count` trials, the first the best by 0.01 BPB each."""
    trials = named([Trial("", {"effect": str(i)}, "baseline") for i in range(count)], "fake")
    study = Study("fake", kind, "baseline", tuple(seeds), trials, {"smoke": True}, "0")
    (root / "data").mkdir(parents=True)
    for number, trial in enumerate(study.trials):
        folder = root / "submissions" / trial.name
        folder.mkdir(parents=True)
        (folder / "recipe.toml").write_text('extends = "baseline"\n')
        (folder / SCRIPT).write_bytes(fake_script(0.01 * number, steps))
    save(root, study)
    return study


def planner(root: Path, **changes):
    """Plans of the fake's small twin, one CPU process."""

    def plan(name, wishes):
        data = replace(data_of(root), **changes)
        return make_plan(root, source_of(root / "submissions" / name), replace(wishes, nproc=1), CPU, lambda: data)

    return plan


def driver(root: Path, *, view=None, parallel=1, budget=None, **more) -> Driver:
    """The driver of the study `fake`."""
    study = load(root, "fake")
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
    """Run the study `fake` of the project argv[1]; argv[2]: the session's point at whose argv[3]-th passing the driver is killed."""
    import os
    import signal

    root, point, left = Path(sys.argv[1]), sys.argv[2], [int(sys.argv[3])]

    def at(name):
        if name == point:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    driver(root, at=at).run()


if __name__ == "__main__":
    main()
