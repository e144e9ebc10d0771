"""`golf verify --self-test`: print what the measurements say of the referee, and keep those on unseen specimens on `--write`."""

from pathlib import Path

from golf.errors import Exit
from golf.files import toml_text
from golf.rules.calibration.measure import Tally, measure
from golf.rules.calibration.specimens import (
    Outcome,
    find_specimens,
    judge_specimen,
    rates_by_rule,
    read_specimens,
    table,
)
from golf.rules.pack import load_pack
from golf.rules.rates import RATES, rates

COLUMNS = ["rule", "title", "accepted", "blocked", "rejections", "found", "planted", "found "]
BY_FAMILY = ["family", "half", "mode", "illegal found", "by experiment", "lawful cleared", "as expected"]
HEADER = """# Written by `golf verify --self-test --write`; not to be edited. Per rule, on the specimens that were kept aside while the checks
# were built (chosen by a hash of their names) and seen since: those that break it and are found, lawful ones and how many it blocks. Static.
"""


def print_self_test(
    records: str | None, specimens: str | None, *, execute: bool, write: bool, json: bool, md: bool
) -> Exit:
    """Measure on the package's own cases and, where they are at hand, on the specimens of others; 0 when no lawful one is blocked.

    execute: run the specimens too, which takes some seconds each.
    """
    from golf.cli.output import print_json, print_table, talk

    place = _records(records)
    tallies = measure(place)
    folder = find_specimens(specimens)
    outcomes: list[Outcome] = []
    for specimen in read_specimens(folder) if folder else ():
        outcomes.append(judge_specimen(specimen, execute=False))
        if execute and specimen.runs:
            outcomes.append(judge_specimen(specimen, execute=True))
            talk(f"{specimen.id}: {outcomes[-1].seconds:.0f} s")
    rows = [row for mode in ("static", "executed") for row in table([each for each in outcomes if each.mode == mode])]
    if json:
        print_json(
            {
                "records": str(place) if place else None,
                "rules": {code: tally.as_dict() for code, tally in tallies.items()},
                "specimens": str(folder) if folder else None,
                "families": [dict(zip(BY_FAMILY, row, strict=True)) for row in rows],
                "outcomes": [
                    {
                        "id": each.specimen.id, "mode": each.mode, "kept": each.specimen.kept, "legal": each.specimen.legal,
                        "wrong": list(each.wrong), "broken": list(each.broken), "found": each.found, "convicted": each.convicted,
                        "ran": each.ran, "seconds": round(each.seconds, 2),
                    }
                    for each in outcomes
                ],
            }
        )  # fmt: skip
    else:
        print_table(
            "The package's own cases (seen by those who wrote the checks)",
            COLUMNS,
            _rows(tallies),
            right=COLUMNS[2:],
            md=md,
        )
        for code, tally in tallies.items():
            for what, found in (
                ("blocks", tally.blocked),
                ("misses", tally.missed + tally.planted_missed),
                ("rightly broken", tally.real_faults),
            ):
                if found:
                    print(f"{code} {what}: {', '.join(found)}")
        if rows:
            print_table("Specimens of others, half of them kept aside", BY_FAMILY, rows, right=BY_FAMILY[3:], md=md)
            for each in outcomes:
                if each.wrong:
                    print(f"{each.specimen.id} ({each.mode}): {'; '.join(each.wrong)}")
    talk(f"official record folders: {place or 'none at hand (name them with --records)'}")
    talk(f"specimens: {folder or 'none at hand (name them with --specimens): what they would say is not measured'}")
    if write and outcomes:
        RATES.write_text(as_toml([each for each in outcomes if each.mode == "static"]), encoding="utf-8")
        rates.cache_clear()
        talk(f"written: {RATES}")
    right = all(tally.right for tally in tallies.values()) and not any(
        each.broken and each.specimen.legal for each in outcomes
    )
    return Exit.OK if right else Exit.RULE_BROKEN


def _records(named: str | None) -> Path | None:
    """The folder of official records: the named one, else none."""
    return Path(named) if named else None


def _rows(tallies: dict[str, Tally]) -> list[list[str]]:
    rules = load_pack().rules
    rows = []
    for code, tally in tallies.items():
        numbers = tally.as_dict()
        rows.append([code, rules[code].title, *(str(numbers[name]) for name in numbers)])
    total = [sum(int(row[column]) for row in rows) for column in range(2, len(COLUMNS))]
    return [*rows, ["all", "", *map(str, total)]]


def as_toml(outcomes: list[Outcome]) -> str:
    """The rates file."""
    return toml_text({"kept_aside": rates_by_rule(outcomes)}, HEADER)
