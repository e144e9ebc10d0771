"""The calls that commands make: package a submission, evaluate a folder."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from golf.artifact.alone import Score, evaluate_alone
from golf.artifact.manifest import Package
from golf.artifact.package import finished_runs, local_files, make_package, refuse_other_data
from golf.artifact.public import as_script_reads
from golf.artifact.sibling import SHIPPED, compose_sibling
from golf.challenge import SCRIPT
from golf.errors import Exit, GolfError
from golf.project import find_root, find_submission
from golf.reading.container import read_meta
from golf.reading.pgrp import is_pgrp
from golf.run.launch import Inputs, Launcher, torchrun
from golf.run.layout import ARTIFACT, is_twin
from golf.run.lines import Progress
from golf.run.machine import Machine, this_machine
from golf.run.plan import Plan, Wishes, default_nproc, find_data, make_plan, refuse_world_size
from golf.run.resume import settle
from golf.run.schema import Run
from golf.run.source import reads_side_car, source_that_ran, vocabulary_of
from golf.run.store import Store, has_store, open_store
from golf.run.view import Silent, View, describe

if TYPE_CHECKING:
    from golf.artifact.fitted import Wish


def package_submission(
    name: str | None,
    wishes: Wishes,
    overrides: Sequence[str] = (),
    *,
    pack: bool = False,
    write: bool = True,
    again: bool = False,
    view: View | None = None,
    launcher: Launcher = torchrun,
) -> tuple[Plan, Package]:
    """Package the finished runs of a submission's present script; of its small twin where only that was run.

    overrides: `key=value` for another export and evaluation of the same checkpoints. Raises GolfError as `make_package`.
    """
    from golf.artifact.derive import derived_plan, run_derived
    from golf.artifact.words import in_full

    view = view or Silent()
    with _kept_runs(name, wishes, view) as (store, kept_plan, kept):
        plan, runs = kept_plan, kept
        if overrides:
            plan = derived_plan(plan, runs, in_full(overrides))
            runs = run_derived(plan, runs, store, view, launcher=launcher)
    shown = _Shown(view)
    package = make_package(plan, runs, pack=pack, write=write, again=again, launcher=launcher, on_progress=shown)
    return plan, package


def fit_submission(
    name: str | None,
    wishes: Wishes,
    wish: "Wish",
    overrides: Sequence[str] = (),
    *,
    write: bool = True,
    again: bool = False,
    view: View | None = None,
    launcher: Launcher = torchrun,
) -> tuple[Plan, Package]:
    """Find settings that fill the wished bytes, export and evaluate every kept seed with them, and package that, packed.

    write: False only finds them; the package is then what is there now, weighed. The real artifacts are never above the wish
    less its margin. Raises GolfError as `fit_seeds` and `package_submission`.
    """
    from golf.artifact.derive import derived_plan, run_derived
    from golf.artifact.fit_seeds import fit_seeds
    from golf.artifact.words import in_full

    view, slack = view or Silent(), 0
    with _kept_runs(name, wishes, view) as (store, kept_plan, kept):
        plan, runs = kept_plan, kept
        while True:
            fitted = fit_seeds(plan, runs, wish, in_full(overrides), view.say, slack_bytes=slack)
            if not write or not fitted.overrides:
                break
            made = derived_plan(plan, runs, fitted.overrides)
            done = run_derived(made, runs, store, view, launcher=launcher)
            over = make_package(made, done, pack=True, write=False).ledger.worst.shipped_total - fitted.goal_bytes
            if over <= 0:
                plan, runs = made, done
                break
            slack += over  # another machine's rounding moved a few codes
            view.say(f"exported for real it is {over:,} bytes above: once more, that much smaller")
    package = make_package(plan, runs, pack=True, write=write, again=again, launcher=launcher, on_progress=_Shown(view))
    return plan, replace(package, fitted=fitted)


@contextmanager
def _kept_runs(name: str | None, wishes: Wishes, view: View) -> Iterator[tuple[Store, Plan, list[Run]]]:
    """The store, a plan that exports and evaluates, and the finished runs of a submission's present script."""
    folder = find_submission(name)
    root = find_root(folder)
    if not has_store(root):
        raise GolfError(f"{folder.name} has no finished run", f"run it: `golf run {folder.name}`", Exit.REFUSED)
    with open_store(root) as store:
        settle(store, folder.name)
        if not wishes.smoke and _only_twin_ran(store, folder):
            view.say(f"only the small twin of {folder.name} was run: packaging that")
            wishes = replace(wishes, smoke=True)
        runs = finished_runs(store, folder, smoke=wishes.smoke)
        wishes = _by_as_many(wishes, runs, this_machine())
        source = source_that_ran(folder, (runs[0].folder.parent / SCRIPT).read_bytes(), smoke=wishes.smoke)
        plan = make_plan(
            root,
            source,
            wishes,
            this_machine(),
            lambda: find_data(source.vocab_size, wishes, root, source.side_car),
            trains=False,
        )
        refuse_other_data(plan, runs)
        yield store, plan, runs


