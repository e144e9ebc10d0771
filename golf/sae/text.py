"""The text of a run: what it was trained on, and what is held out of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from golf.data.hashes import remembered_sha256
from golf.errors import Exit, GolfError
from golf.files import sha256_of_parts, whole_file
from golf.models.documents import Keys, is_hub, is_text, keys_of
from golf.models.source import Ids

EMBEDDED = "the model's own training split"
KEYS_NAME = "trained_documents.npy"
PART = 1 << 22  # ids hashed at once


def sha256_of_ids(ids: Ids) -> str:
    """The sha256 of token ids as 32-bit little-endian integers, whatever type holds them."""
    return sha256_of_parts(
        np.ascontiguousarray(ids[at : at + PART], dtype="<i4").tobytes() for at in range(0, len(ids), PART)
    )


def sha256_of_text(data: Path | None) -> str | None:
    """The sha256 of a text file; None for the embedded corpus, a folder of shards or a stream."""
    return remembered_sha256(data) if data is not None and is_text(data) and data.is_file() else None


def trained_keys(data: Path | None) -> Keys | None:
    """The keys of the documents that a run on `data` is trained on; None where the text has no documents that can be read twice."""
    return None if data is not None and (is_hub(data) or not is_text(data)) else keys_of("train", data)


def write_keys(folder: Path, keys: Keys) -> None:
    """Keep the keys in a run's folder."""
    with whole_file(folder / KEYS_NAME) as file:
        np.save(file, keys, allow_pickle=False)


def read_keys(folder: Path) -> Keys | None:
    """The keys that a run's folder holds; None where it holds none. GolfError for a damaged file."""
    path = folder / KEYS_NAME
    try:
        found: Keys = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as fault:
        raise GolfError(
            f"{path} is damaged: {fault}", "restore it, or delete it: then nothing is left out", Exit.REFUSED
        ) from fault
    return found.astype(np.uint64)


@dataclass(frozen=True)
class HeldOutText:
    """Which text is measured on: a split of `data` (None: the model's own), without the documents of `without`, and its name."""

    data: Path | None
    split: str
    without: Keys | None
    origin: str


VALIDATION = HeldOutText(None, "val", None, "validation split")


def held_out_text(
    folder: Path, config: Mapping[str, Any], data: Path | None, tell: Callable[[str], None]
) -> HeldOutText:
    """Text that the run in `folder` has not seen. data: what the user names; None: what is held out of the run's own text.

    GolfError (10): the run's own text is gone or has changed, so that nobody can say which part of it was trained on.
    """
    said = config.get("data", {}) if isinstance(config.get("data"), dict) else {}
    own = _own(said)
    if data is None:
        if own is None:
            return VALIDATION
        _check_own(own, said)
        return HeldOutText(own, "val", None, f"held out of {own}")
    if not is_text(data):
        return HeldOutText(data, "val", None, str(data))
    if is_hub(data) or (said.get("sha256") and said["sha256"] == sha256_of_text(data)):
        return HeldOutText(data, "val", None, f"held out of {data}")
    keys = read_keys(folder)
    if keys is None and said:
        tell(f"the run does not say which documents it was trained on: {data} may hold some of them")
    return HeldOutText(data, "all", keys, str(data))


def _own(said: Mapping[str, Any]) -> Path | None:
    name = said.get("name")
    return None if not isinstance(name, str) or name in (EMBEDDED, "embedded") else Path(name)


def _check_own(own: Path, said: Mapping[str, Any]) -> None:
    if is_hub(own):
        return
    if not own.exists():
        raise GolfError(f"{own}, which these dictionaries were trained on, is gone",
                        "name held-out text: `--data FILE`", Exit.REFUSED)  # fmt: skip
    if said.get("sha256") and said["sha256"] != sha256_of_text(own):
        raise GolfError(f"{own} has changed since these dictionaries were trained on it",
                        "restore it, or name held-out text: `--data FILE`", Exit.REFUSED)  # fmt: skip
