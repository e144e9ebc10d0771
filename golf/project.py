"""Where things are: the project's root, a submission's folder, the user's cache and settings.

A project is a folder with `submissions/` (or `.golf/`); golf's own checkout is one, and so is any folder in which `golf new` ran.
"""

import os
import subprocess
import tomllib
from difflib import get_close_matches
from pathlib import Path

from golf.errors import GolfError

DEMO = "golf-demo"  # the folder of the demo's project, unless another is named
ADOPTED = (
    "none (adopted)"  # stands in golf.lock of an imported script, where composed ones name the golf that made them
)


def find_root(start: Path | None = None) -> Path:
    """The project that `start` (default: the current folder) lies in: the nearest folder with `submissions/` or `.golf/`.

    Where there is none, the current folder: `golf new` starts a project there.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "submissions").is_dir() or (folder / ".golf").is_dir():
            return folder
    return here


def find_submission(name: str | None = None, root: Path | None = None) -> Path:
    """The folder of submission `name` (a name or a path); without a name, the submission that the current folder lies in.

    Raises GolfError when there is none, naming near misses.
    """
    if name is None:
        here = Path.cwd().resolve()
        for folder in (here, *here.parents):
            if (folder / "recipe.toml").is_file():
                return folder
        raise GolfError("no submission here: neither this folder nor one above it has a recipe.toml",
                        "name one (`golf ls` lists them), or make one: `golf new mine --from baseline`")  # fmt: skip
    for candidate in (Path(name), (root or find_root()) / "submissions" / name):
        if (candidate / "recipe.toml").is_file():
            return candidate.resolve()
    near = get_close_matches(name, submission_names(root), n=1)
    recipe = (
        name if name.isidentifier() and Path(__file__).with_name("recipes").joinpath(f"{name}.toml").is_file() else ""
    )
    make = (
        f"make one of the recipe: `golf new mine --from {name}`"
        if recipe
        else f"make it: `golf new {name} --from baseline`"
    )
    raise GolfError(
        f"no submission `{name}` in {root or find_root()}",
        f"did you mean `{near[0]}`?" if near and not recipe else make,
    )


def is_adopted(submission: Path) -> bool:
    """Whether the submission was imported: its script is its authors' own, not composed from its recipe."""
    lock = submission / "golf.lock"
    return lock.is_file() and ADOPTED in lock.read_text(encoding="utf-8", errors="replace")


def submission_names(root: Path | None = None) -> list[str]:
    """The names of the project's submissions, sorted."""
    folder = (root or find_root()) / "submissions"
    return sorted(path.parent.name for path in folder.glob("*/recipe.toml"))


def cache_dir() -> Path:
    """golf's folder in the user's cache (XDG_CACHE_HOME, else ~/.cache): corpora, tokenizers, shards; all rebuildable."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "golf"


def author() -> tuple[str, str]:
    """(author, GitHub id) from ~/.config/golf.toml, else git's user.name for both; GolfError when neither tells."""
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "golf.toml"
    if settings.is_file():
        try:
            table = tomllib.loads(settings.read_text())
        except tomllib.TOMLDecodeError as fault:
            raise GolfError(f"{settings} is not TOML: {fault}", 'write `author = "…"` and `github_id = "…"`') from fault
        if table.get("author"):
            return str(table["author"]), str(table.get("github_id") or table["author"])
    try:
        git = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False)
        name = git.stdout.strip()
    except OSError:
        name = ""
    if name:
        return name, name
    raise GolfError("nobody to credit: neither ~/.config/golf.toml nor git's user.name names an author",
                    'write `author = "You"` and `github_id = "you"` to ~/.config/golf.toml')  # fmt: skip
