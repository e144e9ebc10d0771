"""Where the bytes of an artifact go: script, manifest and compressed payload from disk, and what each tensor is before the coder."""

import math
import re
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from golf.challenge import SCRIPT
from golf.errors import GolfError
from golf.files import parse_json
from golf.project import is_adopted

# the head of golf's container (golf.parts.artifact): magic, version, coder, manifest and its unpacked length, payload likewise
HEADER = struct.Struct("<4sB8sIIQQ")
MAX_MANIFEST_BYTES = 1 << 24


@dataclass(frozen=True)
class Weights:
    """Bytes of one artifact. tensors: name → bytes as quantized, before the coder; payload_bytes is what they take on disk."""

    coder: str
    manifest_bytes: int
    payload_bytes: int
    tensors: dict[str, int]


def read_weights(artifact: Path) -> Weights | None:
    """The weights of a golf container; None when it is none, or none that can be read."""
    try:
        with artifact.open("rb") as file:
            magic, _, coder, manifest_bytes, text_bytes, payload_bytes, _ = HEADER.unpack(file.read(HEADER.size))
            if magic != b"GOLF" or max(manifest_bytes, text_bytes) > MAX_MANIFEST_BYTES:
                return None
            text = zlib.decompressobj().decompress(file.read(manifest_bytes), max(text_bytes, 1))  # 0 is no bound
        tensors = {str(name): _bytes_of(str(dtype), shape) for name, dtype, shape in parse_json(text)["tensors"]}
    except (OSError, struct.error, zlib.error, ValueError, KeyError, TypeError):
        return None
    return Weights(coder.rstrip(b"\0").decode("ascii", "replace"), manifest_bytes, payload_bytes, tensors)


def _bytes_of(dtype: str, shape: list[int]) -> int:
    bits = re.search(r"\d+", dtype)
    return math.prod(shape) * (int(bits[0]) // 8 if bits else 1)


def largest(tensors: dict[str, int], most: int = 18) -> dict[str, float]:
    """The largest tensors, those that differ only in the layer's number together, and the rest as one."""
    groups: dict[str, float] = {}
    for name, size in tensors.items():
        group = re.sub(r"(?<=\.)\d+(?=\.)", "*", name)
        groups[group] = groups.get(group, 0.0) + size
    ranked = sorted(groups.items(), key=lambda item: -item[1])
    shown = dict(ranked[:most])
    if rest := sum(size for _, size in ranked[most:]):
        shown[f"{len(ranked) - most} more"] = rest
    return shown


@dataclass(frozen=True)
class Shipped:
    """What ships besides the model: the script's bytes, and other files, name → path.

    files: read by the script, so counted; beside: shipped by its authors, read by no script of a run (data preparation, tokenizer).
    """

    script: bytes
    files: dict[str, Path]
    packed: bool
    beside: dict[str, Path] = field(default_factory=dict)

    @property
    def code_bytes(self) -> int:
        """Script and files as counted."""
        return len(self.script) + sum(path.stat().st_size for path in self.files.values())


def _of_strangers(submission: Path, set_folder: Path, script: bytes) -> Shipped:
    """An imported script as it ran, with everything that its authors put beside it."""
    from golf.reading.script import read_source
    from golf.run.foreign import shipped_beside

    names = {path.relative_to(submission).as_posix(): path for path in shipped_beside(submission)}
    files = {name: here if (here := set_folder / name).is_file() else path for name, path in names.items()}
    source = read_source(set_folder / SCRIPT, submission)
    read = {path.relative_to(submission).as_posix() for path in (*source.helpers, *source.data)}
    beside = {name: path for name, path in files.items() if name not in read}
    return Shipped(script, {name: path for name, path in files.items() if name in read}, packed=False, beside=beside)


def shipped_of(set_folder: Path) -> Shipped:
    """What `golf package` put into the set's package, if it did for this very script; else the script that ran, as it is."""
    readable = (set_folder / SCRIPT).read_bytes()
    if is_adopted(submission := set_folder.parent.parent):
        return _of_strangers(submission, set_folder, readable)
    folder = set_folder / "package"
    if not (folder / "manifest.json").is_file():
        return Shipped(readable, {}, packed=False)
    try:
        listed = parse_json((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
        names = [str(entry["name"]) for entry in listed]
        script = (folder / SCRIPT).read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise GolfError(f"`{folder}` is damaged: {fault}", "package again: `golf package`") from fault
    files = {name: folder / name for name in names if "/" not in name and name != SCRIPT}
    return Shipped(script, files, packed=script != readable)
