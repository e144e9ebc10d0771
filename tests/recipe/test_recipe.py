"""Recipes: what a TOML file may say, where each value comes from, and what every mistake is answered with."""

import copy
import pickle
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golf.errors import GolfError
from golf.recipe import diff, find_recipe, load_recipe, shipped_recipes, smoke_recipe, smoke_sizes
from golf.recipe.catalogue import load_catalogue
from golf.recipe.knobs import literal, parsed
from golf.recipe.namespace import entry_point, namespace

HEAD = 'entry = "toy_parts.entry:main"\n'


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with submissions; `project(name, text)` writes a recipe and returns its file."""
    monkeypatch.chdir(tmp_path)

    def write(name, text, extends=None):
        folder = tmp_path / "submissions" / name
        folder.mkdir(parents=True, exist_ok=True)
        head = f'extends = "{extends}"\n' if extends else HEAD
        (folder / "recipe.toml").write_text(f'name = "{name}"\n{head}{text}', encoding="utf-8")
        return folder / "recipe.toml"

    write.root = tmp_path
    return write


def test_defaults_fill_what_a_recipe_does_not_say(project):
    project("a", "[model]\nmodel_dim = 16\n")
    recipe = load_recipe("a")
    assert (recipe.values["model_dim"], recipe.values["num_heads"]) == (16, 2)
    assert (recipe.origins["model_dim"], recipe.origins["num_heads"]) == ("a", "default")
    assert recipe.own == {"model_dim"} and recipe.values["name"] == "a"


def test_a_child_inherits_overrides_and_names_the_origin(project):
    project(
        "a",
        'track = "non_record_16mb"\nseeds = [1, 2]\ncredits = ["x"]\nauthors = ["@a"]\nruling = ["R01"]\n[model]\nmodel_dim = 16\nloop = 1\n',
    )
    project("b", 'credits = ["y"]\ntitle = "child"\n[model]\nloop = 2\n', extends="a")
    project("c", "seeds = [3]\nruling = []\n", extends="b")
    recipe = load_recipe("c")
    assert recipe.chain == ("c", "b", "a") and recipe.extends == "b"
    assert (recipe.values["model_dim"], recipe.values["loop"]) == (16, 2)
    assert (recipe.origins["model_dim"], recipe.origins["loop"]) == ("a", "b")
    assert (recipe.track, recipe.seeds, recipe.ruling, recipe.title) == ("non_record_16mb", (3,), (), "")
    assert recipe.credits == ("x", "a: @a", "y") and recipe.authors == () and recipe.own == frozenset()
    assert load_recipe("b").ruling == ("R01",)


def test_a_recipe_is_frozen(project):
    project("a", "")
    recipe = load_recipe("a")
    with pytest.raises(AttributeError):
        recipe.name = "b"
    with pytest.raises(TypeError):
        recipe.values["model_dim"] = 3


FAULTS = {
    "an unknown key": ("[model]\nmodel_dmi = 4\n", "no part has a knob `model_dmi`", "did you mean `model_dim`?  [toy_parts/model.py]"),
    "the wrong section": ("[muon]\nmodel_dim = 4\n", "`model_dim` stands under [muon]", "it is a knob of [model]"),
    "an unknown section": ("[modle]\nx = 4\n", "no part is called `modle`", "did you mean `model`?"),
    "a knob outside a section": ("model_dim = 4\n", "`model_dim` in", "put it under [model]"),
    "an unknown key at the top": ('titel = "x"\n', "`titel` in", "did you mean `title`?"),
    "a float for an int": ("[model]\nmodel_dim = 4.0\n", "`model_dim` in", "of type int"),
    "a bool for an int": ("[model]\nmodel_dim = true\n", "is True, a bool", "of type int"),
    "an int for a bool": ("[muon]\nrow_norm = 1\n", "is 1, a int", "of type bool"),
    "a text for a float": ('[muon]\nlr = "1"\n', "is '1', a str", "of type float"),
    "not a number": ("[muon]\nlr = nan\n", "is nan, a float", "of type float"),
    "a list for a slot": ('[model]\nblock = ["Block"]\n', "`block` in", "the name of one implementation"),
    "a name for a chain": ('[attention]\nattn_out = "xsa.XSA"\n', "`attn_out` in", "a list of names"),
    "an unknown slot": ('[model]\nblock = "Blok"\n', "names `Blok`, but `Blok` is not in any part", "did you mean `Block`?"),
    "an unknown part in a slot": ('[model]\nblock = "paralel.X"\n', "no part is called `paralel`", "did you mean `parallel`?"),
    "an unknown name in a part": ('[model]\nblock = "parallel.X"\n', "`X` is not in toy_parts/techniques/parallel.py", "`ParallelBlock`"),
    "a user's technique that is not there": ('[attention]\nattn_out = ["user:mine.G"]\n', "no part is called `mine`", ""),
    "a shipped technique as a user's": ('[attention]\nattn_out = ["user:xsa.XSA"]\n', "ships with golf", "write `xsa.XSA`"),
    "a member twice": ('[attention]\nattn_out = ["xsa.XSA", "XSA"]\n', "holds `XSA` twice", "acts once"),
    "a seed twice": ("seeds = [1, 1]\n", "holds a seed twice", ""),
    "seeds that are texts": ('seeds = ["1"]\n', "`seeds` in", "list of int"),
    "an unknown track": ('track = "10min"\n', "`track` in", "10min_16mb"),
    "no TOML": ("[model\n", "is not TOML", "brackets"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_every_mistake_has_its_answer(project, case):
    text, message, hint = FAULTS[case]
    path = project("a", text)
    with pytest.raises(GolfError) as fault:
        load_recipe(path)
    assert message in fault.value.message and hint in (fault.value.hint or "")


def test_the_name_stands_at_the_top(project):
    project("a", '[entry]\nname = "x"\n', extends="baseline")
    with pytest.raises(GolfError, match=r"`name` in .* stands in a section"):
        load_recipe("a")


def test_a_circle_of_ancestors_is_refused(project):
    project("a", "", extends="b")
    project("b", "", extends="a")
    with pytest.raises(GolfError, match="a → b → a: a recipe extends itself"):
        load_recipe("a")


def test_an_unknown_parent_or_recipe_names_the_nearest(project):
    project("first", "")
    project("a", "", extends="fisrt")
    with pytest.raises(GolfError, match="no recipe is called `fisrt`") as fault:
        load_recipe("a")
    assert fault.value.hint == "did you mean `first`?"
    with pytest.raises(GolfError, match="no recipe at"):
        load_recipe("nowhere/recipe.toml")


def test_a_submission_may_extend_the_shipped_recipe_of_its_own_name(project):
    folder = project("baseline", "", extends="baseline").parent
    assert find_recipe("baseline") == folder / "recipe.toml"
    recipe = load_recipe("baseline")
    assert (
        recipe.chain == ("baseline", "baseline") and recipe.values == load_recipe(shipped_recipes()["baseline"]).values
    )


def test_overrides_are_read_by_the_knobs_type(project):
    project("a", "")
    recipe = load_recipe(
        "a",
        [
            "model_dim=1_6",
            "lr=1",
            "row_norm=TRUE",
            "block=parallel.ParallelBlock",
            "attn_out=xsa.XSA,Gate",
            "muon.wd=1e-2",
        ],
    )
    values = recipe.values
    assert (values["model_dim"], values["lr"], values["row_norm"], values["block"]) == (
        16,
        1.0,
        True,
        "parallel.ParallelBlock",
    )
    assert values["attn_out"] == ("xsa.XSA", "Gate") and values["wd"] == 0.01 and recipe.origins["lr"] == "command line"
    assert load_recipe("a", ["attn_out=[]"]).values["attn_out"] == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_dim", "`model_dim` is no override"),
        ("model_dmi=3", "no part has a knob `model_dmi`"),
        ("model_dim=x", "is 'x', a str"),
        ("muon.model_dim=3", "`model_dim` is not a knob of `muon`"),
        ("row_norm=yes", "is 'yes', a str"),
    ],
)
def test_a_wrong_override_says_so(project, text, message):
    project("a", "")
    with pytest.raises(GolfError) as fault:
        load_recipe("a", [text])
    assert message in fault.value.message


def test_diff_is_what_differs(project):
    project("a", "")
    project("b", "[model]\nloop = 2\n", extends="a")
    assert diff(load_recipe("a"), load_recipe("b")) == {"loop": (0, 2)}
    assert diff(load_recipe("a"), load_recipe("a")) == {}


def test_smoke_sizes_are_never_larger_than_the_recipes(project):
    project("a", "[model]\nmodel_dim = 2\n[attention]\nnum_heads = 1\n")
    recipe = load_recipe("a")
    assert smoke_sizes(recipe) == {"num_heads": 1, "vocab_size": 7, "model_dim": 2, "ns_steps": 2, "steps": 2}
    assert smoke_recipe(recipe).values["vocab_size"] == 7 and smoke_recipe(recipe).own == recipe.own


def test_the_namespace_resolves_and_cannot_be_set(project):
    project("a", '[attention]\nattn_out = ["xsa.XSA", "Gate"]\n')
    h = namespace(load_recipe("a"))
    from toy_parts.attention import sdpa
    from toy_parts.techniques.gate import Gate
    from toy_parts.techniques.xsa import XSA

    assert (h.model_dim, h.attend, h.attn_out, h.embed) == (8, sdpa, (XSA, Gate), ())
    with pytest.raises(AttributeError, match="no part has a knob `model_dmi`: did you mean `model_dim`"):
        _ = h.model_dmi
    with pytest.raises(AttributeError, match="cannot be set"):
        h.model_dim = 3
    with pytest.raises(AttributeError, match="cannot be set"):
        del h.model_dim
    assert copy.deepcopy(h) is h and pickle.loads(pickle.dumps(h)).attn_out == h.attn_out
    assert not hasattr(h, "__wrapped__")


def test_reading_recipes_imports_no_part():
    code = "import sys; from golf.recipe import *; from golf.recipe.techniques import techniques\nfor n in shipped_recipes(): load_recipe(n)\ntechniques(load_recipe(n).catalogue)\nprint([m for m in sys.modules if m in ('torch', 'numpy', 'libcst', 'pandas') or m.startswith('golf.parts')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_shipped_recipe_loads_and_its_legal_variant_is_there():
    for name in shipped_recipes():
        recipe = load_recipe(name)
        assert recipe.name == name and recipe.title and recipe.seeds
        # hardware, clock and logs of the published run (R05, R12) are no fault of the recipe's code
        of_code = set(recipe.ruling) - {"R05", "R12"}
        assert not of_code or recipe.legal_variant in shipped_recipes()


def test_techniques_are_taken_out_and_brought_in(project):
    project(
        "a",
        '[attention]\nattn_out = ["xsa.XSA", "gate.Gate"]\n[gate]\ngate_window = 2\n[model]\nembed = ["smear.smeared"]\n',
    )
    project("b", '[attention]\nattn_out = ["xsa.XSA"]\n')
    without = load_recipe("a", without=["gate"])
    assert without.values["attn_out"] == ("xsa.XSA",) and without.values["gate_window"] == 3
    assert "gate_window" not in without.own
    with_ = load_recipe("b", with_=["a:gate"])
    assert with_.values["attn_out"] == ("xsa.XSA", "gate.Gate") and with_.values["gate_window"] == 2
    assert with_.origins["gate_window"] == "a"


@pytest.mark.parametrize(
    ("mine", "wanted"),
    [
        (["gate.Gate"], ("xsa.XSA", "gate.Gate")),
        ([], ("xsa.XSA",)),
    ],
)
def test_a_technique_keeps_its_place_in_the_chain(project, mine, wanted):
    project("a", '[attention]\nattn_out = ["xsa.XSA", "gate.Gate"]\n')
    project("b", f"[attention]\nattn_out = {mine!r}\n".replace("'", '"'))
    assert load_recipe("b", with_=["a:xsa"]).values["attn_out"] == wanted


def test_a_technique_without_its_recipe_goes_where_it_fits(project):
    project("a", '[attention]\nattn_out = ["xsa.XSA"]\n')
    assert load_recipe("a", with_=["gate"]).values["attn_out"] == ("xsa.XSA", "gate.Gate")
    assert load_recipe("a", with_=["gram"]).values["orthogonalize"] == "gram.gram_ns"


def test_a_slot_falls_back_to_its_default(project):
    project("a", '[muon]\northogonalize = "gram.gram_ns"\n')
    assert load_recipe("a", without=["gram"]).values["orthogonalize"] == "newton_schulz"


TECHNIQUE_FAULTS = {
    "an unknown one": ({"without": ["gat"]}, "no technique is called `gat`", "did you mean `gate`?"),
    "one that is not in": ({"without": ["ema"]}, "a does not use `ema`", "it uses gate, xsa"),
    "one without its recipe that is already in": ({"with_": ["gate"]}, "a already has `gate`", ""),
    "one that the other does not use": ({"with_": ["a:ema"]}, "a does not use `ema`", ""),
    "one that is already in": ({"with_": ["a:gate"]}, "a already has `gate` as a has it", ""),
}


@pytest.mark.parametrize("case", TECHNIQUE_FAULTS)
def test_technique_mistakes_have_their_answer(project, case):
    request, message, hint = TECHNIQUE_FAULTS[case]
    project("a", '[attention]\nattn_out = ["xsa.XSA", "gate.Gate"]\n')
    with pytest.raises(GolfError) as fault:
        load_recipe("a", **request)
    assert message in fault.value.message and hint in (fault.value.hint or "")


def test_entry_point_is_the_function(project):
    project("a", "")
    from toy_parts.entry import main

    assert entry_point(load_recipe("a")) is main


def test_a_knob_or_a_definition_twice_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "twice_parts"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("class Knobs:\n    a: int = 1\n\n\ndef f(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    (package / "two.py").write_text("class Knobs:\n    a: int = 1\n")
    with pytest.raises(GolfError, match=r"knob `a` is declared in twice_parts/one\.py and in twice_parts/two\.py"):
        load_catalogue("twice_parts")
    (package / "two.py").write_text("def f(): ...  # again\n")
    with pytest.raises(GolfError, match=r"`f` is defined in twice_parts/one\.py and in twice_parts/two\.py"):
        load_catalogue("twice_parts")


scalars = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text(), st.none())


@settings(deadline=None)
@given(st.one_of(scalars, st.lists(scalars, max_size=3).map(tuple)))
def test_a_printed_value_is_the_value(value):
    back = eval(literal(value))
    assert back == value and type(back) is type(value)


@settings(deadline=None)
@given(st.integers(1, 4096), st.floats(0, 10, exclude_min=True))
def test_numbers_survive_the_command_line(count, share):
    catalogue = load_catalogue("toy_parts")
    assert parsed(catalogue, f"model_dim={count}")[1] == count
    assert parsed(catalogue, f"lr={share!r}")[1] == share


def test_a_technique_that_is_only_a_knob_goes_and_comes():
    plain = load_recipe("pr1394", without=["ln_scale", "weight_decay"])
    assert plain.values["ln_scale"] is False and plain.values["muon_wd"] == plain.values["embed_wd"] == 0.0
    assert load_recipe("baseline", with_=["pr1394:ln_scale"]).values["ln_scale"] is True
    with pytest.raises(GolfError, match="baseline does not use `ln_scale`"):
        load_recipe("baseline", without=["ln_scale"])


def test_a_deep_twin_takes_fewer_steps():
    """A twin keeps layers and loops: every twin runs through as many blocks; never more steps than the recipe's own."""
    from golf.recipe import load_recipe, shipped_recipes, smoke_sizes

    steps = {name: smoke_sizes(load_recipe(name))["iterations"] for name in shipped_recipes()}
    assert all(60 <= count <= 178 for count in steps.values()), steps
    assert steps["baseline"] == steps["pr740"] == steps["cayley_512"] == 178  # 9 layers
    assert steps["pr414"] == 145  # 11 layers
    assert steps["pr1394"] == 123  # 2 of 11 run twice more in the last half of the steps
    assert steps["pr1809"] == 64  # 3 of them in the last 65 %: 107; its evaluation trains as well
    assert steps["pr1573"] == 114  # 2 of 12 run once more
    assert steps["cayley_large_2L"] == 67  # 24 layers
    assert smoke_sizes(load_recipe("baseline", ["iterations=50", "num_layers=24"]))["iterations"] == 50
    assert smoke_sizes(load_recipe("baseline", ["iterations=10", "num_layers=256"]))["iterations"] == 6
