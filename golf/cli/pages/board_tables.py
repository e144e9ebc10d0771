"""The board at the terminal: tables on stdout, remarks on stderr."""

from collections.abc import Mapping, Sequence

from golf.board.frontier import Verdict, frontier, judge
from golf.board.rows import Row
from golf.board.views import lineage, measured, not_yet_listed, recipe_lineage, techniques
from golf.cli.output import print_table, talk
from golf.errors import Exit, GolfError
from golf.stats import PROGRESSION_P, STRICT_P, Test, bpb_of, bytes_per_token_of, confidence, p_text

COLUMNS = ("rank", "bpb", "n", "sd", "date", "PR", "author", "run", "status")
WIDE = ("bytes", "steps", "ms/step", "eval s", "link")
NUMBERS = ("rank", "bpb", "n", "sd", "bytes", "steps", "ms/step", "eval s")
CUT = {"author": 10, "run": 20}  # what a narrow terminal shortens
NOT_A_RESULT = "not a challenge result"


def print_rows(rows: Sequence[Row], md: bool, wide: bool = False) -> None:
    """The table of `rows` as ranked, with this project's own of the same track where their scores put them; what compares with nothing
    on the board (local, other data) in a table of its own. wide: what the seeds measured, and a link."""
    listed = [row for row in rows if row.track != "local"]
    apart = [row for row in rows if row.track == "local"]
    columns = COLUMNS + (WIDE if wide else ())
    for track in dict.fromkeys(row.track for row in listed):
        of_track = _in_order([row for row in listed if row.track == track])
        print_table(None, columns, [_cells(row, md, wide) for row in of_track], right=NUMBERS, cut=CUT, md=md)
        if track != listed[-1].track:
            print()
    if apart:
        if listed:
            print()
        cells = [(row.score, row.date, row.run, row.author, row.track, _own(row), row.folder) for row in apart]
        own = ("bpb", "date", "run", "author", "track", "what", "folder")
        print_table("this project", own, cells, right=("bpb",), md=md)
    if not rows:
        talk("no row fits")
    elif any(row.disputed for row in listed) and not md:
        talk("! = disputed: `golf leaderboard --status disputed` says why")
    silent = [row.label for row in listed if any(mark.kind == "unsaid" for mark in row.marks)]
    if silent and not md:
        talk(f"their code does what their READMEs do not say (`golf show pr{silent[0][1:]}`): {', '.join(silent)}")


def print_not_yet_listed(rows: Sequence[Row], at: str) -> None:
    """Which of these rows the contest's README did not show on that day, and what it ended at."""
    late = not_yet_listed(rows, at)
    if late:
        shown = min((row for row in rows if row.rank and row not in late and row.track == late[0].track),
                    key=lambda row: row.rank or 0, default=None)  # fmt: skip
        ended = f"; its best was {shown.label}, {shown.score}" if shown else ""
        days = ", ".join(sorted({row.listed for row in late}))
        talk(
            f"the contest's README took up {len(late)} of these rows only on {days}{ended}: `--as-listed` ranks as it did"
        )


def _in_order(rows: Sequence[Row]) -> list[Row]:
    """Official rows as ranked, this project's before the first that it beats; what has no rank and no score last."""
    official, own = [row for row in rows if row.status != "local"], [row for row in rows if row.status == "local"]
    ordered = list(official)
    for row in sorted(own, key=lambda row: row.bpb if row.bpb is not None else 99.0, reverse=True):
        place = next(
            (
                index
                for index, other in enumerate(ordered)
                if row.bpb is not None and other.rank and (other.bpb or 0.0) > row.bpb
            ),
            None,
        )
        ordered.insert(len(ordered) if place is None else place, row)
    return ordered


def _own(row: Row) -> str:
    return f"{row.source}, {NOT_A_RESULT}" if row.track == "local" else row.source


def _cells(row: Row, md: bool, wide: bool = False) -> tuple[str, ...]:
    run = f"[{row.run}]({row.links[0]})" if md and row.links and row.links[0].startswith("http") else row.run
    status = row.source if row.status == "local" else row.status + (" !" if row.disputed else "")
    n, sd, *facts = measured(row)
    cells = (str(row.rank or ""), row.score, n, sd, row.date, f"#{row.pr}" if row.pr else "", row.author, run, status)
    return (*cells, *facts, row.links[0] if row.links else row.folder) if wide else cells


def print_marks(rows: Sequence[Row], md: bool) -> None:
    """What audits and reviews say about each of `rows`."""
    cells = [
        (row.label, row.score, mark.kind, " ".join(mark.codes), mark.text)
        for row in rows
        for mark in row.marks
    ]  # fmt: skip
    print_table(None, ("row", "bpb", "mark", "rules", "reason"), cells, right=("bpb",), md=md)


