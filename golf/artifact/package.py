"""`golf package`: weigh every seed's artifact from disk, score it alone, and put what ships into one folder with a manifest."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from golf import __version__
from golf.artifact.alone import TOLERANCE_BPB, Comparison, evaluate_alone, refuse_damaged
from golf.artifact.ledger import CAP_BYTES, Ledger, weigh
from golf.artifact.ledger import to_json as ledger_json
from golf.errors import Exit, GolfError
from golf.run.launch import Launcher, torchrun
from golf.run.layout import ARTIFACT, SCRIPT, link_or_copy, sha256_of, sha256_of_file, write_atomically
from golf.run.lines import Progress
from golf.run.plan import Plan
from golf.run.resume import is_current
from golf.run.schema import Run
from golf.run.source import own_script, readable_of
from golf.run.store import Store

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Package:
    """What would ship: its folder (None before it is written), its bytes, and its score measured alone."""

    runs: tuple[Run, ...]
    ledger: Ledger
    shipped: bytes
    comparisons: tuple[Comparison, ...]
    folder: Path | None

    @property
    def exit_code(self) -> Exit:
        """3 over the cap; 1 when a score in a log is not its artifact's."""
        if self.ledger.headroom < 0:
            return Exit.OVER_BYTES
        return Exit.OK if all(one.agrees for one in self.comparisons) else Exit.RULE_BROKEN


def finished_runs(store: Store, folder: Path, *, smoke: bool) -> list[Run]:
    """The finished runs of the submission's present script (of its newest small twin with `smoke`), derived ones left out.

    GolfError (10): there are none, they ran differently, the script that ran was changed afterwards.
    """
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
    """A score is compared on the data that it was measured on."""
    for run in runs:
        if (run.data_sha256, run.tokenizer_sha256) != (plan.data.sha256, plan.data.tokenizer_sha256):
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
    launcher: Launcher = torchrun,
    on_progress: Callable[[int, Progress], None] = lambda seed, progress: None,
) -> Package:
    """Weigh, score alone and write. pack: ship the packed script even where the readable one fits.

    write: False weighs only. GolfError: a damaged artifact (10), one that cannot be scored alone (6).
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
    comparisons = []
    for run in runs:
        alone = evaluate_alone(
            shipped, models[run.seed], plan.inputs, seed=run.seed, nproc=plan.nproc, machine=plan.machine,
            files=files, launcher=launcher, on_progress=partial(on_progress, run.seed),
        )  # fmt: skip
        comparisons.append(Comparison(run.seed, alone, float((run.result or {})["val_bpb"])))
    package = Package(tuple(runs), ledger, shipped, tuple(comparisons), None)
    return replace(package, folder=write_package(plan, package, files, models))


def packed(readable: bytes) -> bytes:
    """The packed script, or the readable one where packing does not make it smaller."""
    from golf.compose.pack import pack

    return min(pack(readable.decode()), readable, key=len)


def local_files(script: Path) -> tuple[Path, ...]:
    """Files beside a script that it imports, executes or reads (read from its code, nothing is run)."""
    from golf.rules.source import read_source

    source = read_source(script)
    return (*source.helpers, *source.data)


def write_package(plan: Plan, package: Package, files: Sequence[Path], models: dict[int, Path]) -> Path:
    """Write `package/`: the script, its files, a model per seed, and last the manifest, which names them all."""
    folder = plan.set_folder / "package"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)  # an older manifest must not describe new files
    write_atomically(folder / SCRIPT, package.shipped)
    written = [folder / SCRIPT]
    for file in files:
        link_or_copy(file, folder / file.name)
        written.append(folder / file.name)
    for seed, model in models.items():
        target = folder / f"seed_{seed}" / ARTIFACT
        target.parent.mkdir(exist_ok=True)
        link_or_copy(model, target)
        written.append(target)
    manifest = to_json(plan, package)
    manifest["files"] = [
        {"name": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
        for path in written
    ]
    write_atomically(folder / MANIFEST, (json.dumps({"schema": 1, **manifest}, indent=2) + "\n").encode())
    return folder


def to_json(plan: Plan, package: Package) -> dict[str, Any]:
    """The package for `--json` and its manifest."""
    return {
        "golf": __version__,
        "submission": plan.source.name,
        "set": plan.source.set_id,
        "smoke": plan.source.smoke,
        "track": package.runs[0].track,
        "challenge_result": package.runs[0].track != "local",
        "derived": package.runs[0].derived,
        "script_sha256": plan.source.script_sha256,
        "data": {"name": plan.data.name, "sha256": plan.data.sha256, "tokenizer_sha256": plan.data.tokenizer_sha256},
        "bytes": ledger_json(package.ledger),
        "fits": package.ledger.worst.shipped_total <= CAP_BYTES,
        "alone": [
            {
                "seed": one.seed, "val_bpb": one.alone.val_bpb, "val_loss": one.alone.val_loss,
                "logged_bpb": one.logged_bpb, "difference_bpb": one.difference_bpb,
                "tolerance_bpb": TOLERANCE_BPB, "agrees": one.agrees, "seconds": one.alone.seconds,
            }
            for one in package.comparisons
        ],
    }  # fmt: skip
