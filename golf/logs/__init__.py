"""The log reader: any dialect of the challenge's logs → `RunResult`, each number with the line that it came from.

The line grammar is data (`grammar.toml`); `text` turns bytes into lines, `read` lines into runs, `backing` says which number
backs the claim and why, `runs` which runs are evidence, `agreement` whether a log agrees with itself.
"""

from golf.logs.read import read_log, read_text
from golf.logs.result import LogFile, Point, RunResult, Score
from golf.logs.runs import counting

__all__ = ["LogFile", "Point", "RunResult", "Score", "counting", "read_log", "read_text"]
