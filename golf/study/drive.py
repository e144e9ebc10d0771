"""The driver of a study: its runs one after another or side by side, each by an ordinary session, until all are there or the budget is spent.

Whatever ends it, what finished is in the run store: called again it runs what is missing, and nothing twice.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Self

from golf.engine.ray_engine import LOST
from golf.errors import Exit, GolfError
from golf.files import Lock
from golf.run.api import plan_run
from golf.run.before import check_before
from golf.run.launch import Script
from golf.run.lines import Progress
from golf.run.machine import slots_of
from golf.run.outlook import Judge, Outlook, stop_if_worse
from golf.run.plan import Plan, Wishes
from golf.run.processes import Watched
from golf.run.schema import Run
from golf.run.session import GivenUp, SeedFailed, Session, nowhere
from golf.run.store import Store, open_store
from golf.run.view import View
from golf.run.watch import Interrupts, interrupts, wanted
from golf.study.prune import Halving, was_pruned
from golf.study.study import LOCK, Study, Trial, folder_of, note_spent, seconds_spent

KEEP_SECONDS = 5.0
ATTEMPTS = 2  # of a run that a machine's fault ended


@dataclass(frozen=True)
class Budget:
    """What a study may take at most. seconds: of wall time, all drivers together; dollars: these at `rate` dollars an hour."""

    trials: int | None = None
    seconds: float | None = None
    dollars: float | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.dollars is not None and self.rate is None:
            raise GolfError(
                f"a budget of ${self.dollars:g} needs the price of this machine", "name it: `--rate 20.0` ($/h)"
            )

    @property
    def most_seconds(self) -> float | None:
        """The seconds that both bounds leave."""
        bounds = [self.seconds] if self.seconds is not None else []
        if self.dollars is not None and self.rate:
            bounds.append(self.dollars / self.rate * 3600)
        return min(bounds, default=None)


@dataclass
class Outcome:
    """What a driver left undone. failed: trial and seed → why; not_started: for the budget."""

    failed: dict[tuple[str, int], str] = field(default_factory=dict)
    not_started: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class Driver:
    """Carries out a study. planner: makes the plan of a trial's runs; at: the hook of its sessions, where tests put a kill."""

    study: Study
    root: Path
    wishes: Wishes
    budget: Budget
    view: View
    prune: bool = False
    stop_if_worse: float | None = (
        None  # BPB: a run whose forecast is above it is ended, and its trial's later seeds are not begun
    )
    trackers: tuple[str, ...] = ()
    planner: Callable[[str, Wishes], Plan] = plan_run
    checker: Callable[[Plan, Callable[[str], None]], None] = check_before
    at: Callable[[str], None] = nowhere
    starter: Callable[..., Watched] = Script
    width: int = (
        0  # runs at a time on a cluster, which has its own GPUs and cores; 0: `wishes.parallel`, on this machine
    )
    grace_seconds: float = 10.0
    before: int = 0  # runs of a search that came before these …
    of: int = 0  # … and all that it shall have; 0: what is missing now is all

    def run(self) -> Outcome:
        """Run what is missing. GolfError (10): another driver is at work, other data than the study began on, a full disk.
        KeyboardInterrupt after Ctrl-C, with every script ended."""
        lock = Lock(folder_of(self.root, self.study.name) / LOCK)
        if not lock.take():
            raise GolfError(
                f"another golf is at work on the study {self.study.name}",
                "wait for it, or look: `golf status`",
                Exit.REFUSED,
            )
        try:
            return self._run()
        finally:
            lock.release()

    def _run(self) -> Outcome:
        self._plans: dict[str, Plan] = {}
        self._planning, self._outcome, self._halving = threading.Lock(), Outcome(), Halving()
        self._over = threading.Event()  # a fault that every run would meet, or a budget that is spent
        with open_store(self.root) as store:
            runs = runs_of(self.study, store)
            self._data = {
                run.tokenizer_sha256: run.data_sha256
                for rows in runs.values()
                for run in rows
                if run.state == "finished"
            }
            self._durations = [
                seconds for rows in runs.values() for run in rows if (seconds := duration_of(run)) is not None
            ]
            if self.prune:
                self._remember(store, runs)
        begun = [
            trial for trial in self.study.trials if any(runs[trial.name, seed] for seed in self.study.seeds_of(trial))
        ]
        rest = [trial for trial in self.study.trials if trial not in begun]
        most = len(self.study.trials) if self.budget.trials is None else max(self.budget.trials - len(begun), 0)
        beyond = [trial.name for trial in rest[most:]]
        units = [(trial, seed) for trial, seed in self._order() if trial.name not in beyond]
        self._outcome.not_started += [(trial.name, seed) for trial, seed in self._order() if trial.name in beyond]
        missing = [(trial, seed) for trial, seed in units if not is_done(runs[trial.name, seed])]
        self._count, self._number = len(missing), 0
        if not missing:
            return self._outcome
        self._watch = Stopwatch(self.root, self.study.name)
        with interrupts() as stop, self._watch:
            self._work_off(missing, stop)
        if stop.asked:
            raise KeyboardInterrupt
        return self._outcome

    def _order(self) -> list[tuple[Trial, int]]:
        """Trial by trial with all its seeds; where trials may be stopped early, the first seed of all before any other."""
        every = [(trial, seed) for trial in self.study.trials for seed in self.study.seeds_of(trial)]
        if not self.prune:
            return every
        first = self.study.seeds[0]
        return [unit for unit in every if unit[1] == first] + [unit for unit in every if unit[1] != first]

    def _remember(self, store: Store, runs: "Runs") -> None:
        for trial in self.study.trials:
            for run in runs[trial.name, self.study.seeds[0]]:
                points = store.metrics(run.id, "train_loss")
                total = (
                    (run.result or {}).get("steps") if run.state == "finished" else _iterations_said(run.stop_reason)
                )
                if points and total:
                    self._halving.remember(trial.name, int(total), points)

    def _work_off(self, units: Sequence[tuple[Trial, int]], stop: Interrupts) -> None:
        slots = SimpleQueue[tuple[str, ...]]()
        width = self.width or self.wishes.parallel
        here = self.wishes.parallel > 1 and not self.width
        first = self._plan_of(units[0][0]) if here else None
        for slot in slots_of(first.machine, width, first.nproc) if first is not None else [()] * width:
            slots.put(slot)

        def work(trial: Trial, seed: int) -> None:
            gpus = slots.get()
            try:
                if not (stop.asked or self._over.is_set()):
                    self._unit(trial, seed, gpus, stop)
            except BaseException:
                self._over.set()
                raise
            finally:
                slots.put(gpus)

        with ThreadPoolExecutor(width) as pool:
            at_work: list[Future[None]] = [pool.submit(work, trial, seed) for trial, seed in units]
            faults = [fault for one in at_work if (fault := one.exception()) is not None]
        for fault in faults:
            if not isinstance(fault, KeyboardInterrupt):
                raise fault
        if faults:
            raise KeyboardInterrupt

    def _unit(self, trial: Trial, seed: int, gpus: tuple[str, ...], stop: Interrupts) -> None:
        """One seed of one trial, from the plan to its row in the store; a second attempt where a fault of the machine ended it."""
        first_seed = self.study.seeds[0]
        with open_store(self.root) as store:
            if self.prune and seed != first_seed and not _finished(store, trial.name, first_seed):
                return
            if self.stop_if_worse is not None and _given_up(store, trial.name):
                return
            if not self._fits():
                self._outcome.not_started.append((trial.name, seed))
                return
            try:
                plan = self._plan_of(trial)
            except GolfError as fault:
                self._fail(trial, seed, fault)
                return
            self._refuse_other_data(plan)
            with self._planning:
                self._number += 1
                number = self._number
            self.view.say(f"{self.before + number}/{self.of or self._count}  {trial.name}  seed {seed}  {trial.label}")
            for attempt in range(1, ATTEMPTS + 1):
                session = Session(
                    replace(plan, seeds=(seed,), parallel=1, resume=True), store, self.view.beside(), at=self.at, gpus=gpus, stop=stop, starter=self.starter,
                    grace_seconds=self.grace_seconds, judge_of=lambda run: self._judge_of(trial, seed, run), trackers=self.trackers,
                )  # fmt: skip
                try:
                    (run,) = session.run()
                except GivenUp as fault:
                    self.view.say(f"{trial.name}: {fault.message}")
                    return
                except SeedFailed as fault:
                    if attempt < ATTEMPTS and (not fault.concerns_every_seed or self._lost(store, plan, seed)):
                        self.view.say(f"{fault.message}; trying once more")
                        continue
                    self._fail(trial, seed, fault)
                    return
                if (took := duration_of(run)) is not None:  # as a driver that goes on reads it: both foresee the same
                    self._durations.append(took)
                self._data.setdefault(plan.data.tokenizer_sha256, plan.data.sha256)
                bpb = (run.result or {}).get("val_bpb")
                self.view.say(f"{trial.name}  seed {seed}: {'no score' if bpb is None else f'{bpb:.5f} BPB'}")
                return

    def _lost(self, store: Store, plan: Plan, seed: int) -> bool:
        """Whether a run on a cluster ended because its worker or node went, which the next one need not."""
        rows = store.runs(plan.source.name, set_id=plan.source.set_id, seed=seed)
        return bool(self.width and rows and rows[-1].exit_code == LOST)

    def _fail(self, trial: Trial, seed: int, fault: GolfError) -> None:
        self.view.say(f"{trial.name}: {fault.message}")
        self._outcome.failed[trial.name, seed] = fault.message

    def _plan_of(self, trial: Trial) -> Plan:
        """The plan of a trial's runs, made and checked once; one at a time, for composing is not made for threads."""
        with self._planning:
            if trial.name not in self._plans:
                seeds = ",".join(map(str, self.study.seeds_of(trial)))
                plan = self.planner(trial.name, replace(self.wishes, seeds=seeds))
                self.checker(plan, self.view.say)
                self._plans[trial.name] = plan
            return self._plans[trial.name]

    def _refuse_other_data(self, plan: Plan) -> None:
        """Scores on other shards do not compare."""
        before = self._data.get(plan.data.tokenizer_sha256)
        if before is not None and before != plan.data.sha256:
            raise GolfError(f"the study {self.study.name} began on other shards (sha256 {before[:12]}) than {plan.data.path} holds ({plan.data.sha256[:12]})",
                            "name the former ones: `--data-path FOLDER`; or begin a study of another `--name`", Exit.REFUSED)  # fmt: skip

    def _fits(self) -> bool:
        """Whether another run fits into the budget, by what the finished ones took; said once where not."""
        most = self.budget.most_seconds
        if most is None:
            return True
        takes = sum(self._durations) / len(self._durations) if self._durations else 0.0
        if self._watch.seconds() + takes <= most and self._watch.seconds() < most:
            return True
        if not self._over.is_set():
            self._over.set()
            self.view.say(
                f"the budget is spent: {self._watch.seconds():.0f} s of {most:.0f} s; another run takes about {takes:.0f} s"
            )
        return False

    def _judge_of(self, trial: Trial, seed: int, run: Run) -> Judge:
        most = self.budget.most_seconds
        prunes = self.prune and seed == self.study.seeds[0]
        if most is None and not prunes and self.stop_if_worse is None:
            return wanted
        foreseen: Judge = wanted
        if self.stop_if_worse is not None:
            foreseen = stop_if_worse(Outlook(run, self.root), self.stop_if_worse, self.budget.rate)

        def judge(progress: Progress) -> str | None:
            if most is not None and self._watch.seconds() > most:
                self._over.set()
                return f"the budget of {most:.0f} s is spent"
            pruned = self._halving.judge(trial.name, progress) if prunes else None
            return pruned or foreseen(progress)

        return judge


