"""Folders that a stranger wrote to do harm: verify, check and import answer, follow nothing out of them, and wait for nothing."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from golf.errors import GolfError
from golf.files import files_below, is_own, read_json
from golf.reading.folder import Folder, log_files
from golf.record.adopt import adopt_folder
from golf.record.check import check_folder
from golf.record.check_files import files as check_files
from golf.rules import verify_folder
from golf.rules.calibration.specimen import write_specimen
from golf.rules.checks.folder import files as rule_files
from golf.rules.pack import load_pack
from golf.rules.subject import find_subject

SCRIPT, CLAIMS, README, LOG = "train_gpt.py", "submission.json", "README.md", "train_seed42.log"
CASES: dict[str, Callable[[Path], object]] = {}


def case(make: Callable[[Path], object]) -> None:
    CASES[make.__name__.replace("_", " ")] = make


def put(folder: Path, name: str, content: str | bytes) -> None:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


@case
def links_that_loop(folder: Path) -> None:
    for name in ("loop.log", "loop.py", "README.txt"):
        (folder / name).symlink_to(name)
    (folder / "self").symlink_to(".")


@case
def links_out_of_the_folder(folder: Path) -> None:
    (folder / "etc.log").symlink_to("/etc/passwd")
    (folder / "helper.py").symlink_to("/etc/passwd")
    (folder / "root").symlink_to("/")


@case
def pipes(folder: Path) -> None:
    for name in (README, CLAIMS, SCRIPT, "train_seed9.log", "helper.py"):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)


@case
def folders_by_the_names_of_files(folder: Path) -> None:
    for name in (README, CLAIMS, SCRIPT, LOG):
        (folder / name).unlink()
        (folder / name).mkdir()


@case
def links_to_nowhere(folder: Path) -> None:
    for name in (README, CLAIMS, SCRIPT, LOG):
        (folder / name).unlink()
        (folder / name).symlink_to("/nowhere")


@case
def a_socket(folder: Path) -> None:
    here = Path.cwd()
    os.chdir(folder)
    try:
        socket.socket(socket.AF_UNIX).bind("a.log")
    finally:
        os.chdir(here)


@case
def odd_names(folder: Path) -> None:
    for name in ("train\n_seed1.log", "\udcff.log", "..%2f..%2fa.log", "-rf", "a'b\"c`d|e.log"):
        put(folder, name, "final_x val_loss:1 val_bpb:1.2\n")


@case
def names_that_climb(folder: Path) -> None:
    put(folder, SCRIPT, "from ... import z\nopen('../../../etc/passwd')\nexec(open('../../x.py').read())\n")


DEEP = {
    "parentheses": "x=" + "(" * 2000 + ")" * 2000,
    "attributes": "x=a" + ".b" * 20_000,
    "sums": "x=" + "+".join(["1"] * 50_000),
    "branches": "if a: pass\n" + "elif a: pass\n" * 5000,
    "lambdas": "x=" + "lambda:" * 3000 + "1",
    "f-strings": "x=" + 'f"{' * 30 + "1" + '}"' * 30,
    "a list": "x=[" + "1," * 160_000 + "]",
    "doubling": "x='a'\n" + "".join(f"x{i}=x{i - 1 if i else ''}*2\n" for i in range(40)) + "exec(x39)\n",
    "itself": "exec(open('train_gpt.py').read())\n",
    "null bytes": "import os\0\nx=1\0",
    "latin-1": b"# coding: latin-1\nx='\xe9\xff'\n",
    "latin-1 undeclared": b"x='\xe9\xff'\n",
    "UTF-16": "import os\n".encode("utf-16"),
    "no coding": b"# coding: rot13\nimport os\n",
    "UTF-7": b"# coding: utf-7\n+AD0-\n",
    "calls without end": "f(1)\n" * 70_000,
    "a list that may be run": "# exec\nx=[" + "1," * 160_000 + "]",
    "a payload that is no text": "import base64\nexec(base64.b85decode(b'" + "a!#$%&()*+" * 2000 + "'))",
    "quotes without end": "'\"\\" * 100_000,
}
NESTED = {
    "deep": "[" * 100_000,
    "nan": '{"val_bpb": NaN, "bytes_total": Infinity, "seeds": [NaN, null, true, "a", 1e999, {"seed": {}}], "date": 7}',
    "types": '{"val_bpb": "1.07", "bytes_total": "15", "bytes_code": true, "seeds": {"42": null, "x": [1]}, "date": [], "track": 5,'
    ' "seed_results": {"42": {"val_bpb": "x", "artifact_bytes": "y", "steps": []}, "314": 3}, "name": {}, "val_bpb_std": "1", "golf": []}',
    "huge": '{"val_bpb": 1' + "0" * 400 + ', "bytes_total": 1' + "0" * 5000 + ', "seed_results": {"42": {"val_bpb": 1e400}}}',
    "UTF-16": '{"val_bpb": 1.1}'.encode("utf-16"),
    "large": b'{"x": "' + b"a" * 20_000_000 + b'"}',
}  # fmt: skip
NINES = "9" * 5000
LOGS = {
    "digits without end": f"seed:{NINES}\nmodel_params:{NINES}\nval_tokens: {NINES}\nstep:1/1 val_loss:1 val_bpb:1 train_time:{NINES}ms\n",
    "zeros": "seed:42\nval_tokens: 0\nstep:0/0 val_loss:0.0 val_bpb:0.0 train_time:0ms\nquantized_ttt val_loss:0.0 val_bpb:1.0 eval_time:0ms\n",
    "no numbers": "step:1/2 train_loss:1 train_time:1ms step_avg:1.2.3ms\ntotal_eval_time:1.2.3s\n  seed: ²\nHyperparameters:\n  seed: ²\n",
    "odd results": 'golf_result {"val_bpb": "x", "seed": [], "phases": 3, "reports": 1}\ngolf_result [1]\ngolf_result '
    + "[" * 9999,
}
CASES |= {f"code: {what}": lambda folder, text=text: put(folder, SCRIPT, text) for what, text in DEEP.items()}
CASES |= {f"claims: {what}": lambda folder, text=text: put(folder, CLAIMS, text) for what, text in NESTED.items()}
CASES |= {f"log: {what}": lambda folder, text=text: put(folder, LOG, text) for what, text in LOGS.items()}
CASES["log: 100 MB in a line"] = lambda folder: put(folder, LOG, b"step:1/2 " * 11_000_000)
CASES["claims of 100,000 seeds"] = lambda folder: put(
    folder, CLAIMS, '{"seed_results":{' + ",".join(f'"{seed}":{{"val_bpb":1.1}}' for seed in range(100_000)) + "}}"
)
CASES["code: a table of 200,000 entries"] = lambda folder: put(
    folder, SCRIPT, "x={" + ",".join(f"{key}:'a'" for key in range(200_000)) + "}"
)
CASES["log: hyper-parameters without end"] = lambda folder: put(
    folder, LOG, "Hyperparameters:\n" + "".join(f"  a{key}: {key}\n" for key in range(200_000))
)
CASES["log: steps without end"] = lambda folder: put(folder, LOG, "step:7/9 train_loss:3.1 train_time:7ms\n" * 300_000)


@case
def files_without_end(folder: Path) -> None:
    for number in range(6000):
        put(folder, f"f{number}.dat", "")


@case
def logs_without_end(folder: Path) -> None:
    for seed in range(1000):
        put(folder, f"train_seed{seed}.log", f"seed:{seed}\nfinal_int8_zlib_roundtrip_exact val_loss:1.0 val_bpb:1.0\n")


LONG = pytest.mark.slow


@pytest.mark.parametrize("what", [pytest.param(what, marks=LONG if "100 MB" in what else ()) for what in CASES])
def test_a_hostile_folder_is_answered_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_specimen(tmp_path)
    CASES[what](folder)
    started = time.perf_counter()
    verdict = verify_folder(folder)
    assert len(verdict.findings) == 41
    assert not [one.message for one in verdict.findings if "failed:" in one.message]
    check_folder(folder)
    try:
        adopted = adopt_folder(folder, "theirs", root=tmp_path).folder
        assert not [path for path in adopted.rglob("*") if path.is_symlink() or "root:" in path.name]
        assert not any("root:x:0" in path.read_text(errors="replace") for path in adopted.rglob("*") if path.is_file())
    except GolfError as fault:
        assert fault.hint is not None or fault.message
    assert time.perf_counter() - started < 30
    assert not list(tmp_path.glob("submissions/.adopt*"))


def test_what_is_more_than_a_record_has_is_said_and_not_left_out_in_silence(tmp_path: Path) -> None:
    folder = write_specimen(tmp_path)
    verdict, checked = verify_folder(folder), check_folder(folder)
    assert not [one for one in verdict.findings if "more than a record has" in one.message]
    assert not [one for one in checked.findings if one.kind == "too-many"]
    CASES["logs without end"](folder)
    CASES["claims of 100,000 seeds"](folder)
    said = [one.message for one in verify_folder(folder).findings if one.message.startswith("more than a record has")]
    assert len(said) == 1 and "1,000 logs" in said[0] and "100,000 claimed seeds" in said[0]
    assert [one.severity for one in check_folder(folder).findings if one.kind == "too-many"] == ["high", "high"]


def test_a_folder_is_walked_once_for_its_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, walks = write_specimen(tmp_path), []

    def counted(path: Path) -> list[Path]:
        walks.append(path)
        return log_files(path)

    monkeypatch.setattr("golf.rules.subject.log_files", counted)
    monkeypatch.setattr("golf.reading.folder.log_files", counted)
    subject = find_subject(folder, load_pack())
    assert subject.runs and [one.message for one in rule_files(subject)] and walks == [folder]
    checked = Folder(folder)
    assert checked.logs and not list(check_files(checked)) and walks == [folder, folder]


def test_only_what_lies_in_a_folder_is_its_own(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside.log"
    (inside / "below" / "deeper").mkdir(parents=True)
    outside.write_text("x")
    for name in ("a.log", "below/b.log", "below/deeper/c.log"):
        (inside / name).write_text("x")
    (inside / "link.log").symlink_to("below/b.log")
    (inside / "out.log").symlink_to(outside)
    (inside / "up").symlink_to("..")
    assert [path.relative_to(inside).as_posix() for path in files_below(inside)] == [
        "a.log",
        "link.log",
        "below/b.log",
        "below/deeper/c.log",
    ]
    assert [path.name for path in files_below(inside, depth=1)] == ["a.log", "link.log"]
    assert [path.name for path in files_below(inside, skip=("below", "l*"))] == ["a.log"]
    assert not is_own(inside, tmp_path) and not is_own(inside / "out.log", inside)


def test_numbers_that_no_float_holds_are_none(tmp_path: Path) -> None:
    put(tmp_path, "a.json", '{"a": NaN, "b": 1e999, "c": -Infinity, "d": 1.5, "e": 7, "f": ' + "1" * 50 + "}")
    assert read_json(tmp_path / "a.json") == ({"a": None, "b": None, "c": None, "d": 1.5, "e": 7, "f": None}, None)
    assert read_json(tmp_path / "none.json")[0] is None and read_json(tmp_path / "a.json", most_bytes=10)[0] is None
