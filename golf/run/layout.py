"""Where a run's files lie: `submissions/<name>/runs/<set>/seed_<seed>/`, the script that ran one level up.

A set is one script: the first 12 digits of its sha256, with `-smoke` for the small twin and `-here` for an imported script, whose
runs on other machines are the set without it: their seeds are not one sample. A former run of the same seed is moved aside to `seed_<seed>.1`, `.2`, …: nothing is overwritten.
"""

from dataclasses import dataclass
from pathlib import Path

from golf.challenge import SCRIPT

CHECKPOINT = "float.golf"
HESSIANS = "hessians.golf"
CHECKPOINTS = (CHECKPOINT, HESSIANS)  # what export reads
TRAINING = "resume.golf"  # where a training without a clock stands
BEST, LAST = "best.golf", "last.golf"  # its state at the least validation loss and at the end, where they are kept
ARTIFACT = "model.golf"
HERE = "-here"
TWIN = "-smoke"


def set_id(script_sha256: str, *, smoke: bool, foreign: bool = False) -> str:
    """The name of the folder of all runs of one script."""
    return script_sha256[:12] + (TWIN if smoke else HERE if foreign else "")


def is_foreign(set_id: str) -> bool:
    """Whether this is a set of runs, here, of a script that golf did not compose."""
    return set_id.endswith(HERE)


def is_twin(set_id: str) -> bool:
    """Whether this is a set of runs of a small twin."""
    return set_id.endswith(TWIN)


@dataclass(frozen=True)
class SeedFolder:
    """The folder of one seed of one set, and its two locks beside it."""

    set_folder: Path
    seed: int

    @property
    def path(self) -> Path:
        """The working folder of the script."""
        return self.set_folder / f"seed_{self.seed}"

    @property
    def script(self) -> Path:
        """The exact bytes that run."""
        return self.set_folder / SCRIPT

    @property
    def log(self) -> Path:
        """Everything that the script printed."""
        return self.path / f"train_seed{self.seed}.log"

    @property
    def script_lock(self) -> Path:
        """Held by the script while it runs."""
        return self.set_folder / f".seed_{self.seed}.lock"

    @property
    def watch_lock(self) -> Path:
        """Held by the golf that watches it."""
        return self.set_folder / f".seed_{self.seed}.watch"

    def next_aside(self, taken: set[str]) -> str:
        """A free folder name for a former run of this seed."""
        number = 1
        while self.path.with_name(f"seed_{self.seed}.{number}").exists() or f"seed_{self.seed}.{number}" in taken:
            number += 1
        return f"seed_{self.seed}.{number}"
