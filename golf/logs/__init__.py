"""The log reader: any dialect of the challenge's logs → `RunResult`, each number with the line that it came from.

The line grammar is data (`grammar.toml`); `text` turns bytes into lines, `read` lines into runs, `backing` says which number
backs the claim and why.
"""

from golf.logs.read import read_log, read_text
from golf.logs.result import LogFile, Point, RunResult, Score

__all__ = ["LogFile", "Point", "RunResult", "Score", "read_log", "read_text"]
