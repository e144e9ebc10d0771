"""Known data sets, good and bad, told by the counts that logs print: the official validation splits, and the sets that cost records."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

Range = tuple[int, int]


@dataclass(frozen=True)
class Known:
    """A set; None where a fact does not matter. val_tokens, val_bytes: least and most. source: who found it, and where."""

    name: str
    kind: str
    source: str
    mark: tuple[str, ...]
    vocab_size: int | None = None
    transform: str | None = None
    val_tokens: Range | None = None
    val_bytes: Range | None = None
    train_shards: tuple[int, ...] | None = None
    rules: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether results on it count."""
        return self.kind == "good"


@cache
def known_sets() -> tuple[Known, ...]:
    """The sets of `known.toml`."""
    table = tomllib.loads(files("golf.data").joinpath("known.toml").read_text(encoding="utf-8"))
    return tuple(_known(entry) for entry in table["set"])


def _known(entry: dict[str, Any]) -> Known:
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    return Known(**fields)


def recognised(
    *,
    vocab_size: int | None = None,
    transform: str | None = None,
    val_tokens: int | None = None,
    val_bytes: int | None = None,
    train_shards: int | None = None,
) -> list[Known]:
    """The known sets that these facts are of, bad ones first; a fact that is None is not known and speaks for no set.

    A set fits when none of its facts is contradicted and every fact of its `mark` is known and holds.
    """
    facts = {"vocab_size": vocab_size, "transform": transform, "val_tokens": val_tokens, "val_bytes": val_bytes, "train_shards": train_shards}  # fmt: skip
    found = [one for one in known_sets() if all(_holds(one, name, value) is not False for name, value in facts.items())
             and all(_holds(one, name, facts[name]) for name in one.mark)]  # fmt: skip
    return sorted(found, key=lambda one: one.good)


def _holds(one: Known, name: str, value: int | str | None) -> bool | None:
    """Whether a fact is the set's; None where either does not say."""
    wanted = getattr(one, name)
    if wanted is None or value is None:
        return None
    if name in ("val_tokens", "val_bytes"):
        return bool(wanted[0] <= value < wanted[1])
    return value in wanted if name == "train_shards" else bool(value == wanted)


def sentence(found: list[Known]) -> str:
    """What the sets say, in words; "no known set" for none."""
    if not found:
        return "no known set"
    return "; ".join(
        f"{one.name}: {'the official validation split' if one.good else 'known to be bad'}"
        + (f" ({' '.join(one.rules)}; {one.source})" if not one.good else "")
        for one in found
    )


def data_line(name: str, digest: str, **facts: Any) -> str:
    """The one line that says which data a result stands on: `pgolf-sp8192@sha256:…`. name: where the counts are of no known set.

    facts: as of `recognised`. digest: the sha256 of all shards together.
    """
    good = next((one.name for one in recognised(**facts) if one.good), name)
    return f"{good}@sha256:{digest}"
