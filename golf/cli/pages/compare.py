"""A comparison at the terminal, or as JSON."""

from dataclasses import asdict

from golf.board.compare import Comparison, code_diff, measures, unmatched
from golf.cli.output import print_json, print_lines, print_table, talk
from golf.stats import PROGRESSION_P, STRICT_P, Test, p_text

LONGEST_LABEL = 24
SHOWN_ALONE = 12  # names that only one side prints


def print_comparison(comparison: Comparison, *, code: bool, md: bool) -> None:
    """Numbers, verdict, configuration, code, on stdout; remarks on stderr."""
    a, b = comparison.a, comparison.b
    left, right = _columns(comparison)
    if left != a.label:
        print_lines([f"A  {a.label}", f"B  {b.label}", ""])
    print_table(None, ("", left, right, "B − A"), measures(a, b), right=(left, right, "B − A"), md=md)
    print()
    for name, side in ((left, a), (right, b)):
        if side.seeds:
            print_lines([f"seeds    {name}: {side.count or f'n={len(side.seeds)}'} ({', '.join(side.seeds)})"])
    if comparison.delta_bpb is not None:
        print_lines([f"delta    {_deltas(comparison)}", f"better?  {_verdict(comparison)}"])
    print_lines(["", *_config(comparison, md)])
    if comparison.code_lines is not None:
        added, removed = comparison.code_lines
        print(
            f"\ncode     {'equal' if not added and not removed else f'+{added} −{removed} lines'}"
            + ("" if code else " (`--code` shows them)")
        )
    if code:
        print("\n".join(code_diff(a, b)))
    for note in comparison.notes:
        talk(f"note: {note}")


def _columns(comparison: Comparison) -> tuple[str, str]:
    """The heads of the two columns: the labels, or A and B where these would not fit."""
    labels = comparison.a.label, comparison.b.label
    return labels if max(map(len, labels)) <= LONGEST_LABEL else ("A", "B")


def _config(comparison: Comparison, md: bool) -> list[str]:
    """The differing values as a table; what one side alone names, a line a side."""
    a, b = comparison.a, comparison.b
    if not a.config or not b.config:
        return ["config   unknown: a side names none"]
    both = {name: pair for name, pair in comparison.config.items() if None not in pair}
    rows = [(name, _value(left), _value(right)) for name, (left, right) in both.items()]
    lines = []
    if rows:
        print()
        print_table(None, ("config", *_columns(comparison)), rows, md=md)
    for label, place in zip(_columns(comparison), (0, 1), strict=True):
        alone = {name: pair[place] for name, pair in comparison.config.items() if pair[1 - place] is None}
        if alone:
            named = ", ".join(f"{name}={value}" for name, value in list(alone.items())[:SHOWN_ALONE])
            more = f" and {len(alone) - SHOWN_ALONE} more (`--json` lists them)" if len(alone) > SHOWN_ALONE else ""
            lines.append(f"config   only {label}: {named}{more}")
    if count := unmatched(a, b):
        lines.append(f"config   {count} hyper-parameters of the log have no knob in golf and are not compared")
    return lines or ([] if rows else ["config   equal"])


def _deltas(comparison: Comparison) -> str:
    parts = [f"{comparison.delta_bpb:+.5f} BPB"]
    if comparison.delta_nats_per_token is not None:
        parts.append(f"{comparison.delta_nats_per_token:+.5f} nats/token")
    parts.append(f"{comparison.delta_nats_per_byte:+.5f} nats/byte")
    return ", ".join(parts)


def _verdict(comparison: Comparison) -> str:
    parts = [_p("p", comparison.plain, PROGRESSION_P), _p("p with the 0.005-nat margin", comparison.strict, STRICT_P)]
    if comparison.paired is not None:
        parts.append(_p("p paired by seed", comparison.paired, STRICT_P))
    if comparison.seeds_for_this_gap is not None:
        parts.append(f"{comparison.seeds_for_this_gap} seeds a side find this gap at p<{STRICT_P} with 80 % power")
    return "; ".join(parts)


def _p(name: str, test: Test | None, bar: float) -> str:
    return (
        f"{name} unknown"
        if test is None
        else f"{name} {p_text(test.p)} ({'passes' if test.p < bar else 'misses'} {bar})"
    )


def _value(text: str | None) -> str:
    return "—" if text is None else text if len(text) <= 60 else text[:57] + "…"


def as_json(comparison: Comparison, code: bool) -> None:
    """The comparison as one JSON object."""
    sides = {
        name: {
            "label": side.label,
            "kind": side.kind,
            "n": len(side.seeds),
            "count": side.count,
            "seeds": {seed: list(pair) for seed, pair in side.seeds.items()},
        }
        for name, side in (("a", comparison.a), ("b", comparison.b))
    }
    tests = {name: None if test is None else asdict(test) for name, test in
             (("plain", comparison.plain), ("strict", comparison.strict), ("paired", comparison.paired))}  # fmt: skip
    print_json({
        **sides, "delta_bpb": comparison.delta_bpb, "delta_nats_per_token": comparison.delta_nats_per_token,
        "delta_nats_per_byte": comparison.delta_nats_per_byte, "tests": tests, "seeds_for_this_gap": comparison.seeds_for_this_gap,
        "measures": [list(row) for row in measures(comparison.a, comparison.b)],
        "config": {name: list(pair) for name, pair in comparison.config.items()},
        "code_lines": comparison.code_lines, "code": code_diff(comparison.a, comparison.b) if code else None, "notes": list(comparison.notes),
    })  # fmt: skip
