"""Documents from any text that the Hugging Face `datasets` library streams: local files or a data set on the hub.

Nothing is copied and nothing is held in memory: a source is read once, from any document on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError

READERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".txt": "text", ".arrow": "arrow"}
COMPRESSED = (".gz", ".xz", ".zst", ".bz2")


@dataclass(frozen=True)
class TextSource:
    """Where documents come from. `files`: local ones, in order; else `hub`, a data set as `user/name` with its config.

    column: the field that holds the text (of a `.txt` file every line is a document, in the field `text`).
    """

    files: tuple[Path, ...] = ()
    hub: str = ""
    config: str | None = None
    column: str = "text"
    split: str = "train"

    @property
    def identity(self) -> dict[str, Any]:
        """What tells this source from another: a making goes on only with the same."""
        files = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in self.files]
        return {"files": files, "hub": self.hub, "config": self.config, "column": self.column, "split": self.split}

    def read(self, start: int = 0) -> Iterator[str]:
        """The documents from number `start` on. GolfError: no such data set or column, a broken file, no network."""
        number = 0
        for place in self.files or (self.hub,):
            rows = iter(self._open(place))
            while True:
                try:
                    row = next(rows, None)
                except Exception as fault:  # the readers below raise whatever their formats know
                    raise GolfError(f"document {number:,} of {self.name} cannot be read: {_first_line(fault)}",
                                    "mend the file, or leave it out") from fault  # fmt: skip
                if row is None:
                    break
                if number >= start:
                    yield self._text(number, row)
                number += 1

    def _text(self, number: int, row: dict[str, Any]) -> str:
        text = row.get(self.column)
        if not isinstance(text, str):
            has = f"it is {type(text).__name__}" if self.column in row else "the fields are " + ", ".join(row)
            raise GolfError(f"document {number:,} of {self.name} has no text in `{self.column}`: {has}",
                            "name the field of the text: `--column`")  # fmt: skip
        return text

    @property
    def name(self) -> str:
        """What to call it."""
        return self.hub or ", ".join(path.name for path in self.files[:3]) + (", …" if len(self.files) > 3 else "")

    def _open(self, place: Path | str) -> Any:
        if isinstance(place, str):
            from golf.data.fetch import check_reach

            check_reach()
        import datasets

        datasets.utils.logging.set_verbosity_error()
        datasets.config.TORCH_AVAILABLE = (
            False  # it would load torch (170 MB) to ask whether this is one of torch's loaders
        )
        try:
            if isinstance(place, str):
                return datasets.load_dataset(place, self.config, split=self.split, streaming=True)
            # one file after another: their other fields may differ
            return datasets.load_dataset(_kind(place), data_files=str(place), split="train", streaming=True)
        except Exception as fault:
            raise GolfError(f"{place} cannot be opened: {_first_line(fault)}",
                            "name local files, or a data set of the hub where there is network", Exit.REFUSED) from fault  # fmt: skip


def text_source(names: Sequence[str], *, column: str = "text", split: str = "train") -> TextSource:
    """The source that `names` mean: files and folders of files that exist, else one `user/name[:config]` of the hub."""
    paths = [Path(name).expanduser() for name in names]
    if all(path.exists() for path in paths) and paths:
        files = tuple(file.resolve() for path in paths for file in _files_of(path))
        for file in files:
            _kind(file)
        return TextSource(files, column=column)
    missing = [name for name, path in zip(names, paths, strict=True) if not path.exists()]
    if len(names) != 1 or names[0].count("/") != 1 or names[0].startswith((".", "/", "~")) or _suffix(paths[0]):
        raise GolfError(f"no text {missing[0] if missing else '(none named)'}",
                        "name files (.jsonl, .parquet, .csv, .txt; .gz, .xz, .zst of them), a folder of them, or USER/NAME on the hub")  # fmt: skip
    hub, _, config = names[0].partition(":")
    return TextSource(hub=hub, config=config or None, column=column, split=split)


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = [file for file in sorted(path.iterdir()) if file.is_file() and _suffix(file)]
    if not found:
        raise GolfError(f"{path} holds no text files", "they end with " + ", ".join(READERS))
    return found


def _suffix(path: Path) -> str:
    """`.jsonl` of `x.jsonl.xz`; empty for what no reader reads."""
    inner = Path(path.stem) if path.suffix in COMPRESSED else path
    return inner.suffix if inner.suffix in READERS else ""


def _kind(path: Path) -> str:
    suffix = _suffix(path)
    if not suffix:
        raise GolfError(f"{path} is no text that golf reads", "files end with " + ", ".join(READERS))
    return READERS[suffix]


def _first_line(fault: BaseException) -> str:
    return (str(fault).splitlines() or [""])[0][:200] or type(fault).__name__
