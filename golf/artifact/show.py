"""How a package is shown: the scores alone beside the logged ones, and what they mean."""

from golf.artifact.alone import TOLERANCE_BPB
from golf.artifact.manifest import Package

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
