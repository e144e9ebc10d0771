"""sha256 of files; those of big files are remembered by path, size and time of change, so that a start never waits twice."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from golf.errors import GolfError
from golf.files import parse_json, sha256_of, sha256_of_file, write_atomically
from golf.project import cache_dir

REMEMBER_BYTES = 1 << 25  # smaller files are hashed afresh each time: it takes milliseconds and cannot be wrong


def remembered_sha256(path: Path) -> str:
    """The sha256 of a file, in hex; GolfError when it cannot be read."""
    try:
        state = path.stat()
        if state.st_size < REMEMBER_BYTES:
            return sha256_of_file(path)
        mark = f"{path.resolve()} {state.st_size} {state.st_mtime_ns}"
        known = _remembered()
        if mark not in known:
            known[mark] = sha256_of_file(path)
            _remember({mark: known[mark]})
        return known[mark]
    except OSError as fault:
        raise GolfError(f"{path} cannot be read: {fault.strerror}", "name a readable file") from fault


def digest_of(sha256s: Mapping[str, str]) -> str:
    """One sha256 for a set of named files: of the lines `<sha256>  <name>`, sorted by name."""
    lines = "".join(f"{sha256s[name]}  {name}\n" for name in sorted(sha256s))
    return sha256_of(lines.encode())


def _memory() -> Path:
    return cache_dir() / "data" / "sha256.json"


def _remembered() -> dict[str, str]:
    try:
        table = parse_json(_memory().read_text())
        return dict(table) if isinstance(table, dict) else {}
    except (OSError, ValueError):
        return {}


def _remember(fresh: Mapping[str, str]) -> None:
    """Add to the memory; it is only a convenience, so a full or read-only disk is no error."""
    with suppress(OSError):
        write_atomically(_memory(), json.dumps({**_remembered(), **fresh}, indent=1, sort_keys=True).encode())
