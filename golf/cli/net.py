"""The net under every verb: whatever goes wrong ends as one sentence, its way out and a documented exit code.

A traceback is kept in a file, and shown where GOLF_DEBUG=1 is set. With `--json` the error is JSON on stdout as well.
"""

import errno
import os
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from golf.cli import output
from golf.errors import Exit, GolfError

# the base of a parser's complaints; typer brings its own click or takes the installed one, so it is not imported by name
UsageFault: Any = typer.BadParameter.__bases__[0]
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
MISNAMED = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENXIO)


@dataclass(frozen=True)
class Ending:
    """How a command ends that did not go well."""

    error: str
    hint: str
    code: int
    unforeseen: bool = False  # nobody thought of it: its traceback is kept


def run(command: Callable[..., Any], words: Sequence[str]) -> int:
    """Run `golf WORDS`; the exit code. Nothing but SystemExit leaves it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))
        if hasattr(stream := getattr(sys, name), "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 shows less, and stops nothing
    output.json_was_printed = False
    as_json = "--json" in (words[: words.index("--")] if "--" in words else words)
    try:
        found = command(args=list(words), prog_name="golf", standalone_mode=False)
        code = found if isinstance(found, int) else Exit.OK
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _discard_output()
        return Exit.CLOSED_PIPE
    except SystemExit as fault:
        if isinstance(fault.__context__, BrokenPipeError):  # typer makes 1 of it, which here is a broken rule
            _discard_output()
            return Exit.CLOSED_PIPE
        raise
    except UsageFault as fault:
        return _say_usage(fault, as_json)
    except (Exception, KeyboardInterrupt) as fault:
        ending = ending_of(fault)
        return _say(ending, fault, as_json)


def ending_of(fault: BaseException) -> Ending:
    """The sentence, way out and exit code of an exception."""
    if isinstance(fault, GolfError):
        return Ending(fault.message, fault.hint or "", fault.code)
    if isinstance(fault, KeyboardInterrupt | typer.Abort):
        return Ending("stopped", "", Exit.STOPPED)
    if isinstance(fault, OSError):
        return _of_system(fault)
    if isinstance(fault, sqlite3.Error):
        return Ending(f"a SQLite file cannot be used: {fault}",
                      "see that the disk has room and that `.golf/` can be written", Exit.REFUSED)  # fmt: skip
    if isinstance(fault, MemoryError) or type(fault).__name__ == "OutOfMemoryError":
        return Ending(f"out of memory{f': {_first_line(fault)}' if str(fault) else ''}",
                      "take less at once, or a machine with more", Exit.REFUSED)  # fmt: skip
    if isinstance(fault, UnicodeError):
        return Ending(f"a file or a word is not the UTF-8 that it should be: {_first_line(fault)}",
                      "save it as UTF-8", Exit.USAGE, unforeseen=True)  # fmt: skip
    if isinstance(fault, RecursionError):
        return Ending("something is nested too deeply, or holds itself", "look at the file that was read last",
                      Exit.USAGE, unforeseen=True)  # fmt: skip
    if isinstance(fault, RuntimeError) and "home directory" in str(
        fault
    ):  # what pathlib says of `~` and of Path.home()
        return Ending("there is no such home folder", "set HOME, or XDG_CACHE_HOME and XDG_CONFIG_HOME, or write the path out",
                      Exit.REFUSED)  # fmt: skip
    said = f": {_first_line(fault)}" if str(fault) else ""
    return Ending(f"golf met something that it does not know ({type(fault).__name__}{said})",
                  "please report it with its traceback", Exit.INTERNAL, unforeseen=True)  # fmt: skip


def _of_system(fault: OSError) -> Ending:
    place = " and ".join(f"`{name}`" for name in (fault.filename, fault.filename2) if isinstance(name, str | Path))
    what = fault.strerror or _first_line(fault) or type(fault).__name__
    sentence = f"{_short(place)}: {what}" if place else what
    if fault.errno in FULL:
        return Ending(sentence, "make room: `golf clean` shows what golf holds", Exit.REFUSED)
    if fault.errno in CLOSED:
        return Ending(sentence, "make it writable for you, or work in another folder", Exit.REFUSED)
    if fault.errno == errno.ENAMETOOLONG:
        return Ending(sentence, "take a shorter name", Exit.USAGE)
    if fault.errno == errno.ENOENT and not place:
        return Ending("the current folder is gone", "change to one that exists", Exit.USAGE)
    if fault.errno in MISNAMED:
        return Ending(sentence, "look at the path", Exit.USAGE)
    return Ending(sentence, "the operating system refused; try again once that is mended", Exit.REFUSED)


def _say(ending: Ending, fault: BaseException, as_json: bool) -> int:
    hint = ending.hint
    if os.environ.get("GOLF_DEBUG"):
        _write_error("".join(traceback.format_exception(fault)))
    elif ending.unforeseen:
        kept = _keep(fault)
        hint += f"; it is in {kept}" if kept else "; GOLF_DEBUG=1 shows it"
    _tell(ending.error, hint, ending.code, as_json)
    return int(ending.code)


def _say_usage(fault: Any, as_json: bool) -> int:
    context = getattr(fault, "ctx", None)
    if as_json and not output.json_was_printed:
        page = f"{context.command_path if context else 'golf'} --help"
        _tell(fault.format_message().strip() or "no command", f"`{page}` lists what there is", fault.exit_code, True)
    else:
        try:
            fault.show(file=sys.stderr)
        except OSError:
            _discard_output()
    return int(fault.exit_code)


def _tell(error: str, hint: str, code: int, as_json: bool) -> None:
    try:
        if as_json and not output.json_was_printed:
            output.print_json({"error": error, "hint": hint or None, "exit": int(code)})
            sys.stdout.flush()
            return
    except OSError:  # nobody reads it, or the disk is full: stderr may still be there
        _discard_output()
    _write_error(f"error: {error}\n" + (f"hint:  {hint}\n" if hint else ""))
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _discard_output()


def _write_error(text: str) -> None:
    try:
        sys.stderr.write(output.as_wide_as_stderr(text))
        sys.stderr.flush()
    except (OSError, ValueError):
        _discard_output()


def _keep(fault: BaseException) -> Path | None:
    """Write the traceback into golf's cache, or else beside the system's temporary files; None where nothing can be written."""
    text = "".join(traceback.format_exception(fault))
    try:
        from golf.project import cache_dir

        folder = cache_dir()
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / "last-traceback.txt"
        place.write_text(text, encoding="utf-8", errors="backslashreplace")
        return place
    except (OSError, RuntimeError):
        pass
    try:
        handle, name = tempfile.mkstemp(prefix="golf-traceback-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        return Path(name)
    except OSError:
        return None


def _discard_output() -> None:
    """Send what is still to be written nowhere, so that the interpreter does not complain of it at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            try:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
            except (OSError, ValueError, AttributeError):
                continue


def _first_line(fault: BaseException) -> str:
    return _short(next(iter(str(fault).strip().splitlines()), ""))


def _short(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:200]}…{text[-60:]}"
