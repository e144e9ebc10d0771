"""Do the claimed scores follow from the logs: which number, which seeds, which mean, which deviation, which bytes per token."""

import re
from collections.abc import Iterator, Sequence
from math import log10
from statistics import fmean

from golf.board import official
from golf.logs.agreement import agreement
from golf.logs.backing import backing
from golf.reading.folder import README_NUMBER, Folder, SeedLog
from golf.record.check_sizes import shipped_totals
from golf.record.findings import Check, Finding
from golf.stats import BYTES_PER_TOKEN, bytes_per_token_of, sd_convention

CANONICAL_BYTES = 151.08e6  # of the official validation split
BYTES_TOLERANCE = 0.002
FAR_RATIO = 2e-3  # two texts, or two ways to count bytes; nearer, a number of another evaluation
RATIOS = {1024: "sp1024", 4096: "sp4096", 8192: "sp8192", 256: "byte", 260: "byte"}


ROUNDING = 1e-6  # a claim this near to a log's number is a rounding of it, whatever its digits
SMALL = 1e-4  # and one this near was re-averaged or cut; a larger distance is another number


def _severity(distance: float) -> str:
    """Of a claimed BPB that no log prints, by how far it is away."""
    return "low" if distance <= ROUNDING else "medium" if distance <= SMALL else "high"


def _near(one: float, two: float, digits: int) -> bool:
    """Whether `one` is `two` as printed with `digits` decimals; one unit of the last place for a truncated or re-averaged mean."""
    return abs(one - two) <= 1.0001 * 10.0**-digits if digits >= 5 else abs(one - two) <= 0.5001 * 10.0**-digits


def score(folder: Folder) -> Iterator[Finding]:
    """val_bpb is a log's score, the mean of the seeds, or else a finding."""
    scored = [log for log in folder.logs if log.run.score is not None]
    claim = folder.headline
    values = [value for log in scored if (value := log.run.val_bpb) is not None]
    if claim is None:
        yield from _mislabelled(folder, values)
        return
    digits = folder.digits(claim)
    seeds = [entry.val_bpb for entry in folder.seed_claims.values() if entry.val_bpb is not None]
    if (
        len(seeds) > 1
        and not _near(claim, fmean(seeds), min(digits, 6))
        and not _near(claim, fmean(seeds), _coarsest(folder))
    ):
        if any(_near(claim, seed, digits) for seed in seeds):
            which = "the best" if _near(claim, min(seeds), digits) else "one"
            severity = _headline_severity(folder, fmean(seeds))
            yield Finding(
                "headline", severity, f"{claim} is {which} of {len(seeds)} seeds; their mean is {fmean(seeds):.5f}"
            )
            return
        yield Finding("mean", "medium", f"val_bpb {claim} is not the mean of seed_results, {fmean(seeds):.8f}")
    if not values:
        return
    unique = list({(log.run.seed if log.run.seed is not None else log.name): log for log in scored}.values())
    means = [fmean(values), fmean([log.run.val_bpb or 0.0 for log in unique])]
    if any(_near(claim, mean, digits) for mean in means) or (len(seeds) > 1 and _seeds_backed(folder)):
        return
    hits = [log for log in scored if _near(claim, log.run.val_bpb or 0.0, digits)]
    if hits:
        yield from _headline(folder, claim, hits[0], unique)
        return
    listed = ", ".join(f"{log.name} {log.run.val_bpb}" for log in scored)
    staged = next(((log, hit) for log in scored if (hit := backing(log.run.scores, claim, digits))), None)
    other = (
        f"; it is the {staged[1].stage} value of {staged[0].name}, line {staged[1].line}, not its score"
        if staged
        else ""
    )
    distance = min(abs(claim - value) for value in (*values, *means))
    yield Finding("bpb", _severity(distance), f"claimed {claim}, logs {listed}, mean {fmean(values):.8f}{other}")


def _coarsest(folder: Folder) -> int:
    return max(4, min((entry.digits for entry in folder.seed_claims.values() if entry.digits), default=8))


def _mislabelled(folder: Folder, values: Sequence[float]) -> Iterator[Finding]:
    """A BPB stored under another name."""
    loss = folder.number("val_loss")
    if loss is None or not values:
        return
    if any(_near(loss, value, min(folder.digits(loss), 4)) for value in (*values, fmean(values))):
        yield Finding(
            "mislabelled-field", "high", f"submission.json has no val_bpb and stores the BPB {loss} under val_loss"
        )


