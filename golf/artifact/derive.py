"""`golf package key=value`: other export and evaluation for weights that are already trained.

The recipe is composed again with the changed keys; export and eval run on the kept checkpoints, in a set of their own that is
marked `derived` in the store.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from golf.artifact.dials import refuse_no_calibration
from golf.errors import Exit, GolfError
from golf.files import sha256_of
from golf.run.launch import Launcher, torchrun
from golf.run.layout import CHECKPOINT
from golf.run.plan import Plan
from golf.run.resume import holds
from golf.run.schema import Run
from golf.run.session import Session, nowhere
from golf.run.source import small_twin
from golf.run.store import Store
from golf.run.view import View


def derived_plan(plan: Plan, bases: Sequence[Run], overrides: Sequence[str]) -> Plan:
    """The plan that exports and evaluates the checkpoints of `bases` with changed keys (`key=value`).

    GolfError: an unknown key or a wrong type (2), keys that change nothing in the script, a checkpoint that is gone (10).
    """
    from golf.compose.kept import kept_composition
    from golf.recipe import diff, load_recipe

    for run in bases:
        if not holds(run.folder / CHECKPOINT, run.seed):
            raise GolfError(f"the checkpoint of seed {run.seed} of {run.submission} is gone or damaged",
                            f"train it again: `golf run {run.submission} --again`", Exit.REFUSED)  # fmt: skip
    before = load_recipe(plan.source.folder / "recipe.toml")
    after = load_recipe(plan.source.folder / "recipe.toml", overrides)
    changes = {key: new for key, (_, new) in diff(before, after).items()}
    own = kept_composition(after).text.encode()
    if own == kept_composition(before).text.encode():
        raise GolfError(f"{' '.join(overrides)} changes nothing in the script of {plan.source.name}",
                        f"see its values: `golf show {plan.source.name}`")  # fmt: skip
    for run in bases:
        refuse_no_calibration(after, run.folder)
    recipe = json.dumps({"name": after.name, "values": dict(after.values)}, default=str, sort_keys=True)
    script = small_twin(after, own, plan.source.vocab_size) if plan.source.smoke else own
    source = replace(plan.source, script=script, recipe=recipe, of_sha256=sha256_of(own))
    return replace(plan, source=source, seeds=tuple(run.seed for run in bases), derived=changes, resume=True)


def run_derived(
    plan: Plan,
    bases: Sequence[Run],
    store: Store,
    view: View,
    *,
    launcher: Launcher = torchrun,
    at: Callable[[str], None] = nowhere,
) -> list[Run]:
    """Export and evaluate every seed of a derived plan; the finished runs. Raises as `Session.run`."""
    session = Session(plan, store, view, launcher, at, bases={run.seed: run for run in bases})
    return session.run()
