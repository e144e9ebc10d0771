"""What a record is written from: the finished runs of one script, their logs, and the submission's recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from golf.challenge import SCRIPT
from golf.errors import Exit, GolfError
from golf.files import sha256_of, sha256_of_file
from golf.logs import RunResult, read_log
from golf.project import find_root
from golf.record.elsewhere import with_hardware
from golf.record.weights import Shipped, shipped_of
from golf.run.advice import way_on
from golf.run.layout import is_foreign
from golf.run.sets import set_that_counts
from golf.stats import Sample


@dataclass(frozen=True)
class Seed:
    """One finished run: what its log says, the log's file, and the artifact's size on disk (None when it is no longer there)."""

    seed: int
    log: Path
    run: RunResult
    model_bytes_on_disk: int | None
    derived: Mapping[str, Any] | None = None

    @property
    def val_bpb(self) -> float:
        """The score, bits per byte."""
        assert self.run.score is not None
        return self.run.score.val_bpb

    @property
    def val_loss(self) -> float | None:
        """The score, nats per token."""
        return self.run.val_loss


@dataclass(frozen=True)
class Evidence:
    """A set of runs of one script, ready to become a record."""

    submission: Path
    set_id: str
    script: bytes
    shipped: Shipped
    seeds: tuple[Seed, ...]
    track: str
    smoke: bool
    recipe: Any = None
    data_sha256: str | None = None
    tokenizer_sha256: str | None = None
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    remarks: tuple[str, ...] = ()  # of the runs themselves: what the store noted when they ended

    @property
    def script_sha256(self) -> str:
        """sha256 of the script that ran."""
        return sha256_of(self.script)

    @property
    def bpb(self) -> Sample:
        """The score over the seeds."""
        return Sample.of([seed.val_bpb for seed in self.seeds])

    @property
    def loss(self) -> Sample | None:
        """Nats per token over the seeds; None when a log does not give them."""
        losses = [seed.val_loss for seed in self.seeds if seed.val_loss is not None]
        return Sample.of(losses) if len(losses) == len(self.seeds) else None

    def total_bytes(self, seed: Seed) -> int | None:
        """What ships and the artifact as they lie on disk; the log's total where the artifact is gone."""
        if seed.model_bytes_on_disk is not None:
            return self.shipped.code_bytes + seed.model_bytes_on_disk
        return seed.run.total_bytes

    @property
    def worst_bytes(self) -> int | None:
        """The largest total of any seed."""
        totals = [total for seed in self.seeds if (total := self.total_bytes(seed)) is not None]
        return max(totals) if totals else None

    @property
    def challenge(self) -> bool:
        """Whether this is a result of the challenge at all."""
        return self.track != "local"


def gather(
    submission: Path,
    set_id: str | None = None,
    seeds: Sequence[int] | None = None,
    hardware: tuple[int, str] | None = None,
) -> Evidence:
    """The newest set of finished runs of `submission` (or `set_id`), all its seeds or those named.

    hardware: (ranks, device) of the runs, where neither a log nor the run store names it.

    Raises GolfError (exit 10) when there is none, one is unfinished, a seed did not reach the script, or a score is missing.
    """
    found = _stored_runs(submission)
    folder = _set(submission, set_id)
    stored = {run.seed: run for run in found if run.set_id == folder.name}
    picked, left_out = [], []
    for path in sorted(folder.glob("seed_*"), key=lambda path: path.name):
        number = path.name.removeprefix("seed_")
        if not number.isdigit() or (seeds is not None and int(number) not in seeds):
            left_out.append(path.name)
            continue
        picked.append(_seed(submission.name, path, int(number), stored.get(int(number)), hardware))
    missing = set(seeds or ()) - {seed.seed for seed in picked}
    if missing or not picked:
        what = f"seed {', '.join(map(str, sorted(missing)))} of" if missing else "any seed of"
        raise GolfError(
            f"no run of {what} `{submission.name}` in {folder}", f"run it: `golf run {submission.name}`", Exit.REFUSED
        )
    _check_distinct(submission.name, picked)
    first = next((stored[seed.seed] for seed in picked if seed.seed in stored), None)
    return Evidence(
        submission, folder.name, (folder / SCRIPT).read_bytes(), shipped_of(folder), tuple(picked), _track(picked, first),
        smoke=folder.name.endswith("-smoke"), recipe=_recipe(submission),
        data_sha256=first.data_sha256 if first else None, tokenizer_sha256=first.tokenizer_sha256 if first else None,
        left_out=tuple(name for name in left_out if name.removeprefix("seed_").isdigit()),
        notes=_notes(submission, folder, picked),
        remarks=_remarks(picked, stored),
    )  # fmt: skip