def print_tree(rows: Sequence[Row]) -> None:
    """The lineage: each row under the row that it was built on, with what it added."""
    for depth, row in lineage(rows):
        added = ", ".join((*row.adds, *(f"-{name}" for name in row.drops)))
        print(f"{'  ' * depth}{row.label} {row.score or '(no row)'} {row.author}{': ' + added if added else ''}")


def print_lineage(rows: Sequence[Row], md: bool) -> None:
    """The lineage as recipes: each row under the row whose recipe its recipe extends, and how many choices it changes."""
    cells = []
    for depth, row, name, changes in recipe_lineage(rows):
        changed = "" if changes is None else f"{changes} choice{'s' * (changes != 1)}"
        cells.append((f"{'· ' * depth}{name}", row.score, row.date, row.author, changed))
    print_table(None, ("recipe", "bpb", "date", "author", "changes"), cells, right=("bpb",), md=md)
    talk("`golf show NAME` tells a recipe, `golf compare A B` every choice that two of them do not share")


def print_techniques(rows: Sequence[Row], md: bool) -> None:
    """Who uses what, with what before and after."""
    cells = []
    for use in techniques(rows):
        best = min(use.steps, key=lambda step: (step[1].bpb or 9) - (step[0].bpb or 9), default=None)
        before_after = ""
        if best and best[0].bpb is not None and best[1].bpb is not None:
            others = len(best[2])
            alone = f", {others} other change{'s' * (others != 1)}" if others else ", alone"
            before_after = f"{best[0].score} → {best[1].score} ({best[1].label}{alone})"
        cells.append((use.technique, str(use.rows), f"{use.first.label} {use.first.date}", before_after))
    print_table(
        None, ("technique", "rows", "first", "before → after, where it gave most"), cells, right=("rows",), md=md
    )
    talk("before → after is of the whole row: what else changed with it is counted, not taken out")


def print_wins(name: str, seeds: Mapping[str, tuple[float, float | None]], at: str | None, md: bool) -> Exit:
    """Whether these seeds would have been a record on `at` and at the end; the exit code: 0 if at the end by the progression rule."""
    talk(f"{name}: seeds {', '.join(seeds)}")
    verdicts = []
    for when, row in (("then, " + at if at else None, frontier(at)), ("at the end", frontier())):
        if when is not None:
            if row is None:
                raise GolfError(f"the board has no row on {at}", "the challenge began on 2026-03-18")
            verdicts.append((when, judge(seeds, row)))
    cells = [_verdict_cells(when, verdict) for when, verdict in verdicts]
    columns = (
        "when",
        "record",
        "its bpb",
        "yours",
        "delta bpb",
        "delta nats/token",
        "p (progression)",
        "p (0.005 nats)",
        "record by",
    )
    print_table(None, columns, cells, right=columns[2:8], md=md)
    for _, verdict in verdicts:
        _explain(verdict, seeds)
    last = verdicts[-1][1].wins_progression
    return Exit.OK if last else Exit.UNKNOWN if last is None else Exit.NOT_SIGNIFICANT


def _verdict_cells(when: str, verdict: Verdict) -> tuple[str, ...]:
    bars = [
        f"{name}: {'unknown' if won is None else 'yes' if won else 'no'}"
        for name, won in (
            (f"p<{PROGRESSION_P}", verdict.wins_progression),
            (f"strict p<{STRICT_P}", verdict.wins_strict),
        )
    ]
    return (
        when, f"{verdict.against.label} {verdict.against.date}", f"{verdict.old.mean:.5f}", _spread(verdict),
        f"{verdict.delta_bpb:+.5f}", "unknown" if verdict.delta_nats is None else f"{verdict.delta_nats:+.5f}",
        _p(verdict.progression), _p(verdict.strict), "; ".join(bars),
    )  # fmt: skip


def _spread(verdict: Verdict) -> str:
    new = verdict.new
    return f"{new.mean:.5f} (n={new.n}" + (")" if new.sd is None else f", sd {new.sd:.5f})")


def _p(test: Test | None) -> str:
    return "unknown" if test is None else p_text(test.p).removeprefix("= ")


def _explain(verdict: Verdict, seeds: Mapping[str, tuple[float, float | None]]) -> None:
    if not verdict.exact:
        talk(
            f"{verdict.against.label}: its seeds are not at hand; its score stands as a fixed number (one-sample test)"
        )
    if verdict.new.n < 2:
        talk("one seed has no spread: run at least three")
    interval = confidence(verdict.new)
    if interval:
        talk(f"95 % interval of your mean: {interval[0]:.5f} to {interval[1]:.5f}")
    bpb, loss = next(iter(seeds.values()))
    if loss is not None:
        talk(f"0.005 nats per token is {bpb_of(0.005, bytes_per_token_of(loss, bpb)):.5f} BPB with this tokenizer")
