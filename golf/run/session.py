"""`golf run`: seed after seed, each decided before anything starts, watched to its end, and kept in the store."""

import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from golf.errors import Exit, GolfError
from golf.files import Lock, link_or_copy, write_atomically
from golf.run.advice import advice_for, concerns_every_seed, reason_of, tail
from golf.run.energy import drawn_joules
from golf.run.foreign import DATA_DIR, Heard, hear, lay_out
from golf.run.launch import ELASTIC, PHASES, Launcher, Script, environment, run_id, torchrun
from golf.run.layout import ARTIFACT, CHECKPOINT, CHECKPOINTS, TRAINING, SeedFolder
from golf.run.lines import Follower, Progress, heard_before, merge_results
from golf.run.machine import slots_of
from golf.run.nodes import RENDEZVOUS, command_of, leave_address
from golf.run.outlook import Judge, Outlook
from golf.run.plan import Plan, refuse_disk
from golf.run.processes import Adopted, Watched, end, end_strays
from golf.run.resume import incomplete, phases_left, reached, settle
from golf.run.schema import Run
from golf.run.steps import Step, decide, recipe_of, refuse_twins, watched_elsewhere
from golf.run.store import Store, open_store
from golf.run.track import start
from golf.run.view import View
from golf.run.watch import Ending, Interrupts, Watch, interrupts, wanted

INTERRUPTED = 130  # what a shell expects after Ctrl-C


def nowhere(point: str) -> None:
    """The hook of a session: tests put a kill at a named point here."""


