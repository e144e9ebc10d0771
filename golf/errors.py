"""The one error class and the exit codes: what a user did, what was measured, and the way out."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    RULE_BROKEN = 1
    USAGE = 2
    OVER_BYTES = 3
    OVER_TIME = 4
    NOT_SIGNIFICANT = 5
    UNKNOWN = 6
    REFUSED = 10
    INTERNAL = 70  # as sysexits' EX_SOFTWARE: a fault of golf's own
    STOPPED = 130  # as a shell has it: 128 and SIGINT
    CLOSED_PIPE = 141  # 128 and SIGPIPE: the reader went away


class GolfError(Exception):
    """A fault that the user can mend: subject, measured value and limit in `message`, the way out in `hint`."""

    def __init__(self, message: str, hint: str | None = None, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
