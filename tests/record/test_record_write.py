"""`golf record` writes what was measured, whole or not at all, and refuses what is not finished."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import pytest
from places import ROOT
from project_of_runs import SCRIPT, log_of, make_project

from golf.errors import Exit, GolfError
from golf.record import Wishes, write, write_record
from golf.record.check import check_folder
from golf.record.evidence import gather
from golf.record.pr import title_and_body
from golf.record.readme import readme_of
from golf.record.requirements import requirements

SCORES = {1337: 3.1012345, 42: 3.1198765, 7: 3.0923456}
WISHES = Wishes(author=("A. Person", "aperson"), date="2026-04-20", verify=False)


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    return make_project(tmp_path, SCORES)


def claims_of(folder: Path) -> dict:
    return json.loads((folder / "submission.json").read_text())


def seed_folder(submission: Path, seed: int) -> Path:
    return next(submission.glob(f"runs/*/seed_{seed}"))


def test_the_record_holds_the_measured_numbers_and_nothing_is_left_in_the_way(submission: Path) -> None:
    folder = write_record(submission, WISHES)
    assert folder == submission.parents[1] / "records" / "local" / "2026-04-20_mine"
    claims = claims_of(folder)
    assert claims["val_bpb"] == round(fmean(SCORES.values()), 8) and claims["val_bpb_std"] == round(
        stdev(SCORES.values()), 8
    )
    assert sorted(claims["seeds"]) == sorted(SCORES)
    assert {seed: entry["val_bpb"] for seed, entry in claims["seed_results"].items()} == {
        str(k): v for k, v in SCORES.items()
    }
    assert claims["bytes_total"] == len(SCRIPT) + 4000 and claims["author"] == "A. Person"
    assert (folder / "train_gpt.py").read_bytes() == SCRIPT
    assert (folder / "train_seed42.log").read_bytes() == (seed_folder(submission, 42) / "train_seed42.log").read_bytes()
    assert (folder / "requirements.txt").read_text().startswith("torch==")
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_record_passes_its_own_check(submission: Path) -> None:
    report = check_folder(write_record(submission, WISHES))
    assert (report.findings, report.exit) == ((), Exit.OK)


def test_a_local_record_says_everywhere_that_it_is_none(submission: Path) -> None:
    folder = write_record(submission, WISHES)
    claims = claims_of(folder)
    assert (
        claims["track"] == "local"
        and claims["challenge_result"] is False
        and "not a challenge result" in claims["blurb"].lower()
    )
    assert "Not a challenge result" in (folder / "README.md").read_text().split("## Results")[0]


def test_the_readme_credits_the_recipe_and_says_what_was_not_verified(submission: Path) -> None:
    text = (write_record(submission, WISHES) / "README.md").read_text()
    assert "Keller Jordan" in text and "extends `baseline`" in text
    assert "Not verified" in text
    assert all(f"**{bpb:.8f}**" in text for bpb in SCORES.values())


def test_the_verdict_of_the_rules_is_in_the_readme(submission: Path) -> None:
    text = (write_record(submission, Wishes(author=("A", "a"), date="2026-04-20")) / "README.md").read_text()
    assert "`golf verify`, rules" in text and "| R01" in text and "<!--" not in text


def test_plots_are_well_formed_and_follow_the_colour_scheme(submission: Path) -> None:
    folder = write_record(submission, WISHES)
    plots = sorted(folder.glob("*.svg"))
    assert [path.name for path in plots] == ["bytes.svg", "loss.svg", "stages.svg"]
    for path in plots:
        assert ET.parse(path).getroot().tag.endswith("svg")
        assert "prefers-color-scheme:dark" in path.read_text()
        assert f"]({path.name})" in (folder / "README.md").read_text()
    assert (folder / "loss.svg").read_text().count("<polyline") == 3


def test_a_record_is_never_overwritten(submission: Path) -> None:
    folder = write_record(submission, WISHES)
    before = (folder / "README.md").stat().st_mtime_ns
    with pytest.raises(GolfError, match="never overwritten") as caught:
        write_record(submission, WISHES)
    assert caught.value.code == Exit.REFUSED and (folder / "README.md").stat().st_mtime_ns == before


def test_a_fault_half_way_leaves_nothing(submission: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> dict:
        raise RuntimeError("the power went")

    monkeypatch.setattr(write, "charts", broken)
    with pytest.raises(RuntimeError):
        write_record(submission, WISHES)
    assert list((submission.parents[1] / "records" / "local").iterdir()) == []


@pytest.mark.parametrize("moment", range(1, 8))
def test_killed_at_any_moment_the_record_is_whole_or_absent(submission: Path, moment: int) -> None:
    """The process dies at its n-th write; what has a record's name is complete."""
    code = (
        "import os, sys, builtins, pathlib, shutil\n"
        "from pathlib import Path\n"
        "count = 0\n"
        "def counted(real):\n"
        "    def inner(*a, **k):\n"
        "        global count; count += 1\n"
        f"        if count == {moment}: os._exit(137)\n"
        "        return real(*a, **k)\n"
        "    return inner\n"
        "from golf.record import Wishes, write_record\n"
        "Path.write_text = counted(Path.write_text); Path.write_bytes = counted(Path.write_bytes); shutil.copyfile = counted(shutil.copyfile)\n"
        f"write_record(Path({str(submission)!r}), Wishes(author=('A', 'a'), date='2026-04-20', verify=False))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 137, done.stderr
    assert not (submission.parents[1] / "records" / "local" / "2026-04-20_mine").exists()
    assert check_folder(write_record(submission, WISHES)).findings == ()  # and the next attempt succeeds


def test_an_unfinished_run_is_refused_with_the_way_out(submission: Path) -> None:
    log = seed_folder(submission, 7) / "train_seed7.log"
    log.write_text("\n".join(log.read_text().splitlines()[:15]))
    with pytest.raises(GolfError, match="seed 7 of `mine` is not finished") as caught:
        write_record(submission, WISHES)
    assert caught.value.code == Exit.REFUSED and "--resume" in (caught.value.hint or "")
    folder = write_record(submission, Wishes(**{**vars(WISHES), "seeds": [1337, 42]}))
    assert claims_of(folder)["seeds_left_out"] == [7]  # what was run is disclosed
    assert "left out by choice: seed_7" in (folder / "README.md").read_text()


def test_a_seed_that_did_not_reach_the_script_is_refused(submission: Path) -> None:
    (seed_folder(submission, 7) / "train_seed7.log").write_text(log_of(1337, 3.09))
    with pytest.raises(GolfError, match="used seed 1337, not 7"):
        write_record(submission, WISHES)


def test_one_run_under_two_seeds_is_refused(submission: Path) -> None:
    same = log_of(1337, 3.09).replace("seed:1337", "seed:7").replace('"seed": 1337', '"seed": 7')
    (seed_folder(submission, 7) / "train_seed7.log").write_text(same)
    with pytest.raises(GolfError, match="are one run"):
        write_record(submission, WISHES)


def test_nothing_to_record_is_refused(tmp_path: Path) -> None:
    folder = make_project(tmp_path, {})
    with pytest.raises(GolfError, match="has no runs"):
        write_record(folder, WISHES)
    with pytest.raises(GolfError, match="has no runs of set `abc`"):
        write_record(make_project(tmp_path / "b", {1: 3.0}), Wishes(author=("A", "a"), set_id="abc"))


def test_the_bytes_are_those_on_disk_and_the_worst_seed_counts(submission: Path) -> None:
    (seed_folder(submission, 42) / "model.golf").write_bytes(b"x" * 5000)
    claims = claims_of(write_record(submission, WISHES))
    assert claims["bytes_total"] == len(SCRIPT) + 5000
    assert claims["seed_results"]["7"]["artifact_bytes"] == len(SCRIPT) + 4000


def test_the_record_track_needs_the_hardware_whatever_the_store_says(tmp_path: Path) -> None:
    from golf.logs import read_text
    from golf.record.evidence import Seed, _track

    def seed(device: str, world: int) -> Seed:
        run = read_text(log_of(1, 1.1, device=device, world_size=world)).runs[0]
        return Seed(1, Path("x"), run, None)

    class Stored:
        track = "10min_16mb"

    assert _track([seed("NVIDIA H100 80GB HBM3", 8)], Stored()) == "10min_16mb"
    assert _track([seed("NVIDIA H100 80GB HBM3", 1)], Stored()) == "local"
    assert _track([seed("cpu", 8)], Stored()) == "local"
    assert _track([seed("NVIDIA H100 80GB HBM3", 8)], None) == "local"


def test_requirements_are_read_from_the_unpacked_script() -> None:
    from golf.compose.pack import pack
    from golf.record.requirements import installed

    source = "import os\nimport torch\n\ntry:\n    import no_such_kernel\nexcept ImportError:\n    no_such_kernel = None\nprint(os, torch, no_such_kernel)\n"
    here = installed("torch")
    lines = requirements(source.encode(), torch=here).splitlines()
    assert lines[0].startswith("torch==") and lines[1].startswith("# no_such_kernel") and len(lines) == 2
    assert requirements(pack(source * 30), torch=here).splitlines() == lines


def test_versions_of_this_machine_are_no_requirement_of_runs_made_elsewhere() -> None:
    source = b"import numpy\nimport torch\nimport no_such_kernel\nprint(numpy, torch, no_such_kernel)\n"
    for torch, pin in (("2.9.1+cu128", "torch==2.9.1"), ("2.9+", "torch"), ("nightly", "torch"), (None, "torch")):
        kernel, *others = sorted(requirements(source, torch=torch).splitlines())
        assert others == ["numpy", pin] and kernel.startswith("# no_such_kernel: of a package that is not installed")


def golf(root: Path, *arguments: str, config: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XDG_CONFIG_HOME": str(config), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "golf", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env=environment,
    )


@pytest.mark.slow
def test_the_command_writes_what_its_dry_run_announces(submission: Path, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "golf.toml").write_text('author = "A. Person"\ngithub_id = "aperson"\n')
    options = ("--name", "First try", "--date", "2026-04-20")
    dry = golf(
        submission, "record", *options, "--dry-run", config=tmp_path / "config"
    )  # the name is that of the current folder
    assert dry.returncode == 0 and "2026-04-20_First_try" in dry.stdout and "A. Person" in dry.stdout
    assert not (tmp_path / "records").exists()
    done = golf(tmp_path, "record", "mine", *options, "--json", config=tmp_path / "config")
    assert done.returncode == 0, done.stderr
    folder = Path(json.loads(done.stdout)["folder"])
    assert folder.name == "2026-04-20_First_try" and claims_of(folder)["github_id"] == "aperson"
    checked = golf(tmp_path, "record", "--check", str(folder), config=tmp_path / "config")
    assert checked.returncode == 0 and "no disagreement" in checked.stderr
    again = golf(tmp_path, "record", "mine", *options, config=tmp_path / "config")
    assert (again.returncode, "never overwritten" in again.stderr) == (10, True)


def test_what_was_packaged_is_what_ships_and_is_counted(submission: Path) -> None:
    from golf.compose.pack import pack

    folder = next(submission.glob("runs/*")) / "package"
    folder.mkdir()
    packed = pack(SCRIPT.decode())
    (folder / "train_gpt.py").write_bytes(packed)
    (folder / "table.bin").write_bytes(b"x" * 10)
    (folder / "manifest.json").write_text(
        json.dumps({"files": [{"name": "train_gpt.py"}, {"name": "table.bin"}, {"name": "seed_7/model.golf"}]})
    )
    record = write_record(submission, WISHES)
    claims = claims_of(record)
    assert (record / "train_gpt.py").read_bytes() == packed and (record / "table.bin").stat().st_size == 10
    assert claims["bytes_code"] == len(packed) + 10 and claims["bytes_total"] == len(packed) + 10 + 4000
    assert check_folder(record).findings == ()
    assert claims["golf"]["packed"] is True and "it unpacks itself" in (record / "README.md").read_text()


@pytest.mark.parametrize(
    ("derived", "fault"),
    [
        ([{"coder": "lzma_coder.LzmaCoder"}] * 3, None),
        ([{"prune": "prune.prune_cheapest", "prune_share": 0.1}] * 3, None),  # a knob of what [quant] names
        ([{"prune_share": 0.1}] * 3, "`prune_share`, which is not in \\[quant\\]"),
        ([{"num_layers": 10}] * 3, "not in \\[quant\\]"),
        ([{"coder": "a"}, {"coder": "b"}, {"coder": "a"}], "different settings"),
    ],
)
def test_derived_results_count_only_where_quantization_alone_differs(
    submission: Path, derived: list[dict], fault: str | None
) -> None:
    from golf.run.store import open_store

    set_folder = next(submission.glob("runs/*"))
    with open_store(submission.parents[1]) as store:
        for seed, changes in zip(SCORES, derived, strict=True):
            row = store.start(folder=set_folder / f"seed_{seed}", submission="mine", set_id=set_folder.name, seed=seed, script_sha256="x",
                              smoke=False, track="local", derived=changes)  # fmt: skip
            store.move(row.id, "finished", result={"val_bpb": 3.0})
    if fault is None:
        record = write_record(submission, WISHES)
        assert (
            claims_of(record)["golf"]["derived"] == derived[0]
            and "Quantized again" in (record / "README.md").read_text()
        )
    else:
        with pytest.raises(GolfError, match=fault):
            write_record(submission, WISHES)


def test_a_run_that_the_store_calls_unfinished_is_refused(submission: Path) -> None:
    from golf.run.store import open_store

    set_folder = next(submission.glob("runs/*"))
    with open_store(submission.parents[1]) as store:
        store.start(
            folder=set_folder / "seed_7",
            submission="mine",
            set_id=set_folder.name,
            seed=7,
            script_sha256="x",
            smoke=False,
            track="local",
        )
    with pytest.raises(GolfError, match="is started, not finished"):
        write_record(submission, WISHES)


def test_what_the_store_noted_of_a_run_stands_under_its_results(submission: Path) -> None:
    from golf.run.store import open_store

    set_folder = next(submission.glob("runs/*"))
    with open_store(submission.parents[1]) as store:
        row = store.start(folder=set_folder / "seed_7", submission="mine", set_id=set_folder.name, seed=7, script_sha256="x",
                          smoke=False, track="local")  # fmt: skip
        store.move(
            row.id, "finished", result={"val_bpb": 3.0, "remarks": ["its result was complete, then it was ended"]}
        )
    assert "\nSeed 7: its result was complete, then it was ended.\n" in (
        (write_record(submission, WISHES) / "README.md").read_text()
    )


def test_plots_are_drawn_as_png_too_where_matplotlib_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, submission: Path
) -> None:
    pytest.importorskip("matplotlib")
    folder = write_record(submission, Wishes(author=("A", "a"), date="2026-04-20", out=tmp_path / "with", verify=False))
    drawn = {path.stem for path in folder.glob("*.svg")}
    assert {"loss", "bytes"} <= drawn == {path.stem for path in folder.glob("*.png")}
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in folder.glob("*.png"))
    assert "(and as PNG)" in (folder / "README.md").read_text()
    monkeypatch.setattr("golf.figures.png.find_spec", lambda name: None)
    folder = write_record(submission, Wishes(author=("A", "a"), date="2026-04-20", out=tmp_path / "none", verify=False))
    assert not list(folder.glob("*.png")) and "PNG" not in (folder / "README.md").read_text()


