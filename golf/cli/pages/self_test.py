"""`golf verify --self-test`: print what the calibration measured, and keep it with the pack on `--write`."""

from pathlib import Path

from golf.errors import Exit
from golf.files import toml_text
from golf.rules.calibration.measure import Tally, measure
from golf.rules.pack import load_pack
from golf.rules.rates import RATES, rates

COLUMNS = ["rule", "title", "accepted", "blocked", "rejections", "found", "planted", "found "]
HEADER = """# Written by `golf verify --self-test --records FOLDER --write`; not to be edited. Per rule: accepted pull requests that it
# could judge (logs and JSON of the official folders, facts of others) and how many it would block; rejections rebuilt from their
# published facts (numbers in logs, a specimen for each family of scripts) and planted faults, and how many of each it finds.
"""


def print_self_test(records: str | None, *, write: bool, json: bool, md: bool) -> Exit:
    """Measure, print, and return 0 when nothing accepted is blocked and nothing is missed, else 1."""
    from golf.cli.output import print_json, print_table, talk

    place = _records(records)
    tallies = measure(place)
    if json:
        print_json(
            {
                "records": str(place) if place else None,
                "rules": {code: tally.as_dict() for code, tally in tallies.items()},
            }
        )
    else:
        print_table(None, COLUMNS, _rows(tallies), right=COLUMNS[2:], md=md)
        for code, tally in tallies.items():
            for what, found in (
                ("blocks", tally.blocked),
                ("misses", tally.missed + tally.planted_missed),
                ("rightly broken", tally.real_faults),
            ):
                if found:
                    print(f"{code} {what}: {', '.join(found)}")
    talk(f"official record folders: {place or 'none at hand (name them with --records)'}")
    if write:
        RATES.write_text(as_toml(tallies), encoding="utf-8")
        rates.cache_clear()
        talk(f"written: {RATES}")
    return Exit.OK if all(tally.right for tally in tallies.values()) else Exit.RULE_BROKEN


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


def as_toml(tallies: dict[str, Tally]) -> str:
    """The rates file."""
    return toml_text({"rule": {code: tally.as_dict() for code, tally in tallies.items()}}, HEADER)
