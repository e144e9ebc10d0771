"""Which data a run reads: shards and tokenizer that are named, else FineWeb in the challenge's layout, else the embedded corpus."""

import os
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Literal

from golf.data.caseops import NAME as CASEOPS
from golf.data.caseops import is_caseops
from golf.data.hashes import digest_of, remembered_sha256
from golf.data.shards import check_ids, count_tokens, read_shard, shard_files
from golf.data.side_car import SPLIT as SIDE_CAR
from golf.data.side_car import check_side_car, has_side_car
from golf.data.tokenizer import load_tokenizer
from golf.errors import Exit, GolfError
from golf.project import find_root

# Validation tokens of the whole official split as the published logs give them, cut to whole sequences; the
# split itself is longer by less than one sequence.
CANONICAL_VAL_TOKENS = {1024: 62_021_632, 4096: 45_508_608, 8192: 40_540_160}
LOOKED_AT = 100_000  # tokens, of which one is beyond any smaller vocabulary
TRIM_TOKENS = 8192  # more than any recipe's sequence length cuts off
CASEOPS_VAL_TOKENS, CASEOPS_VOCABULARY = 47_851_520, 8192  # of the same text after CaseOps
CANONICAL_VAL_BYTES = (151_050_000, 151_100_000)
LEAST_TOKENS = 2  # of a split: something to predict from and something to predict

Track = Literal["10min_16mb", "local"]


@dataclass(frozen=True)
class DataSource:
    """Checked data. `track` is "10min_16mb" when this is the whole official validation split, else "local"."""

    data_path: Path
    tokenizer_path: Path
    track: Track
    name: str
    vocab_size: int
    train_tokens: int
    val_tokens: int
    train_shards: int = 1
    side_car: bool = False  # the bytes of the validation tokens lie beside them

    @cached_property
    def sha256s(self) -> dict[str, str]:
        """sha256 of the tokenizer, every shard and the side-car, by file name; read when first asked for, big files remembered."""
        splits = ("train", "val", SIDE_CAR) if self.side_car else ("train", "val")
        shards = [path for split in splits for path in shard_files(self.data_path, split)]
        return {path.name: remembered_sha256(path) for path in [self.tokenizer_path, *shards]}

    @property
    def tokenizer_sha256(self) -> str:
        """sha256 of the tokenizer's file."""
        return self.sha256s[self.tokenizer_path.name]

    @property
    def data_sha256(self) -> str:
        """One sha256 for all shards (see `digest_of`)."""
        return digest_of({name: value for name, value in self.sha256s.items() if name != self.tokenizer_path.name})

    @property
    def environment(self) -> dict[str, str]:
        """DATA_PATH and TOKENIZER_PATH for the script."""
        return {"DATA_PATH": str(self.data_path), "TOKENIZER_PATH": str(self.tokenizer_path)}


