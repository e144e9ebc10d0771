"""Preflight: before anything is started, the recipe's real code runs once without cost: at full size without memory, and small.

Importing this package is light; checking imports torch.
"""

from golf.recipe import Recipe

__all__ = ["preflight"]


def preflight(recipe: Recipe, *, rehearse: bool = True) -> None:
    """GolfError (exit 10) with one sentence, file and line where a recipe's code cannot run.

    At full size: construction, forward, backward and one optimizer step on torch's meta device, both orders of the layers.
    rehearse: also every hook, quantizer, coder and evaluator once on the small twin's sizes; what a smoke run does by itself.
    """
    from golf.preflight.full_size import check_full_size
    from golf.preflight.points import check_signatures

    check_signatures(recipe)
    check_full_size(recipe)
    if rehearse:
        from golf.preflight.rehearsal import rehearse_twin

        rehearse_twin(recipe)
