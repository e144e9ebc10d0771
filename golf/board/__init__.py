"""The board: the challenge's official history as data, local records and runs beside it, and what follows from both."""

from golf.board.rows import Mark, Row, official

__all__ = ["Mark", "Row", "official"]
