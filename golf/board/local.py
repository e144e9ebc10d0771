"""This project's own entries: record folders under records/, and finished runs of the store."""

from pathlib import Path
from typing import Any

from golf.board.rows import Mark, Row
from golf.files import parse_json
from golf.reading.claims import claimed_track, seed_claims


def local_rows(root: Path) -> list[Row]:
    """Local records and, for what is not a record yet, finished runs; newest first."""
    records = local_records(root)
    recorded = {digest[:12] for row in records for digest in [str(row.stats.get("script_sha256", ""))] if digest}
    runs = [row for row in local_runs(root) if row.key.rpartition("/")[2].removesuffix("-smoke") not in recorded]
    return sorted(records + runs, key=lambda row: row.date, reverse=True)


def local_records(root: Path) -> list[Row]:
    """The record folders under root/records, of any track; one that cannot be read is a row that says so."""
    rows = []
    for path in sorted((root / "records").glob("*/*/submission*.json")):
        folder = path.parent
        key = folder.relative_to(root).as_posix()
        track = folder.parent.name
        try:
            table = parse_json(path.read_text(encoding="utf-8-sig"))
            if not isinstance(table, dict):
                raise ValueError("no object")
        except (ValueError, OSError) as fault:
            mark = Mark("disputed", ("R11",), f"{path.name} cannot be read: {fault}")
            rows.append(
                Row(
                    key,
                    claimed_track(None, track),
                    folder.name[:10],
                    folder.name,
                    "",
                    "",
                    None,
                    "local",
                    folder=key,
                    marks=(mark,),
                )
            )
            continue
        rows.append(_record_row(key, track, folder.name, table))
    return rows


def _record_row(key: str, track: str, name: str, table: dict[str, Any]) -> Row:
    bpb = table.get("val_bpb")
    seeds = {
        seed: (claim.val_bpb, claim.val_loss) for seed, claim in seed_claims(table).items() if claim.val_bpb is not None
    }
    techniques = tuple(str(one) for one in table.get("techniques") or ())
    return Row(
        key, claimed_track(table, track), str(table.get("date") or name[:10])[:10],
        str(table.get("name") or name), f"{bpb:.4f}" if isinstance(bpb, int | float) else "", str(table.get("author") or ""),
        None, "local", folder=key, source="record folder", summary=str(table.get("blurb") or ""), techniques=techniques,
        adds=techniques, seeds=seeds, stats=table["golf"] if isinstance(table.get("golf"), dict) else {},
    )  # fmt: skip


def local_runs(root: Path) -> list[Row]:
    """One row per script (set) with finished runs in the store: the mean over its seeds."""
    from golf.run.store import has_store, open_store

    if not has_store(root):
        return []

    sets: dict[tuple[str, str], list[Any]] = {}
    with open_store(root) as store:
        for run in store.runs(state="finished"):
            if run.result and run.result.get("val_bpb") is not None:
                sets.setdefault((run.submission, run.set_id), []).append(run)
    rows = []
    for (submission, set_id), runs in sets.items():
        newest = {run.seed: run for run in runs}
        seeds = {str(seed): (float(run.result["val_bpb"]), run.result.get("val_loss")) for seed, run in newest.items()}
        mean = sum(bpb for bpb, _ in seeds.values()) / len(seeds)
        last = runs[-1]
        rows.append(Row(
            f"{submission}/{set_id}", last.track, str(last.finished_at or last.started_at)[:10],
            f"{submission} ({'smoke, ' if last.smoke else ''}{len(seeds)} seed{'s' * (len(seeds) != 1)})", f"{mean:.4f}",
            "", None, "local", folder=str(last.folder.parent), source="finished runs", summary=f"on {last.device or 'unknown device'}",
            seeds=seeds,
        ))  # fmt: skip
    return rows
