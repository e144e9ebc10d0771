"""Token shards in the challenge's format: 256 little-endian int32 (magic, version, count, zeros), then uint16 tokens.

Source: the challenge's `train_gpt.py`, `load_data_shard`. Reading maps the file into memory, so a shard of 100 M tokens opens at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from golf.errors import GolfError
from golf.files import whole_file

MAGIC = 20240520
VERSION = 1
HEADER_BYTES = 256 * 4
BOS = 1
MAX_VOCABULARY = 1 << 16  # what uint16 can name
SHARD_TOKENS = 100_000_000  # of a published train shard
FULL_CHECK_TOKENS = 1 << 24  # shards up to this size are read whole when their ids are checked
SAMPLE_BLOCKS, SAMPLE_BLOCK_TOKENS = 64, 4096  # larger ones in this many evenly spaced places

Tokens = npt.NDArray[np.uint16]


def write_shard(path: Path, ids: npt.ArrayLike) -> Path:
    """Write `ids` (one dimension, 0 ≤ id < 65,536) as one shard; the file appears whole or not at all. Returns `path`."""
    values = np.asarray(ids)
    if values.size and (int(values.min()) < 0 or int(values.max()) >= MAX_VOCABULARY):
        wrong = next(int(value) for value in values.flat if not 0 <= value < MAX_VOCABULARY)
        raise GolfError(f"token id {wrong} does not fit a shard: ids are 0 to {MAX_VOCABULARY - 1:,} (uint16)",
                        "use a vocabulary of at most 65,536")  # fmt: skip
    header = np.zeros(256, dtype="<i4")
    header[:3] = MAGIC, VERSION, values.size
    with whole_file(path) as file:
        file.write(header.tobytes())
        file.write(np.ascontiguousarray(values, dtype="<u2").data)  # 200 MB: not copied where it is uint16
    return path


def write_documents(
    folder: Path,
    documents: Iterable[Sequence[int]],
    split: str = "train",
    *,
    bos: int = BOS,
    shard_tokens: int = SHARD_TOKENS,
) -> list[Path]:
    """Write documents (token ids without BOS) as `fineweb_<split>_NNNNNN.bin` in `folder`, BOS before each; the paths.

    Shards hold `shard_tokens` tokens, the last one what is left; a document may run over into the next shard.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [np.asarray([bos, *document], dtype=np.int64) for document in documents]
    stream = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)
    starts = range(0, max(len(stream), 1), shard_tokens)
    return [
        write_shard(folder / f"fineweb_{split}_{number:06d}.bin", stream[start : start + shard_tokens])
        for number, start in enumerate(starts)
    ]


def count_tokens(path: Path) -> int:
    """The number of tokens in a shard, from its header, after checking header and file size against each other.

    Raises GolfError: missing, truncated, wrong magic or version, odd-sized, count mismatch, empty.
    """
    again = "fetch it again (`golf data get`), or name other shards with DATA_PATH"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
    except FileNotFoundError:
        raise GolfError(f"no shard {path}", again) from None
    except OSError as fault:
        raise GolfError(f"{path} cannot be read: {fault.strerror}", "name a readable shard file") from fault
    if len(head) < HEADER_BYTES:
        raise GolfError(f"{path} is truncated: {len(head):,} bytes, the header alone has {HEADER_BYTES:,}", again)
    magic, version, count = (int(value) for value in np.frombuffer(head, dtype="<i4", count=3))
    if magic != MAGIC:
        raise GolfError(f"{path} is no token shard: it starts with {magic}, a shard with {MAGIC}", again)
    if version != VERSION:
        raise GolfError(f"{path} has shard version {version}, golf reads version {VERSION}", again)
    if (size - HEADER_BYTES) % 2:
        raise GolfError(
            f"{path} is odd-sized: {size - HEADER_BYTES:,} bytes after the header, tokens take 2 each", again
        )
    found = (size - HEADER_BYTES) // 2
    if found != count:
        state = "is truncated" if found < count else "is too long"
        raise GolfError(f"{path} {state}: the header promises {count:,} tokens, the file holds {found:,}", again)
    if count == 0:
        raise GolfError(f"{path} is empty: its header promises 0 tokens", again)
    return count


def read_shard(path: Path) -> Tokens:
    """The tokens of a shard, (count,) uint16, mapped from the file; raises as `count_tokens`."""
    return np.memmap(path, dtype="<u2", mode="r", offset=HEADER_BYTES, shape=(count_tokens(path),))


def check_ids(path: Path, vocab_size: int, *, whole: bool | None = None) -> int:
    """Check that the ids of a shard lie below `vocab_size`; returns how many tokens were looked at.

    whole: read every token (default: up to 16.8 M tokens; larger shards are sampled in 64 places, both ends included).
    """
    tokens = read_shard(path)
    if whole is None:
        whole = len(tokens) <= FULL_CHECK_TOKENS
    looked = 0
    for start, stop in [(0, len(tokens))] if whole else _sample_spans(len(tokens)):
        block = tokens[start:stop]
        looked += len(block)
        if int(block.max()) >= vocab_size:
            where = int(np.argmax(block >= vocab_size))
            raise GolfError(
                f"{path} holds token id {int(block[where])} at position {start + where:,}: "
                f"the vocabulary has {vocab_size:,}, the largest id is {vocab_size - 1:,}",
                "the shards belong to another tokenizer: set `vocab_size` and TOKENIZER_PATH to theirs",
            )
    return looked


def _sample_spans(tokens: int) -> Iterator[tuple[int, int]]:
    for start in np.linspace(0, tokens - SAMPLE_BLOCK_TOKENS, SAMPLE_BLOCKS).astype(int).tolist():
        yield start, start + SAMPLE_BLOCK_TOKENS


def shard_files(folder: Path, split: str) -> list[Path]:
    """The shards `fineweb_<split>_*.bin` of a folder in loading order; GolfError when there is none."""
    files = sorted(folder.glob(f"fineweb_{split}_[0-9]*.bin"))
    if not files:
        state = "has no" if folder.is_dir() else "is no folder, so it has no"
        raise GolfError(f"{folder} {state} fineweb_{split}_*.bin",
                        "name a folder of shards with DATA_PATH, or fetch them: `golf data get`")  # fmt: skip
    return files


def read_split(folder: Path, split: str) -> Tokens:
    """All tokens of a split as one array (a map of the file where there is one shard, else a copy)."""
    parts = [read_shard(path) for path in shard_files(folder, split)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def split_documents(ids: npt.NDArray[np.integer], bos: int = BOS) -> list[npt.NDArray[np.integer]]:
    """The documents of a stream, each without its BOS; tokens before the first BOS are a document of their own."""
    starts = np.flatnonzero(np.asarray(ids) == bos).tolist()
    bounds = [*starts, len(ids)]
    documents = [ids[start + 1 : stop] for start, stop in zip(starts, bounds[1:], strict=True)]
    return [ids[: bounds[0]], *documents] if bounds[0] > 0 else documents
