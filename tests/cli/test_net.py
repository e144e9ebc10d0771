"""Whatever is typed, wherever, on whatever disk: a sentence, a documented exit code, and never a traceback."""

import contextlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from project_of_runs import make_project

from golf.cli import VERBS, load_verb, root
from golf.cli.net import ending_of, run
from golf.cli.numbers import BOUNDS
from golf.errors import Exit, GolfError

CODES = {int(code) for code in Exit}
LONG = "x" * 300
NUMBERS = ("nan", "inf", "-inf", "-5", "1e999", "0")
HEAVY = ("golf.cli.pages.demo.travel", "golf.run.api.run_submission", "golf.data.fetch.fetch_files", "golf.data.embedded.make_embedded",
         "golf.sae.api.run_training", "golf.artifact.api.evaluate_folder", "golf.cli.pages.self_test.print_self_test")  # fmt: skip
# each verb doing its work in a project: FOLDER is the submission's, LOG a log, OUT a folder to write
WORK = (
    "demo OUT --from nothing", "new other", "ls submissions", "show mine", "compose mine", "compose mine --out OUT/x.py",
    "size mine --no-artifact", "run mine --dry-run", "status", "watch --once", "logs show LOG", "logs follow mine --no-wait",
    "package mine --dry-run", "unpack FOLDER/train_gpt.py", "eval FOLDER", "verify FOLDER --only folder,json,log,stats", "explain R01",
    "record mine", "record --check FOLDER", "compare mine pr1493", "leaderboard", "leaderboard --export OUT/board.html", "import FOLDER --name copy",
    "data get --dry-run", "data make", "data lock --data-path FOLDER", "data prove --data-path FOLDER", "doctor", "clean", "clean --runs",
    "sae train --submission mine", "sae eval FOLDER", "sae report FOLDER", "sae export FOLDER", "sae tasks golf:FOLDER", "sae scaling LOG",
)  # fmt: skip


def commands() -> dict[str, typer.core.TyperCommand]:
    """{"sae train": its command, …}: every verb, every sub-command."""
    found = {}
    for verb in VERBS:
        command = load_verb(verb)
        below = getattr(command, "commands", None)
        found |= {f"{verb} {name}": one for name, one in below.items()} if below else {verb: command}
    return found


def golf(*words: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `golf WORDS` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run(typer.main.get_command(root).main, words)
        except SystemExit as left:
            code = int(left.code or 0)
    return code, out.getvalue(), err.getvalue()


def check(words: tuple[str, ...]) -> int:
    """Run it; fail on a traceback, an unknown exit code, a mute error, or JSON that is none."""
    code, out, err = golf(*words)
    told = f"golf {' '.join(words)[:300]}\n{out[-600:]}\n{err[-1500:]}"
    assert code in CODES and code != Exit.INTERNAL, f"exit {code}: {told}"
    assert "Traceback" not in out + err, told
    if "--json" in words and out.strip():
        table = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} in {told}"))
        assert table["schema"] == 1, told
        if "error" in table:
            assert table["error"] and table["exit"] == code and "hint" in table, told
    elif code in (Exit.USAGE, Exit.REFUSED):
        assert err.strip() or out.strip(), told
    return code