def _headline(folder: Folder, claim: float, hit: SeedLog, unique: Sequence[SeedLog]) -> Iterator[Finding]:
    """A claim that is one seed's score although several ran the same configuration."""
    alike = [log for log in unique if log.run.params == hit.run.params and log.run.world_size == hit.run.world_size]
    seeds = {log.run.seed for log in alike}
    if len(seeds) < 2 or len(alike) != len(unique):
        return
    values = [log.run.val_bpb or 0.0 for log in alike]
    which = "the best" if (hit.run.val_bpb or 0.0) <= min(values) else "one"
    severity = _headline_severity(folder, fmean(values))
    yield Finding(
        "headline",
        severity,
        f"{claim} is {which} of {len(seeds)} seeds (seed {hit.run.seed}); the mean is {fmean(values):.5f}",
    )


def _headline_severity(folder: Folder, mean: float) -> str:
    """Medium where the wrong number stands elsewhere too: as the leaderboard's row, or in the folder's name; else low."""
    name = folder.path.resolve().name
    row = next((row for row in official() if row.folder.rpartition("/")[2] == name and row.score), None)
    if row is not None:
        return "low" if f"{mean:.{len(row.score.partition('.')[2])}f}" == row.score else "medium"
    return "medium" if re.search(r"_[01]\.\d{3,}$", name) else "low"


def _seeds_backed(folder: Folder) -> bool:
    return not any(finding.severity == "high" for finding in seed_scores(folder))


def seed_scores(folder: Folder) -> Iterator[Finding]:
    """Each claimed seed's BPB, loss, steps and bytes are those of a log of that seed."""
    for seed, entry in folder.seed_claims.items():
        logs = [log for log in folder.logs if seed in (str(log.run.seed), str(log.seed_in_name))]
        if not logs or entry.val_bpb is None:
            continue
        digits = max(entry.digits, 4)
        backed = [log for log in logs if log.run.val_bpb is not None and _near(entry.val_bpb, log.run.val_bpb, digits)]
        if not backed:
            elsewhere = [
                log
                for log in folder.logs
                if log.run.val_bpb is not None and _near(entry.val_bpb, log.run.val_bpb, digits)
            ]
            if elsewhere:
                yield Finding("seed-label", "medium", f"seed_results key {seed} ({entry.val_bpb}) is the log {elsewhere[0].name}, "
                              f"which prints seed {elsewhere[0].run.seed}")  # fmt: skip
            else:
                found = ", ".join(f"{log.name} {log.run.val_bpb}" for log in logs)
                distance = min(abs(entry.val_bpb - (log.run.val_bpb or 99.0)) for log in logs)
                yield Finding("bpb", _severity(distance), f"seed {seed} claimed {entry.val_bpb}, logs {found}")
            continue
        run = backed[0].run
        for what, claimed, logged in (
            ("steps", entry.steps, run.steps),
            ("artifact_bytes", entry.artifact_bytes, run.total_bytes),
        ):
            if (
                claimed is not None
                and logged is not None
                and claimed not in (logged, *shipped_totals(folder, backed[0]))
            ):
                yield Finding(
                    "seed-field", "low", f"seed {seed}: claimed {what} {claimed:,}, {backed[0].name} {logged:,}"
                )


def deviation(folder: Folder) -> Iterator[Finding]:
    """The claimed standard deviation is the sample one."""
    claim = folder.number("val_bpb_std", "std_val_bpb", "std_bpb")
    values = [entry.val_bpb for entry in folder.seed_claims.values() if entry.val_bpb is not None]
    if claim is None or len(values) < 2 or claim <= 0:
        return
    digits = max(folder.digits(claim), 1 - int(log10(claim)))
    convention = sd_convention(claim, values, digits)
    if convention != "sample":
        sample = (sum((value - fmean(values)) ** 2 for value in values) / (len(values) - 1)) ** 0.5
        population = sample * ((len(values) - 1) / len(values)) ** 0.5
        yield Finding(
            "std", "low", f"claimed std {claim}: {convention} (sample {sample:.6f}, population {population:.6f})"
        )


def traps(folder: Folder) -> Iterator[Finding]:
    """The last metric line of a log is not its score."""
    for log in folder.logs:
        finals = [one for one in log.run.scores if one.stage not in ("train_val", "footer")]
        best = log.run.score
        if best and finals and finals[-1].line > best.line and abs(finals[-1].val_bpb - best.val_bpb) > 1e-4:
            yield Finding("trap", "medium", f"{log.name}: the last metric line is {finals[-1].label} {finals[-1].val_bpb} (line {finals[-1].line}); "
                          f"the score {best.val_bpb} is the earlier {best.label}, line {best.line}")  # fmt: skip


