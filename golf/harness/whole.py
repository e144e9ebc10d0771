"""A stranger's script as a whole, small, on the CPU: laid out in the box, played, observed."""

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from golf.challenge import SCRIPT
from golf.data.side_car import SPLIT
from golf.files import files_below, sha256_of
from golf.harness.box import Box, tail_of
from golf.harness.inside.play import LOGS, TWIN_BEGUN, TWIN_MARK, UNREAD_SECONDS
from golf.harness.settings import SIZES, class_sizes, environment, names_read, published
from golf.harness.texts import Ids, lay_data
from golf.harness.vocabulary import Vocabulary

NOT_TAKEN = (
    "*.log",
    "*.ptz",
    "final_model*",
    "__pycache__",
    ".*",
    "*.png",
    "*.svg",
    "*.pt",
    "original",
    "runs",
    "logs",
)
MOST_FILE_BYTES = 64 << 20
MOST_FILES = 200
MORE_STEPS = int(SIZES["WARMUP_STEPS"]) + 4  # of an optimizer beside its iterations; what steps on adapts
LARGEST_LAID_BYTES = 64 << 20


@dataclass(frozen=True)
class Wish:
    """How to play. train_rate, late_rate: factors on the rates of optimizers made before and after the first step; quiet: a
    factor on the tables over the vocabulary at the start, so that the untrained model predicts almost uniformly.

    twin: "garbage" forks a twin that reads garbage wherever the run reads back a file that it wrote; "alone" one that goes on from there in an
    empty folder with what ships and that file; "disturbed" disturbs the tensors that the run itself loads into its model after it wrote something. product: the name of the one
    that `twin` and `kept` are for; None: all. drawn: the text that a
    script gets that draws its own by `torch.randint`. extra: variables on top of all others. late_call_seconds: what each look at the clock takes
    once something was written; 0: as before. keep: put aside what is written, for a play with `kept`, which reads that in place of its own.
    """

    seed: int = 1337
    train_rate: float = 1e-4
    late_rate: float = 1.0
    quiet: float = 1.0
    twin: str | None = None
    product: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 240.0
    late_call_seconds: float = 0.0
    keep: bool = False
    kept: bool = False


@dataclass(frozen=True)
class Played:
    """What a play showed. text: all that it printed and logged; files: sha256 of every other file that it wrote, by name.

    code: its exit code, None where it was stopped; unread: files that it wrote and nothing read; events: what was watched, in order.
    """

    code: int | None
    stopped: bool
    why: str | None
    seconds: float
    cpu_seconds: float
    text: str
    twin_text: str
    files: Mapping[str, str]
    unread: tuple[str, ...]
    events: tuple[Mapping[str, Any], ...]
    left: int

    @property
    def ran(self) -> bool:
        """Whether it came to its end by itself."""
        return self.code == 0

    @property
    def fault(self) -> str | None:
        """Why it did not: the last line that says so."""
        if self.ran:
            return None
        if self.stopped:
            return self.why or f"stopped after {self.seconds:.0f} s"
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        told = next(
            (line for line in reversed(lines) if "Error" in line or "Exception" in line or "Exit" in line), None
        )
        return (told or (lines[-1] if lines else f"it ended with {self.code}"))[:300]

    @property
    def last_twin(self) -> str | None:
        """What the twin printed that was forked where the last file was read back; None where there
        was none, or where it died before it went on."""
        parts = self.twin_text.split(f"\n{TWIN_MARK}")
        return parts[-1] if len(parts) > 1 and TWIN_BEGUN in parts[-1] else None

    def happened(self, event: str) -> list[Mapping[str, Any]]:
        """The events of a name."""
        return [each for each in self.events if each["event"] == event]


@dataclass(frozen=True)
class Way:
    """What a script is told of the machine. half: float16 is itself, not float32; is_cuda: tensors say that they lie on a GPU."""

    half: bool = False
    is_cuda: bool = True