def resolve_data(
    vocab_size: int,
    data_path: str | Path | None = None,
    tokenizer_path: str | Path | None = None,
    root: Path | None = None,
    side_car: bool | None = None,
) -> DataSource:
    """Find and check the data for a vocabulary: the arguments, else DATA_PATH / TOKENIZER_PATH, else
    `<root>/data/datasets/fineweb10B_sp<vocab>`, else the embedded corpus (built when it is not in the cache yet).

    side_car: whether the run counts bytes by a side-car, so that it needs the data after CaseOps; None takes what is named. root: the project (default: the one of the current folder). Where only shards are named, the tokenizer is looked for beside
    them and in `<root>/data/tokenizers`. GolfError: missing or broken shards, a tokenizer of another vocabulary, ids beyond it, shards
    that the tokenizer did not make, a split of fewer than two tokens, a side-car that is missing or of other tokens, and tokens
    after CaseOps for a run that would count them by the look-up table.
    """
    root = root or find_root()
    data = _named(data_path, "DATA_PATH")
    tokenizer = _named(tokenizer_path, "TOKENIZER_PATH")
    official = official_folder(vocab_size, root, CASEOPS if side_car else "")
    if data is None and any(official.glob("fineweb_*.bin")):
        data = official
    if data is not None:
        if side_car and not has_side_car(data):
            raise GolfError(f"this recipe counts the bytes of its tokens by a side-car, and {data} has no fineweb_val_bytes_*.bin",
                            "name shards after CaseOps with DATA_PATH, fetch them: `golf data get --transform caseops`, or make them: "
                            "`golf data make --transform caseops`", Exit.REFUSED)  # fmt: skip
        source = check_source(vocab_size, data, tokenizer or find_tokenizer(vocab_size, data, root))
        if side_car is False and is_caseops(load_tokenizer(source.tokenizer_path)):
            raise GolfError(f"{data} is text after CaseOps, and this recipe would count its bytes by the look-up table, wrongly",
                            'count by the side-car: `target_bytes = "side_car_bytes"` in [data]', Exit.REFUSED)  # fmt: skip
        return source
    if tokenizer is not None:
        raise GolfError(f"tokenizer {tokenizer} is named, but no shards: {official} does not exist",
                        "name a folder of shards with DATA_PATH, or leave out TOKENIZER_PATH for the embedded corpus")  # fmt: skip
    from golf.data.embedded import make_embedded

    embedded = make_embedded(vocab_size, "caseops" if side_car else "none")
    return check_source(vocab_size, embedded.dataset, embedded.tokenizer)


def vocabulary_of_data(
    sizes: tuple[int, int],
    data_path: str | Path | None = None,
    tokenizer_path: str | Path | None = None,
    root: Path | None = None,
    side_car: bool | None = None,
) -> int:
    """The vocabulary of what `resolve_data` would find: of the tokenizer that is named, else the first of `sizes` that fits the named
    shards' first ids, or whose shards lie in the project. The first of `sizes` for the embedded corpus, and for data that are not there."""
    root = root or find_root()
    data, tokenizer = _named(data_path, "DATA_PATH"), _named(tokenizer_path, "TOKENIZER_PATH")
    if tokenizer is not None and tokenizer.is_file():
        return int(load_tokenizer(tokenizer).vocab_size())
    if data is not None:
        shards = sorted(data.glob("fineweb_val_[0-9]*.bin"))
        most = int(read_shard(shards[0])[:LOOKED_AT].max(initial=0)) if shards else 0
        return next((size for size in sizes if most < size), sizes[0])
    folders = {size: official_folder(size, root, CASEOPS if side_car else "") for size in sizes}
    return next((size for size, folder in folders.items() if any(folder.glob("fineweb_*.bin"))), sizes[0])


def official_folder(vocab_size: int, root: Path, transform: str = "") -> Path:
    """Where FineWeb shards of a vocabulary lie in the challenge's layout. transform: the name of the text's, CaseOps' or none."""
    return root / "data" / "datasets" / (f"fineweb10B_sp{vocab_size}" + (f"_{transform}" if transform else ""))


def names_data(vocab_size: int, root: Path | None = None, transform: str = "") -> bool:
    """Whether the environment names data or FineWeb is there: otherwise `resolve_data` takes the embedded corpus."""
    named = bool(os.environ.get("DATA_PATH") or os.environ.get("TOKENIZER_PATH"))
    return named or any(official_folder(vocab_size, root or find_root(), transform).glob("fineweb_*.bin"))


def find_tokenizer(vocab_size: int, data_path: Path, root: Path) -> Path:
    """The tokenizer `*_<vocab>_bpe.model` in `tokenizers/` beside the datasets' folder, else in `<root>/data/tokenizers`.

    Shards with a side-car are those of `*_<vocab>_bpe_*caseops*.model` first.
    """
    folders = [data_path.resolve().parent.parent / "tokenizers", root / "data" / "tokenizers"]
    names = [f"*_{vocab_size}_bpe_*caseops*.model"] * has_side_car(data_path) + [f"*_{vocab_size}_bpe.model"]
    for name, folder in product(names, folders):
        found = sorted(folder.glob(name))
        if len(found) == 1:
            return found[0]
        if found:
            raise GolfError(f"{folder} has {len(found)} tokenizers of {vocab_size:,} pieces: "
                            + ", ".join(path.name for path in found), "name one with TOKENIZER_PATH")  # fmt: skip
    raise GolfError(f"no tokenizer of {vocab_size:,} pieces for {data_path}: neither in {folders[0]} nor in {folders[1]}",
                    "name it with TOKENIZER_PATH, or fetch it: `golf data get`")  # fmt: skip


