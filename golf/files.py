"""What may be read in a folder that a stranger wrote: regular files that lie in it, and no more of them than one can bear.

A link that leads out of the folder, a pipe that never ends, a folder that holds itself: each is passed over as if it were not there.
"""

import hashlib
import json
import os
import shutil
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from math import isfinite
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError

MOST_FILES = 5000
DEPTH = 6
MOST_BYTES = 4_000_000_000  # of a folder that is copied


def is_own(path: Path, folder: Path) -> bool:
    """Whether `path` is a regular file, itself or through a link, that lies in `folder`."""
    try:
        real = path.resolve(strict=True)
        return stat.S_ISREG(real.stat().st_mode) and (not path.is_symlink() or real.is_relative_to(folder.resolve()))
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
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = _scratch(path)
    with scratch.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


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


def sha256_of_file(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _scratch(path: Path) -> Path:
    """A name beside `path` that no other process and no other thread uses."""
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
