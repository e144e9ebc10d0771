"""A rule as a page: everything that the pack knows about it."""

import textwrap
from collections.abc import Iterator
from typing import Any

from golf.rules.pack import Rule, load_pack
from golf.rules.rates import measured_rate

WIDTH = 79
AUTHORITY = {
    "official": "official (README or a maintainer)",
    "community": "community (used by maintainers as a label)",
    "golf": "golf's own inference; no maintainer raised it",
    "none": "no ruling",
}


def page(rule: Rule, pack: str) -> Iterator[str]:
    """The lines of `golf explain`."""
    yield f"{rule.code}  {rule.title}"
    yield ""
    yield from textwrap.wrap(rule.statement, WIDTH)
    yield ""
    state = load_pack(pack)
    yield f"severity   {rule.severity}"
    yield f"authority  {AUTHORITY[rule.authority]}"
    yield f"source     {rule.source}" + (f"  ({rule.date})" if rule.date else "")
    yield f"pack       {state.name}: {state.title}"
    yield f"tracks     {', '.join(rule.tracks)}"
    yield f"checks     {', '.join(rule.detectors) or 'none'}"
    yield f"measured   {measured_rate(rule.code) or 'not on the calibration corpus'}"
    yield f"way out    {rule.help}"
    if rule.examples:
        yield "examples"
    for example in rule.examples:
        yield f"  #{example.pr:<5} {example.outcome}"
        yield f"         {example.url}"


def as_dict(rule: Rule, pack: str) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "pack": pack,
        "code": rule.code,
        "title": rule.title,
        "statement": rule.statement,
        "severity": rule.severity,
        "authority": rule.authority,
        "source": rule.source,
        "date": rule.date.isoformat() if rule.date else None,
        "tracks": list(rule.tracks),
        "checks": list(rule.detectors),
        "measured": measured_rate(rule.code),
        "help": rule.help,
        "examples": [{"pr": example.pr, "outcome": example.outcome, "url": example.url} for example in rule.examples],
    }
