"""The whole journey on data that every machine has: a submission, three seeds, an artifact, a verdict, a record, a board.

Every step is a command that a user could type; it is printed before it runs. What is already there is kept.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from golf.errors import Exit, GolfError

AUTHOR = ("local demo", "local-demo")


@dataclass(frozen=True)
class Demo:
    """folder: the demo's project. seeds: comma-separated."""

    folder: Path
    recipe: str = "baseline"
    seeds: str = "1337,42,7"
    name: str = "demo"


def travel(demo: Demo) -> float:
    """Go through the journey; returns its seconds. GolfError, with that step's exit code, where a step fails."""
    begun = time.perf_counter()
    (demo.folder / "submissions").mkdir(parents=True, exist_ok=True)
    with inside(demo.folder):
        if Path(f"submissions/{demo.name}/recipe.toml").is_file():
            call("compose", demo.name)
        else:
            call("new", demo.name, "--from", demo.recipe)
        call("run", demo.name, "--smoke", "--resume", "--seeds", demo.seeds)
        call("package", demo.name, "--smoke")
        if call("verify", f"submissions/{demo.name}", "--quick", fine=(Exit.OK, Exit.UNKNOWN)) is Exit.UNKNOWN:
            print("what could not be told stands above; nothing is broken, so the journey goes on", flush=True)
        record(demo.name)
        call("leaderboard", "--status", "local")
    return time.perf_counter() - begun


def call(verb: str, *words: str, fine: tuple[Exit, ...] = (Exit.OK,)) -> Exit:
    """Run one command of golf in this process, as if it had been typed; returns its exit code, GolfError for one that is not `fine`."""
    from golf.cli import load_verb

    print(f"\n$ golf {verb} {' '.join(words)}", flush=True)
    answer = load_verb(verb).main([*words], prog_name=f"golf {verb}", standalone_mode=False)
    code = Exit(answer) if isinstance(answer, int) else Exit.OK
    if code not in fine:
        raise GolfError(
            f"`golf {verb}` ended with {code}: {code.name.lower().replace('_', ' ')}",
            f"see above; the demo's project is {Path.cwd()}",
            code,
        )
    return code


def record(name: str) -> None:
    """Write the record, credited to nobody in particular; one of the same day with the same scores is kept."""
    from golf.project import find_submission
    from golf.record.write import Wishes, write_record

    print(f"\n$ golf record {name}", flush=True)
    try:
        print(write_record(find_submission(name), Wishes(author=AUTHOR)))
    except GolfError as fault:
        if fault.code != Exit.REFUSED or "exists" not in fault.message:
            raise
        print(f"kept: {fault.message}")


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """The folder as the current one, for as long as it takes."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
