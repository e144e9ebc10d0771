"""The page of `golf board search`: pull requests with their claims, and what they gave together."""

from dataclasses import asdict

from golf.board.field import Attempt, Summary, Wanted, search, summary
from golf.cli.output import print_json, print_table, talk

COLUMNS = ("claim", "rank", "n", "sd", "date", "PR", "author", "status", "what")
NUMBERS = ("claim", "rank", "n", "sd")
CUT = {"author": 8, "status": 8, "what": 20}  # what a narrow terminal shortens


def run(wanted: Wanted, most: int, json: bool, md: bool) -> None:
    """Print what was found; nothing found is an answer too."""
    found = search(wanted)
    total = summary(found)
    shown = found if most <= 0 else found[:most]
    if json:
        print_json({"count": total.count, "summary": _facts(total), "pull_requests": [one.to_dict() for one in shown]})
        return
    if shown:
        print_table(None, COLUMNS, [_cells(one, md) for one in shown], right=NUMBERS, cut=CUT, md=md)
    for line in lines_of(total, len(shown)):
        talk(line)


def lines_of(total: Summary, shown: int) -> list[str]:
    """What was found, in sentences."""
    if not total.count:
        return ["no pull request fits: as far as golf knows, nobody has tried it"]
    lines = [
        f"{total.count} pull requests, {total.claims} with a claim, {total.with_three_seeds} with three seeds"
        + (f"; the first {shown} are shown (`--most 0`: all)" if shown < total.count else "")
    ]
    if total.best is not None and total.median_bpb is not None:
        lines.append(
            f"claims: best {total.best.claim} (#{total.best.pr}, {total.best.status}), median {total.median_bpb:.4f}; a claim is its authors' own"
        )
    if total.official is not None:
        lines.append(f"on the board: best {total.official.claim} (#{total.official.pr}, rank {total.official.rank})")
    if total.contested:
        lines.append(f"{total.contested} of them were found to break a rule: marked !")
    return lines


def _facts(total: Summary) -> dict[str, object]:
    facts = asdict(total)
    for name in ("best", "official"):
        one = getattr(total, name)
        facts[name] = None if one is None else {"pr": one.pr, "claim": one.claim}
    return facts


def _cells(one: Attempt, md: bool) -> tuple[str, ...]:
    broken = f" ! {' '.join(one.rules)}" if one.verdict == "FAIL" else ""
    number = f"[#{one.pr}]({one.link})" if md else f"#{one.pr}"
    what = one.title if md or len(one.title) <= 70 else one.title[:69] + "…"
    return ("" if one.claim is None else f"{one.claim:.5f}", str(one.rank or ""), str(len(one.seeds) or ""), "" if one.sd is None else f"{one.sd:.5f}",
            one.date, number, one.author, one.status + broken, what)  # fmt: skip