def bytes_per_token(folder: Folder) -> Iterator[Finding]:
    """Loss, BPB and token count imply the official number of validation bytes."""
    for log in folder.logs:
        run = log.run
        implied = run.val_bytes
        if folder.track == "local":
            continue  # scored on its own data, with its own tokenizer
        if implied is not None:
            if abs(implied / CANONICAL_BYTES - 1) > BYTES_TOLERANCE:
                yield Finding(
                    "val-set",
                    "high",
                    f"{log.name}: {run.val_tokens:,} validation tokens imply {implied / 1e6:.2f} MB, not 151.08 MB",
                )
            continue
        if run.score is None or not run.score.val_loss or run.vocab_size not in RATIOS:
            continue
        ratio = bytes_per_token_of(run.score.val_loss, run.score.val_bpb)
        allowed = [BYTES_PER_TOKEN[RATIOS[run.vocab_size]]] + (
            [BYTES_PER_TOKEN["sp8192_caseops"]] if run.vocab_size == 8192 else []
        )
        if all(abs(ratio / one - 1) > 0.01 for one in allowed):
            yield Finding(
                "val-bytes",
                "high",
                f"{log.name}: {ratio:.4f} bytes per token, where vocabulary {run.vocab_size} has {allowed[0]:.4f}",
            )
    yield from _consistent(folder)


def agrees(folder: Folder) -> Iterator[Finding]:
    """Loss and BPB of every stage of a log imply one number of bytes per token; mixtures and parts of the text are named."""
    for log in folder.logs:
        found = agreement(log.run)
        if found.agrees is False:
            beyond = max(abs(one.bytes_per_token / (found.common or 1.0) - 1) for one in found.departing)
            yield Finding("ratio", "high" if beyond > FAR_RATIO else "medium", f"{log.name}: {found.why}")
        for one in found.excepted:
            yield Finding("ratio", "info", f"{log.name}: `{one.score.label}` (line {one.score.line}) has {one.bytes_per_token:.5f} bytes per token; by its label "
                          "a mixture or a part of the text")  # fmt: skip


def _consistent(folder: Folder) -> Iterator[Finding]:
    """The claimed loss and BPB are of one evaluation: they imply the bytes per token of the logs, or of an official tokenizer."""
    loss, bpb = folder.number("val_loss"), folder.number("val_bpb")
    if not loss or not bpb or loss <= 0 or not folder.logs:
        return
    scores = [log.run.score for log in folder.logs if log.run.score is not None]
    ratios = [bytes_per_token_of(score.val_loss, score.val_bpb) for score in scores if score.val_loss]
    implied = bytes_per_token_of(loss, bpb)
    others, whose = (ratios, "the logs") if ratios else (list(BYTES_PER_TOKEN.values()), "the official tokenizers")
    if all(abs(implied / ratio - 1) > 0.005 for ratio in others):
        nearest = min(others, key=lambda ratio: abs(ratio - implied))
        detail = f"val_loss {loss} and val_bpb {bpb} imply {implied:.4f} bytes per token, {whose} have {nearest:.4f}"
        yield Finding("off-log", "high", detail)


def readme(folder: Folder) -> Iterator[Finding]:
    """The README states the claimed score."""
    claim = folder.number("val_bpb")
    if folder.readme is None or claim is None:
        return
    numbers = {float(text) for text in README_NUMBER.findall(folder.readme)} | {
        float(text) for text in re.findall(r"(?<![\d.])([2-9]\.\d{3,8})(?!\d)", folder.readme)
    }
    if numbers and not any(abs(claim - number) < 0.00051 for number in numbers):
        plausible = [number for number in numbers if 0.8 < number < 4]
        if plausible:
            nearest = min(plausible, key=lambda number: abs(number - claim))
            severity = "high" if abs(nearest - claim) > 0.005 else "medium"
            yield Finding(
                "json-vs-readme", severity, f"submission.json says val_bpb {claim}; nearest in README {nearest}"
            )


def board(folder: Folder) -> Iterator[Finding]:
    """What the official leaderboard has for this folder."""
    name = folder.path.resolve().name
    row = next((row for row in official() if row.folder.rpartition("/")[2] == name), None)
    if row is None:
        return
    if row.status == "no_row":
        yield Finding("leaderboard", "info", f"merged ({row.label}), but the leaderboard has no row for it")
    claim = folder.number("val_bpb")
    if claim is not None and row.bpb is not None and abs(claim - row.bpb) > 0.00061:
        yield Finding("leaderboard", "info", f"the leaderboard says {row.score}, submission.json {claim}")


CHECKS: tuple[Check, ...] = (score, seed_scores, deviation, traps, bytes_per_token, agrees, readme, board)
