"""What `golf record` does with its options."""

from dataclasses import dataclass
from pathlib import Path

from golf.cli.output import print_json, talk
from golf.errors import Exit, GolfError
from golf.project import find_submission
from golf.record.claims import NOT_A_RESULT, claims_of
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


def run(request: Request) -> Exit:
    """Check, offer or write a record; the exit code."""
    if request.check is not None:
        from golf.record.check import check_folder, print_check

        return print_check(check_folder(request.check), request.json)
    if request.pr:
        return _offer(request)
    wishes = Wishes(request.title, request.out, request.date, None, request.set_id, _seeds(request.seeds))
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
    from golf.record.pr import print_offer, try_in_clone

    folder = Path(request.name) if request.name else Path.cwd()
    if not (folder / "submission.json").is_file():
        raise GolfError(f"`{folder}` is no record folder: it has no submission.json",
                        "name the folder that `golf record` wrote: `golf record --pr records/…/2026-…`")  # fmt: skip
    trial = try_in_clone(folder, request.clone) if request.clone else None
    return print_offer(folder, trial, request.json)