def check_source(vocab_size: int, data_path: Path, tokenizer_path: Path) -> DataSource:
    """The DataSource of these paths after checking them; raises as `resolve_data`."""
    from golf.data.pair import check_pair

    sp = load_tokenizer(tokenizer_path, vocab_size)
    tokens, shards = {}, {}
    for split in ("train", "val"):
        files = shard_files(data_path, split)
        tokens[split], shards[split] = sum(count_tokens(path) for path in files), len(files)
        for path in files:
            check_ids(path, vocab_size)
        if tokens[split] < LEAST_TOKENS:
            raise GolfError(f"the {split} shards of {data_path} hold {tokens[split]:,} token{'s' * (tokens[split] != 1)}: "
                            "nothing can be predicted from fewer than two", "fetch them again: `golf data get`")  # fmt: skip
        check_pair(sp, files[0], tokenizer_path)
    counted = check_side_car(sp, data_path) if has_side_car(data_path) else None
    if counted is None and is_caseops(sp):
        raise GolfError(f"{tokenizer_path.name} reads text after CaseOps, and {data_path} has no side-car that counts its bytes",
                        "make the shards with it: `golf data make --transform caseops`", Exit.REFUSED)  # fmt: skip
    track = _track(vocab_size, data_path, tokenizer_path, tokens["val"], counted)
    return DataSource(
        data_path.resolve(), tokenizer_path.resolve(), track, data_path.resolve().name,
        vocab_size, tokens["train"], tokens["val"], shards["train"], counted is not None,
    )  # fmt: skip


def _track(vocab_size: int, data_path: Path, tokenizer_path: Path, val_tokens: int, counted: int | None) -> Track:
    """Official data is told by its validation split: its token count where that is known, else its bytes. counted: by a side-car."""
    if counted is not None:
        whole = vocab_size != CASEOPS_VOCABULARY or 0 <= val_tokens - CASEOPS_VAL_TOKENS < TRIM_TOKENS
        return "10min_16mb" if whole and CANONICAL_VAL_BYTES[0] <= counted <= CANONICAL_VAL_BYTES[1] else "local"
    if vocab_size in CANONICAL_VAL_TOKENS:
        over = val_tokens - CANONICAL_VAL_TOKENS[vocab_size]
        return "10min_16mb" if 0 <= over < TRIM_TOKENS else "local"
    least, most = CANONICAL_VAL_BYTES
    if val_tokens < least // 10:  # no vocabulary of 65,536 or less packs ten bytes into a token: spare the count
        return "local"
    from golf.data.accounting import byte_tables, count_bytes
    from golf.data.shards import read_split

    text_bytes = count_bytes(byte_tables(load_tokenizer(tokenizer_path)), read_split(data_path, "val"))
    return "10min_16mb" if least <= text_bytes <= most else "local"


def _named(argument: str | Path | None, variable: str) -> Path | None:
    value = argument or os.environ.get(variable)
    return Path(value).expanduser() if value else None


def split_paths(
    vocab_size: int, data_path: Path | None = None, train: Path | None = None, val: Path | None = None
) -> tuple[list[Path], list[Path]]:
    """The shards of train and of validation: each a folder or a file where named, else those of the data of this project."""
    data = None if train and val else resolve_data(vocab_size, data_path).data_path
    named = {"train": train or data, "val": val or data}
    found = [[path] if path.is_file() else shard_files(path, split) for split, path in named.items() if path]
    return found[0], found[1]
