"""The composer's commands: what they print, write, refuse, and end with."""

import json
import os
import subprocess
import sys
import tomllib

import pytest

from golf.compose.lock import read_lock
from golf.compose.size import weigh
from golf.compose.submission import check_submission
from golf.errors import GolfError
from golf.reading.unpack import unpack
from golf.recipe import load_recipe, shipped_recipes


@pytest.fixture
def toy(golf):
    """A toy submission `toy` in the project, not composed yet."""
    folder = golf.root / "submissions" / "toy"
    folder.mkdir()
    (folder / "recipe.toml").write_text(
        'name = "toy"\nentry = "toy_parts.entry:main"\nruling = ["R01"]\nlegal_variant = "toy"\n[attention]\nattn_out = ["gate.Gate"]\n[model]\nloop = 1\n'
    )
    return folder


def test_new_writes_recipe_script_and_lock_and_names_the_ruling(golf, toy):
    code, out, err = golf("new mine --from toy loop=2 --without gate")
    assert (code, out) == (0, "")
    folder = golf.root / "submissions" / "mine"
    assert sorted(p.name for p in folder.iterdir()) == ["golf.lock", "recipe.toml", "train_gpt.py"]
    assert tomllib.loads((folder / "recipe.toml").read_text()) == {
        "name": "mine",
        "title": "",
        "extends": "toy",
        "attention": {"attn_out": []},
        "model": {"loop": 2},
    }
    lock = read_lock(folder)
    assert (
        lock.form == "readable" and lock.recipe == "mine" and set(lock.tools) == {"libcst", "ruff", "python-minifier"}
    )
    assert "toy broke 1 rule:" in err and "R01" in err and "--from toy`" in err and "golf explain R01" in err
    assert check_submission(folder).state == "same"


def test_new_never_overwrites_and_leaves_nothing_behind_when_it_fails(golf, toy):
    (golf.root / "submissions" / "mine").mkdir()
    code, _, err = golf("new mine --from toy")
    assert code == 10 and "error: submissions/mine is there already" in err
    for line in (
        "new other --from toy num_heads=3",
        "new other --from nothing",
        "new other --from toy ema_decay=0.5",
        "new ../x --from toy",
    ):
        code, out, err = golf(line)
        assert code == 2 and err.startswith("error: ") and "Traceback" not in err and out == ""
    assert sorted(p.name for p in (golf.root / "submissions").iterdir()) == ["mine", "toy"]
    assert not list((golf.root / "submissions" / "mine").iterdir())


def test_compose_writes_and_check_agrees(golf, toy):
    assert golf("compose toy --check")[0] == 1
    code, _, err = golf("compose toy")
    assert code == 0 and "bytes of readable train_gpt.py" in err
    code, _, err = golf("compose toy --check")
    assert code == 0 and "as its recipe says" in err
    assert "unchanged" in golf("compose toy")[2]


def test_compose_without_a_name_means_the_submission_of_the_folder(golf, toy, monkeypatch):
    monkeypatch.chdir(toy)
    assert golf("compose")[0] == 0 and golf("compose --check")[0] == 0
    monkeypatch.chdir(golf.root)
    code, _, err = golf("compose")
    assert code == 2 and "no submission here" in err


def drift_of(golf, toy, change):
    golf("compose toy")
    change()
    code, _, err = golf("compose --all --check")
    return code, err


def test_check_tells_an_edit_from_a_changed_recipe_and_from_another_version(golf, toy):
    script, recipe, lock = toy / "train_gpt.py", toy / "recipe.toml", toy / "golf.lock"
    code, err = drift_of(golf, toy, lambda: script.write_text(script.read_text() + "# mine\n"))
    assert code == 1 and "edited by hand" in err and "`golf compose toy`" in err
    code, err = drift_of(golf, toy, lambda: recipe.write_text(recipe.read_text().replace("loop = 1", "loop = 2")))
    assert code == 1 and "older than its recipe" in err
    golf("compose toy")

    def older():
        old = script.read_text().replace("Composed by golf 0", "Composed by golf 0.0")
        script.write_text(old)
        from golf.files import sha256_of

        text = lock.read_text().replace('golf = "', 'golf = "0.0')
        lock.write_text(text.replace(read_lock(toy).script_sha256, sha256_of(old.encode())))

    code, err = drift_of(golf, toy, older)
    assert code == 0 and "was composed by golf 0.0" in err and "drift" not in err
    code, err = drift_of(golf, toy, lambda: lock.write_text("golf = 3"))
    assert code == 2 and "golf.lock is damaged" in err
    assert golf("compose toy")[0] == 2
    lock.unlink()
    assert golf("compose toy")[0] == 0


def test_all_is_fine_without_submissions(golf):
    assert golf("compose --all")[0] == 0
    assert golf("compose --all --check")[0] == 0