def refused(*_: object, **__: object) -> None:
    raise GolfError("not in this test", "elsewhere", Exit.REFUSED)


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """What trains, fetches or evaluates is refused at its door: only what leads there is tried."""
    for place in HEAVY:
        monkeypatch.setattr(place, refused)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("DATA_PATH", "TOKENIZER_PATH", "GOLF_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, light: None) -> Path:
    """The current folder: a project with the submission `mine` and three finished runs; the cache is its own."""
    place = tmp_path / "project"
    make_project(place, {1337: 3.01, 42: 3.02, 7: 3.03})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(place)
    return place


def words_of(line: str, folder: Path, out: str = ".") -> tuple[str, ...]:
    log = next(folder.rglob("train_seed42.log"))
    places = {"FOLDER": str(folder), "LOG": str(log), "OUT": out}
    return tuple(
        next((word.replace(key, place) for key, place in places.items() if key in word), word) for word in line.split()
    )


def _mounted(*words: str) -> None:
    done = subprocess.run(["mount", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")


@pytest.fixture
def read_only(project: Path) -> Iterator[Path]:
    """The project, in which nothing can be written: by its mode, or for root by a mount."""
    if os.geteuid():
        for path in (project, *project.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield project
        for path in (project, *project.rglob("*")):
            path.chmod(0o755)
        return
    _mounted("--bind", str(project), str(project))
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(project)], check=True)
        os.chdir(project)  # the mount lies over the folder that was current
        yield project
    finally:
        os.chdir("/")
        subprocess.run(["umount", "-l", str(project)], check=False)


@pytest.fixture
def full_disk(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project on a disk without a free byte (a small tmpfs); without the right to mount, under a limit on file sizes."""
    if os.geteuid():
        import resource

        former = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, former[1]))
        yield project
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    _mounted("-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk))
    try:
        shutil.copytree(project, disk / "project")
        (disk / "cache").mkdir()
        with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 1024)
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk / "cache"))
        os.chdir(disk / "project")
        yield disk / "project"
    finally:
        os.chdir("/")
        subprocess.run(["umount", "-l", str(disk)], check=False)


def _table(name: str, line: str, code: int) -> None:
    """GOLF_NET_TABLE=file collects the exit codes of the table of verbs and conditions."""
    if place := os.environ.get("GOLF_NET_TABLE"):
        with Path(place).open("a") as file:
            file.write(f"{line}\t{name}\t{code}\n")


@pytest.mark.slow
@pytest.mark.parametrize("line", WORK)
def test_a_read_only_folder_is_a_sentence(line: str, read_only: Path) -> None:
    _table("read-only", line, check(words_of(line, read_only / "submissions" / "mine")))


@pytest.mark.slow
@pytest.mark.parametrize("line", WORK)
def test_a_full_disk_is_a_sentence(line: str, full_disk: Path) -> None:
    _table("full disk", line, check(words_of(line, full_disk / "submissions" / "mine")))


@pytest.mark.slow
@pytest.mark.parametrize("line", WORK)
def test_without_a_home_there_is_an_answer(line: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    _table("no HOME", line, check(words_of(line, project / "submissions" / "mine")))


@pytest.mark.slow
@pytest.mark.parametrize("line", WORK)
def test_a_reader_that_went_away_is_no_fault(line: str, project: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    err = io.StringIO()
    with os.fdopen(writer, "w") as gone, contextlib.redirect_stdout(gone), contextlib.redirect_stderr(err):
        try:
            code = run(typer.main.get_command(root).main, words_of(line, project / "submissions" / "mine"))
        except SystemExit as left:
            code = int(left.code or 0)
    assert (code in CODES and code not in (Exit.INTERNAL, Exit.RULE_BROKEN)) or line.startswith(
        ("verify", "record --check")
    )
    assert "Traceback" not in err.getvalue()
    _table("closed pipe", line, code)


@pytest.mark.parametrize("line", WORK)
def test_a_name_of_300_letters_is_a_sentence(line: str, project: Path) -> None:
    words = [word if word.startswith("-") else LONG for word in words_of(line, project / "submissions" / "mine")]
    verb = 2 if line.split(maxsplit=1)[0] in ("logs", "data", "sae") else 1
    words[:verb] = line.split()[:verb]
    code = check(tuple(words if LONG in words else [*words, LONG]))
    assert code != Exit.OK
    _table("300 letters", line, code)


def numeric_options() -> list[tuple[str, str]]:
    """(verb, option) of every option that takes a number."""
    found = []
    for verb in commands():
        page = golf(*verb.split(), "--help")[1]
        found += [
            (verb, option) for option in re.findall(r"^ +(--[a-z0-9-]+) <?(?:int|integer|float)>?", page, re.M | re.I)
        ]
    return found


@pytest.mark.parametrize(("verb", "option"), numeric_options())
def test_numbers_that_make_no_sense_are_refused_by_name(verb: str, option: str, project: Path) -> None:
    name = option.removeprefix("--").replace("-", "_")
    bounds = BOUNDS.get(name)
    needed = ["x"] * sum(getattr(param, "required", False) for param in commands()[verb].params)
    for number in NUMBERS:
        if number == "0" and bounds is not None and bounds.least == 0 and not bounds.open_:
            continue
        for extra in ((), ("--json",)):
            words = (*verb.split(), *needed, option, number, *extra)
            code, out, err = golf(*words)
            assert code == Exit.USAGE, (words, out, err)
            said = json.loads(out)["error"] if extra else err
            assert option in said or "No such option: --json" in said, said
    _table("nan option", verb, int(code))


def test_the_numeric_options_are_found() -> None:
    assert len(numeric_options()) > 30 and ("verify", "--rate") in numeric_options()


@pytest.mark.parametrize("verb", commands())
def test_errors_are_json_where_json_is_asked_for(verb: str, project: Path) -> None:
    code, out, err = golf(*verb.split(), "--no-such-option", "--json")
    table = json.loads(out)
    assert (code, table["exit"], table["schema"]) == (Exit.USAGE, 2, 1)
    assert "--no-such-option" in table["error"] and verb in table["hint"] and not err


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        (OSError(28, "No space left on device", "a.bin"), Exit.REFUSED, "a.bin"),
        (OSError(30, "Read-only file system", "a.bin"), Exit.REFUSED, "a.bin"),
        (OSError(36, "File name too long", LONG), Exit.USAGE, "too long"),
        (NotADirectoryError(20, "Not a directory", "a/b"), Exit.USAGE, "a/b"),
        (OSError("a library's own"), Exit.REFUSED, "a library's own"),
        (ZeroDivisionError("division by zero"), Exit.INTERNAL, "division by zero"),
        (ValueError("Out of range float values are not JSON compliant"), Exit.INTERNAL, "ValueError"),
        (RecursionError("maximum recursion depth exceeded"), Exit.USAGE, "nested"),
        (MemoryError(), Exit.REFUSED, "memory"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), Exit.USAGE, "UTF-8"),
        (type("StrangeError", (Exception,), {})("of a third party"), Exit.INTERNAL, "StrangeError"),
        (KeyboardInterrupt(), Exit.STOPPED, "stopped"),
        (GolfError("yours", "mend it", Exit.OVER_BYTES), Exit.OVER_BYTES, "yours"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_kind_of_fault_has_its_sentence_and_code(fault, code, says, tmp_path, monkeypatch, capsys) -> None:
    def verb(**_: object) -> None:
        raise fault

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("GOLF_DEBUG", raising=False)
    assert run(verb, ["x"]) == code == ending_of(fault).code
    shown = capsys.readouterr()
    assert says in shown.err and "Traceback" not in shown.err and not shown.out
    assert run(verb, ["x", "--json"]) == code
    shown = capsys.readouterr()
    assert says in json.loads(shown.out)["error"] and not shown.err
    kept = tmp_path / "golf" / "last-traceback.txt"
    assert kept.is_file() == ending_of(fault).unforeseen
    if kept.is_file():
        assert type(fault).__name__ in kept.read_text() and str(kept) in json.loads(shown.out)["hint"]
    monkeypatch.setenv("GOLF_DEBUG", "1")
    run(verb, ["x"])
    assert "Traceback" in capsys.readouterr().err


def test_the_processes_streams_may_be_closed_full_or_ascii(tmp_path: Path) -> None:
    def shell(line: str) -> tuple[int, str]:
        done = subprocess.run(
            ["sh", "-c", line.replace("golf", f"{sys.executable} -m golf", 1)],
            cwd=tmp_path, check=False, capture_output=True, text=True, env=os.environ | {"PYTHONIOENCODING": "ascii"},
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    assert shell("golf ls rules >&-") == (0, "")
    assert shell("golf ls nothing 2>&-")[0] == Exit.USAGE
    code, said = shell("golf ls rules >/dev/full")
    assert code == Exit.REFUSED and "No space left" in said and "Traceback" not in said and "Exception" not in said
    code, said = shell("golf compare pr1493 pr1809")
    assert code == Exit.OK and "Traceback" not in said
    code, said = shell("golf leaderboard --techniques --md | true")
    assert "Traceback" not in said and "Exception" not in said


def test_no_verb_crashes_on_random_words(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random arguments, folders and environments; GOLF_NET_SEED and GOLF_NET_WORDS make a longer hunt of it."""
    draw = random.Random(int(os.environ.get("GOLF_NET_SEED", "1")))
    _fill_with_oddities(project)
    monkeypatch.setattr("golf.cli.pages.size.weigh", refused)  # it packs a script many times over
    verbs = commands()
    slow = {"eval", "package", "sae eval", "sae tasks", "sae export", "data prove"}  # they open torch, or much data
    for _ in range(int(os.environ.get("GOLF_NET_WORDS", "80"))):
        verb = draw.choice([name for name in verbs if name not in slow or draw.random() < 0.2])
        words = [*verb.split(), *_random_words(draw, verbs[verb], project)]
        place = draw.choice([project, project / "submissions" / "mine", project / "empty", project / "odd"])
        environment = {name: draw.choice(["", "/dev/null", "nowhere", LONG, str(project / "odd"), "/dev/full"])
                       for name in ("DATA_PATH", "TOKENIZER_PATH", "XDG_CONFIG_HOME") if draw.random() < 0.15}  # fmt: skip
        with monkeypatch.context() as patch:
            patch.chdir(place)
            for name, value in environment.items():
                patch.setenv(name, value)
            try:
                check(tuple(words))
            except AssertionError as fault:
                raise AssertionError(f"in {place}, {environment}: {words!r}\n{fault}") from fault


def _fill_with_oddities(project: Path) -> None:
    (project / "empty").mkdir()
    odd = project / "odd"
    odd.mkdir()
    deep = "[" * 100_000
    for name, content in {
        "nan.json": b'{"val_bpb": NaN, "x": Infinity}', "deep.json": deep.encode(), "twice.json": b'{"a": 1, "a": {}}',
        "huge.json": b'{"val_bpb": ' + b"9" * 5000 + b"}", "list.json": b"[1, 2]", "latin.txt": "é".encode("latin-1") * 50,
        "zeros.bin": bytes(4096), "empty.log": b"", "train_gpt.py": b"def f(:\n", "train_seed1.log": b"val_bpb:nan\ngolf_result {\n",
        "submission.json": b'{"val_bpb": 1e999, "seed_results": {"1": {"val_bpb": NaN}, "2": 3}, "track": []}', "points.csv": b"parameters,tokens,loss\n1,nan,x\n",
        "recipe.toml": b"extends = 3\n[x\n", "model.golf": b"GOLF" + bytes(60), "measurements_layer00.json": b'{"layer": 0}', "config.json": b"[]",
    }.items():  # fmt: skip
        (odd / name).write_bytes(content)
    (odd / "loop").symlink_to(odd / "loop")
    (odd / "nest").mkdir()
    (odd / "nest" / "up").symlink_to(odd)
    record = project / "records" / "track_10min_16mb" / "2026-04-01_Odd"
    shutil.copytree(odd, record, symlinks=True)


def _random_words(draw: random.Random, command: typer.core.TyperCommand, project: Path) -> list[str]:
    """Some of the command's own options, with values of every kind, and some words that nobody asked for."""
    odd = project / "odd"
    values = [
        *NUMBERS, "", " ", "\0", "é\udce9", LONG, "../..", "/", "/dev/null", "nowhere/x", "a=b", "num_layers=nan", "x=1e999", "--", "-5", "1,2,3", "1,,x",
        "mine", "baseline", "pr1809", "pr1493", "R01", "technique:xsa", "1M", "9" * 400, "2026-13-45", "local", "all", str(odd), str(project), "golf:odd",
        *(str(path) for path in sorted(odd.iterdir())),
    ]  # fmt: skip
    words = []
    for param in command.params:
        option = next(iter(param.opts))
        if not option.startswith("-"):
            words += [draw.choice(values) for _ in range(draw.choice((0, 1, 1, 1, 2)))]
        elif option != "--help" and "self-test" not in option and "execute" not in option and draw.random() < 0.25:
            words += [option] if getattr(param, "is_flag", False) else [option, draw.choice(values)]
    if "--no-wait" not in words and getattr(command, "name", "") == "follow":
        words.append("--no-wait")  # following has no end
    if getattr(command, "name", "") == "watch":
        words.append("--once")
    if draw.random() < 0.1:
        words.insert(0, draw.choice(("--nonsense", "-z", "extra")))
    return words


def test_json_is_read_and_written_without_numbers_that_are_none() -> None:
    from golf.files import json_text, parse_json

    assert parse_json('{"a": NaN, "b": [-Infinity, 1e999, 2.5, 3], "a2": ' + "9" * 60 + "}") == {
        "a": None,
        "b": [None, None, 2.5, 3],
        "a2": None,
    }
    for broken in ("[" * 100_000, "{", "", '{"a": }'):
        with pytest.raises(ValueError):
            parse_json(broken)
    written = json_text({"a": float("nan"), "b": (float("inf"), {"c": -float("inf")}), "d": Path("x"), "e": 1.5})
    assert json.loads(written) == {"a": None, "b": [None, {"c": None}], "d": "x", "e": 1.5}
