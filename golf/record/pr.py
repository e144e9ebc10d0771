"""The pull request of a record: its title and body, and a dry run of the addition in a real clone."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from golf.challenge import TRACK_FOLDERS
from golf.errors import Exit, GolfError
from golf.files import parse_json
from golf.record.claims import NOT_A_RESULT


@dataclass(frozen=True)
class Trial:
    """What git says of the addition: the changed paths with their letters, and what is wrong with them."""

    target: str
    changes: tuple[tuple[str, str], ...]
    faults: tuple[str, ...]
    bytes: int


def title_and_body(folder: Path) -> tuple[str, str]:
    """Title and body from submission.json and README.md of a record folder."""
    claims = _claims(folder)
    kind = "Record" if _track(claims, folder) == "10min_16mb" else "Non-record"
    bpb = claims.get("val_bpb")
    score = f" (val_bpb {bpb:.5f})" if isinstance(bpb, float) else ""
    title = f"{kind}: {claims.get('name') or folder.name}{score}"
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    body = shortened(text) + f"\n\nAdds only `records/…/{folder.name}/`.\n"
    return title, body


def shortened(readme: str) -> str:
    """The README as the text of a pull request: results, statistics, what changed, the verdict in a line; no pictures, no list of rules."""
    text = readme.split("## Reproduce", maxsplit=1)[0]
    text = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    text = re.sub(r"^!\[[^\]]*\]\([^)]*\)\s*$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip()


def _claims(folder: Path) -> dict[str, Any]:
    try:
        table = parse_json((folder / "submission.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as fault:
        raise GolfError(
            f"`{folder}/submission.json` cannot be read: {fault}",
            "`golf record --check` says what is wrong with a folder",
        ) from fault
    if not isinstance(table, dict):
        raise GolfError(
            f"`{folder}/submission.json` holds no object", "`golf record --check` says what is wrong with a folder"
        )
    return table


def _track(claims: dict[str, Any], folder: Path) -> str:
    text = str(claims.get("track") or folder.resolve().parent.name).removeprefix("track_").replace("-", "_")
    return "local" if "local" in text else "non_record_16mb" if text.startswith("non") else "10min_16mb"


def try_in_clone(folder: Path, upstream: Path) -> Trial:
    """Add the folder in a throw-away clone of `upstream` and look at what git would commit; upstream itself is not touched.

    Raises GolfError: not a git repository, git missing, a local record (there is nothing to offer).
    """
    claims = _claims(folder)
    track = _track(claims, folder)
    if track == "local":
        raise GolfError(f"`{folder.name}` is {NOT_A_RESULT}: a local record is offered to nobody",
                        "run it on the challenge's hardware and data, or offer it as track non_record_16mb", Exit.REFUSED)  # fmt: skip
    target = f"records/{TRACK_FOLDERS[track]}/{folder.name}"
    with TemporaryDirectory(prefix="golf-pr-") as scratch:
        clone = Path(scratch) / "upstream"
        _git(Path(scratch), "clone", "--quiet", "--no-hardlinks", str(upstream.resolve()), str(clone))
        before = (clone / target).exists()
        shutil.copytree(folder, clone / target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        _git(clone, "add", "--all", "--", ".")
        lines = _git(clone, "diff", "--cached", "--name-status", "--no-renames", "-z").split("\0")
        changes = tuple(zip(lines[0::2], lines[1::2], strict=False))
        ignored = _git(clone, "status", "--porcelain", "--ignored", "-z").split("\0")
        size = sum((clone / path).stat().st_size for letter, path in changes if letter == "A")
    return Trial(target, changes, tuple(_faults(target, changes, ignored, before)), size)


def _faults(target: str, changes: tuple[tuple[str, str], ...], ignored: list[str], before: bool) -> list[str]:
    faults = []
    if before:
        faults.append(f"{target} is already upstream: a record is one new folder; open a new one for edits")
    faults += [
        f"{path} is {'changed' if letter == 'M' else f'marked {letter}'}, not added"
        for letter, path in changes
        if letter != "A"
    ]
    faults += [f"{path} lies outside {target}" for _, path in changes if not path.startswith(target + "/")]
    faults += [
        f"{line[3:]} is ignored by upstream's .gitignore and would be missing"
        for line in ignored
        if line.startswith("!! ")
    ]
    if not changes:
        faults.append("nothing would be added")
    return faults


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError as fault:
        raise GolfError(f"git cannot be started: {fault.strerror}", "install git") from fault
    if done.returncode:
        raise GolfError(f"`git {arguments[0]}` failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'no message'}",
                        "`--clone` takes the path of a git clone of the upstream repository")  # fmt: skip
    return done.stdout