def test_packed_stays_packed(golf, toy):
    assert golf("compose toy --pack")[0] == 0
    packed = (toy / "train_gpt.py").read_bytes()
    assert read_lock(toy).form == "packed" and b"to_bytes(" in packed and golf("compose toy --check")[0] == 0
    assert golf("compose toy")[0] == 0 and (toy / "train_gpt.py").read_bytes() == packed
    assert golf("compose toy --dense")[0] == 0 and len((toy / "train_gpt.py").read_bytes()) < len(packed)
    assert golf("compose toy --check")[0] == 0
    assert golf("compose toy --readable")[0] == 0 and (toy / "train_gpt.py").read_text().startswith('"""toy')


def test_other_values_are_printed_and_not_kept(golf, toy):
    golf("compose toy")
    before = (toy / "train_gpt.py").read_bytes()
    code, out, _ = golf("compose toy loop=5")
    assert code == 0 and "    loop = 5  #" in out and (toy / "train_gpt.py").read_bytes() == before
    code, out, _ = golf("compose toy loop=5 --out there.py")
    assert code == 0 and out == "" and "    loop = 5  #" in (golf.root / "there.py").read_text()
    assert golf("compose toy loop=5 --out no/there.py")[0] == 2
    assert golf("compose toy lop=5")[2].startswith("error: no part has a knob `lop`\nhint:  did you mean `loop`?")


