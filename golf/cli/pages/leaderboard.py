"""What `golf leaderboard` does with its options."""

from dataclasses import dataclass
from pathlib import Path

from golf.board.local import local_rows
from golf.board.rows import Row
from golf.board.sync import board_rows
from golf.board.views import choose, day, recipe_lineage
from golf.cli.output import print_json, talk
from golf.errors import Exit
from golf.project import find_root

LISTED = ("merged", "row", "local")


@dataclass(frozen=True)
class Query:
    """The filters of the board."""

    technique: str | None = None
    author: str | None = None
    at: str | None = None
    status: str | None = None
    track: str | None = None
    as_listed: bool = False

    def rows(self, everything: bool = False) -> list[Row]:
        """The rows that fit; without a track the record track and everything local, without a status what stands on the board."""
        rows = choose(
            (*board_rows(find_root()), *local_rows(find_root())), technique=self.technique, author=self.author, at=self.at,
            status=self.status, track=self.track, as_listed=self.as_listed,
        )  # fmt: skip
        if everything:
            return rows
        if self.track is None:
            rows = [row for row in rows if row.track == "10min_16mb" or row.status == "local"]
        return rows if self.status else [row for row in rows if row.status in LISTED]


def run(
    query: Query,
    wins: str | None,
    tree: bool,
    lineage: bool,
    techniques: bool,
    export: Path | None,
    json: bool,
    md: bool,
    wide: bool,
) -> Exit:
    """Print or write the board; the exit code."""
    from golf.cli.pages import board_tables as show

    if wins is not None:
        return _wins(wins, query.at, json, md)
    if export is not None:
        from golf.board.export import export_board

        export_board(query.rows(everything=query.track is None and query.status is None), export)
        talk(f"wrote {export} ({export.stat().st_size:,} bytes)")
        return Exit.OK
    rows = query.rows(everything=lineage)
    if lineage:
        rows = [row for row in rows if row.track == query.track or (query.track is None and row.track != "local")]
        if json:
            told = recipe_lineage(rows)
            print_json(
                {"lineage": [{"recipe": name, "row": row.label, "depth": d, "changes": n} for d, row, name, n in told]}
            )
        else:
            show.print_lineage(rows, md)
    elif json:
        print_json({"rows": [row.to_dict() for row in rows]})
    elif techniques:
        show.print_techniques([row for row in rows if row.status != "local"], md)
    elif tree:
        show.print_tree(
            [
                row
                for row in query.rows(everything=True)
                if row.status != "withdrawn" and row.track == (query.track or "10min_16mb")
            ]
        )
    elif query.status in ("disputed", "withdrawn", "no_row"):
        show.print_marks(rows, md)
    else:
        show.print_rows(rows, md, wide)
        if query.at is not None and not query.as_listed:
            show.print_not_yet_listed(rows, query.at)
    return Exit.OK


def _wins(name: str, at: str | None, json: bool, md: bool) -> Exit:
    from dataclasses import asdict

    from golf.board.frontier import frontier, judge
    from golf.board.gather import seeds_of
    from golf.cli.pages import board_tables as show

    at = None if at is None else day(at)
    label, seeds = seeds_of(None if name == "." else name)
    if not json:
        return show.print_wins(label, seeds, at, md)
    verdicts = [judge(seeds, row) for row in (frontier(at), frontier()) if row is not None]
    print_json({"name": label, "seeds": {seed: list(pair) for seed, pair in seeds.items()},
                "verdicts": [{**asdict(one), "against": one.against.label, "wins_progression": one.wins_progression,
                              "wins_strict": one.wins_strict} for one in verdicts]})  # fmt: skip
    return Exit.OK