class Whole:
    """A script with the files beside it, ready to be played in a box any number of times, always in the same place."""

    def __init__(
        self, box: Box, script: Path, folder: Path | None, text: str | None = None, sources: Iterable[str] = ()
    ) -> None:
        """script: the file; folder: where it ships from (None: the script alone); text: what to run instead of the file's;
        sources: its unpacked texts, for the names that it reads."""
        self.box = box
        raw = script.read_bytes()
        self.content = text.encode() if text is not None else raw
        self.beside = self._beside(script, folder) if folder is not None else {}
        helpers = [body.decode("utf-8", "replace") for name, body in self.beside.items() if name.endswith(".py")]
        self.texts = [*sources, self.content.decode("utf-8", "replace"), *helpers]
        self.names = names_read(self.texts)
        self.shown = published(folder, self.names) if folder is not None else {}
        self.way = Way()
        self.played = 0

    @property
    def data_beside(self) -> tuple[str, ...]:
        """Files of data that ship with the script and that its code names."""
        return tuple(
            name for name in sorted(self.beside)
            if not name.endswith((".py", ".md", ".sh")) and any(Path(name).name in text for text in self.texts)
        )  # fmt: skip

    def ways(self) -> list[Way]:
        """The ways to play it, the usual one first: then with two bytes of float16, which some lay out by hand, then with what it does
        where there is no GPU, which may be the plain twin of a kernel."""
        text = "\n".join(self.texts)
        found = [Way()]
        if ".half()" in text or "float16" in text.replace("bfloat16", ""):
            found.append(Way(half=True))
        if "is_cuda" in text:
            found.append(Way(is_cuda=False))
        return found

    @staticmethod
    def _beside(script: Path, folder: Path) -> dict[str, bytes]:
        found = {}
        for path in files_below(folder, skip=NOT_TAKEN):
            if path.stat().st_size <= LARGEST_LAID_BYTES and path.resolve() != script.resolve():
                found[str(path.relative_to(folder))] = path.read_bytes()
        return found

    def play(self, vocabulary: Vocabulary, train: Ids, val: Ids, wish: Wish) -> Played:
        """One play on these texts; the folder and the data lie at the same paths every time."""
        work, data = self.box.place / "work", self.box.place / "data"
        kept = data / "kept"
        _empty(work)
        for name, content in self.beside.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(content)
        (work / SCRIPT).write_bytes(self.content)
        side_car = any(SPLIT in text for text in self.texts)
        paths = lay_data(data, vocabulary, train, val, side_car=side_car)
        link = work / "data"
        if not link.exists():
            link.symlink_to(data)
        laid = {SCRIPT, *self.beside}
        home = str(self.box.place / "home")
        variables = {
            "PATH": "/usr/bin:/bin", "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "PYTHONHASHSEED": "0",
            **environment(self.names, self.shown), **({"CASEOPS_ENABLED": "1"} if side_car else {}), **paths, "SEED": str(wish.seed), **wish.extra,
        }  # fmt: skip
        job = {
            "script": SCRIPT,
            "folder": str(work),
            "environment": variables,
            "sizes": class_sizes(
                self.texts, vocabulary.size, {k: float(v) for k, v in wish.extra.items() if _is_number(v)}
            ),
            "seed": wish.seed,
            "train_rate": wish.train_rate,
            "train_steps": int(float(wish.extra.get("ITERATIONS", SIZES["ITERATIONS"]))) + MORE_STEPS,
            "late_rate": wish.late_rate,
            "quiet": wish.quiet,
            "twin": wish.twin,
            "product": wish.product,
            "half": self.way.half,
            "is_cuda": self.way.is_cuda,
            "late_call_seconds": wish.late_call_seconds,
            "kept": str(kept) if wish.kept else None,
            "drawn": val.tolist(),
            "vocab_size": vocabulary.size,
        }
        answer = self.box.play(job, wish.seconds)
        self.played += 1
        logs, files, unread = _written(work, laid)
        if wish.keep:
            _put_aside(work, kept, files)
        unread = unread if tells_reads(self.box.place / "seen") else ()
        return Played(
            answer["code"], bool(answer["stopped"]), answer.get("why"), answer["seconds"], answer["cpu_seconds"],
            _joined(answer["output"], logs), answer["twin_output"], files, unread, tuple(answer["events"]), answer["left"],
        )  # fmt: skip


@cache
def tells_reads(folder: Path) -> bool:
    """Whether the file system of a folder moves a file's time of access when it is read: mounted with `noatime` it does not."""
    path = folder / "read.probe"
    path.write_bytes(b"?")
    os.utime(path, (UNREAD_SECONDS, path.stat().st_mtime))
    path.read_bytes()
    moved = path.stat().st_atime != UNREAD_SECONDS
    path.unlink()
    return moved


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _joined(output: str, logs: list[str]) -> str:
    """What was printed, and behind it the lines of log files that were not printed."""
    known = set(output.splitlines())
    rest = [line for text in logs for line in text.splitlines() if line not in known]
    return output + ("\n" + "\n".join(rest) if rest else "")


def _written(work: Path, laid: set[str]) -> tuple[list[str], dict[str, str], tuple[str, ...]]:
    """(texts of the logs, sha256 of the other files, those of them that nothing read) of a play; links and pipes are left alone."""
    logs: list[str] = []
    files: dict[str, str] = {}
    unread: list[str] = []
    for place, folders, names in os.walk(work):
        folders[:] = sorted(name for name in folders if not os.path.islink(os.path.join(place, name)))
        for name in sorted(names):
            path = Path(place, name)
            short = str(path.relative_to(work))
            if short in laid or len(files) >= MOST_FILES or not _is_plain(path):
                continue
            if path.suffix in LOGS:
                logs.append(tail_of(path))
            elif path.stat().st_size <= MOST_FILE_BYTES:
                unread += [short] if path.stat().st_atime == UNREAD_SECONDS else []
                files[short] = sha256_of(path.read_bytes())
    return logs, files, tuple(unread)


def _put_aside(work: Path, kept: Path, products: Iterable[str]) -> None:
    """Copy the products of a play into `kept`, in place of what lay there."""
    shutil.rmtree(kept, ignore_errors=True)
    for short in products:
        (kept / short).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(work / short, kept / short)


def _is_plain(path: Path) -> bool:
    import stat

    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _empty(folder: Path) -> None:
    """Remove everything in `folder`, links themselves and not what they name."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            os.unlink(entry.path)
