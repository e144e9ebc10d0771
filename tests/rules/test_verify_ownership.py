"""Nothing of a stranger runs unasked: ours is what composing gives again, however a script looks and whatever lies beside it."""

import json
import shutil
from pathlib import Path

import pytest

from golf.compose import compose, rescale
from golf.compose.pack import minify, pack
from golf.compose.submission import new_submission
from golf.project import find_root
from golf.recipe import load_recipe, smoke_sizes
from golf.record.adopt import adopt_folder
from golf.rules import State, load_pack, verify_folder
from golf.rules.dynamic.composed import reports_of, stub_sizes
from golf.rules.execution import is_composed, is_ours
from golf.rules.subject import Subject, find_subject


@pytest.fixture(scope="module")
def text() -> str:
    return compose(load_recipe("baseline"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "submissions").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mine(project: Path) -> Path:
    return new_submission("mine", "baseline", root=project)[0].folder


def ours(folder: Path, **options: object) -> bool:
    return is_ours(find_subject(folder, load_pack(), **options))


def test_what_golf_composed_is_ours_readable_and_packed(mine: Path) -> None:
    assert ours(mine)
    (mine / "train_gpt.py").write_bytes(pack((mine / "train_gpt.py").read_text()))
    assert ours(mine)


def test_other_words_on_top_do_not_make_it_anothers(mine: Path) -> None:
    """A submission's own name and authors stand there; what runs is the recipe's."""
    script = mine / "train_gpt.py"
    script.write_text('"""Mine."""\n' + script.read_text().partition('"""\n\n')[2])
    assert ours(mine)
    script.write_text('"""Mine."""\nopen("was here", "w")\n' + script.read_text().partition('"""\n')[2])
    assert not ours(mine)


def test_a_script_that_does_not_parse_is_not(mine: Path) -> None:
    script = mine / "train_gpt.py"
    script.write_text(script.read_text() + "\ndef (:\n")
    assert not ours(mine)


def test_an_edited_script_is_not(mine: Path) -> None:
    script = mine / "train_gpt.py"
    script.write_text(script.read_text() + "\nopen('/tmp/x', 'w')\n")
    assert not ours(mine)


def test_a_lock_that_fits_a_script_proves_nothing(project: Path, text: str) -> None:
    """A stranger's folder with a script of golf's shape, a recipe, and a lock whose sha256 is the script's."""
    from golf.compose.lock import Lock, lock_text
    from golf.files import sha256_of

    folder = project / "submissions" / "theirs"
    folder.mkdir()
    evil = text.replace("class h:", "open('was here', 'w')\n\n\nclass h:")
    assert is_composed(evil)
    (folder / "train_gpt.py").write_text(evil)
    (folder / "recipe.toml").write_text('name = "theirs"\nextends = "baseline"\n')
    lock = Lock("0.1.0", "1", {}, "theirs", "readable", "", sha256_of(evil.encode()))
    (folder / "golf.lock").write_text(lock_text(lock))
    assert not ours(folder)


def test_an_adopted_script_of_golf_s_shape_runs_only_when_asked(project: Path, text: str) -> None:
    record = project / "2026-04-09_Theirs"
    record.mkdir()
    mark = project / "was here"
    (record / "train_gpt.py").write_text(text.replace("class h:", f"open({str(mark)!r}, 'w')\n\n\nclass h:"))
    adopted = adopt_folder(record, root=project).folder
    verdict = verify_folder(adopted, quick=True)
    states = {finding.code: finding.state for finding in verdict.findings}
    assert not mark.exists() and states["R31"] is State.UNKNOWN
    assert any("not executed" in note and "--execute" in note for note in verdict.notes)


def test_a_technique_of_another_project_is_a_stranger_s(mine: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (mine / "techniques").mkdir()
    (mine / "techniques" / "own.py").write_text('"""Mine."""\n')
    assert ours(mine)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "submissions" / "mine"
    shutil.copytree(mine, elsewhere)
    assert not ours(elsewhere)


def record_of(folder: Path, text: str, **told: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "train_gpt.py").write_text(text)
    (folder / "submission.json").write_text(json.dumps({"golf": told}))
    return folder


def test_a_record_is_ours_by_its_text_wherever_it_lies(project: Path, text: str) -> None:
    twin = rescale(text, smoke_sizes(load_recipe("baseline")))
    assert ours(record_of(project / "a", text, recipe="baseline"))
    assert ours(record_of(project / "b", twin, recipe="baseline", smoke=True))
    other = compose(load_recipe("baseline", ["matrix_lr=0.05"]))
    assert not ours(record_of(project / "c", other, recipe="baseline"))
    assert ours(record_of(project / "d", other, recipe="baseline", derived={"matrix_lr": 0.05}))


@pytest.mark.parametrize("recipe", ["no such recipe", "../../../etc", "/etc/passwd", 7, None, [], "nowhere"])
def test_a_record_that_names_an_odd_recipe_is_not_ours(project: Path, text: str, recipe: object) -> None:
    assert not ours(record_of(project / "odd", text, recipe=recipe))


def test_runs_here_of_an_imported_script_are_judged_as_local(project: Path) -> None:
    record = project / "records" / "track_10min_16mb" / "2026-04-09_Theirs"
    record.mkdir(parents=True)
    (record / "train_gpt.py").write_text("print()\n")
    (record / "submission.json").write_text('{"track": "10min_16mb", "val_bpb": 1.1}')
    folder = adopt_folder(record, root=project).folder
    assert Subject(folder, load_pack(), "submission").track == "10min_16mb"
    seed = folder / "runs" / "0123456789ab-here" / "seed_7"
    seed.mkdir(parents=True)
    (seed / "train_seed7.log").write_text("seed:7\nstep:9/9 val_loss:2.0 val_bpb:1.1 train_time:700000ms\n")
    verdict = verify_folder(folder, only=["log"])
    assert verdict.track == "local"
    assert {finding.code: finding.state for finding in verdict.findings}["R05"] is State.NA
    assert find_root(folder) == project


@pytest.mark.parametrize("recipe", ["baseline", "pr1809"])
def test_a_packed_script_s_evaluators_are_found_under_their_short_names(recipe: str) -> None:
    readable = compose(load_recipe(recipe))
    packed = minify(readable)
    assert reports_of(packed) == reports_of(readable) != []
    assert stub_sizes(packed) == stub_sizes(readable)
