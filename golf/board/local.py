"""This project's own entries: record folders under records/, and finished runs of the store."""

import re
from pathlib import Path
from typing import Any

from golf.board.rows import Mark, Row
from golf.files import parse_json
from golf.project import is_adopted
from golf.reading.claims import author_and_date, claimed_track, seed_claims
from golf.reading.folder import Folder


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
        author, date, what = _of_import(root / "submissions" / submission)
        rows.append(Row(
            f"{submission}/{set_id}", last.track, date or str(last.finished_at or last.started_at)[:10],
            f"{submission} ({'smoke, ' if last.smoke else ''}{len(seeds)} seed{'s' * (len(seeds) != 1)})", f"{mean:.4f}",
            author, None, "local", folder=str(last.folder.parent), source=what, summary=f"on {last.device or 'unknown device'}",
            seeds=seeds, stats=_measured([run.result for run in newest.values()]),
        ))  # fmt: skip
    return rows


def _of_import(submission: Path) -> tuple[str, str, str]:
    """(author, date, what its rows are) of an imported submission, as the folder that came says; ("", "", "finished runs") for one's own."""
    if not is_adopted(submission):
        return "", "", "finished runs"
    author, date = author_and_date(Folder(submission / "original").claims, _source_folder(submission))
    return author, date, "imported results"


def _source_folder(submission: Path) -> str:
    """The name of the folder that was imported."""
    text = (submission / "recipe.toml").read_text(encoding="utf-8", errors="replace")
    found = re.search(r'^source = "adopted from ([^"]+)"', text, re.MULTILINE)
    return found[1] if found else ""


def _measured(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Bytes of the worst seed, mean steps and mean ms a step, where every run has them."""

    def column(name: str) -> list[float]:
        values = [result.get(name) for result in results]
        return [float(value) for value in values if value is not None] if None not in values else []

    bytes_, steps, step_ms = column("total_bytes"), column("steps"), column("step_ms")
    found = {
        "bytes": max(bytes_, default=None),
        "steps": steps and sum(steps) / len(steps),
        "step_ms": step_ms and sum(step_ms) / len(step_ms),
    }
    return {name: value for name, value in found.items() if value}
