"""Options that every study has, whatever its verb."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from golf.run.plan import Wishes

Trials = Annotated[int | None, typer.Option(help="Budget: begin at most so many trials.")]
Seconds = Annotated[float | None, typer.Option(help="Budget: wall seconds, all calls together.")]
Dollars = Annotated[float | None, typer.Option(help="Budget: dollars at --rate.")]
Rate = Annotated[float | None, typer.Option(help="Price of this machine in $/h.")]
Engine = Annotated[
    str,
    typer.Option(metavar="local|ray", help="Where trials run: on this machine, or on a Ray cluster (RAY_ADDRESS)."),
]
Parallel = Annotated[int, typer.Option(help="Runs at a time, each on GPUs of its own (one, unless --nproc).")]
Nproc = Annotated[int | None, typer.Option(help="Processes of a run: 1, 2, 4, 8.")]
Track = Annotated[
    list[str] | None, typer.Option(metavar="TRACKER", help="Tell wandb, trackio or tensorboard of every run; offline.")
]
Smoke = Annotated[bool, typer.Option("--smoke", help="Run small twins.")]
Iterations = Annotated[int | None, typer.Option(help="Training steps at most.")]
MaxWallclockSeconds = Annotated[float | None, typer.Option(help="Training clock; 0 counts steps.")]
Allow = Annotated[list[str] | None, typer.Option(help="Run what this rule forbids, e.g. R38.")]
DataPath = Annotated[Path | None, typer.Option(help="Folder of fineweb_*.bin shards.")]
TokenizerPath = Annotated[Path | None, typer.Option(help="SentencePiece .model file.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a study that was begun; --name alone says which.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="List the trials and what they cost at most; make and run nothing.")
]


def wishes(engine: str, parallel: int, allow: list[str] | None, **asked: Any) -> "Wishes":
    """What every run of a study is asked. On a cluster the runs side by side are the engine's, each is alone on its node."""
    from golf.run.plan import Wishes

    return Wishes(allow=tuple(allow or ()), parallel=parallel if engine == "local" else 1, resume=True, **asked)


def checked_trackers(names: Sequence[str]) -> tuple[str, ...]:
    """The trackers that are named. GolfError for one that golf does not know."""
    from golf.errors import GolfError
    from golf.run.track import TRACKERS

    for name in names:
        if name not in TRACKERS:
            raise GolfError(f"no tracker `{name}`", f"there are: {', '.join(TRACKERS)}")
    return tuple(dict.fromkeys(names))
