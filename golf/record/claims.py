"""submission.json: the field set that reviewers know, from measured values only."""

import re
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from golf import __version__
from golf.challenge import CAP_BYTES
from golf.project import is_adopted
from golf.record.evidence import Evidence, Seed
from golf.record.imported import Imported

CANONICAL_VAL_BYTES = 151.08e6  # of the official validation split
NOT_A_RESULT = "not a challenge result"


def claims_of(
    evidence: Evidence, *, name: str, author: str, github_id: str, date: str, techniques: Sequence[str]
) -> dict[str, Any]:
    """The table of submission.json. Standard deviations have n - 1 in the denominator; None fields are left out."""
    bpb, loss = evidence.bpb, evidence.loss
    totals = [total for seed in evidence.seeds if (total := evidence.total_bytes(seed)) is not None]
    table: dict[str, Any] = {
        "author": author,
        "github_id": github_id,
        "name": name,
        "blurb": blurb(evidence),
        "date": date,
        "track": evidence.track,
        "val_loss": _rounded(loss.mean if loss else None),
        "val_bpb": _rounded(bpb.mean),
        "val_loss_std": _rounded(loss.sd if loss else None),
        "val_bpb_std": _rounded(bpb.sd),
        "std_convention": "sample (n - 1)" if bpb.sd is not None else None,
        "seeds": [seed.seed for seed in evidence.seeds],
        "seeds_left_out": [int(name.removeprefix("seed_")) for name in evidence.left_out] or None,
        "seed_results": {str(seed.seed): _seed_entry(evidence, seed) for seed in evidence.seeds},
        "artifact_bytes_mean": round(fmean(totals)) if totals else None,
        "artifact_bytes_max": max(totals) if totals else None,
        "bytes_total": evidence.worst_bytes,
        "bytes_code": evidence.shipped.code_bytes,
        "train_steps_mean": _mean([seed.run.steps for seed in evidence.seeds]),
        "step_avg_ms_mean": _mean([seed.run.step_ms for seed in evidence.seeds]),
        "hardware": hardware(evidence),
        "pytorch_version": torch_of(evidence)[0],
        "technique_summary": ", ".join(techniques) or None,
        "techniques": list(techniques) or None,
        "attribution": attribution(evidence) or None,
        "golf": {
            "version": __version__, "script_sha256": evidence.script_sha256, "smoke": evidence.smoke or None, "packed": evidence.shipped.packed or None,
            "data_sha256": evidence.data_sha256, "tokenizer_sha256": evidence.tokenizer_sha256,
            "recipe": evidence.recipe.name if evidence.recipe else None, "derived": derived_changes(evidence) or None,
        },
    }  # fmt: skip
    if not evidence.challenge:
        table["challenge_result"] = False
        table["non_record_reason"] = f"{NOT_A_RESULT}: {why_local(evidence)}"
    table["golf"] = {key: value for key, value in table["golf"].items() if value is not None}
    return {key: value for key, value in table.items() if value is not None}


def _seed_entry(evidence: Evidence, seed: Seed) -> dict[str, Any]:
    run = seed.run
    entry = {
        "val_bpb": _rounded(seed.val_bpb), "val_loss": _rounded(seed.val_loss),
        "pre_quant_val_bpb": _rounded(run.pre_quant.val_bpb if run.pre_quant else None),
        "artifact_bytes": evidence.total_bytes(seed), "steps": run.steps, "step_avg_ms": _round(run.step_ms, 2),
        "train_time_s": _round(run.train_seconds, 3), "eval_time_s": _round(run.eval_seconds, 3),
        "val_tokens": run.val_tokens,
    }  # fmt: skip
    return {key: value for key, value in entry.items() if value is not None}


def blurb(evidence: Evidence, remark: bool = True) -> str:
    """What ran where in a sentence; with `remark`, what it is not."""
    recipe = evidence.recipe
    what = (recipe.title or recipe.name) if recipe else evidence.submission.name
    twin = "Small twin (`--smoke`) of: " if evidence.smoke else ""
    text = f"{twin}{what}. {len(evidence.seeds)} seeds on {hardware(evidence)}."
    return text if evidence.challenge or not remark else f"{text} {NOT_A_RESULT.capitalize()}: {why_local(evidence)}."


def why_local(evidence: Evidence) -> str:
    """Why a local record is no result of the challenge."""
    unnamed = [seed.seed for seed in evidence.seeds if not device_of(seed)]
    if unnamed:
        return f"no log of seed {', '.join(map(str, unnamed))} names the hardware that it ran on (`golf record … --hardware '8x NVIDIA H100 80GB HBM3'` states it)"
    where = f"it ran on {hardware(evidence)}, not on 8xH100"
    tokens = max((seed.run.val_tokens or 0 for seed in evidence.seeds), default=0)
    implied = [seed.run.val_bytes for seed in evidence.seeds if seed.run.val_bytes is not None]
    official = bool(implied) and all(abs(one / CANONICAL_VAL_BYTES - 1) < 0.002 for one in implied)
    return (
        f"{where}, and was scored on {tokens:,} validation tokens of its own data" if tokens and not official else where
    )


def device_of(seed: Seed) -> str:
    """The device as the run, its log or its user names it; "" for unknown."""
    return str((seed.run.result or {}).get("device") or seed.run.gpu or "")


def hardware(evidence: Evidence) -> str:
    """The devices as the runs named them, e.g. `8x NVIDIA H100 80GB HBM3`."""
    names = []
    for seed in evidence.seeds:
        device = device_of(seed) or "unknown hardware"
        world = seed.run.world_size
        if device == "cpu":
            names.append(f"{world or 1} CPU process{'es' * ((world or 1) > 1)}")
        else:
            names.append(f"{world}x {device}" if world else device)
    return " and ".join(dict.fromkeys(names))


def torch_of(evidence: Evidence) -> tuple[str | None, str]:
    """(the version of torch that the runs used, "" as they printed it or who claims it); (None, "") where nobody says one."""
    printed = {(seed.run.result or {}).get("torch") or seed.run.torch for seed in evidence.seeds}
    if printed != {None}:
        return _one(list(printed)), ""
    if is_adopted(evidence.submission):
        claimed = (Imported(evidence.submission).original.claims or {}).get("pytorch_version")
        if isinstance(claimed, str) and re.match(r"\d+\.\d+", claimed):
            return claimed, "its authors' submission.json; no log names one"
    return None, ""


def attribution(evidence: Evidence) -> dict[str, str]:
    """Whose work this stands on, from the recipe."""
    recipe = evidence.recipe
    if recipe is None:
        return {}
    people = {"authors": ", ".join(recipe.authors), "credits": "; ".join(recipe.credits), "source": recipe.source}
    if len(recipe.lineage) > 1:
        people["recipes"] = " < ".join(recipe.lineage)
    return {key: value for key, value in people.items() if value}


def derived_changes(evidence: Evidence) -> dict[str, Any]:
    """Keys that `golf package` changed after training, one table for all seeds."""
    return {key: value for seed in evidence.seeds for key, value in (seed.derived or {}).items()}


def fits(evidence: Evidence) -> bool | None:
    """Whether every seed is within the cap; None when a size is unknown."""
    totals = [evidence.total_bytes(seed) for seed in evidence.seeds]
    return None if None in totals else max(total or 0 for total in totals) <= CAP_BYTES


def _rounded(value: float | None) -> float | None:
    return _round(value, 8)


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 2) if known else None


def _one(values: Sequence[Any]) -> str | None:
    known = list(dict.fromkeys(str(value) for value in values if value))
    return " / ".join(known) or None
