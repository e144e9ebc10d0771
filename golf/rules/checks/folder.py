"""R09, R10, R16: the folder's place and name, its files, and whether the script is Python."""

import re
from collections.abc import Iterable

from golf.challenge import TRACK_FOLDERS
from golf.files import own_files
from golf.reading.folder import left_out
from golf.rules.findings import Result, State
from golf.rules.subject import Subject, names

NAME = re.compile(r"^\d{4}-\d\d-\d\d_[A-Za-z0-9._-]+$")


def shape(subject: Subject) -> Iterable[Result]:
    """records/<track>/YYYY-MM-DD_Description."""
    if subject.kind != "record":
        yield Result(State.NA, "no record folder yet: `golf record` writes it")
        return
    folder = subject.folder.resolve()
    faults = []
    if not NAME.match(folder.name):
        faults.append(f"`{folder.name}` is not named YYYY-MM-DD_Description")
    if not folder.parent.name.startswith("track_") or folder.parent.parent.name != "records":
        place = Result(
            State.PASS, f"not under records/<track>/ (it lies in {folder.parent.name}/)", strict=State.UNKNOWN
        )
    else:
        place = Result(State.PASS, f"records/{folder.parent.name}/{folder.name}")
    if faults:
        # merged folders carry spaces and other names; reviewers asked to rename, and merged
        yield Result(State.PASS, faults[0], strict=State.FAIL)
    else:
        yield place


def files(subject: Subject) -> Iterable[Result]:
    """README.md, submission.json, a log, a script; none of them empty. What is not here at all cannot be told from a partial copy."""
    if subject.kind == "script":
        return
    if subject.kind == "submission":
        yield Result(
            State.PASS if subject.script else State.FAIL,
            "train_gpt.py is there" if subject.script else "no train_gpt.py: `golf compose`",
        )
        return
    empty = [path.name for path in own_files(subject.folder, "*") if path.stat().st_size == 0]
    missing = {
        "a script": subject.script is None,
        "README.md": subject.readme is None,
        "submission.json": subject.claims_path is None,
        "a train log": not subject.runs,
    }
    absent = [what for what, gone in missing.items() if gone]
    counted = [name for name in empty if name.endswith((".py", ".json", ".md", ".log"))]
    if counted:
        yield Result(State.FAIL, f"empty: {names(counted)}", file=counted[0])
    elif subject.only is not None and "folder" not in subject.only:
        yield Result(State.UNKNOWN, f"not looked for: {names(absent)}" if absent else "not asked")
    elif absent:
        yield Result(State.FAIL, f"missing: {names(absent)}")
    elif beyond := left_out(subject.log_paths, subject.claims):
        yield Result(State.UNKNOWN, f"more than a record has: {names(beyond)}")
    else:
        yield Result(State.PASS, "README.md, submission.json, script and logs are there")


def compiles(subject: Subject) -> Iterable[Result]:
    """The script is Python; the grammar of Python 3.12 counts."""
    if subject.source is None:
        return
    module = subject.source.main
    if module.newer_syntax:
        yield Result(
            State.PASS,
            f"{module.path.name} needs Python 3.12 (nested f-string quotes)",
            file=module.path.name,
            strict=State.UNKNOWN,
        )
    elif module.tree is not None:
        yield Result(State.PASS, f"{module.path.name} parses", file=module.path.name)
    elif "parse" in str(module.fault):
        yield Result(State.FAIL, f"{module.path.name} {module.fault}", file=module.path.name)
    else:
        yield Result(State.UNKNOWN, f"{module.path.name}: {module.fault}", file=module.path.name)


def track(subject: Subject) -> Iterable[Result]:
    """The `track` field and the folder agree."""
    claimed = str((subject.claims or {}).get("track", ""))
    place = subject.folder.resolve().parent.name
    if subject.kind != "record" or not claimed:
        yield Result(State.PASS, f"judged as {subject.track}")
    elif place in TRACK_FOLDERS.values() and ("non" in claimed.lower()) != ("non" in place):
        yield Result(State.FAIL, f"submission.json says track {claimed!r}, the folder is {place}")
    else:
        yield Result(State.PASS, f"track {claimed}")
