"""What lies in the folder: names, required files, required fields, seeds in names."""

import re
from collections.abc import Iterator

from golf.files import own_files, sha256_of_file
from golf.reading.claims import HEADLINE
from golf.reading.folder import Folder, left_out
from golf.record.findings import Check, Finding

REQUIRED = ("author", "github_id", "name", "date", "val_bpb")
NAME = re.compile(r"\d{4}-\d{2}-\d{2}_[A-Za-z0-9._-]+")
STANDS_IN = {"val_bpb": HEADLINE[1:], "name": ("run_name",)}


def names(folder: Folder) -> Iterator[Finding]:
    """The folder's own name."""
    name = folder.path.resolve().name
    if not NAME.fullmatch(name):
        yield Finding(
            "folder-name", "medium", f"`{name}` is not YYYY-MM-DD_Description in letters, digits, `.`, `_`, `-`"
        )


def files(folder: Folder) -> Iterator[Finding]:
    """README.md, submission.json, a script, a training log; none of them empty."""
    if folder.claims_path is None:
        yield Finding("missing", "high", "no submission.json")
    elif folder.claims is None:
        yield Finding("json", "high", f"{folder.claims_path.name} is no JSON object")
    if folder.readme is None:
        yield Finding("missing", "high", "no README.md")
    if not folder.scripts:
        yield Finding("missing", "high", "no train*.py")
    if not folder.logs:
        yield Finding("missing", "high", "no train log")
    for what in left_out(folder.log_paths, folder.claims):
        yield Finding("too-many", "high", f"more than a record has: {what}")
    empty = [path.name for path in own_files(folder.path, "*") if path.stat().st_size == 0]
    if empty:
        yield Finding("stub", "medium", f"empty: {', '.join(empty)}")


def fields(folder: Folder) -> Iterator[Finding]:
    """The required fields of submission.json."""
    claims = folder.claims
    if claims is None:
        return
    for field in REQUIRED:
        if field not in claims or claims[field] is None:
            other = next((name for name in STANDS_IN.get(field, ()) if claims.get(name) is not None), None)
            instead = f"; `{other}` stands in for it" if other else ""
            yield Finding("missing-field", "medium", f"submission.json has no {field}{instead}")
    empty = [field for field in REQUIRED if claims.get(field) == ""]
    if empty:
        yield Finding("stub", "medium", f"{' and '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty strings")
    bpb = claims.get("val_bpb")
    if isinstance(bpb, str) and folder.headline is not None:
        yield Finding("missing-field", "low", f"val_bpb is text, not a number: {bpb!r}")
    elif isinstance(bpb, bool) or (bpb is not None and not isinstance(bpb, int | float)):
        yield Finding("missing-field", "medium", f"val_bpb is no number: {bpb!r}")
    elif isinstance(bpb, int | float) and not 0.01 < bpb < 12:
        yield Finding("bpb", "high", f"val_bpb {bpb} cannot be")


def seed_labels(folder: Folder) -> Iterator[Finding]:
    """The seed in a log's name is the seed that ran; the seeds differ; each claimed seed has a log."""
    for log in folder.logs:
        named, ran = log.seed_in_name, log.run.seed
        if named is not None and ran is not None and named != ran:
            yield Finding("seed-label", "high", f"{log.name}: filename says seed {named}, log says seed {ran}")
    ran_seeds = [log.run.seed for log in folder.logs if log.seed_in_name is not None]
    if (
        len(ran_seeds) > 1
        and len(set(ran_seeds)) == 1
        and ran_seeds[0] is not None
        and len({log.seed_in_name for log in folder.logs}) > 1
    ):
        yield Finding("seed-label", "high", f"all {len(ran_seeds)} logs ran seed {ran_seeds[0]}")
    have = {str(seed) for log in folder.logs for seed in (log.run.seed, log.seed_in_name) if seed is not None}
    claims = folder.claims or {}
    claimed = set(folder.seed_claims) | {
        str(seed) for seed in (*_listed(claims.get("seeds")), *_listed([claims.get("seed")]))
    }
    for seed in sorted(claimed - have):
        yield Finding("no-log-for-seed", "high", f"seed {seed} claimed, logs have {sorted(have) or 'none'}")


def _listed(value: object) -> list[object]:
    return (
        [one for one in value if isinstance(one, int) and not isinstance(one, bool)] if isinstance(value, list) else []
    )


def copies(folder: Folder) -> Iterator[Finding]:
    """Byte copies of one log, several logs of a seed, several runs in a file."""
    by_hash: dict[str, list[str]] = {}
    for log in folder.logs:
        by_hash.setdefault(sha256_of_file(log.path), []).append(log.name)
    for same in by_hash.values():
        if len(same) > 1:
            yield Finding("duplicate-log", "info", f"{' and '.join(same)} are one file")
    seeds: dict[int, list[str]] = {}
    first = {same[0] for same in by_hash.values()}
    for log in {log.name: log for log in folder.logs if log.name in first}.values():
        if log.seed_in_name is not None:
            seeds.setdefault(log.seed_in_name, []).append(log.name)
    variants = {seed: logs for seed, logs in seeds.items() if len(logs) > 1}
    if variants:
        text = "; ".join(f"seed {seed}: {', '.join(logs)}" for seed, logs in sorted(variants.items()))
        yield Finding("variant-logs", "info", f"several logs per seed: {text}")
    for log in folder.logs:
        if len(log.file.runs) > 1:
            finals = [run.val_bpb for run in log.file.runs]
            yield Finding("multi-run", "info", f"{log.name}: {len(finals)} runs concatenated; finals {finals}")


CHECKS: tuple[Check, ...] = (names, files, fields, seed_labels, copies)
