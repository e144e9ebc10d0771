"""What a record's submission.json claims: of its headline, and seed by seed, in any of the forms in use."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeGuard

MOST_SEEDS = 200
PER_SEED = ("seed_results", "per_seed", "seeds", "val_bpb_seeds")
HEADLINE = (
    *("val_bpb", "mean_val_bpb", "val_bpb_mean", "mean_bpb", "bpb_mean", "val_bpb_3seed_mean"),
    *("final_val_bpb", "final_bpb"),
)
DATE = re.compile(r"20\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")
NUMBER = re.compile(r"\s*\d{1,9}\.\d{1,15}\s*")  # as text


@dataclass(frozen=True)
class SeedClaim:
    """What submission.json says of one seed; digits: decimals of val_bpb as it is written there. entry: the JSON itself."""

    val_bpb: float | None
    val_loss: float | None
    artifact_bytes: int | None
    steps: int | None
    digits: int
    entry: Mapping[str, Any]


def seed_claims(claims: Mapping[str, Any] | None) -> dict[str, SeedClaim]:
    """Seed → claim: a table or a list of rows under any name in use, a table of bare scores, or two lists side by side."""
    return {str(seed): _claim(entry) for seed, entry in islice(_entries(claims or {}), MOST_SEEDS)}


def seeds_left_out(claims: Mapping[str, Any] | None) -> int:
    """How many seeds a record claims beyond the `MOST_SEEDS` that are read."""
    return max(sum(1 for _ in _entries(claims or {})) - MOST_SEEDS, 0)


def headline(claims: Mapping[str, Any] | None) -> float | None:
    """The claimed bits per byte of the whole record."""
    return number(claims or {}, *HEADLINE)


def claimed_seeds(claims: Mapping[str, Any] | None) -> list[str]:
    """The seeds that the record says it ran: those of its claims, else its list of seeds."""
    found = list(seed_claims(claims))
    if found or not claims:
        return found
    listed = claims.get("seeds") if isinstance(claims.get("seeds"), list) else [claims.get("seed")]
    return [str(seed) for seed in listed or () if isinstance(seed, int) and not isinstance(seed, bool)]


def claimed_scores(claims: Mapping[str, Any] | None) -> list[tuple[float, int]]:
    """Every claimed bits per byte with its decimals: the headline's and the seeds'."""
    table = claims or {}
    found = [(claim.val_bpb, claim.digits) for claim in seed_claims(table).values() if claim.val_bpb is not None]
    head = headline(table)
    return found if head is None else [*found, (head, len(repr(head).partition(".")[2]))]


def author_and_date(claims: Mapping[str, Any] | None, folder_name: str = "") -> tuple[str, str]:
    """Who made a record and on which day (ISO), by its claims, else by the date that begins its folder's name; "" for unknown."""
    table = claims or {}
    author = next(
        (str(table[key]) for key in ("author", "github_id") if isinstance(table.get(key), str) and table[key]), ""
    )
    found = DATE.match(str(table.get("date") or "")) or DATE.match(folder_name)
    return author, found[0] if found else ""


def claimed_track(claims: Mapping[str, Any] | None, place: str = "") -> str:
    """10min_16mb, non_record_16mb or local, by `track` in the claims, else by the name of the folder that records lie in (`place`)."""
    words = str((claims or {}).get("track", "")).lower()
    if "local" in words or place == "local":
        return "local"
    return "non_record_16mb" if "non" in words or "non_record" in place else "10min_16mb"


def number(table: Mapping[str, Any], *names: str) -> float | None:
    """The first of the named entries that is a number, or the text of one."""
    for value in (table.get(name) for name in names):
        if _is_number(value):
            return float(value)
        if isinstance(value, str) and NUMBER.fullmatch(value):
            return float(value)
    return None


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _entries(claims: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    for key in PER_SEED:
        value = claims.get(key)
        if isinstance(value, dict):
            found = [(seed, entry) for seed, entry in value.items() if isinstance(entry, dict) or _is_number(entry)]
        elif isinstance(value, list):
            found = [(entry["seed"], entry) for entry in value if isinstance(entry, dict) and "seed" in entry]
        else:
            continue
        if found:
            yield from found
            return
    scores, seeds = claims.get("seed_scores"), claims.get("seeds")
    if isinstance(scores, list) and isinstance(seeds, list) and len(scores) == len(seeds):
        yield from ((seed, score) for seed, score in zip(seeds, scores, strict=True) if _is_number(score))


def _claim(entry: Any) -> SeedClaim:
    table = entry if isinstance(entry, dict) else {"val_bpb": float(entry)}
    bpb, steps = number(table, "val_bpb", "bpb"), number(table, "steps")
    size = number(table, "artifact_bytes", "bytes_total")
    return SeedClaim(
        bpb, number(table, "val_loss"), None if size is None else int(size), None if steps is None else int(steps),
        len(repr(bpb).partition(".")[2]) if bpb is not None else 0, table,
    )  # fmt: skip
