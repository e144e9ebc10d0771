"""Pages of an imported submission: what is known of its script and its results, and what is not."""

from golf.challenge import CAP_BYTES
from golf.cli.output import print_json, print_lines, print_table
from golf.record.imported import Imported


def lines_of(found: Imported) -> list[str]:
    """The page of `golf show`."""
    facts = found.facts()
    script, (author, date) = facts["script"], found.author_and_date
    scores = f"{facts['val_bpb']:.5f} (mean of {len(found.results)})" if facts["val_bpb"] is not None else "unknown"
    rows = [
        ("imported", facts["source"]), ("author", author), ("date", date), ("track", facts["track"]),
        ("script", f"{script['readable_bytes']:,} bytes readable, {script['lines']:,} lines"
                   + (f"; came packed: {script['packed']}" if script["packed"] else "")),
        ("needs", ", ".join(facts["needs"]) or "nothing beyond PyTorch that could be seen"),
        ("techniques", "unknown: golf composed nothing of it"), ("claimed", _shown(facts["claimed_val_bpb"])), ("val_bpb", scores),
    ]  # fmt: skip
    lines = [f"{found.folder.name}  {found.recipe.title}".rstrip(), ""]
    lines += [f"{name:14}{value if value not in ('', None) else 'unknown'}" for name, value in rows]
    for one in found.results:
        where = f"{one.world_size or '?'}x {one.device}" if one.device else "hardware unknown"
        lines.append(
            f"{'seed ' + str(one.seed):14}{_shown(one.val_bpb)}, {_count(one.steps)} steps, {_count(one.total_bytes)} bytes, {where}"
        )
    return lines


def print_size(found: Imported, *, json: bool, md: bool) -> None:
    """`golf size`: its own script and the results in the store; the rest is unknown."""
    facts = found.facts()
    if json:
        print_json({"size": facts["script"], "artifact": {"total_bytes_max": facts["artifact_bytes_max"]}, "imported": True,
                    "results": facts["results"], "cap_bytes": CAP_BYTES})  # fmt: skip
        return
    script = facts["script"]
    rows = [("train_gpt.py as it came", _count(script["shipped_bytes"])), ("with the files that it uses", _count(script["code_bytes"])),
            ("train_gpt.py, readable", _count(script["readable_bytes"]))]  # fmt: skip
    print_table(None, ("code", "bytes"), rows, right=("bytes",), md=md)
    if found.results:
        print()
        cells = [
            (str(one.seed), _count(one.code_bytes), _count(one.model_bytes), _count(one.total_bytes))
            for one in found.results
        ]
        columns = ("seed", "code, as logged", "model", "total")
        print_table(None, columns, cells, right=columns, md=md)
    largest = facts["artifact_bytes_max"]
    print_lines(
        ["", _verdict(largest), "parts, techniques and a prediction: unknown; golf composed nothing of this script"]
    )


def _verdict(total: int | None) -> str:
    if total is None:
        return "artifact: unknown; no result in the store states its bytes"
    return f"artifact: {total:,} bytes at the worst seed, {abs(CAP_BYTES - total):,} {'under' if total <= CAP_BYTES else 'over'} the cap, as its logs say"


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _shown(value: float | None) -> str:
    return "unknown" if value is None else str(value)