def _by_as_many(wishes: Wishes, runs: Sequence[Run], machine: Machine) -> Wishes:
    """The wishes with the runs' own number of processes, where none is asked for and this machine has that many.

    Sums over ranks are rounded in another order by another number of ranks: the last digits of the score may differ.
    """
    ran = {run.world_size for run in runs if run.world_size}
    if wishes.nproc or len(ran) != 1 or (machine.gpus and min(ran) > len(machine.gpus)):
        return wishes
    return replace(wishes, nproc=min(ran))


def _only_twin_ran(store: Store, folder: Path) -> bool:
    finished = store.runs(folder.name, "finished")
    return bool(finished) and all(run.smoke for run in finished)


class _Shown:
    """Says each new phase or number of the evaluation of a seed once."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.last = ""

    def __call__(self, seed: int | str, progress: Progress) -> None:
        line = f"{f'seed {seed} ' if seed != '' else ''}alone  {describe(progress)}"
        if line != self.last:
            self.last = line
            self.view.say(line)


def evaluate_folder(
    folder: Path,
    wishes: Wishes,
    *,
    mode: str = SHIPPED,
    overrides: Sequence[str] = (),
    launcher: Launcher = torchrun,
    view: View | None = None,
) -> tuple[Score, bool]:
    """Score a folder with `train_gpt.py` and `model.golf`: (score, whether it is the score of what ships).

    The script may lie one level up (a run's folder). The model may be a public one in PGRP, beside the script of its recipe. mode: `shipped`, or one of `sibling.MODES`, composed anew from the
    submission's recipe with `overrides`. A sibling's score is kept with the run, as the metric `eval_<mode>_bpb`.
    GolfError: a missing or damaged file (10), a mode that the rules forbid (10), a script that ends without a score (6).
    """
    with tempfile.TemporaryDirectory() as scratch:
        script, artifact = _files_of(folder, Path(scratch))
        return _evaluate(
            folder, script, artifact, wishes, mode=mode, overrides=overrides, launcher=launcher, view=view or Silent()
        )


def _evaluate(
    folder: Path,
    script: Path,
    artifact: Path,
    wishes: Wishes,
    *,
    mode: str,
    overrides: Sequence[str],
    launcher: Launcher,
    view: View,
) -> tuple[Score, bool]:
    content, ships, shown = script.read_bytes(), True, _Shown(view)
    files = local_files(script)
    if mode != SHIPPED or overrides:
        sibling = compose_sibling(folder, content, mode, overrides, wishes.allow)
        content, ships = sibling.script, sibling.same
        if not ships:
            shown.view.say(f"`{mode}` is not how this submission ends: composed as a sibling, on the artifact it ships")
    machine = this_machine()
    if any(is_twin(place.name) for place in (folder.resolve(), *folder.resolve().parents[:2])):
        wishes = replace(wishes, smoke=True)  # scored on what its run was scored on
    wishes = _by_as_many(wishes, _rows_of(folder), machine)
    nproc = wishes.nproc or default_nproc(wishes, machine)
    refuse_world_size(nproc, machine)
    data = find_data(vocabulary_of(content, {}), wishes, find_root(), reads_side_car(content))
    seed = int(read_meta(artifact).get("seed", 1337))  # evaluation draws no random numbers that reach the score
    score = evaluate_alone(
        content, artifact, Inputs(data.path, data.tokenizer), seed=seed, nproc=nproc, machine=machine,
        files=files, launcher=launcher, stall_seconds=wishes.stall_seconds,
        on_progress=lambda progress: shown("", progress),
    )  # fmt: skip
    if mode != SHIPPED:
        _keep(folder, f"eval_{mode}", score)
    return score, ships


def _keep(folder: Path, name: str, score: Score) -> None:
    """Keep a score with the run whose folder this is; other folders have no row."""
    rows = _rows_of(folder)
    if not rows:
        return
    with open_store(find_root(folder)) as store:
        for run in rows:
            store.record(run.id, [(0, f"{name}_bpb", score.val_bpb), (0, f"{name}_seconds", score.seconds)])


def _rows_of(folder: Path) -> list[Run]:
    """The rows of the run whose folder this is."""
    root = find_root(folder)
    if not has_store(root):
        return []
    with open_store(root) as store:
        return [run for run in store.runs() if run.folder == folder.resolve()]


def _files_of(folder: Path, scratch: Path) -> tuple[Path, Path]:
    """The script and the artifact of a folder; of a public artifact in PGRP the same weights as the script reads them, in `scratch`."""
    if not folder.is_dir():
        raise GolfError(f"no folder {folder}", f"name a folder that holds {SCRIPT} and {ARTIFACT}")
    artifact = folder / ARTIFACT
    script = next((path for path in (folder / SCRIPT, folder.parent / SCRIPT) if path.is_file()), None)
    public = [path for path in sorted(folder.iterdir()) if path.is_file() and is_pgrp(path)]
    if script is not None and len(public) == 1 and artifact in (public[0], None if artifact.is_file() else artifact):
        return script, as_script_reads(public[0], script, scratch / ARTIFACT)
    for path, name in ((script, SCRIPT), (artifact if artifact.is_file() else None, ARTIFACT)):
        if path is None:
            raise GolfError(
                f"{folder} has no {name}", f"name a folder that holds {SCRIPT} and {ARTIFACT}", Exit.REFUSED
            )
    assert script is not None
    return script, artifact
