"""`--smoke` of an imported script: the whole script, small, once, in the harness's box. A look at whether it runs, and no result.

No row of the run store is written: nothing of it may ever stand beside a run, on a board or in a record.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.errors import Exit
from golf.harness.box import Box
from golf.harness.texts import uniform_text
from golf.harness.vocabulary import mixed
from golf.harness.whole import Played, Whole, Wish
from golf.reading.script import find_script, read_source

VOCABULARY, TRAIN_TOKENS, VAL_TOKENS = 1024, 24_000, 8192
SECONDS = 300.0
MARK = "a CPU whole: made-up text, a few steps, sizes cut to a CPU; not a challenge result"


@dataclass(frozen=True)
class WholeRun:
    """What one small whole run showed. fault: why it did not come to its end."""

    submission: str
    script: Path
    played: Played

    @property
    def exit(self) -> Exit:
        """0 where it ran to its end, else 6."""
        return Exit.OK if self.played.ran else Exit.UNKNOWN

    def as_dict(self) -> dict[str, Any]:
        """As plain data, marked for what it is."""
        return {
            "submission": self.submission, "script": self.script.name, "kind": "cpu_whole", "challenge_result": False, "mark": MARK,
            "ran": self.played.ran, "fault": self.played.fault, "seconds": round(self.played.seconds, 2),
            "cpu_seconds": round(self.played.cpu_seconds, 2), "wrote": sorted(self.played.files),
            "read_back": [str(each.get("path", "")).rpartition("/")[2] for each in self.played.happened("read back")],
            "log_tail": self.played.text.splitlines()[-20:],
        }  # fmt: skip


def run_whole(folder: Path, *, seed: int = 1337, text_seed: int | None = None, unsafe: bool = False) -> WholeRun:
    """Run the imported submission in `folder` once, whole and small. GolfError (10) where the box has no walls.

    text_seed: of the made-up text; default: `seed`, so that another seed is another text too.
    """
    beside = folder / "original" if (folder / "original").is_dir() else folder
    script = find_script(beside) or folder / "train_gpt.py"
    vocabulary = mixed(VOCABULARY)
    train, val = (
        uniform_text(vocabulary, count, (seed if text_seed is None else text_seed) + at).ids
        for at, count in enumerate((TRAIN_TOKENS, VAL_TOKENS))
    )
    with Box(unsafe=unsafe) as box:
        whole = Whole(box, script, beside, sources=(read_source(script).main.text,))
        played = whole.play(vocabulary, train, val, Wish(seed=seed, train_rate=1.0, seconds=SECONDS))
    return WholeRun(folder.name, script, played)
