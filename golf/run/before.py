"""Before a start: the recipe's code has run once at no cost (golf.preflight), and the data are enough for it."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from golf.challenge import SCRIPT
from golf.errors import Exit, GolfError
from golf.files import sha256_of, write_atomically
from golf.recipe import Recipe, load_recipe, smoke_recipe
from golf.run.plan import Plan

MEMORY = "preflight.txt"  # in .golf: what has passed, so that it is not asked twice


def check_before(plan: Plan, say: Callable[[str], None]) -> None:
    """GolfError (exit 10) where the script of a plan cannot run. What passed once is remembered until script or torch change.

    A small twin rehearses itself, so before it only the full size is looked at. Imported scripts have no recipe to check; their text
    says what they need.
    """
    if plan.source.foreign:
        if not plan.source.smoke:
            refuse_what_cannot_start(plan)
        return
    recipe = load_recipe(plan.source.folder / "recipe.toml")
    refuse_little_data(plan, smoke_recipe(recipe, plan.source.vocab_size) if plan.source.smoke else recipe)
    if plan.inputs.max_wallclock_seconds:
        refuse_short_clock(recipe, plan.inputs.max_wallclock_seconds)
    if recipe.package != "golf.parts":
        return
    memory, key = plan.root / ".golf" / MEMORY, _key(plan)
    known = memory.read_text(encoding="utf-8").split() if memory.is_file() else []
    if key in known:
        return
    from golf.preflight import preflight

    say(f"preflight: {plan.source.name} at full size, without a start")
    preflight(recipe, rehearse=not plan.source.smoke)
    remember(memory, [*known, key][-200:])


def refuse_what_cannot_start(plan: Plan) -> None:
    """An imported script that this machine cannot start: CUDA that is not here, a package, a newer Python. Seen in its text."""
    from golf.reading.needs import needs_of

    needs = needs_of(plan.source.folder / SCRIPT)
    lacking = needs.lacking(has_cuda=bool(plan.machine.gpus))
    if lacking:
        named = f"{', '.join(lacking[:-1])} and {lacking[-1]}" if len(lacking) > 1 else lacking[0]
        raise GolfError(f"{plan.source.name} cannot start here: needs {named}",
                        f"run it where these are; its results come back by `golf import {plan.source.name} --logs …`", Exit.REFUSED)  # fmt: skip


def refuse_little_data(plan: Plan, recipe: Recipe) -> None:
    """Fewer validation tokens than a window score nothing; a loader of shards of its own needs one a rank."""
    window = int(recipe.values.get("eval_seq_len", 1))
    if plan.data.val_tokens is not None and plan.data.val_tokens <= window:
        raise GolfError(f"{plan.data.path} holds {plan.data.val_tokens:,} validation tokens, fewer than one window of "
                        f"eval_seq_len + 1 = {window + 1:,}", "name other shards with DATA_PATH: `golf data get`", Exit.REFUSED)  # fmt: skip
    own = str(recipe.values.get("loader", "")).endswith("ShuffledSequences")
    if own and plan.data.train_shards is not None and plan.data.train_shards < plan.nproc:
        raise GolfError(f"{plan.data.path} holds {plan.data.train_shards} train shard(s) for {plan.nproc} processes, and the loader "
                        "of this recipe reads one a process", f"`--nproc {max(plan.data.train_shards, 1)}`, or more shards: "
                        "`golf data get`", Exit.REFUSED)  # fmt: skip


def refuse_short_clock(recipe: Recipe, cap_seconds: float) -> None:
    """A clock that calibration's reserve eats up would never stop the training."""
    reserve = float(recipe.values.get("reserve_seconds", 0.0))
    if reserve >= cap_seconds:
        raise GolfError(f"`--max-wallclock-seconds {cap_seconds:g}` leaves nothing to train in: the recipe keeps "
                        f"reserve_seconds = {reserve:g} for calibration", "a longer clock, or count steps: "
                        "`--max-wallclock-seconds 0 --iterations N`", Exit.REFUSED)  # fmt: skip


def remember(memory: Path, keys: list[str]) -> None:
    """Write what has passed, whole or not at all; where that is impossible it is asked again next time."""
    with suppress(OSError):
        write_atomically(memory, ("\n".join(keys) + "\n").encode())


def _key(plan: Plan) -> str:
    from importlib.metadata import version

    from golf import __version__

    made_of: tuple[Any, ...] = (plan.source.of_sha256, __version__, version("torch"), plan.source.smoke)
    return sha256_of(repr(made_of).encode())[:32]
