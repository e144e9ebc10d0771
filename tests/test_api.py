"""The public names of `golf`: held here, imported when they are asked for."""

import subprocess
import sys

import pytest

import golf

PUBLIC = """GolfError Sample compose_script curves frame load_recipe namespace official open_source read_log
run_submission verify_folder welch write_record""".split()


def test_the_public_names_are_these_and_no_others():
    assert golf.__all__ == PUBLIC == sorted(golf._PLACES), (
        "a name is added or taken away on purpose: say so in CHANGELOG.md"
    )
    assert {*PUBLIC, "__version__"} <= set(dir(golf))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_says_what_it_does_and_stands_in_the_overview(name):
    assert getattr(golf, name).__doc__ and name in golf.__doc__
    assert getattr(golf, name).__module__.startswith("golf."), "no name of a library"


def test_no_public_name_hides_a_room():
    import pkgutil

    assert not {module.name for module in pkgutil.iter_modules(golf.__path__)} & set(PUBLIC)


def test_importing_golf_imports_nothing_else():
    code = "import sys, golf; print([n for n in sys.modules if n.startswith('golf.')], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        golf.nothing  # noqa: B018


def test_the_names_work_together(tmp_path):
    recipe = golf.load_recipe("baseline")
    assert golf.namespace(recipe).num_layers == 9
    assert "class GPT(nn.Module)" in golf.compose_script(recipe)
    assert golf.frame(tmp_path).empty and golf.official()[0].key
    assert golf.welch(golf.Sample.of([1.0, 1.01, 1.02]), golf.Sample.of([1.2, 1.21, 1.22])).p < 0.01
