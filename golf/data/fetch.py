"""FineWeb as the challenge publishes it: which files, how large, and their download from the Hugging Face hub.

The repository and the folder inside it are those that the challenge's own `data/README.md` names; that the files lie below it
as in the local layout (`datasets/<name>/…`, `tokenizers/…`) is our reading of that page, so both can be set. Only SP1024 is
known to lie there; other vocabularies were published by their authors in repositories of their own. The text after CaseOps with its
side-car is @romeerp's (`CASEOPS_REPO`), in the same layout below the same folder.
"""

import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from golf.data import caseops
from golf.data.shards import HEADER_BYTES, SHARD_TOKENS, check_ids, count_tokens
from golf.data.side_car import SPLIT as SIDE_CAR
from golf.data.source import CANONICAL_VAL_TOKENS, CASEOPS_VAL_TOKENS, CASEOPS_VOCABULARY
from golf.data.tokenizer import load_tokenizer
from golf.errors import Exit, GolfError

REPO = "willdepueoai/parameter-golf"
CASEOPS_REPO = "romeerp/parameter-golf-caseops-v1"
PREFIX = "datasets"
PUBLISHED_SHARDS = 80  # 8 G tokens: what the challenge's own downloader takes when nothing is said
REACH_SECONDS = 5.0  # the hub's client would try for 23 s before it says that there is no network


@dataclass(frozen=True)
class Item:
    """One file: its place in the repository and here, its size as far as it is known, whether it is here already."""

    remote: str
    local: Path
    expected_bytes: int | None  # None: not known before the download
    present: bool


def plan_files(
    root: Path, vocab_size: int, train_shards: int, prefix: str = PREFIX, transform: str = "none"
) -> list[Item]:
    """Tokenizer, the whole validation split (one shard), and the first `train_shards` train shards, in the official layout.

    transform: "caseops" for the text after CaseOps, with the side-car of the validation split. The size of the validation shard is what the logs' token count implies, short by less than one sequence.
    """
    if train_shards < 1:
        raise GolfError(f"{train_shards} train shards are none to train on", "take `--shards 1` or more")
    suffix = f"_{caseops.NAME}" if transform == "caseops" else ""
    dataset, tokenizer = (
        f"datasets/fineweb10B_sp{vocab_size}{suffix}",
        f"tokenizers/fineweb_{vocab_size}_bpe{suffix}.model",
    )
    val_tokens = CANONICAL_VAL_TOKENS.get(vocab_size)
    if transform == "caseops":
        val_tokens = CASEOPS_VAL_TOKENS if vocab_size == CASEOPS_VOCABULARY else None
    sizes: dict[str, int | None] = {tokenizer: None}
    sizes[f"{dataset}/fineweb_val_000000.bin"] = None if val_tokens is None else HEADER_BYTES + 2 * val_tokens
    if transform == "caseops":
        sizes[f"{dataset}/fineweb_{SIDE_CAR}_000000.bin"] = sizes[f"{dataset}/fineweb_val_000000.bin"]
    for number in range(train_shards):
        sizes[f"{dataset}/fineweb_train_{number:06d}.bin"] = HEADER_BYTES + 2 * SHARD_TOKENS
    data = root / "data"
    return [
        Item(f"{prefix}/{name}" if prefix else name, data / name, size, _holds(data / name, vocab_size))
        for name, size in sizes.items()
    ]


def fetch_files(
    items: Sequence[Item],
    vocab_size: int,
    repo: str = REPO,
    *,
    download: Callable[[str, str, Path], Path] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Download what is not here yet; each file is checked, then moved to its place. Returns the new files.

    download: (repo, file, folder) -> path, by default the hub's client. GolfError: no network, no such repository or file,
    too little disk, a broken file. What was complete before the fault stays, a second call goes on from there.
    """
    missing = [item for item in items if not item.present]
    if not missing:
        return []
    staging = missing[0].local.parents[1] / ".download"
    check_room(staging, sum(item.expected_bytes or 0 for item in missing))
    if download is None:
        check_reach()
        download = _from_hub
    for number, item in enumerate(missing, start=1):
        tell(f"{number}/{len(missing)} {item.remote}")
        try:
            staging.mkdir(parents=True, exist_ok=True)
            arrived = download(repo, item.remote, staging)
            check_file(arrived, vocab_size)
            item.local.parent.mkdir(parents=True, exist_ok=True)
            arrived.replace(item.local)
        except OSError as fault:
            reason = (str(fault).splitlines() or [type(fault).__name__])[0]
            raise GolfError(f"{item.remote} did not arrive from {repo}: {reason}",
                            "call it again to go on; `--repo` and `--prefix` name another place") from fault  # fmt: skip
    shutil.rmtree(staging, ignore_errors=True)
    return [item.local for item in missing]


def check_file(path: Path, vocab_size: int) -> None:
    """Check a downloaded shard, side-car or tokenizer; GolfError when it is broken or of another vocabulary."""
    if path.suffix == ".model":
        load_tokenizer(path, vocab_size)
    elif f"_{SIDE_CAR}_" in path.name:
        count_tokens(path)
    else:
        count_tokens(path)
        check_ids(path, vocab_size)


def check_reach() -> None:
    """GolfError at once where the hub cannot be reached."""
    way_out = "run it where there is network, copy the files into `data/` yourself, or go on offline: `golf data make`"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise GolfError(
            "HF_HUB_OFFLINE forbids downloads", "unset it, or go on offline: `golf data make`", Exit.REFUSED
        )
    hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        with urllib.request.urlopen(urllib.request.Request(hub, method="HEAD"), timeout=REACH_SECONDS):
            pass
    except urllib.error.HTTPError:
        pass  # it answered
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "reason", fault)
        raise GolfError(f"no network to {hub}: {reason}", way_out, Exit.REFUSED) from fault


def check_room(folder: Path, needed_bytes: int) -> None:
    """GolfError when the disk of `folder` has less than `needed_bytes` free."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free_bytes = shutil.disk_usage(there).free
    if free_bytes < needed_bytes:
        raise GolfError(f"{needed_bytes:,} bytes to fetch, {free_bytes:,} free on the disk of {there}",
                        "take fewer train shards: `--shards N` (0.2 GB each)", Exit.REFUSED)  # fmt: skip


def _holds(path: Path, vocab_size: int) -> bool:
    try:
        check_file(path, vocab_size)
    except GolfError:
        return False
    return True


def _from_hub(repo: str, name: str, folder: Path) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(repo_id=repo, filename=name, repo_type="dataset", local_dir=folder))
    except EntryNotFoundError as fault:
        raise GolfError(f"{repo} has no file {name}",
                        "name the repository and its folder: `--repo USER/NAME --prefix FOLDER`") from fault  # fmt: skip