def test_the_readme_says_what_changed_and_keeps_the_authors_words(submission: Path) -> None:
    """The settings that differ from the recipe it extends, and NOTES.md of the submission word by word, in every record anew."""
    recipe = submission / "recipe.toml"
    recipe.write_text(recipe.read_text() + "\n[model]\nnum_layers = 11\n")
    text = (write_record(submission, WISHES) / "README.md").read_text()
    changed = text.split("## What changed and why")[1].split("## ")[0]
    assert "Built on `baseline`" in changed and "| `num_layers` | `9` | `11` |" in changed and "NOTES.md" in changed
    (submission / "NOTES.md").write_text("Two layers more, because they fit.\n")
    text = (write_record(submission, replace(WISHES, name="again")) / "README.md").read_text()
    changed = text.split("## What changed and why")[1].split("## ")[0]
    assert "Two layers more, because they fit." in changed and "is not written yet" not in changed


def test_a_record_is_held_against_the_record_of_the_days_before(tmp_path: Path) -> None:
    """Not against the last row of all: what it had to beat was there on its day."""
    submission = make_project(
        tmp_path, {1337: 1.081, 42: 1.0811, 7: 1.0809}, device="NVIDIA H100 80GB HBM3", world_size=8
    )
    recipe = submission / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('"local"', '"10min_16mb"'))
    evidence = replace(gather(submission), track="10min_16mb")
    text = readme_of(evidence, "x", {}, "2026-04-09")
    assert "Against #1477 (1.0822, 2026-04-08), the record of the days before 2026-04-09" in text
    assert "Against #2014" in readme_of(evidence, "x", {}, "2026-05-01") and "#2135" not in text


def test_the_text_of_the_pull_request_is_short(submission: Path) -> None:
    """Results and what changed; no list of rules, no pictures, no commands."""
    folder = write_record(submission, replace(WISHES, verify=True))
    readme = (folder / "README.md").read_text()
    title, body = title_and_body(folder)
    assert "<details>" in readme and "<details>" not in body and "![" not in body and "torchrun" not in body
    assert (
        "| seed | steps |" in body and "golf verify" in body and len(body.splitlines()) < len(readme.splitlines()) / 2
    )
    assert title.startswith("Non-record: A small test")
