"""Which bytes a result stands on: the sha256 of tokenizer and shards as TOML, written and compared."""

import tomllib
from pathlib import Path

from golf.data.source import DataSource
from golf.errors import GolfError


def lock_text(source: DataSource) -> str:
    """The lock of a data source: TOML with its name, vocabulary, sizes and every file's sha256."""
    lines = [
        "schema = 1",
        f'name = "{source.name}"',
        f"vocab_size = {source.vocab_size}",
        f"train_tokens = {source.train_tokens}",
        f"val_tokens = {source.val_tokens}",
        f'tokenizer_sha256 = "{source.tokenizer_sha256}"',
        f'data_sha256 = "{source.data_sha256}"',
        "",
        "[sha256]",
        *(f'"{name}" = "{value}"' for name, value in sorted(source.sha256s.items())),
    ]
    return "\n".join(lines) + "\n"


def write_lock(source: DataSource, path: Path) -> None:
    """Write the lock to `path`; GolfError when it cannot be written."""
    text = lock_text(source)
    try:
        path.write_text(text)
    except OSError as fault:
        raise GolfError(f"the lock cannot be written to {path}: {fault.strerror}", "name another file") from fault


def differences(source: DataSource, lock: Path) -> list[str]:
    """What differs between `lock` and the data here, one sentence each; empty when every file is the same.

    GolfError when the lock cannot be read.
    """
    again = "write it again: `golf data lock --out FILE`"
    try:
        locked = tomllib.loads(lock.read_text())["sha256"]
    except OSError as fault:
        raise GolfError(f"no lock {lock}: {fault.strerror}", again) from None
    except (ValueError, KeyError) as fault:
        raise GolfError(f"{lock} is no data lock: it has no table `sha256` ({fault})", again) from fault
    here = source.sha256s
    found = [f"{name} is locked, but not here" for name in sorted(locked.keys() - here.keys())]
    found += [f"{name} is here, but not locked" for name in sorted(here.keys() - locked.keys())]
    return found + [
        f"{name} has sha256 {here[name][:12]}…, locked is {locked[name][:12]}…"
        for name in sorted(locked.keys() & here.keys())
        if locked[name] != here[name]
    ]
