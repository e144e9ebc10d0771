"""`golf package`: weigh every seed's artifact from disk, score it alone, and put what ships into one folder with a manifest."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from golf.artifact.alone import Comparison, evaluate_alone, refuse_damaged
from golf.artifact.ledger import weigh
from golf.artifact.manifest import FOLDER, Package, kept_comparisons, write_package
from golf.challenge import SCRIPT
from golf.errors import Exit, GolfError
from golf.files import sha256_of, sha256_of_file
from golf.project import is_adopted
from golf.run.launch import Launcher, torchrun
from golf.run.layout import ARTIFACT
from golf.run.lines import Progress
from golf.run.plan import Plan
from golf.run.resume import is_current
from golf.run.schema import Run
from golf.run.source import own_script, readable_of
from golf.run.store import Store


def finished_runs(store: Store, folder: Path, *, smoke: bool) -> list[Run]:
    """The finished runs of the submission's present script (of its newest small twin with `smoke`), derived ones left out.

    GolfError (10): there are none, they ran differently, the script that ran was changed afterwards.
    """
    if is_adopted(folder):
        raise GolfError(f"`{folder.name}` was imported: golf exports nothing for a script that it did not compose, nor scores its artifact alone",
                        f"its runs as they are: `golf record {folder.name}`; the rules: `golf verify {folder.name} --execute`; "
                        f"what came is in {folder / 'original'}", Exit.REFUSED)  # fmt: skip
    own = sha256_of(own_script(folder))
    done = [
        run
        for run in store.runs(folder.name, "finished")
        if is_current(run) and run.smoke == smoke and run.derived is None and _own_script_of(run) == own
    ]
    done = [run for run in done if run.set_id == done[-1].set_id]
    if not done:
        raise GolfError(f"{folder.name} has no finished run of its present script",
                        f"run it: `golf run {folder.name}{' --smoke' if smoke else ''}`", Exit.REFUSED)  # fmt: skip
    script = done[0].folder.parent / SCRIPT
    if not script.is_file() or sha256_of_file(script) != done[0].script_sha256:
        raise GolfError(f"{script} is not the script that ran: its sha256 is another",
                        f"run it again: `golf run {folder.name} --again`", Exit.REFUSED)  # fmt: skip
    refuse_mixed(done)
    return done


def _own_script_of(run: Run) -> str:
    return str(json.loads(run.recipe or "{}").get("of_sha256", run.script_sha256))


def refuse_other_data(plan: Plan, runs: Sequence[Run]) -> None:
    """A score is compared on the data that it was measured on. Of an imported run the data is not known: its score will tell."""
    for run in runs:
        known = run.data_sha256 is not None
        if known and (run.data_sha256, run.tokenizer_sha256) != (plan.data.sha256, plan.data.tokenizer_sha256):
            raise GolfError(f"seed {run.seed} of {run.submission} was scored on other data than {plan.data.name}",
                            "name its data: `--data-path`, `--tokenizer-path`", Exit.REFUSED)  # fmt: skip


def refuse_mixed(runs: Sequence[Run]) -> None:
    """The seeds of one result come from one configuration (rule R12)."""
    told = {run.seed: json.loads(run.recipe or "{}").get("inputs") for run in runs}
    first, *others = told
    for seed in others:
        if told[seed] != told[first]:
            raise GolfError(f"seeds {first} and {seed} of {runs[0].submission} ran differently: {told[first]} and {told[seed]}",
                            "run them alike: `golf run --again` with the same options", Exit.REFUSED)  # fmt: skip


def make_package(
    plan: Plan,
    runs: Sequence[Run],
    *,
    pack: bool = False,
    write: bool = True,
    again: bool = False,
    launcher: Launcher = torchrun,
    on_progress: Callable[[int, Progress], None] = lambda seed, progress: None,
) -> Package:
    """Weigh, score alone and write. pack: ship the packed script even where the readable one fits.

    write: False weighs only. again: score also what was scored before, byte for byte the same. GolfError: a damaged artifact (10), one that cannot be scored alone (6).
    """
    shipped = (plan.set_folder / SCRIPT).read_bytes()
    readable = readable_of(shipped).encode()
    files = local_files(plan.set_folder / SCRIPT)
    models = {run.seed: run.folder / ARTIFACT for run in runs}
    for model in models.values():
        refuse_damaged(model)
    claimed = {run.seed: (run.result or {}).get("total_bytes") for run in runs}
    ledger = weigh(readable, shipped, files, models, claimed)
    if pack or ledger.headroom < 0:
        shipped = packed(readable)
        ledger = weigh(readable, shipped, files, models, claimed)
    if not write or ledger.headroom < 0:
        return Package(tuple(runs), ledger, shipped, (), None)
    package = Package(tuple(runs), ledger, shipped, (), None)
    if not again and (kept := kept_comparisons(plan, package, files, models)) is not None:
        return replace(package, comparisons=kept, folder=plan.set_folder / FOLDER, kept=True)
    comparisons = []
    for run in runs:
        alone = evaluate_alone(
            shipped, models[run.seed], plan.inputs, seed=run.seed, nproc=plan.nproc, machine=plan.machine,
            files=files, launcher=launcher, on_progress=partial(on_progress, run.seed),
        )  # fmt: skip
        comparisons.append(Comparison(run.seed, alone, float((run.result or {})["val_bpb"])))
    package = replace(package, comparisons=tuple(comparisons))
    return replace(package, folder=write_package(plan, package, files, models))


def packed(readable: bytes) -> bytes:
    """The packed script, or the readable one where packing does not make it smaller."""
    from golf.compose.pack import pack

    return min(pack(readable.decode()), readable, key=len)


def local_files(script: Path) -> tuple[Path, ...]:
    """Files beside a script that it imports, executes or reads (read from its code, nothing is run)."""
    from golf.reading.script import read_source

    source = read_source(script)
    return (*source.helpers, *source.data)
