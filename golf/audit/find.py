"""What an audit looks at: record folders below the folders that are named, or those that pull requests of a local clone add."""

import io
import re
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from golf.errors import Exit, GolfError
from golf.files import MOST_FILES, is_own, sha256_of

DEPTH = 5  # of folders of folders
MOST_BYTES = 200_000_000  # of a pull request's folder
MARKS = ("submission*.json", "train_gpt*.py", "train*.py")
_RECORD = re.compile(r"(records/[^/\n]+/[^/\n]+)/.")
_PULL_REFS = ("refs/pull/{0}/head", "refs/remotes/origin/pull/{0}/head", "refs/remotes/origin/pull/{0}", "refs/remotes/origin/pr/{0}",
              "refs/remotes/pull/{0}", "refs/remotes/pr/{0}", "refs/heads/pr/{0}", "refs/heads/pr-{0}", "refs/heads/pull/{0}")  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """One record to judge. label: how the table names it; state: of its content, so that a verdict is known to be of it.

    commit, inside: where a clone holds it, until it is laid out in `folder`.
    """

    label: str
    folder: Path
    state: str
    pr: int | None = None
    clone: Path | None = None
    commit: str = ""
    inside: str = ""


def folders_below(places: Sequence[Path]) -> list[Subject]:
    """Every record folder in or below the places, sorted, each once. GolfError for a place that is none, and where none is."""
    found: dict[Path, Subject] = {}
    for place in places:
        if not place.is_dir():
            raise GolfError(f"`{place}` is no folder", "name record folders, or folders of them: `golf audit records`")
        inside = list(_records(place.resolve(), 0))
        for folder in inside:
            label = folder.name if folder == place.resolve() else str(folder.relative_to(place.resolve()))
            found.setdefault(folder, Subject(label, folder, _state(folder)))
        if not inside:
            raise GolfError(f"no record folder in `{place}`", "one has a submission.json or a train_gpt.py")
    return sorted(found.values(), key=lambda subject: subject.label)


def _records(folder: Path, depth: int) -> Iterator[Path]:
    if any(is_own(path, folder) for mark in MARKS for path in folder.glob(mark)):
        yield folder
    elif depth < DEPTH:
        for below in sorted(
            path for path in folder.iterdir() if path.is_dir() and not path.is_symlink() and path.name[:1] != "."
        ):
            yield from _records(below, depth + 1)


def _state(folder: Path) -> str:
    """Of names, sizes and times of a folder's files: what changes when it does."""
    rows = []
    for path in sorted(folder.rglob("*"))[:MOST_FILES]:
        if path.is_file() and not path.is_symlink():
            about = path.stat()
            rows.append((path.relative_to(folder).as_posix(), about.st_size, about.st_mtime_ns))
    return sha256_of(repr(rows).encode())