def test_diff_shows_what_differs_and_nothing_else(golf, toy):
    golf("new mine --from toy loop=3")
    code, out, _ = golf("compose mine --diff toy")
    changed = [line for line in out.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert (
        code == 0
        and "-    loop = 1  # how often the blocks run again" in changed
        and "+    loop = 3  # how often the blocks run again" in changed
    )
    assert len(changed) <= 8
    assert golf("compose mine --diff mine")[1] == ""


def test_unpack_prints_the_source(golf, toy):
    golf("compose toy --pack")
    code, out, err = golf("unpack submissions/toy/train_gpt.py --raw")
    assert code == 0 and out == unpack(toy / "train_gpt.py") and "lzma.decompress" in err
    assert "def run():\n    " in golf("unpack submissions/toy/train_gpt.py")[1]
    assert golf("unpack nothing.py")[0] == 2


def test_ls_lists(golf, toy):
    code, out, _ = golf("ls")
    assert code == 0 and "baseline" in out and "toy" in out
    for kind in ("techniques", "recipes", "submissions", "rules", "records"):
        code, out, err = golf(f"ls {kind} --json")
        assert code == 0 and json.loads(out)["schema"] == 1 and isinstance(json.loads(out)[kind], list), err
    assert golf("ls techniques --md")[1].startswith("| technique | what | used by |")
    code, _, err = golf("ls recipe")
    assert code == 2 and "did you mean `recipes`?" in err
    assert "no records here" in golf("ls records")[2]


def test_ls_shows_a_submission_that_does_not_load(golf, toy):
    (toy / "recipe.toml").write_text("[model\n")
    code, out, _ = golf("ls submissions")
    assert code == 0 and "does not load" in out


def test_show_gives_the_origin_of_each_value(golf, toy):
    golf("new mine --from toy loop=3")
    code, out, _ = golf("show mine")
    assert (
        code == 0
        and "loop = 3" in out
        and "# mine: how often the blocks run again" in out
        and "# toy: members change the output" in out
    )
    facts = json.loads(golf("show mine --json")[1])
    assert {v["knob"]: v["origin"] for v in facts["values"]} == {"attn_out": "toy", "loop": "mine"}
    assert facts["extends"] == ["toy"] and facts["ruling"] == ["R01"] and facts["techniques"] == ["gate"]
    assert "num_heads = 2" in golf("show mine --all")[1]


def test_show_a_technique(golf):
    code, out, _ = golf("show technique:xsa")
    assert (
        code == 0
        and "PR #265" in out
        and "xsa_last_n = 4" in out
        and "used by" in out
        and "golf/parts/techniques/xsa.py" in out
    )
    facts = json.loads(golf("show technique:gram_ns --json")[1])
    assert (
        "muon" in str(facts["excludes"])
        and facts["used_by"]
        and facts["plugs_into"] == {"orthogonalize": ["gram_ns.gram_ns"]}
    )
    assert "off at 0" in golf("show partial_rope")[1]
    code, _, err = golf("show xsb")
    assert code == 2 and "did you mean `xsa`?" in err


def test_size_adds_up(golf, toy):
    code, out, _ = golf("size toy --techniques --no-artifact --json")
    facts = json.loads(out)["size"]
    assert code == 0 and {t["technique"] for t in facts["techniques"]} == {"gate"}
    gate = facts["techniques"][0]
    assert 50 < gate["packed_bytes"] < 500 < gate["readable_bytes"]
    assert (
        facts["dense_bytes"]
        < facts["total"]["packed_bytes"]
        < facts["total"]["minified_bytes"]
        < facts["total"]["readable_bytes"]
    )
    assert sum(p["readable_bytes"] for p in facts["parts"].values()) < facts["total"]["readable_bytes"]
    for pieces in (facts["parts"], facts["definitions"]):
        assert sum(p["minified_bytes"] for p in pieces.values()) == facts["total"]["minified_bytes"]
    out = golf("size toy --vs toy --no-artifact --md")[1]
    assert "| the whole file |" in out and "+0" in out
    assert "GPT" in golf("size toy --definitions --no-artifact")[1]


def test_size_weighs_the_packed_file_that_compose_writes(golf, toy):
    golf("compose toy --pack")
    assert weigh(load_recipe("toy")).total.packed_bytes == (toy / "train_gpt.py").stat().st_size


@pytest.mark.slow
def test_size_imports_nothing_slow():
    """What made `golf size` take ten seconds: torch's reference operators (sympy), libcst's matchers, torch beside the composer."""
    code = """
import sys
from golf.artifact.predict import predict
from golf.recipe import load_recipe
from golf.compose.size import weigh
assert weigh(load_recipe("baseline")).total.packed_bytes
assert "torch" not in sys.modules and "libcst.matchers" not in sys.modules
for name in sys.argv[1:]:
    if load_recipe(name).values["mlp_in"]:
        continue  # CayleySAE: bitwise operators, which the meta device has in Python only
    assert predict(load_recipe(name)).params
    assert "sympy" not in sys.modules, name
"""
    made = subprocess.run([sys.executable, "-c", code, *shipped_recipes()], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def test_size_predicts_beside_the_weighing(tmp_path):
    """In a fresh process the prediction comes from a second one; where torch is here already, from this one: the same bytes."""
    from golf.artifact.predict import predict

    made = subprocess.run(
        [sys.executable, "-m", "golf", "size", "baseline", "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    facts = json.loads(made.stdout)
    assert facts["artifact"]["estimate_bytes"] == predict(load_recipe("baseline")).estimate_bytes
    assert facts["size"]["techniques"] == []


def test_the_baselines_parameters_are_counted_before_any_run():
    from golf.artifact.predict import predict

    prediction = predict(load_recipe(shipped_recipes()["baseline"]))
    assert prediction.params == 17_059_912 and prediction.estimate_bytes < prediction.upper_bytes
    assert sum(weights for weights, _, _ in prediction.roles.values()) == prediction.params


def test_a_predictor_can_be_another():
    from golf.artifact.estimate import Estimate
    from golf.artifact.predict import predict

    recipe = load_recipe(shipped_recipes()["baseline"])
    counted = predict(recipe, lambda tensors, coder, half: Estimate(sum(t.numel for t in tensors), coder, 0.1))
    assert counted.estimate_bytes == 17_059_912 and counted.within == 0.1
    assert predict(recipe, lambda tensors, coder, half: None).estimate_bytes is None


@pytest.mark.parametrize("verb", ["new", "ls", "show", "compose", "size", "unpack"])
def test_every_command_has_help_with_an_example(golf, verb):
    code, out, _ = golf(f"{verb} --help")
    assert code == 0 and f"$ golf {verb}" in out


def test_the_path_of_ls_and_show_imports_nothing_heavy(golf):
    import subprocess

    for line in (["ls"], ["ls", "techniques"], ["show", "technique:xsa"], ["show", "baseline"]):
        code = f"import sys; sys.argv = ['golf', *{line!r}]\nfrom golf.cli import main\ntry:\n    main()\nexcept SystemExit: pass\nprint([m for m in ('torch', 'pandas', 'datasets', 'numpy', 'libcst') if m in sys.modules], file=sys.stderr)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=golf.root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.stderr.strip().endswith("[]"), line


def test_unknown_submission_is_a_clear_error(golf):
    for line in ("compose nothing", "size nothing", "compose nothing --check"):
        code, _, err = golf(line)
        assert code == 2 and err.startswith("error: no ")
    with pytest.raises(GolfError):
        load_recipe("nothing")


def test_a_users_technique_travels_with_new(golf, toy):
    (toy / "techniques").mkdir()
    (toy / "techniques" / "mine.py").write_text(
        '"""Mine."""\n\n\nclass Knobs:\n    mine_scale: float = 2.0\n\n\ndef mined(h, x):\n    return h.mine_scale * x\n'
    )
    recipe = toy / "recipe.toml"
    recipe.write_text(
        recipe.read_text().replace("loop = 1", 'loop = 1\nembed = ["user:mine.mined"]') + "[mine]\nmine_scale = 3.0\n"
    )
    assert golf("compose toy")[0] == 0
    plain = golf.root / "submissions" / "plain"
    plain.mkdir()
    (plain / "recipe.toml").write_text('name = "plain"\nentry = "toy_parts.entry:main"\n')
    code, _, err = golf("new other --from plain --with toy:mine")
    assert code == 0, err
    assert (golf.root / "submissions" / "other" / "techniques" / "mine.py").is_file()
    script = (golf.root / "submissions" / "other" / "train_gpt.py").read_text()
    assert "    mine_scale = 3.0" in script and "x = mined(x)" in script
    assert golf("new child --from toy")[0] == 0 and golf("compose child --check")[0] == 0
    assert "mined" in (golf.root / "submissions" / "child" / "train_gpt.py").read_text()
