"""`golf run IMPORT --smoke`: what the small whole run in the box showed."""

from pathlib import Path

from golf.cli.output import print_json, print_table, talk
from golf.errors import Exit
from golf.run.whole import MARK, WholeRun, run_whole

COLUMNS = ("script", "ran", "seconds", "wrote", "read back", "last score")


def print_whole(folder: Path, *, seed: int | None, json: bool, md: bool) -> Exit:
    """Run the imported submission in `folder` once, whole and small, and print one row; 6 where it did not come to its end."""
    talk(f"{folder.name} was imported: it runs whole and small in a box on the CPU ({MARK})")
    run = run_whole(folder, seed=1337 if seed is None else seed)
    if json:
        print_json(run.as_dict())
    else:
        print_table(f"{folder.name}: {MARK}", COLUMNS, [_row(run)], md=md)
        if run.played.fault:
            print(f"it did not come to its end: {run.played.fault}")
    return run.exit


def _row(run: WholeRun) -> list[str]:
    table = run.as_dict()
    scores = [line for line in run.played.text.splitlines() if "bpb" in line.lower()]
    return [
        run.script.name, "to its end" if run.played.ran else "no", f"{run.played.seconds:.1f}",
        ", ".join(table["wrote"]) or "nothing", ", ".join(table["read_back"]) or "nothing", scores[-1].strip()[:100] if scores else "none",
    ]  # fmt: skip
