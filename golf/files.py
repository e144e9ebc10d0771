"""Files: safe reading of what strangers wrote, whole-or-not writing, hashes, locks, TOML.

Of a stranger's folder only regular files that lie in it are read, and a bounded number of them: a link that leads out of it, a pipe
that never ends, a folder that holds itself are passed over as if they were not there.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from math import isfinite
from pathlib import Path
from typing import IO, Any, Self

from golf.errors import Exit, GolfError

MOST_FILES = 5000
DEPTH = 6
MOST_BYTES = 4_000_000_000  # of a folder that is copied
_POLL_SECONDS = 0.05


def is_own(path: Path, folder: Path) -> bool:
    """Whether `path` is a regular file, itself or through a link, that lies in `folder`."""
    try:
        if not stat.S_ISLNK(mode := path.lstat().st_mode):
            return stat.S_ISREG(mode)
        real = path.resolve(strict=True)
        return stat.S_ISREG(real.stat().st_mode) and real.is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def own_files(folder: Path, pattern: str) -> list[Path]:
    """The files right in `folder` that match, sorted."""
    return sorted(path for path in folder.glob(pattern) if is_own(path, folder))


def files_below(folder: Path, depth: int = DEPTH, skip: Sequence[str] = ()) -> Iterator[Path]:
    """The files in `folder` and below it, sorted folder by folder; links to folders are not followed. At most MOST_FILES.

    skip: patterns of names, of files and folders, that are left out.
    """

    def wanted(names: list[str]) -> list[str]:
        return sorted(name for name in names if not any(fnmatch(name, pattern) for pattern in skip))

    seen = 0
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = [] if len(here.relative_to(folder).parts) >= depth - 1 else wanted(folders)
        for name in wanted(files):
            if is_own(here / name, folder):
                yield here / name
                seen += 1
                if seen >= MOST_FILES:
                    return


def copy_folder(folder: Path, target: Path) -> None:
    """Copy the files of `folder`, links that stay in it as what they lead to. GolfError (10) for more than a record can be."""
    files = list(files_below(folder))
    weight = sum(path.stat().st_size for path in files)
    if weight > MOST_BYTES or len(files) >= MOST_FILES:
        raise GolfError(f"`{folder}` holds {len(files):,} files of {weight:,} bytes: no record folder",
                        "name the record's own folder: records/<track>/<date>_<name>", Exit.REFUSED)  # fmt: skip
    target.mkdir(parents=True)
    for path in files:
        place = target / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def read_text(path: Path, most_bytes: int) -> str | None:
    """A file's text, bytes that are no UTF-8 replaced; None where it cannot be read or is larger than `most_bytes`."""
    try:
        if path.stat().st_size > most_bytes:
            return None
        return path.read_bytes().decode("utf-8-sig", "replace")
    except OSError:
        return None


def read_json(path: Path, most_bytes: int = 16_000_000) -> tuple[dict[str, Any] | None, str | None]:
    """(the table in a JSON file, None), or (None, why there is none). Numbers that no float holds, nan and inf are None in it."""
    text = read_text(path, most_bytes)
    if text is None:
        return None, f"it cannot be read, or has more than {most_bytes:,} bytes"
    try:
        table = parse_json(text)
    except ValueError as fault:
        return None, str(fault)
    return (table, None) if isinstance(table, dict) else (None, "it holds no JSON object")


def parse_json(text: str | bytes) -> Any:
    """What a JSON text holds; numbers that no float holds, nan and inf are None. ValueError for whatever is no JSON."""
    try:
        return json.loads(text, parse_constant=lambda _: None, parse_float=_finite, parse_int=_finite)
    except RecursionError as fault:
        raise ValueError("it is nested too deeply") from fault


def json_text(value: Any, indent: int | None = None, *, ascii_only: bool = True) -> str:
    """`value` as JSON that everybody reads: nan and inf are null; what JSON has no form for stands as its text."""
    return json.dumps(_with_null(value), indent=indent, default=str, allow_nan=False, ensure_ascii=ascii_only)


def _with_null(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _with_null(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_null(one) for one in value]
    return value


def _finite(text: str) -> int | float | None:
    if len(text) > 40 or not isfinite(float(text)):
        return None
    return float(text) if set(text) & set(".eE") else int(text)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    with whole_file(path) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write `path` into: it gets its name when the block ends, and leaves nothing behind when the block fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = _scratch(path)
    try:
        with scratch.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Put a file under a second name, whole or not at all; no second copy on disk where the system can."""
    scratch = _scratch(target)
    scratch.unlink(missing_ok=True)
    try:
        scratch.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, scratch)
    scratch.replace(target)


def sha256_of(content: bytes) -> str:
    """The sha256 of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_parts(parts: Iterable[bytes]) -> str:
    """The sha256 of bytes that come in parts, in hex."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def sha256_of_file(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _scratch(path: Path) -> Path:
    """A name beside `path` that no other process and no other thread uses."""
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")


class Lock:
    """An advisory lock on a file, freed by the system when its holder dies; a child that inherits `handle` holds it on.

    In a `with` block it is waited for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handle: int | None = None

    def take(self) -> bool:
        """Take the lock; False when another process holds it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        for _ in range(5):  # `is_locked` elsewhere may hold it for a moment
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_POLL_SECONDS)
            else:
                self.handle = handle
                return True
        os.close(handle)
        return False

    def __enter__(self) -> Self:
        while not self.take():
            time.sleep(_POLL_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let go of it here; a child that inherited it keeps it."""
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock at `path`; nothing is created."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def toml(value: Any) -> str:
    """A value as one writes it in TOML: true, 786_432, 1e-08, "text", ["a", "b"]."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        grouped = 10_000 <= abs(value) < 1e16 and value == int(value)
        return f"{value:_}" if grouped else repr(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(toml(one) for one in value)}]"
    # JSON escapes what TOML does, but for DEL; half of a surrogate pair has no form in either
    text = str(value).encode("utf-8", "replace").decode()
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_text(table: Mapping[str, Any], comment: str = "") -> str:
    """A table as a TOML file: the comment, its values, then a section for each table in it. What is None is left out."""
    blocks = ([comment.rstrip("\n")] if comment else []) + _rows(table)
    for name, section in _sections(table):
        blocks += ["", f"[{name}]", *_rows(section)]
    return "\n".join(blocks).lstrip("\n") + "\n"


def _rows(table: Mapping[str, Any]) -> list[str]:
    return [
        f"{_key(name)} = {toml(value)}"
        for name, value in table.items()
        if value is not None and not isinstance(value, Mapping)
    ]


def _sections(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(dotted name, table) of every table in `table`; of one that only holds tables, those."""
    for name, section in table.items():
        if isinstance(section, Mapping):
            whole = above + _key(name)
            if _rows(section) or not section:
                yield whole, section
            yield from _sections(section, f"{whole}.")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml(name)
