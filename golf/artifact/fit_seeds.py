"""`golf package --fit`: settings for all kept seeds of a submission, found on the one that weighs most.

    cap − packed code − margin = what the largest kept seed's model may weigh

The margin is for seeds that nobody has seen: twice the spread (sd) of the kept seeds' models where there are several.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from golf.artifact.dials import Checkpoint, container_bytes, load_checkpoint, make_tensors
from golf.artifact.fit import Coded, Fit, fit, not_tried, plans_for, weigh_coders
from golf.artifact.fit_show import describe, describe_coder
from golf.artifact.fitted import Fitted, Wish
from golf.artifact.package import local_files, packed
from golf.challenge import SCRIPT
from golf.errors import Exit, GolfError
from golf.recipe import Recipe, changed, load_recipe, smoke_recipe
from golf.recipe.knobs import assignments
from golf.run.layout import ARTIFACT, CHECKPOINT
from golf.run.plan import Plan
from golf.run.resume import holds
from golf.run.schema import Run
from golf.run.source import small_twin

ONE_SEED_SHARE = 0.0004  # of a model: public SDClip seeds spread 1 to 6 KB in 16 MB

DIGITS_BYTES = 48  # by which two packed scripts differ that differ in a few numbers of five digits


def margin_of(model_bytes: Sequence[int]) -> tuple[int, str]:
    """(bytes, how they were arrived at) to leave for seeds to come, from the models of the kept seeds."""
    if len(model_bytes) > 1:
        spread = statistics.stdev(model_bytes)
        return math.ceil(2 * spread), f"2 sd of {len(model_bytes)} kept seeds (sd {spread:,.0f})"
    return math.ceil(ONE_SEED_SHARE * model_bytes[0]), (
        f"{ONE_SEED_SHARE:.2%} of the model: with one kept seed the spread is not known"
    )


def fit_seeds(
    plan: Plan,
    runs: Sequence[Run],
    wish: Wish,
    words: Sequence[str],
    say: Callable[[str], None],
    *,
    slack_bytes: int = 0,
) -> Fitted:
    """Settings with which every kept seed's script, packed, and model are within the wish less its margin.

    words: `key=value` that are changed besides. slack_bytes: what an earlier fit was over by, once it was exported for real.
    GolfError: a checkpoint that is gone (10), no plan below the target (3).
    """
    begun, begun_cpu = time.perf_counter(), time.process_time()
    search = _Search(plan, runs, wish, words, say, slack_bytes)
    sizes = {run.seed: (run.folder / ARTIFACT).stat().st_size for run in runs}
    margin, basis = search.margin(sizes)
    search.refuse_no_room(margin)
    for _ in range(len(runs) + 1):
        seed = max(sizes, key=lambda seed: sizes[seed])
        say(f"fitting seed {seed}, the largest, to {wish.total_bytes:,} bytes less a margin of {margin:,} ({basis})")
        found = search.fit(seed, margin)
        sizes = search.sizes(found.values)
        least, (margin, basis) = margin, search.margin(sizes)
        if max(sizes.values()) <= search.room(found.values, margin):
            break
        margin = max(least, margin)
        say(
            f"with these settings the seeds weigh {', '.join(f'{size:,}' for size in sizes.values())}: too much for one"
        )
    changes = assignments({key: value for key, value in found.values.items() if search.recipe.values[key] != value})
    return Fitted(
        found, seed, wish.total_bytes, margin, basis, (*words, *changes),
        time.perf_counter() - begun, time.process_time() - begun_cpu, peak_bytes(),
    )  # fmt: skip


class _Search:
    """A submission's kept seeds and what they must fit."""

    def __init__(
        self,
        plan: Plan,
        runs: Sequence[Run],
        wish: Wish,
        words: Sequence[str],
        say: Callable[[str], None],
        slack_bytes: int,
    ) -> None:
        self.own = load_recipe(plan.source.folder / "recipe.toml", words)
        self.smoke, self.vocab_size = plan.source.smoke, plan.source.vocab_size
        self.recipe = smoke_recipe(self.own, self.vocab_size) if self.smoke else self.own
        self.runs, self.wish, self.say = {run.seed: run for run in runs}, wish, say
        files = sum(path.stat().st_size for path in local_files(plan.set_folder / SCRIPT))
        self.most_bytes = wish.total_bytes - slack_bytes - files
        # another coder is another reader; one that was asked for stays
        asked = any(word.partition("=")[0] == "coder" for word in words)
        self.any_coder = not (wish.keep_public or asked)
        self.code_bytes: dict[str, int] = {}
        self.first_of_kind: dict[str, Mapping[str, Any]] = {}
        self.scorer = scorer_of(self.recipe, plan, wish.tokens)

    def margin(self, sizes: Mapping[int, int]) -> tuple[int, str]:
        """(bytes, how they were arrived at) for seeds to come."""
        if self.wish.margin_bytes is not None:
            return self.wish.margin_bytes, "as asked"
        return margin_of(list(sizes.values()))

    def room(self, values: Mapping[str, Any], margin_bytes: int) -> int:
        """What a model may weigh beside the script of these settings, packed."""
        return self.most_bytes - margin_bytes - self.code(values)

    def refuse_no_room(self, margin_bytes: int) -> None:
        """GolfError (3), before anything is tried, where the script alone takes all the bytes."""
        if self.room({}, margin_bytes) <= 0:
            raise GolfError(
                f"nothing is left for the model: of {self.most_bytes:,} bytes the packed script takes {self.code({}):,}, the margin {margin_bytes:,}",
                "ask for more: `--target-bytes`", Exit.OVER_BYTES,
            )  # fmt: skip

    def roughly(self, values: Mapping[str, Any], margin_bytes: int) -> int:
        """The same and a few bytes less, for any numbers in such settings: packing takes a second."""
        kind = {key: value for key, value in values.items() if not isinstance(value, float)}
        first = self.first_of_kind.setdefault(repr(sorted(kind.items())), values)
        return self.room(first, margin_bytes) - DIGITS_BYTES

    def code(self, values: Mapping[str, Any]) -> int:
        """Bytes of the script with these settings: composed, scaled to the small twin of the shards' vocabulary where that runs, packed."""
        from golf.compose.kept import kept, kept_composition

        key = repr(sorted(values.items()))
        if key not in self.code_bytes:
            after = changed(self.own, values)
            vocab_size = self.vocab_size if self.smoke else None

            def weigh() -> int:
                own = kept_composition(after).text.encode()
                return len(packed(small_twin(after, own, vocab_size) if self.smoke else own))

            self.code_bytes[key] = int(kept("packed", after, weigh, self.smoke, vocab_size))
        return self.code_bytes[key]

    def fit(self, seed: int, margin_bytes: int) -> Fit:
        """The best plan for one seed."""
        start, recipe = self.checkpoint(seed), self.recipe
        coders: tuple[Coded, ...] = ()
        kept: dict[str, Any] = {}
        if self.any_coder:
            coders = weigh_coders(recipe, start, lambda values: self.room(values, margin_bytes))
            for one in coders:
                self.say(describe_coder(one))
            kept = dict(coders[0].values)
            recipe = changed(recipe, kept)
        found = fit(
            recipe, start, lambda values: self.roughly({**kept, **values}, margin_bytes),
            plans=plans_for(recipe, start, keep_public=self.wish.keep_public),
            evaluate=self.scorer.against(start.weights), on_tried=lambda one: self.say(describe(one)),
        )  # fmt: skip
        without = "" if self.wish.keep_public else not_tried(start)
        return replace(found, values={**kept, **found.values}, coders=coders, not_tried=without)

    def sizes(self, values: Mapping[str, Any]) -> dict[int, int]:
        """seed → bytes of its model with these settings."""
        return {seed: container_bytes(*make_tensors(self.recipe, values, self.checkpoint(seed))) for seed in self.runs}

    def checkpoint(self, seed: int) -> Checkpoint:
        """The kept weights and Hessians of a seed."""
        run = self.runs[seed]
        if not holds(run.folder / CHECKPOINT, seed):
            raise GolfError(f"the checkpoint of seed {seed} of {run.submission} is gone or damaged",
                            f"train it again: `golf run {run.submission} --again`", Exit.REFUSED)  # fmt: skip
        return load_checkpoint(self.recipe, run.folder)


def peak_bytes() -> int | None:
    """The most memory that this process has held so far; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    kib: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib if sys.platform == "darwin" else 1024 * kib


def scorer_of(recipe: Recipe, plan: Plan, tokens: int) -> Any:
    """Scores on the end of the last training shard: validation text must not choose."""
    from golf.artifact.score import Scorer
    from golf.recipe.namespace import namespace

    shards = sorted(Path(plan.inputs.data_path).glob("fineweb_train_*.bin"))
    if not shards:
        raise GolfError(f"no fineweb_train_*.bin in {plan.inputs.data_path}",
                        "`--fit` chooses on training text: `golf data get`", Exit.REFUSED)  # fmt: skip
    return Scorer(namespace(recipe), shards[-1], tokens)