@dataclass
class Session:
    """A plan being carried out. `at` is called at every named point between two transitions.

    bases: for a derived plan, the finished run of each seed whose checkpoint is exported and evaluated anew. gpus: the only ones
    that its scripts see, where several run side by side. starter: starts a script, here or on a cluster. stop: where the caller listens for Ctrl-C itself. judge_of: makes a run's judge, as
    `Watch` asks it. condemns: a run that its judge ended speaks for the later seeds too. trackers: who is told of every run
    (`golf.run.track`).
    """

    plan: Plan
    store: Store
    view: View
    launcher: Launcher = torchrun
    at: Callable[[str], None] = nowhere
    grace_seconds: float = 10.0
    bases: Mapping[int, Run] = field(default_factory=dict)
    gpus: tuple[str, ...] = ()
    starter: Callable[..., Watched] = Script
    stop: Interrupts | None = None
    judge_of: Callable[[Run], Judge] = lambda run: wanted
    condemns: bool = False
    trackers: tuple[str, ...] = ()
    drawn: dict[int, float | None] = field(default_factory=dict, init=False)  # run → joules of its GPUs before it

    def run(self) -> list[Run]:
        """Run every seed; the finished runs in the order of the seeds.

        GolfError: a run that must not start (10), ended without a result (6), printed another seed (1), overran a clock (4).
        KeyboardInterrupt after Ctrl-C, with the script ended and the run stopped.
        """
        settle(self.store, self.plan.source.name)
        steps = decide(self.plan, self.store)
        starting = [step.seed for step in steps if step.what in ("fresh", "continue")]
        refuse_disk(self.plan, starting, self._known_params()) if starting else None
        outcomes = self._one_by_one(steps) if self.plan.parallel == 1 else self._side_by_side(steps)
        finished = [outcome for outcome in outcomes if isinstance(outcome, Run)]
        refuse_twins(finished)
        for outcome in outcomes:
            if isinstance(outcome, SeedFailed):
                raise outcome
        return finished

    def _one_by_one(self, steps: Sequence[Step]) -> "list[Run | SeedFailed]":
        outcomes: list[Run | SeedFailed] = []
        for number, step in enumerate(steps, 1):
            with interrupts() if self.stop is None else nullcontext(self.stop) as stop:
                outcomes.append(self._carry_out(step, number, len(steps), stop))
            if self._is_over(outcomes[-1], steps[number:]):
                break
        return outcomes

    def _side_by_side(self, steps: Sequence[Step]) -> "list[Run | SeedFailed]":
        """`plan.parallel` seeds at a time, each with GPUs of its own; lines are plain and begin with their seed."""
        slots = SimpleQueue[tuple[str, ...]]()
        for slot in slots_of(self.plan.machine, self.plan.parallel, self.plan.nproc):
            slots.put(slot)
        self.view.say(
            f"{self.plan.parallel} seeds at a time: they share this machine, and their step times are not a run's alone"
        )
        over = threading.Event()

        def work(number: int, step: Step, stop: Interrupts) -> Run | SeedFailed | None:
            if stop.asked or over.is_set():
                return None
            gpus = slots.get()
            try:
                with open_store(self.plan.root) as store:
                    own = replace(self, store=store, view=self.view.beside(), gpus=gpus)
                    outcome = own._carry_out(step, number, len(steps), stop)
            finally:
                slots.put(gpus)
            if isinstance(outcome, SeedFailed) and outcome.concerns_every_seed:
                over.set()
            return outcome

        with interrupts() as stop, ThreadPoolExecutor(self.plan.parallel) as pool:
            at_work = [pool.submit(work, number, step, stop) for number, step in enumerate(steps, 1)]
            outcomes = [one.result() for one in at_work]
        left = [step for step, outcome in zip(steps, outcomes, strict=True) if outcome is None]
        for outcome in outcomes:
            if isinstance(outcome, SeedFailed) and outcome.concerns_every_seed:
                self._is_over(outcome, left)
        return [outcome for outcome in outcomes if outcome is not None]

    def _carry_out(self, step: Step, number: int, count: int, stop: Interrupts) -> "Run | SeedFailed":
        if step.what == "keep" and step.run is not None:
            self.view.say(f"seed {step.seed}: kept, finished {step.run.finished_at} (`--again` runs it once more)")
            return step.run
        try:
            return self._run_seed(step, number, count, stop)
        except SeedFailed as fault:
            return fault

    def _is_over(self, outcome: "Run | SeedFailed", later: Sequence[Step]) -> bool:
        """Whether later seeds are not worth starting; says what becomes of them."""
        left = ", ".join(str(step.seed) for step in later if step.what != "keep")
        if not isinstance(outcome, SeedFailed):
            return False
        if left and outcome.concerns_every_seed:
            self.view.say(f"not started: {left}; these seeds would meet the same")
        elif left:
            self.view.say(f"{outcome.message}; going on with {left}")
        return outcome.concerns_every_seed

    def _known_params(self) -> int | None:
        known = [run.result["params"] for run in self.store.runs(self.plan.source.name) if run.result]
        return known[-1] if known else None

    def _run_seed(self, step: Step, number: int, count: int, stop: Interrupts) -> Run:
        place = self.plan.place(step.seed)
        watching, lock = Lock(place.watch_lock), Lock(place.script_lock)
        if not watching.take():
            raise watched_elsewhere(self.plan.source.name, step.seed)
        try:
            if step.what == "attach" and step.run is not None:
                run = step.run
                watch = self._watch(run, Adopted(place.script_lock, run.pid), Progress(), 0, stop)
            else:
                run = self._take_up(step.run) if step.what == "continue" and step.run else self._start(place)
                progress, offset = heard_before(place.log)
                watch = self._watch(run, self._launch(run, place, lock), progress, offset, stop)
            self.view.begin(run, number, count, self.plan.machine.describe(self.plan.nproc))
            self._tell_trackers(run)
            ending = watch.until_end()
            end_strays(place.path, run_id_of(run), self.grace_seconds)
            shutil.rmtree(place.path / ELASTIC, ignore_errors=True)
            (place.path / RENDEZVOUS).unlink(missing_ok=True)
            self.at("ended")
            return self._conclude(run, watch.progress, ending)
        finally:
            self.view.close()
            lock.release()
            watching.release()

    def _tell_trackers(self, run: Run) -> None:
        """Start the trackers' processes, which nothing here waits for."""
        for tracker in self.trackers:
            try:
                start(tracker, self.plan.root, run)
            except OSError as fault:
                self.view.say(f"{tracker} is not told of seed {run.seed}: {fault}")

    def _watch(self, run: Run, process: Watched, progress: Progress, offset: int, stop: Interrupts) -> Watch:
        outlook = Outlook(run, self.plan.root)
        return Watch(
            process=process,
            follower=Follower(run.log, offset),
            progress=progress,
            seed=run.seed,
            limits=self.plan.limits,
            stop=stop,
            on_progress=lambda now: self._note(run, now, outlook),
            on_phase=lambda phase: self._advance(run, phase),
            adopted=isinstance(process, Adopted),
            unwanted=self.judge_of(run),
            grace_seconds=self.grace_seconds,
        )

    def _start(self, place: SeedFolder) -> Run:
        """A new row and an empty folder; a former run of this seed goes aside, in the same transaction."""
        plan = self.plan
        former = self.store.runs(plan.source.name, set_id=plan.source.set_id, seed=place.seed)
        occupied = place.path.exists() or any(run.folder == place.path for run in former)
        aside = place.next_aside({run.folder.name for run in former}) if occupied else None
        write_atomically(place.script, plan.source.script)
        self.at("script")
        if aside is not None and not place.path.exists():
            # killed before its folder was made: without one, `redo_move` would later take this seed's next folder for it
            place.path.with_name(aside).mkdir(parents=True)
            self.at("empty")
        run = self.store.start(
            folder=place.path,
            aside=aside,
            submission=plan.source.name,
            set_id=plan.source.set_id,
            seed=place.seed,
            script_sha256=plan.source.script_sha256,
            recipe=recipe_of(plan),
            smoke=plan.source.smoke,
            track=plan.track,
            device=plan.machine.device,
            world_size=plan.world_size,
            data_sha256=plan.data.sha256,
            tokenizer_sha256=plan.data.tokenizer_sha256,
            derived=plan.derived,
        )
        self.at("row")
        if aside is not None and place.path.exists():
            place.path.rename(place.path.with_name(aside))
        self.at("aside")
        place.path.mkdir(parents=True, exist_ok=True)
        if plan.source.foreign:
            lay_out(plan.source.folder, place, plan.inputs, plan.source.vocab_size)
        if (base := self.bases.get(place.seed)) is not None:
            for name in CHECKPOINTS:
                if (base.folder / name).exists():
                    link_or_copy(base.folder / name, place.path / name)
            run = self.store.move(run.id, "trained")
        return run

    def _take_up(self, run: Run) -> Run:
        """Put a broken run back to the state that its files prove."""
        return self.store.move(run.id, reached(run), finished_at=None, exit_code=None, stop_reason=None)

    def _launch(self, run: Run, place: SeedFolder, lock: Lock) -> Watched:
        if not lock.take():
            raise watched_elsewhere(run.submission, run.seed)
        plan, phases = self.plan, phases_left(run.state)
        if phases != PHASES:
            self.view.say(f"seed {run.seed}: goes on with {' and '.join(phases)}")
        name = run_id_of(run)
        end_strays(place.path, name, self.grace_seconds)
        script_path = Path("..") / place.script.name
        if plan.nnodes > 1:
            command = command_of(leave_address(plan, place, phases), 0, script_path)
        else:
            command = self.launcher(script_path, plan.nproc, bool(plan.machine.gpus), phases)
        env = environment(plan.inputs, run.seed, name, plan.machine, plan.nproc, gpus=self.gpus)
        env |= {"DATA_DIR": DATA_DIR} if plan.source.foreign else {}
        self.drawn[run.id] = drawn_joules(self._gpus()) if phases == PHASES else None  # of whole runs only
        script = self.starter(command, place.path, place.log, env, lock)
        try:
            self.at("launched")
            lock.release()  # the script holds it from here on
            self.store.note(run.id, pid=script.pid)
            self.at("noted")
        except BaseException:
            end(script, self.grace_seconds)
            raise
        return script

    def _note(self, run: Run, progress: Progress, outlook: Outlook) -> None:
        """Keep and show what was read. A store that cannot be written for a moment must not end a run that costs money."""
        points = progress.take_points()
        try:
            self.store.record(run.id, points)
            outlook.note(progress)
        except GolfError as fault:
            progress.points = points + progress.points
            self.view.say(f"{fault.message}; the log keeps everything")
        self.view.progress(progress)

    def _advance(self, run: Run, phase: str) -> None:
        state = {"export": "trained", "eval": "exported"}.get(phase)
        if state is None:
            return
        try:
            if self.store.run(run.id).state in phases_before(state):
                self.store.move(run.id, state)
        except GolfError as fault:
            self.view.say(fault.message)
        self.at(state)

    def _conclude(self, run: Run, progress: Progress, ending: Ending) -> Run:
        """Move the run to its last state; GolfError when that is not `finished`."""
        self.view.progress(progress)
        if ending.eval_wall is not None:
            self.store.record(run.id, [(0, "eval_wall_seconds", ending.eval_wall)])
        heard = hear(run, ending.exit_code) if self.plan.source.foreign else None
        result, remark = None, None
        if ending.reason is None:
            ending.reason = incomplete(run, progress) if heard is None else heard.fault
            ending.wrong_seed = heard is not None and heard.wrong_seed
            if ending.exit_code not in (0, -1):
                how = reason_of(ending.exit_code, progress)
                # of a foreign script nobody knows whether another evaluation was due after its last score
                if ending.reason is None and heard is None:
                    remark = f"its result was complete, then {how}"
                else:
                    ending.reason = how
        if ending.reason is None:
            result = self._result(run, progress, heard) | self._energy(run)
            remark = remark or (ending.remark if heard is None else None)
            if remark is not None:
                result = {**result, "remarks": [*result.get("remarks", ()), remark]}
                self.view.say(f"seed {run.seed}: {remark}")
            keep_on_disk(run)
        self.at("finishing")
        if result is not None:
            run = self.store.move(run.id, "finished", exit_code=ending.exit_code, result=result)
            self.at("finished")
            return run
        state = "stopped" if ending.interrupted or ending.given_up else "failed"
        self.store.move(run.id, state, exit_code=ending.exit_code, stop_reason=ending.reason, result=progress.result())
        if ending.interrupted:
            raise KeyboardInterrupt
        raise self._failure(run, progress, ending)

    def _gpus(self) -> tuple[str, ...]:
        """The GPUs that a script of this session sees, by number."""
        return self.gpus or next(iter(slots_of(self.plan.machine, 1, self.plan.nproc)), ())

    def _energy(self, run: Run) -> dict[str, float]:
        """What its GPUs drew from its start to its end, evaluation included; nothing where that is not known."""
        before, after = self.drawn.get(run.id), drawn_joules(self._gpus())
        return {"energy_joules": after - before} if before is not None and after is not None and after > before else {}

    def _result(self, run: Run, progress: Progress, heard: Heard | None) -> dict[str, Any]:
        """What was measured; a derived run takes its training from the run that it is derived from."""
        base, own = self.bases.get(run.seed), progress.result() if heard is None else heard.result
        assert own is not None, "a finished run has a result"
        return merge_results([base.result, own]) if base is not None and base.result else own

    def _failure(self, run: Run, progress: Progress, ending: Ending) -> "SeedFailed":
        if ending.given_up:
            return GivenUp(
                f"seed {run.seed} of {run.submission} was stopped: {ending.reason}",
                None,
                Exit.UNKNOWN,
                concerns_every_seed=self.condemns,
            )
        for line in tail(progress.last):
            self.view.say(f"  | {line}")
        code = Exit.OVER_TIME if ending.over_time else Exit.RULE_BROKEN if ending.wrong_seed else Exit.UNKNOWN
        trained = any((run.folder / name).exists() for name in (CHECKPOINT, TRAINING))
        return SeedFailed(
            f"seed {run.seed} of {run.submission} has no result: {ending.reason}",
            advice_for(run, progress, trained),
            code,
            concerns_every_seed=code != Exit.UNKNOWN or concerns_every_seed(progress),
        )


class SeedFailed(GolfError):
    """A seed ended without a result. `concerns_every_seed`: the next one would meet the same."""

    def __init__(self, message: str, hint: str | None, code: Exit, *, concerns_every_seed: bool) -> None:
        super().__init__(message, hint, code)
        self.concerns_every_seed = concerns_every_seed


class GivenUp(SeedFailed):
    """A seed was ended on purpose, before its end: its result was no longer wanted."""


def keep_on_disk(run: Run) -> None:
    """Have the system write a run's files and their names, so that no power cut leaves `finished` without them."""
    for path in (run.log, run.folder / ARTIFACT, run.folder):
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # a foreign script names its artifact otherwise
            continue
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def run_id_of(run: Run) -> str:
    """`golf.run.launch.run_id` of a run of the store."""
    return run_id(run.submission, run.set_id, run.seed)


def phases_before(state: str) -> tuple[str, ...]:
    """The states from which a run may advance to `state`."""
    return {"trained": ("started",), "exported": ("started", "trained")}[state]
