"""R08 and R12: enough seeds, really distinct, of one configuration and one script, with complete logs."""

import re
from collections import Counter
from collections.abc import Iterable

from golf.logs.runs import RUN_ONLY
from golf.rules.findings import Result, State
from golf.rules.runs import Run
from golf.rules.subject import Subject, names

SAME_CLOCK_SECONDS = 2.0
UNUSED = re.compile(r"ttt_|slot_|etlb_|ngram_")  # stages that a score from before them does not use


def enough(subject: Subject) -> Iterable[Result]:
    """Three seeds with a log each; records dated up to 2026-03-21 were accepted on one."""
    runs = subject.scored_runs
    if not subject.runs or subject.kind == "script":
        return
    wanted = int(subject.limits["seeds"])
    distinct = {run.seed if run.seed is not None else run.seed_in_name for run in runs} - {None}
    count = len(distinct) if distinct else len(runs)
    early = subject.date is not None and subject.date <= subject.limits["single_seed_until"]
    shown = f"{count} seed{'s' if count != 1 else ''} with a finished log"
    if count >= wanted:
        yield Result(State.PASS, shown, tuple(run.name for run in runs))
    elif subject.track != "10min_16mb":
        yield Result(State.PASS, f"{shown} (no record, so no minimum)", tuple(run.name for run in runs))
    elif early:
        yield Result(State.PASS, f"{shown}: accepted until {subject.limits['single_seed_until']}", strict=State.FAIL)
    else:
        yield Result(
            State.FAIL, f"{shown}; a record needs {wanted} of the same configuration", tuple(run.name for run in runs)
        )


def labels(subject: Subject) -> Iterable[Result]:
    """The seed in a log's name is the seed that it ran, and no seed ran twice under different names."""
    wrong = [run for run in subject.runs if None not in (run.seed, run.seed_in_name) and run.seed != run.seed_in_name]
    for run in wrong:
        yield Result(State.FAIL, f"{run.file} says seed {run.seed_in_name}, its log ran seed {run.seed}", file=run.file)
    runs = subject.scored_runs
    repeated = [seed for seed, count in Counter(run.seed for run in runs if run.seed is not None).items() if count > 1]
    if repeated and len(runs) > 1 and subject.track == "10min_16mb" and not wrong:
        same = names([run.file for run in runs if run.seed in repeated])
        early = subject.date is not None and subject.date <= subject.limits["single_seed_until"]
        state = State.PASS if early else State.FAIL
        yield Result(state, f"several runs of one seed ({names(repeated)}): {same}", strict=State.FAIL)
    if runs and not wrong and not repeated and any(run.seed is not None for run in runs):
        yield Result(State.PASS, "the seeds are distinct and as labelled")


def same_configuration(subject: Subject) -> Iterable[Result]:
    """The hyper-parameter dumps agree except for seed, name and place."""
    runs = [run for run in subject.scored_runs if run.config]
    if len(runs) < 2 or (subject.track == "non_record_16mb" and not subject.seed_claims):
        return  # a study with many runs claims no mean of seeds
    alike = True
    for run in runs[1:]:
        differing = _differing(runs[0], run)
        if not differing:
            continue
        alike = False
        what = names([f"{key}: {one} / {two}" for key, (one, two) in differing.items()])
        unused = all(UNUSED.match(key) for key in differing) and not any("ttt" in one.label for one in (runs[0], run))
        message = f"{runs[0].file} and {run.file} ran different configurations: {what}"
        if unused:
            yield Result(
                State.UNKNOWN, f"{message}; the score is from before that stage", file=run.file, strict=State.FAIL
            )
        elif differing.keys() <= {"train_shards"}:
            # accepted once (#1868): how many shards lie there changes which tokens are drawn, not what is run
            yield Result(
                State.UNKNOWN,
                f"{message}; the same settings on another amount of data",
                file=run.file,
                strict=State.FAIL,
            )
        else:
            yield Result(State.FAIL, message, file=run.file)
    alone = {key for run in runs[1:] for key in runs[0].config.keys() ^ run.config.keys() if not RUN_ONLY.search(key)}
    if alone:
        yield Result(
            State.UNKNOWN,
            f"the seeds' hyper-parameter lists differ by {names(sorted(alone))}: another version of the script",
            strict=State.FAIL,
        )
    elif alike:
        yield Result(State.PASS, f"{len(runs)} seeds ran the same hyper-parameters")


