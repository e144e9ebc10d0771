"""The handshake with a machine at the terminal."""

from dataclasses import asdict
from pathlib import Path

from golf.cli.output import print_json, print_lines, print_table, talk
from golf.errors import Exit
from golf.pods.check import SLOWER, Pace, look
from golf.pods.pace import pace_here
from golf.project import find_root


def check_machine(
    name: str | None, steps: int, *, smoke: bool, data_path: Path | None, tokenizer_path: Path | None, json: bool
) -> Exit:
    """The table, or JSON; 10 where a line fails or the pace is too slow."""
    found = look(find_root())
    pace = None
    if name is not None:
        pace, more = pace_here(name, steps, smoke=smoke, data_path=data_path, tokenizer_path=tokenizer_path, say=talk)
        found += more
    slow = pace is not None and pace.is_slow
    if json:
        told = None if pace is None else {**asdict(pace), "slower": pace.slower, "is_slow": pace.is_slow}
        print_json(
            {
                "findings": [asdict(one) for one in found],
                "pace": told,
                "fit": not slow and all(one.state != "FAIL" for one in found),
            }
        )
    else:
        print_table(None, ("", "what", "found"), [[one.state, one.name, one.found] for one in found])
        if pace is not None:
            print_lines(["", *pace_lines(pace)])
    failed = [one.name for one in found if one.state == "FAIL"]
    if slow and pace is not None:
        talk(
            f"refused: a step takes {pace.step_ms:.1f} ms, {pace.slower or 0:.1%} longer than the record's {pace.record_step_ms:.1f} ms; more than {SLOWER:.0%} is a slow pod"
        )
    if failed:
        talk(f"refused: {', '.join(failed)}")
    return Exit.REFUSED if failed or slow else Exit.OK


def pace_lines(pace: Pace) -> list[str]:
    """What the pace means."""
    lines = [f"{pace.step_ms:.1f} ms a step: {pace.steps:,} steps in 600 s (predicted)"]
    if pace.record_step_ms is None:
        return [*lines, "no record of its recipe published a pace: nothing to hold it against"]
    against = f"its record: {pace.record_step_ms:.1f} ms, so a step takes {pace.slower or 0:+.1%}"
    cost = (
        ""
        if pace.cost_bpb is None
        else f"; the steps that are lost cost about {pace.cost_bpb:+.4f} BPB (predicted from public logs)"
    )
    return [*lines, against + cost]
