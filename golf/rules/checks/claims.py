"""R11: submission.json, its own arithmetic, and the logs and README beside it."""

import re
import statistics
from collections.abc import Iterable
from typing import Any

from golf.rules.findings import Result, State
from golf.rules.runs import Run
from golf.rules.subject import Subject, names

ESSENTIAL = ("author", "github_id", "name", "date", "val_bpb")
SYNONYMS = {
    "name": ("run_name", "submission_name", "title"),
    "val_bpb": ("mean_val_bpb", "val_bpb_mean", "mean_bpb"),
    "github_id": ("github",),
}


def claimed_bpb(claims: dict[str, Any]) -> float | None:
    """The claimed score, under whichever of its names."""
    for key in ("val_bpb", *SYNONYMS["val_bpb"]):
        if isinstance(claims.get(key), int | float):
            return float(claims[key])
    return None


def fields(subject: Subject) -> Iterable[Result]:
    """The file is there, is JSON, names its author, and claims a score."""
    name = subject.claims_path.name if subject.claims_path else "submission.json"
    if subject.kind != "record":
        yield Result(State.NA, "no record folder yet: `golf record` writes submission.json")
        return
    if subject.claims_path is None:
        yield Result(State.UNKNOWN, "no submission.json (R10 says so)", weak=True)
        return
    if subject.claims is None:
        yield Result(State.FAIL, f"{name} is no JSON: {subject.claims_fault}", file=name)
        return
    score = claimed_bpb(subject.claims)
    if score is not None and score <= 0:
        yield Result(State.FAIL, f"val_bpb {score} is a placeholder", file=name)
    elif score is None and "val_bpb" in subject.claims:
        yield Result(State.FAIL, f"val_bpb is {subject.claims['val_bpb']!r}", file=name)
    missing = [field for field in ESSENTIAL if not _given(subject.claims, field)]
    if missing:
        # merged records lack one or the other, so the missing metadata is mended, not refused
        yield Result(State.PASS, f"{name} does not give {names(missing)}", file=name, strict=State.FAIL)
    else:
        yield Result(State.PASS, "the required fields are there", file=name)


def _given(claims: dict[str, Any], field: str) -> bool:
    return any(claims.get(key) not in (None, "") for key in (field, *SYNONYMS.get(field, ())))


def mean(subject: Subject) -> Iterable[Result]:
    """val_bpb is the mean of the per-seed results that the file itself lists."""
    claims, scores = subject.claims or {}, []
    score = claimed_bpb(claims)
    for claim in subject.seed_claims.values():
        if claim.val_bpb is None:
            return
        scores.append(claim.val_bpb)
    if score is None or not scores or subject.claims_path is None:
        return
    average = statistics.fmean(scores)
    name, tolerance = subject.claims_path.name, max(5e-6, 0.5000001 * 10.0 ** -_decimals(score))
    if abs(average - score) > tolerance + max(0.5 * 10.0 ** -_decimals(value) for value in scores):
        yield Result(State.FAIL, f"val_bpb {score} is not the mean of its seeds, {average:.8f}", file=name)
    else:
        yield Result(State.PASS, f"val_bpb {score} is the mean of {len(scores)} seeds", file=name)


def against_logs(subject: Subject) -> Iterable[Result]:
    """Each claimed number stands in a log: per seed where the file lists seeds, else the headline."""
    claims = subject.claims
    runs = [run for run in subject.runs if run.scores or run.val_bpb is not None]
    if claims is None or subject.claims_path is None or not runs:
        return
    if subject.seed_claims:
        for seed, claim in subject.seed_claims.items():
            yield from _seed_against_logs(seed, claim.val_bpb, runs)
        return
    score = claimed_bpb(claims)
    if score is None:
        yield from _mislabelled(claims, runs, subject.claims_path.name)
        return
    yield _headline(score, runs, subject.claims_path.name)


def _seed_against_logs(seed: str, claim: float | None, runs: list[Run]) -> Iterable[Result]:
    own = [run for run in runs if seed in (str(run.seed), str(run.seed_in_name))]
    if claim is None:
        return
    if not own:
        yield Result(State.UNKNOWN, f"no log of seed {seed}, which claims {claim}", strict=State.FAIL)
    elif not any(run.backing(float(claim), _decimals(claim)) for run in own):
        found = names([f"{run.val_bpb} ({run.file})" for run in own])
        yield Result(
            State.FAIL, f"seed {seed} claims {claim}; its log says {found}", file=own[0].file, line=own[0].val_line
        )
    else:
        yield Result(State.PASS, f"seed {seed}: {claim} stands in its log", file=own[0].file)


