"""Another evaluation of the same weights: the submission composed again with other `reports`, run on the artifact it shipped.

What it scores is not what the submission ships, so it is labelled a sibling wherever it is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.run.source import readable_of, small_twin, vocabulary_of

# mode: (evaluator, values it needs, rules it breaks)
MODES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "plain": ("plain", {}, ()),
    "sliding": ("sliding.sliding", {}, ()),
    "isolated": ("doc_isolated.doc_isolated", {}, ()),
    "ttt": ("ttt_sgd.ttt_sgd", {}, ()),
    "lora": ("ttt_lora.ttt_lora", {"adapters": True}, ()),
    "phased": ("ttt_phased.ttt_phased", {"adapters": True}, ()),
    "ngram": ("ngram_kneser_ney.ngram_kneser_ney", {}, ()),
    "tilt": ("ngram_tilt.ngram_tilt", {}, ()),
    "ttt+ngram": ("ngram_kneser_ney.ngram_kneser_ney", {"reader": "ttt_sgd.ttt_window"}, ()),
    "ttt+tilt": ("ngram_tilt.ngram_tilt", {"reader": "ttt_sgd.ttt_window"}, ()),
    "hash740": ("ngram_hash_740.ngram_hash_740", {"windows": "sliding.legacy_windows"}, ("R38",)),
    "backoff740": ("ngram_backoff_740.ngram_backoff_740", {"windows": "sliding.legacy_windows"}, ("R38",)),
}
SHIPPED = "shipped"


@dataclass(frozen=True)
class Sibling:
    """A script that evaluates otherwise. same: it is the very script that ships (the mode is its own)."""

    script: bytes
    mode: str
    same: bool


def compose_sibling(
    folder: Path, script: bytes, mode: str, overrides: Sequence[str] = (), allow: Sequence[str] = ()
) -> Sibling:
    """The script of `folder` with the evaluator of `mode` alone, and `key=value` overrides.

    GolfError: an unknown mode (2), a mode that the rules forbid and `allow` does not name (10), no recipe near the folder, a
    recipe that no longer gives this script (10), a value that changes the model (2).
    """
    from golf.compose.kept import kept_composition
    from golf.recipe import changed, load_recipe
    from golf.recipe.recipe import OVERRIDE

    if mode == SHIPPED:
        raise GolfError(
            f"{' '.join(overrides)} would change what ships", "name the evaluation to change: `--mode sliding`"
        )
    if mode not in MODES:
        raise GolfError(f"no mode is called `{mode}`", f"modes: {SHIPPED}, {', '.join(MODES)}")
    report, values, breaks = MODES[mode]
    refused = [code for code in breaks if code not in allow]
    if refused:
        raise GolfError(
            f"mode `{mode}` breaks {refused[0]}: what it mixes is no distribution",
            f"`golf explain {refused[0]}`; to reproduce it all the same: `--allow {refused[0]}`", Exit.REFUSED,
        )  # fmt: skip
    path = _recipe_near(folder)
    recipe = load_recipe(path)
    twin = _is_twin(recipe, script, path)
    other = changed(load_recipe(path, overrides), {"reports": (report,), **values}, "golf eval")
    asked = {knob for knob, origin in other.origins.items() if origin == OVERRIDE}
    free = replace(other, own=frozenset({"reports", *asked}))  # what the recipe sets may go unread
    own = kept_composition(free).text.encode()
    sibling = small_twin(other, own, vocabulary_of(script, {})) if twin else own
    return Sibling(sibling, mode, same=readable_of(script).encode() == sibling)


def _recipe_near(folder: Path) -> Path:
    for place in (folder.resolve(), *folder.resolve().parents):
        if (place / "recipe.toml").is_file():
            return place / "recipe.toml"
    raise GolfError(
        f"{folder} lies in no submission, so nothing says how to compose it with another evaluation",
        "leave out `--mode`, or adopt it first: `golf import FOLDER`", Exit.REFUSED,
    )  # fmt: skip


def _is_twin(recipe: Any, script: bytes, path: Path) -> bool:
    """Whether the script is the recipe's small twin; GolfError when it is neither that nor the recipe's own."""
    from golf.compose.kept import kept_composition
    from golf.compose.pack import minify

    own, text = kept_composition(recipe).text, readable_of(script)
    if text == own or (text != script.decode("utf-8", "replace") and text == minify(own)):
        return False
    if text.encode() == small_twin(recipe, own.encode(), vocabulary_of(script, {})):
        return True
    raise GolfError(
        f"{path} no longer gives the script that made this artifact",
        "evaluate as it ships, without `--mode`, or bring the recipe back", Exit.REFUSED,
    )  # fmt: skip
