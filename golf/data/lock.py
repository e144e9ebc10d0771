"""Which bytes a result stands on: the sha256 of tokenizer and shards as TOML, written and compared."""

import tomllib
from pathlib import Path

from golf.data.known import data_line
from golf.data.source import DataSource
from golf.errors import GolfError
from golf.files import toml_text


def lock_text(source: DataSource) -> str:
    """The lock of a data source: TOML with its name, vocabulary, sizes and every file's sha256."""
    return toml_text(
        {
            "schema": 1,
            "name": source.name,
            "data": line_of(source),
            "vocab_size": source.vocab_size,
            "train_tokens": source.train_tokens,
            "val_tokens": source.val_tokens,
            "tokenizer_sha256": source.tokenizer_sha256,
            "data_sha256": source.data_sha256,
            "sha256": dict(sorted(source.sha256s.items())),
        }
    )


def line_of(source: DataSource) -> str:
    """`pgolf-sp8192@sha256:…` where the validation tokens are those of an official split, else the data's own name."""
    facts = {"vocab_size": source.vocab_size, "val_tokens": source.val_tokens}
    return data_line(source.name, source.data_sha256, transform="caseops" if source.side_car else "", **facts)


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
