"""What `golf record` does with its options."""

from dataclasses import asdict, dataclass
from pathlib import Path

from golf.cli.output import print_json, print_table, talk
from golf.errors import Exit, GolfError
from golf.project import find_submission
from golf.record.claims import NOT_A_RESULT, claims_of
from golf.record.elsewhere import hardware_of
from golf.record.findings import SEVERITIES, Report
from golf.record.pr import Trial, title_and_body
from golf.record.write import Plan, Wishes, plan_record, technique_names, write_record


@dataclass(frozen=True)
class Request:
    """The options of the command."""

    name: str | None
    check: Path | None
    pr: bool
    clone: Path | None
    title: str | None
    out: Path | None
    date: str | None
    seeds: str | None
    set_id: str | None
    dry_run: bool
    json: bool
    hardware: str | None = None


def run(request: Request) -> Exit:
    """Check, offer or write a record; the exit code."""
    if request.check is not None:
        from golf.cli.pages.record import print_check
        from golf.record.check import check_folder

        return print_check(check_folder(request.check), request.json)
    if request.pr:
        return _offer(request)
    wishes = Wishes(
        request.title,
        request.out,
        request.date,
        None,
        request.set_id,
        _seeds(request.seeds),
        hardware=hardware_of(request.hardware),
    )
    submission = find_submission(request.name)
    if request.dry_run:
        _announce(plan_record(submission, wishes), request.json)
        return Exit.OK
    folder = write_record(submission, wishes)
    if request.json:
        print_json({"folder": str(folder), "files": sorted(path.name for path in folder.iterdir())})
    else:
        print(folder)
        if folder.parent.name == "local":
            talk(f"a local record, {NOT_A_RESULT}")
        talk(f"check it: `golf record --check {folder}` and `golf verify {folder}`")
    return Exit.OK


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as fault:
        raise GolfError(f"`{text}` is no list of seeds", "for example `--seeds 1337,42,7`") from fault


def _announce(plan: Plan, json: bool) -> None:
    claims = claims_of(plan.evidence, name=plan.title, author=plan.author[0], github_id=plan.author[1], date=plan.date,
                       techniques=technique_names(plan.evidence.recipe))  # fmt: skip
    if json:
        print_json({"folder": str(plan.folder), "written": False, "submission": claims})
        return
    print(f"would write {plan.folder}")
    for key in ("name", "author", "track", "val_bpb", "val_bpb_std", "seeds", "bytes_total", "hardware"):
        print(f"  {key}: {claims.get(key, 'unknown')}")
    for note in plan.evidence.notes:
        talk(f"note: {note}")


def _offer(request: Request) -> Exit:
    from golf.cli.pages.record import print_offer
    from golf.record.pr import try_in_clone

    folder = Path(request.name) if request.name else Path.cwd()
    if not (folder / "submission.json").is_file():
        raise GolfError(f"`{folder}` is no record folder: it has no submission.json",
                        "name the folder that `golf record` wrote: `golf record --pr records/…/2026-…`")  # fmt: skip
    trial = try_in_clone(folder, request.clone) if request.clone else None
    return print_offer(folder, trial, request.json)


def print_check(report: Report, json: bool = False) -> Exit:
    """The report on stdout; its exit code."""
    if json:
        print_json({"path": report.path, "exit": int(report.exit), "findings": [asdict(one) for one in report.findings],
                    "logs": list(report.logs)})  # fmt: skip
        return report.exit
    rows = [("" if log["seed"] is None else str(log["seed"]), "unknown" if log["val_bpb"] is None else str(log["val_bpb"]),
             "" if log["total_bytes"] is None else f"{log['total_bytes']:,}", log["log"], log["why"]) for log in report.logs]  # fmt: skip
    if rows:
        print_table(
            None, ("seed", "val_bpb", "bytes", "log", "why this number"), rows, right=("seed", "val_bpb", "bytes")
        )
        print()
    if report.findings:
        print_table(
            None, ("severity", "what", "detail"), [(one.severity, one.kind, one.detail) for one in report.findings]
        )
    counts = ", ".join(
        f"{n} {name}" for name in SEVERITIES if (n := sum(one.severity == name for one in report.findings))
    )
    talk(f"{report.path}: {counts or 'no disagreement'}; {len(report.logs)} logs read")
    return report.exit


def print_offer(folder: Path, trial: Trial | None, as_json: bool) -> Exit:
    """Title, body and the trial's outcome; exit code 1 when the addition is not one new folder."""
    title, body = title_and_body(folder)
    if as_json:
        print_json({"title": title, "body": body, "trial": None if trial is None else vars(trial)})
    else:
        print(f"{title}\n\n{body}")
        if trial is None:
            talk(
                "not tried against upstream: `--clone PATH` adds the folder in a throw-away clone and looks at the diff"
            )
        else:
            talk(f"git would add {len(trial.changes)} files, {trial.bytes:,} bytes, under {trial.target}")
            for fault in trial.faults:
                talk(f"fault: {fault}")
    return Exit.RULE_BROKEN if trial is not None and trial.faults else Exit.OK