def parse_pulls(text: str) -> list[int]:
    """`1500-2138` or `42,50,1493` as numbers. GolfError for another form."""
    numbers = list[int]()
    for part in text.split(","):
        match = re.fullmatch(r"\s*#?(\d{1,6})(?:\s*-\s*#?(\d{1,6}))?\s*", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise GolfError(
                f"`--prs {text}` names no pull requests", "a range or a list: `--prs 1500-2138` or `--prs 1493,1855`"
            )
        numbers += range(int(match[1]), int(match[2] or match[1]) + 1)
    return sorted(dict.fromkeys(numbers))


def pulls_of(clone: Path, numbers: Sequence[int], target: Path) -> tuple[list[Subject], list[int], list[int]]:
    """The record folders that these pull requests add, merged or not, to be laid out below `target`; the numbers that the clone does not
    have; those that add no record folder. GolfError: no clone, or one that has none of them."""
    listed = git(clone, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    refs = {name: commit for name, _, commit in (line.partition(" ") for line in listed)}
    merged = _merged(clone)
    found, absent, empty = list[Subject](), list[int](), list[int]()
    for number in numbers:
        commit = next((refs[ref] for form in _PULL_REFS if (ref := form.format(number)) in refs), None)
        base = None
        if commit is not None:
            base = git(clone, "merge-base", commit, "HEAD").strip()
        if commit is None or base == commit:  # not fetched, or part of what it was merged into
            if number not in merged:
                (absent if commit is None else empty).append(number)
                continue
            commit, base = merged[number]
        changed = (
            git(clone, "diff", "--name-only", "--no-renames", "--diff-filter=AM", base, commit, "--", "records/")
            if base
            else ""
        )
        inside = list(dict.fromkeys(match[1] for line in changed.splitlines() if (match := _RECORD.match(line))))
        if not inside:
            empty.append(number)
        for place in inside:
            name = place.rpartition("/")[2]
            found.append(
                Subject(
                    f"#{number} {name}",
                    target / f"pr-{number}" / place,
                    sha256_of(f"{commit}:{place}".encode()),
                    number,
                    clone,
                    commit,
                    place,
                )
            )
    if len(absent) == len(numbers):
        raise GolfError(
            f"`{clone}` has none of these pull requests",
            "fetch them: `git fetch origin '+refs/pull/*/head:refs/pull/*/head'`",
            Exit.UNKNOWN,
        )
    return found, absent, empty


def _merged(clone: Path) -> dict[int, tuple[str, str]]:
    """Pull request → (commit that merged it, its first parent), by the subjects on the first-parent line of HEAD."""
    found: dict[int, tuple[str, str]] = {}
    for line in git(clone, "log", "--first-parent", "--format=%H %P%x09%s", "HEAD").splitlines():
        commits, _, subject = line.partition("\t")
        match = re.search(r"\(#(\d+)\)\s*$", subject) or re.match(r"Merge pull request #(\d+) ", subject)
        parts = commits.split()
        if match and len(parts) > 1:
            found.setdefault(int(match[1]), (parts[0], parts[1]))
    return found


def lay_out(subject: Subject) -> None:
    """Write a pull request's folder where the audit looks at it; links and whatever leads out of it are left out.

    GolfError for more bytes than a record can have.
    """
    if subject.clone is None or subject.folder.is_dir():
        return
    listed = git(subject.clone, "ls-tree", "-r", "-l", subject.commit, "--", f"{subject.inside}/").splitlines()
    weight = sum(int(size) for line in listed if (size := line.split(None, 4)[3]).isdigit())
    if weight > MOST_BYTES or len(listed) > MOST_FILES:
        raise GolfError(
            f"{subject.inside} of #{subject.pr} holds {len(listed):,} files of {weight:,} bytes: no record folder"
        )
    packed = git_bytes(subject.clone, "archive", "--format=tar", subject.commit, "--", subject.inside)
    subject.folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            name = member.name.removeprefix(f"{subject.inside}/")
            if member.isfile() and name != member.name and ".." not in Path(name).parts:
                place = subject.folder / name
                place.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                place.write_bytes(content.read() if content else b"")


def git(clone: Path, *words: str) -> str:
    """What a git command that only reads prints. GolfError where it fails."""
    return git_bytes(clone, *words).decode("utf-8", "replace")


def git_bytes(clone: Path, *words: str) -> bytes:
    """The same, as bytes."""
    if not clone.is_dir():
        raise GolfError(
            f"`{clone}` is no clone", "name a local clone of openai/parameter-golf: `--repo ../parameter-golf`"
        )
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *words], cwd=clone, capture_output=True, check=False
        )
    except OSError as fault:
        raise GolfError(f"git cannot be started: {fault.strerror}", "install git") from fault
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise GolfError(
            f"`git {words[0]}` failed in `{clone}`: {said[-1] if said else 'no message'}",
            "name a local clone: `--repo ../parameter-golf`",
        )
    return done.stdout
