"""A comparison at the terminal, or as JSON."""

from dataclasses import asdict

from golf.board.compare import Comparison, code_diff, measures
from golf.cli.output import print_json, print_lines, print_table, talk
from golf.stats import PROGRESSION_P, STRICT_P, Test, p_text


def print_comparison(comparison: Comparison, *, code: bool, md: bool) -> None:
    """Numbers, verdict, configuration, code, on stdout; remarks on stderr."""
    a, b = comparison.a, comparison.b
    print_table(None, ("", a.label, b.label, "B − A"), measures(a, b), right=(a.label, b.label, "B − A"), md=md)
    print()
    seeds = ", ".join(f"{side.label}: n={len(side.seeds)} ({', '.join(side.seeds)})" for side in (a, b) if side.seeds)
    if seeds:
        print_lines([f"seeds    {seeds}"])
    if comparison.delta_bpb is not None:
        print_lines([f"delta    {_deltas(comparison)}", f"better?  {_verdict(comparison)}"])
    if comparison.config:
        print()
        rows = [(name, _value(left), _value(right)) for name, (left, right) in comparison.config.items()]
        print_table(None, ("config", a.label, b.label), rows, md=md)
    elif a.config and b.config:
        print("config   equal")
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
        name: {"label": side.label, "kind": side.kind, "seeds": {seed: list(pair) for seed, pair in side.seeds.items()}}
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