def _remarks(picked: Sequence[Seed], stored: Mapping[int, Any]) -> tuple[str, ...]:
    """What the store noted of the runs, each remark once with the seeds that it is of."""
    said: dict[str, list[int]] = {}
    for seed in picked:
        run = stored.get(seed.seed)
        for remark in (run.result or {}).get("remarks", ()) if run is not None else ():
            said.setdefault(str(remark), []).append(seed.seed)
    return tuple(
        f"Seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}: {remark}." for remark, seeds in said.items()
    )


def _stored_runs(submission: Path) -> list[Any]:
    root = find_root(submission)
    from golf.run.store import has_store, open_store

    if not has_store(root):
        return []

    with open_store(root) as store:
        return store.runs(submission=submission.name)


def _set(submission: Path, set_id: str | None) -> Path:
    found = set_that_counts(submission, set_id)
    if found is None or not (found / SCRIPT).is_file():
        raise GolfError(f"`{submission.name}` has no runs{f' of set `{set_id}`' if set_id else ''}",
                        f"run it first: `golf run {submission.name} --seeds 1337,42,7`", Exit.REFUSED)  # fmt: skip
    return found


def _seed(name: str, folder: Path, number: int, stored: Any, hardware: tuple[int, str] | None) -> Seed:
    go_on = way_on(name, smoke=folder.parent.name.endswith("-smoke"), foreign=is_foreign(folder.parent.name))
    again = f"{go_on}, or leave it out: `golf record {name} --seeds …`"
    log = folder / f"train_seed{number}.log"
    if not log.is_file():
        raise GolfError(f"seed {number} of `{name}` has no log {log.name}", again, Exit.REFUSED)
    if stored is not None and stored.state != "finished":
        raise GolfError(f"seed {number} of `{name}` is {stored.state}, not finished", again, Exit.REFUSED)
    run = read_log(log).run
    if run is None or not run.complete or run.score is None:
        why = run.score_why if run else "its log has no known line"
        raise GolfError(f"seed {number} of `{name}` is not finished: {why}", again, Exit.REFUSED)
    if run.seed is not None and run.seed != number:
        raise GolfError(f"the run in {folder.name} of `{name}` used seed {run.seed}, not {number}",
                        f"the seed did not reach the script; run it again: `golf run {name} --seeds {number}`", Exit.REFUSED)  # fmt: skip
    if run.result is None:  # golf's own scripts name their device themselves
        if stored is not None:
            run = replace(run, gpu=run.gpu or stored.device, world_size=run.world_size or stored.world_size)
        run = with_hardware(run, hardware)
    model = folder / "model.golf"
    derived = stored.derived if stored is not None else None
    return Seed(number, log, run, model.stat().st_size if model.is_file() else None, derived)


def _check_distinct(name: str, picked: Sequence[Seed]) -> None:
    """Two seeds with one log or one score to the last digit are one run twice."""
    texts = {sha256_of_file(seed.log) for seed in picked}
    curves = {
        tuple((point.step, point.train_loss) for point in seed.run.curve if point.train_loss is not None)
        for seed in picked
    }
    if len(texts) < len(picked) or (len(curves) < len(picked) and all(curves)):
        raise GolfError(f"two of the {len(picked)} runs of `{name}` are one run: their training losses agree to the last digit",
                        "each seed must reach the script (SEED); run them again with different seeds", Exit.REFUSED)  # fmt: skip


def _track(picked: Sequence[Seed], stored: Any) -> str:
    """The store's track, and local in any case off the challenge's hardware for the record track."""
    track = stored.track if stored is not None else "local"
    for seed in picked:
        result = seed.run.result or {}
        device, world = str(result.get("device") or seed.run.gpu or ""), seed.run.world_size
        if track == "10min_16mb" and ("H100" not in device or world != 8):
            return "local"
    return str(track)


def _recipe(submission: Path) -> Any:
    from golf.recipe import load_recipe

    try:
        return load_recipe(submission)
    except (GolfError, OSError):
        return None


def _notes(submission: Path, folder: Path, picked: Sequence[Seed]) -> tuple[str, ...]:
    from golf.project import is_adopted

    notes = []
    current = submission / SCRIPT
    same = current.is_file() and current.read_bytes() == (folder / SCRIPT).read_bytes()
    # a small twin differs by its sizes, an adopted script by being unpacked
    if not same and not folder.name.endswith("-smoke") and not is_adopted(submission):
        notes.append("the submission's train_gpt.py has changed since these runs; the record ships the script that ran")
    if len(picked) < 3:
        notes.append(
            f"{len(picked)} seed{'s' * (len(picked) != 1)}: a leaderboard row needs three of one configuration"
        )
    return tuple(notes)