def _headline(score: float, runs: list[Run], name: str) -> Result:
    digits = _decimals(score)
    backed = [run for run in runs if run.backing(score, digits)]
    values = [run.val_bpb for run in runs if run.val_bpb is not None]
    tolerance = 0.5000001 * 10.0**-digits
    if backed and len(values) > 1 and abs(min(values) - score) <= tolerance:
        return Result(
            State.PASS, f"val_bpb {score} is the best of {len(values)} logs (mean {statistics.fmean(values):.8f})",
            file=backed[0].file, line=backed[0].val_line, strict=State.FAIL,
        )  # fmt: skip
    if backed:
        return Result(
            State.PASS, f"val_bpb {score} stands in {backed[0].file}", file=backed[0].file, line=backed[0].val_line
        )
    groups = [values, *(values[:count] for count in (3,) if len(values) > count)]
    if any(abs(statistics.fmean(group) - score) <= tolerance for group in groups if group):
        return Result(State.PASS, f"val_bpb {score} is the mean of the logs", file=name)
    return Result(State.FAIL, f"val_bpb {score} stands in no log; they say {names(values)}", file=name)


def _mislabelled(claims: dict[str, Any], runs: list[Run], name: str) -> Iterable[Result]:
    """No val_bpb, but a number under another name that the logs know as BPB (#180)."""
    loss = claims.get("val_loss")
    values = [run.val_bpb for run in runs if run.val_bpb is not None]
    if isinstance(loss, int | float) and values and abs(statistics.fmean(values) - loss) < 5e-5:
        yield Result(
            State.PASS, f"no val_bpb; val_loss {loss} is the mean BPB of the logs", file=name, strict=State.FAIL
        )
    else:
        yield Result(State.FAIL, "submission.json claims no val_bpb", file=name)


def readme(subject: Subject) -> Iterable[Result]:
    """The score in the README's headline is the one that submission.json claims."""
    score = claimed_bpb(subject.claims or {})
    if subject.readme is None or score is None:
        return
    found = re.search(r"(?i)val_bpb[:*\s=]+\**\s*(\d\.\d{3,8})", subject.readme[:4000])
    if found:
        said, digits = float(found[1]), min(_decimals(score), len(found[1].partition(".")[2]))
        if abs(said - score) > 1.0001 * 10.0**-digits:
            line = subject.readme.count("\n", 0, found.start()) + 1
            yield Result(
                State.UNKNOWN,
                f"README says {said}, submission.json {score}",
                file="README.md",
                line=line,
                strict=State.FAIL,
            )


def _decimals(value: float) -> int:
    return len(repr(float(value)).partition(".")[2])


def sizes(subject: Subject) -> Iterable[Result]:
    """The claimed bytes stand in the logs: total, and code."""
    claims, runs = subject.claims or {}, subject.runs
    totals = {run.total_bytes for run in runs if run.total_bytes}
    codes = {size for run in runs for size in (run.code_bytes, run.code_compressed_bytes) if size}
    name = subject.claims_path.name if subject.claims_path else ""
    for key, logged in (("bytes_total", totals), ("bytes_code", codes)):
        claim = claims.get(key)
        mean_total = key == "bytes_total" and logged and abs(statistics.fmean(logged) - (claim or 0)) < 1.5
        if isinstance(claim, int) and logged and claim not in logged and not mean_total:
            said = names([f"{size:,}" for size in sorted(logged)])
            yield Result(State.PASS, f"{key} {claim:,} stands in no log; they say {said}", file=name, strict=State.FAIL)


def spread(subject: Subject) -> Iterable[Result]:
    """A claimed standard deviation is the sample's (n - 1)."""
    from golf.stats import sd_convention

    claimed = (subject.claims or {}).get("val_bpb_std")
    values = [claim.val_bpb for claim in subject.seed_claims.values() if claim.val_bpb is not None]
    if not isinstance(claimed, float) or len(values) < 2 or subject.claims_path is None:
        return
    convention = sd_convention(claimed, values, _decimals(claimed))
    if convention in ("population", "neither"):
        what = "divides by n, not n - 1" if convention == "population" else "follows from neither n nor n - 1"
        yield Result(
            State.PASS,
            f"val_bpb_std {claimed} {what} (sample: {statistics.stdev(values):.8f})",
            file=subject.claims_path.name,
            strict=State.FAIL,
        )
