"""How a package is shown: the scores alone beside the logged ones, and what they mean."""

from collections.abc import Iterator, Sequence
from typing import Any

from golf.artifact.alone import TOLERANCE_BPB
from golf.artifact.ledger import COLUMNS, remarks_of, rows_of
from golf.artifact.manifest import Package
from golf.artifact.manifest import to_json as package_json
from golf.run.plan import Plan

ALONE_COLUMNS = ("seed", "bpb alone", "bpb logged", "difference", "seconds", "verdict")


def alone_rows(package: Package) -> list[list[str]]:
    """One row per seed."""
    return [
        [
            str(one.seed), f"{one.alone.val_bpb:.6f}", f"{one.logged_bpb:.6f}", f"{one.difference_bpb:+.6f}",
            f"{one.alone.seconds:.1f}", "agrees" if one.agrees else "DIFFERS",
        ]
        for one in package.comparisons
    ]  # fmt: skip


def alone_remarks(package: Package) -> list[str]:
    """Which scores differ, where the package is, what it is worth."""
    remarks = [
        f"seed {one.seed}: the artifact alone scores {one.alone.val_bpb:.6f}, the log says {one.logged_bpb:.6f}: "
        f"they differ by more than {TOLERANCE_BPB}"
        for one in package.comparisons
        if not one.agrees
    ]
    if package.kept:
        remarks.append("scored alone before, from the same bytes on the same data (`--again` scores once more)")
    if package.ledger.headroom < 0:
        remarks.append("not evaluated, not written: it does not fit")
    if package.folder is not None:
        remarks.append(f"package: {package.folder}")
    if package.runs[0].derived:
        changes = ", ".join(f"{key}={value}" for key, value in package.runs[0].derived.items())
        remarks.append(f"derived after training: {changes}")
    if package.runs[0].track == "local":
        remarks.append("track local: not a challenge result")
    return remarks


def tables_of(package: Package) -> Iterator[tuple[Sequence[str], list[list[str]], Sequence[str]]]:
    """(columns, rows, columns of numbers) of every table that a package has: fit, bytes, files, tensors, scores alone."""
    from golf.artifact import fit_show, full_ledger

    if package.fitted is not None:
        yield fit_show.COLUMNS, fit_show.rows_of(package.fitted), fit_show.COLUMNS[1:-1]
    yield COLUMNS, rows_of(package.ledger), COLUMNS
    if package.full is not None:
        yield full_ledger.FILE_COLUMNS, full_ledger.file_rows(package.full), full_ledger.FILE_COLUMNS[1:-1]
        yield full_ledger.TENSOR_COLUMNS, full_ledger.tensor_rows(package.full), full_ledger.TENSOR_COLUMNS[2:]
    if package.comparisons:
        yield ALONE_COLUMNS, alone_rows(package), ALONE_COLUMNS[:-1]


def all_remarks(package: Package) -> list[str]:
    """What the tables mean."""
    from golf.artifact import fit_show

    fitted = fit_show.remarks_of(package.fitted) if package.fitted is not None else []
    if package.fitted is not None and package.fitted.overrides and not package.runs[0].derived:
        fitted.append("the bytes by seed are of what is there now: nothing was exported with the fitted values")
    return [*fitted, *remarks_of(package.ledger), *alone_remarks(package)]


def to_json(plan: Plan, package: Package) -> dict[str, Any]:
    """The package for `--json`, with the fit and the full ledger where there are such."""
    from golf.artifact import fit_show, full_ledger

    shown = package_json(plan, package)
    if package.fitted is not None:
        shown["fit"] = fit_show.to_json(package.fitted)
    if package.full is not None:
        shown["ledger"] = full_ledger.to_json(package.full)
    return shown
