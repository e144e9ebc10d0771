"""`golf leaderboard --track` of golf's own tracks: a board for each set of runs that compare."""

from golf.board.tracks import Board, SideTrack, boards_of
from golf.cli.output import print_json, print_table, talk
from golf.errors import Exit
from golf.project import find_root

HEADS = ("place", "score", "n", "sd", "submission", "steps", "ms/step", "on")
RIGHT = ("place", "score", "n", "sd", "steps", "ms/step")


def run(track: SideTrack, *, json: bool, md: bool) -> Exit:
    """Print the boards of `track`; the exit code."""
    boards = boards_of(track, find_root())
    if json:
        print_json(
            {
                "track": track.name,
                "title": track.title,
                "challenge_result": False,
                "boards": [board.to_dict() for board in boards],
            }
        )
        return Exit.OK
    for place, board in enumerate(boards):
        if place:
            print()
        print_table(
            _title(track, board),
            HEADS,
            [_cells(board, number) for number in range(len(board.places))],
            right=RIGHT,
            md=md,
        )
    if not boards:
        talk(f"no finished run of this project is on it: `golf run NAME --track {track.name}`")
    talk("not a challenge result: ranked among this project's own runs")
    return Exit.OK


def _title(track: SideTrack, board: Board) -> str:
    shared = [
        f"{name} {str(value)[:12] if name == 'data' else value}"
        for name, value in board.group.items()
        if name != "smoke"
    ]
    small = ["small twins"] if board.group.get("smoke") else []
    return f"{track.title} ({', '.join([*shared, *small])})"


def _cells(board: Board, number: int) -> tuple[str, ...]:
    one = board.places[number]
    return (
        str(one.rank), f"{one.score.mean:.5f}", str(one.score.n), "" if one.score.sd is None else f"{one.score.sd:.5f}", one.submission,
        "" if one.steps is None else f"{one.steps:g}", "" if one.step_ms is None else f"{one.step_ms:.1f}", one.device or "",
    )  # fmt: skip