def _differing(one: Run, two: Run) -> dict[str, tuple[object, object]]:
    """Hyper-parameters that both logs print with different values, and the number of train shards."""
    found: dict[str, tuple[object, object]] = {
        key: (one.config[key], two.config[key])
        for key in sorted(one.config.keys() & two.config.keys())
        if one.config[key] != two.config[key] and not RUN_ONLY.search(key) and not _same_clock(key, one, two)
    }
    if None not in (one.train_shards, two.train_shards) and one.train_shards != two.train_shards:
        found["train_shards"] = (one.train_shards, two.train_shards)
    return found


def _same_clock(key: str, one: Run, two: Run) -> bool:
    """Clocks a second or two apart: some seeds keep a little off for what follows the stop (#1148)."""
    if "wallclock" not in key:
        return False
    try:
        return abs(float(one.config[key]) - float(two.config[key])) <= SAME_CLOCK_SECONDS
    except ValueError:
        return False


def complete(subject: Subject) -> Iterable[Result]:
    """Every log that a claim rests on reaches its final evaluation and states its size."""
    for run in subject.runs:
        if run.crash and not (
            run.complete and run.val_bpb is not None
        ):  # a launch that failed may stand above a complete run
            claimed = str(run.seed) in subject.seed_claims
            yield Result(
                State.FAIL if claimed else State.UNKNOWN,
                f"{run.file} holds a crash: {run.crash}",
                file=run.file,
                weak=not claimed,
            )
        elif run.val_bpb is None or (not run.complete and run.train_seconds is not None):
            wanted = not subject.seed_claims or str(run.seed) in subject.seed_claims
            if wanted and len(subject.scored_runs) <= len([other for other in subject.runs if other.complete]):
                continue  # an extra log beside complete ones
            yield Result(
                State.FAIL if wanted else State.UNKNOWN, f"{run.file} ends before the final evaluation", file=run.file
            )


def same_code(subject: Subject) -> Iterable[Result]:
    """All seeds ran a script of one size, the shipped one."""
    runs = [run for run in subject.scored_runs if run.code_bytes]
    sizes = Counter(run.code_bytes for run in runs)
    if len(sizes) > 1:
        yield _several_scripts(runs, sizes)
    elif sizes and subject.source is not None and (size := next(iter(sizes))) is not None:
        yield from _against_shipped(subject, runs[0], size)


def _several_scripts(runs: list[Run], sizes: Counter[int | None]) -> Result:
    lines = tuple(f"{run.name}: {run.code_bytes:,} bytes" for run in runs)
    spread = max(size or 0 for size in sizes) - min(size or 0 for size in sizes)
    # merged records differ like this (#1218 by 39 bytes, #1530 by 5,248): evidence to explain, not a proven other configuration
    return Result(
        State.UNKNOWN,
        f"the seeds ran {len(sizes)} different scripts, {spread:,} bytes apart",
        lines,
        runs[0].file,
        strict=State.FAIL,
    )


def _against_shipped(subject: Subject, run: Run, size: int) -> Iterable[Result]:
    source = subject.source
    assert source is not None
    shipped = {source.shipped_bytes, len(source.main.text.encode()), *(path.stat().st_size for path in source.helpers)}
    if size in shipped:
        yield Result(State.PASS, f"the logs ran the shipped script ({size:,} bytes)", file=run.file)
    else:
        yield Result(
            State.UNKNOWN,
            f"the logs ran a script of {size:,} bytes, shipped are {source.shipped_bytes:,}",
            file=run.file,
            strict=State.FAIL,
            weak=True,
        )


def hunting(subject: Subject) -> Iterable[Result]:
    """More runs than the claim uses, without saying so."""
    runs = [run for run in subject.runs if run.val_bpb is not None]
    seeds = {run.seed for run in runs if run.seed is not None}
    used = {run.seed for run in subject.scored_runs}
    disclosed = any("disclosure" in key or "all_runs" in key for key in subject.claims or {})
    if len(seeds) > 5 and len(used) < len(seeds) and not disclosed:
        yield Result(
            State.UNKNOWN,
            f"{len(seeds)} seeds have logs, {len(used)} back the claim: say how they were chosen",
            strict=State.FAIL,
        )
    elif runs:
        yield Result(
            State.PASS,
            f"{len(seeds) or len(runs)} seeds have logs, {len(used) or len(subject.scored_runs)} back the claim",
        )