class Stopwatch:
    """Counts the wall seconds of a study's drivers in a `with` block; kept every few seconds, so that a kill loses no more."""

    def __init__(self, root: Path, study: str) -> None:
        self._root, self._study = root, study
        self._before, self._begun, self._ended = seconds_spent(root, study), time.monotonic(), threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def seconds(self) -> float:
        """Those of the drivers before this one, and its own."""
        return self._before + time.monotonic() - self._begun

    def _keep(self) -> None:
        while not self._ended.wait(KEEP_SECONDS):
            note_spent(self._root, self._study, self.seconds())

    def __enter__(self) -> Self:
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._keeper.join()
        note_spent(self._root, self._study, self.seconds())


Runs = dict[tuple[str, int], list[Run]]  # trial and seed → its runs, the present one last


def runs_of(study: Study, store: Store) -> Runs:
    """What the store holds of each trial and seed: the runs in the seeds' own folders, those moved aside left out."""
    found: Runs = {(trial.name, seed): [] for trial in study.trials for seed in study.seeds_of(trial)}
    smoke = bool(study.asked.get("smoke"))
    for run in store.runs_like(f"{study.name}-"):
        if (
            (run.submission, run.seed) in found
            and run.smoke == smoke
            and run.folder.name == f"seed_{run.seed}"
            and run.derived is None
        ):
            found[run.submission, run.seed].append(run)
    return found


def is_done(runs: Sequence[Run]) -> bool:
    """Whether a seed needs no run any more: finished, or stopped early on purpose."""
    return bool(runs) and (runs[-1].state == "finished" or was_pruned(runs[-1].stop_reason))


def duration_of(run: Run) -> float | None:
    """Wall seconds of a finished run."""
    from datetime import datetime

    if run.state != "finished" or not run.finished_at:
        return None
    return (datetime.fromisoformat(run.finished_at) - datetime.fromisoformat(run.started_at)).total_seconds()


def _finished(store: Store, submission: str, seed: int) -> bool:
    return any(run.folder.name == f"seed_{seed}" for run in store.runs(submission, "finished", seed=seed))


def _given_up(store: Store, submission: str) -> bool:
    return any(was_pruned(run.stop_reason) for run in store.runs(submission, "stopped"))


def _iterations_said(stop_reason: str | None) -> int | None:
    """The steps that a pruned run had before it, from its reason: `pruned at step 20 of 180: …`."""
    words = (stop_reason or "").partition(":")[0].split()
    return int(words[-1]) if was_pruned(stop_reason) and words[-1].isdigit() else None
