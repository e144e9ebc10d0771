"""`golf repro` at the terminal, as Markdown for a comment, or as JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from golf.cli.output import print_json, print_lines, print_table, talk
from golf.errors import Exit
from golf.repro import Explanation, Verdict, explain
from golf.repro.again import Prepared, prepare, rehearse, run_again
from golf.repro.sides import Evidence, obtained_of, published_of
from golf.run.whole import MARK
from golf.stats import Sample

EXITS = {Verdict.REPRODUCED: Exit.OK, Verdict.CANNOT_TELL: Exit.UNKNOWN}
HEADS = ("share", "BPB", "±", "of the gap", "why")


@dataclass(frozen=True)
class Wanted:
    """What the user asked for."""

    name: str
    repo: Path | None
    folder: Path | None
    from_logs: Path | None
    seeds: str | None
    smoke: bool
    dry_run: bool


def run(wanted: Wanted, *, json: bool, md: bool) -> Exit:
    """Find, run or read, explain, print; the exit code."""
    record = published_of(wanted.name, wanted.repo, wanted.folder)
    if wanted.from_logs is None:
        prepared = prepare(record)
        if wanted.dry_run:
            return _print_lock(prepared, json=json, md=md)
        if wanted.smoke:
            talk(f"{MARK}: the first run stands for the record's own")
            found = explain(*rehearse(prepared, talk), notes=(MARK,))
            _print(record.label + ", small", found, json=json, md=md, result=False)
            return Exit.OK  # it ran through; the verdict on two small runs is no verdict on the record
        from golf.cli.pages.live import view_for_terminal

        obtained = run_again(prepared, wanted.seeds, view_for_terminal())
    else:
        obtained = obtained_of(wanted.from_logs)
    scripts = (record.script, obtained.script) if record.script and obtained.script else (None, None)
    found = explain(record.runs, obtained.runs, scripts, notes=_notes(record, obtained))
    return _print(record.label, found, json=json, md=md)


def _notes(record: Evidence, obtained: Evidence) -> tuple[str, ...]:
    return (*(f"record: {note}" for note in record.notes), *(f"here: {note}" for note in obtained.notes))


def _print(label: str, found: Explanation, *, json: bool, md: bool, result: bool = True) -> Exit:
    if json:
        print_json({"record": label, "challenge_result": result, **found.to_dict()})
    elif md:
        print(f"**{found.verdict}**: {label}; {found.why}.\n")
        print("\n".join(f"- {name} {text}" for name, text in _facts(found)) + "\n")
        _print_shares(found, md=True)
        for note in found.notes:
            print(f"\n<sub>{note}</sub>")
    else:
        print_lines([f"{found.verdict}  {label}", f"           {found.why}", ""])
        print_lines(f"{name:<11}{text}" for name, text in _facts(found))
        print()
        _print_shares(found, md=False)
        for note in found.notes:
            talk(f"note: {note}")
    return EXITS.get(found.verdict, Exit.NOT_SIGNIFICANT)


def _facts(found: Explanation) -> Iterator[tuple[str, str]]:
    """Both sides, the gap, and every difference."""
    for name, side, seeds in zip(
        ("published", "obtained"), (found.published, found.obtained), found.seeds, strict=True
    ):
        yield name, "no score" if side is None else f"{_sample(side)}, seeds {', '.join(seeds)}"
    if found.gap is not None:
        yield "gap", f"{found.gap:+.5f} BPB, ± {found.error:.5f} (one standard error of the seeds)"
    for kind in dict.fromkeys(one.kind for one in found.differences):
        yield kind, "; ".join(one.text for one in found.differences if one.kind == kind)
    if not found.differences:
        yield "differs", "nothing that both sides state"


def _sample(side: Sample) -> str:
    return f"{side.mean:.5f} (n={side.n}" + (")" if side.sd is None else f", sd {side.sd:.5f})")


def _print_shares(found: Explanation, *, md: bool) -> None:
    if found.gap is None:
        return
    rows = []
    for share in found.shares:
        part = "" if abs(found.gap) <= (found.error or 0.0) else f"{100 * share.bpb / found.gap:+.0f} %"
        rows.append(
            (share.name, f"{share.bpb:+.5f}", "" if share.error is None else f"{share.error:.5f}", part, share.says)
        )
    rows.append(("sum", f"{sum(share.bpb for share in found.shares):+.5f}", "", "", "the gap"))
    print_table(None, HEADS, rows, right=HEADS[1:4], md=md)


def _print_lock(prepared: Prepared, *, json: bool, md: bool) -> Exit:
    """What the record needs, and what of it is missing here."""
    lock = prepared.lock
    if json:
        print_json({"submission": str(prepared.submission), "lock": lock.to_dict(), "missing": list(prepared.missing)})
    else:
        rows = [
            (
                "script",
                f"{lock.script} sha256 {next(iter(lock.sha256.values()))[:16]}…, {len(lock.sha256) - 1} files beside it",
            )
        ]
        rows += [(name, ", ".join(f"{key}={value}" for key, value in table.items()) or "not said") for name, table in (
            ("environment", lock.environment), ("packages", lock.packages), ("data", lock.data), ("machine", lock.machine))]  # fmt: skip
        rows.append(("seeds", ", ".join(map(str, lock.seeds)) or "not said"))
        rows.append(("missing", "; ".join(prepared.missing) or "nothing that golf can see"))
        print_table(f"{lock.record}: {prepared.submission.name}/repro.lock", ("what", "the record's"), rows, md=md)
    return Exit.REFUSED if prepared.missing else Exit.OK
