"""Slots, chains, knobs and techniques: listed, shown with lines that can be pasted, found by `--with`, completed by the shell."""

import inspect
import json
import os
import pty
import subprocess
import sys
import tomllib

import pytest
from places import ROOT

from golf.cli import VERBS, load_verb, main
from golf.cli.complete import SOURCES
from golf.cli.output import as_wide_as_stderr, fitting, folded, table_lines, talk
from golf.cli.pages.knobs import facts_of, lines_of
from golf.cli.pages.show import show
from golf.errors import GolfError
from golf.files import toml
from golf.recipe import load_recipe, shipped_recipes
from golf.recipe.catalogue import load_catalogue
from golf.recipe.places import places_of, points, reads, signature
from golf.recipe.techniques import techniques

README = (ROOT / "README.md").read_text()
HALVE = README.split('"""Halve', 1)[1].split("```", 1)[0]


@pytest.fixture(scope="module")
def recipes():
    return [load_recipe(name) for name in shipped_recipes()]


def pasted(facts):
    return tomllib.loads("\n".join(facts["example"]))


def test_every_knob_slot_and_chain_has_a_page_whose_example_loads(recipes, tmp_path):
    catalogue = load_catalogue()
    for name, knob in catalogue.knobs.items():
        facts = facts_of(catalogue, name, recipes, {})
        if name != "name" and "FILE" not in facts["example"][1]:  # `name` stands at a recipe's top
            (tmp_path / "one.toml").write_text("\n".join(facts["example"]))
            held = load_recipe(tmp_path / "one.toml").values[name]
            assert facts["example"] == [f"[{knob.part}]", f"{name} = {toml(held)}"]
        assert facts["meaning"] or knob.kind not in ("Slot", "Chain"), f"{name} does not say what it is called with"
        part = catalogue.parts[knob.part]
        assert part.text.splitlines()[facts["line"] - 1].strip().startswith(f"{name}:")
        assert facts["read_by"], f"nothing reads {name}"
        for read in facts["read_by"]:
            assert f".{name}" in read["text"]
        assert f"[{knob.part}]" in "\n".join(lines_of(facts))


def test_the_lists_hold_every_choice(golf):
    catalogue = load_catalogue()
    for word, kinds in (
        ("slots", ("Slot",)),
        ("chains", ("Chain",)),
        ("knobs", ("int", "float", "bool", "str", "tuple")),
    ):
        code, out, _ = golf(f"ls {word} --json")
        rows = json.loads(out)[word]
        key = "knob" if word == "knobs" else "name"
        assert code == 0 and {row[key] for row in rows} == {k.name for k in catalogue.knobs.values() if k.kind in kinds}
        assert all(catalogue.knobs[row[key]].part == row["section"] for row in rows)


def test_attn_out_says_what_a_newcomer_needs(golf):
    out = golf("show attn_out")[1]
    for said in ("(y, u, flow) -> y", "forward(self, y, u, flow)", "y: (B, T, H, D)", "golf/parts/attention.py:",
                 "xsa.XSA", "[attention]", 'attn_out = ["xsa.XSA"]', 'attn_out = ["user:FILE.NAME"]'):  # fmt: skip
        assert said in out
    assert 'head_gate = "sparse_gate.SparseGate"' in golf("show slot:head_gate")[1]
    code, _, err = golf("show attn_oot")
    assert code == 2 and "did you mean `attn_out`?" in err


def test_where_recipes_have_a_technique_it_also_fits(recipes):
    """The reading of signatures is checked by what is known: wherever it names a place for a used technique, the recipes' is among them."""
    catalogue, seen = load_catalogue(), 0
    for technique in techniques(catalogue).values():
        used = [r for r in recipes if technique.used_in(r)] if technique.off is None else []
        fitting = {place.knob.name for place in places_of(catalogue, technique.name)} if used else set()
        if fitting:
            seen += 1
            known = {place.knob.name for place in places_of(catalogue, technique.name, used)}
            assert known & fitting or technique.name in ("plain_block", "smear_post"), technique.name
    assert seen > 20


def test_every_technique_that_no_recipe_uses_has_a_place_or_helps_others(recipes):
    catalogue = load_catalogue()
    for technique in techniques(catalogue).values():
        if technique.off is None and not any(technique.used_in(r) for r in recipes):
            helped = any(technique.name in {stem for _, stem in part.uses} for part in catalogue.parts.values())
            assert places_of(catalogue, technique.name) or helped, technique.name


def test_a_users_technique_is_listed_shown_and_plugs_in_as_shown(golf):
    golf("new mine --from baseline")
    folder = golf.root / "submissions" / "mine"
    (folder / "techniques").mkdir()
    (folder / "techniques" / "halve.py").write_text('"""Halve' + HALVE)
    rows = json.loads(golf("ls techniques --json")[1])["techniques"]
    assert next(row for row in rows if row["technique"] == "user:halve")["used by"] == []
    assert "halve_start" in golf("ls knobs")[1]
    facts = json.loads(golf("show halve --json")[1])
    assert facts["plugs_into"] == {} and facts["fits"] == {
        "attn_out": ["user:halve.Halve"], "head_gate": ["user:halve.Halve"],
    }  # fmt: skip
    assert pasted(facts) == {"attention": {"attn_out": ["user:halve.Halve"]}}
    assert "user:halve.Halve" in golf("show attn_out")[1]
    with (folder / "recipe.toml").open("a") as file:
        file.write("\n" + "\n".join(facts["example"]) + "\n")
    code, _, err = golf("compose mine")
    assert code == 0, err
    assert "class Halve(nn.Module)" in (folder / "train_gpt.py").read_text()
    facts = json.loads(golf("show user:halve --json")[1])
    assert facts["plugs_into"] == {"attn_out": ["user:halve.Halve"]} and facts["used_by"] == ["mine"]
    assert "halve_start = 0.5" in golf("show halve_start")[1]


@pytest.mark.parametrize(
    ("words", "said", "held"),
    [
        ("--with sparse_gate", "goes into the slot `head_gate` of [attention]", {"head_gate": "sparse_gate.SparseGate"}),
        ("--with xsa", "goes into the chain `attn_out` of [attention]", {"attn_out": ("xsa.XSA",)}),
        ("--from pr1573 --with sparse_gate", "in place of gated_attention.GatedAttention", {"head_gate": "sparse_gate.SparseGate"}),
    ],
)  # fmt: skip
def test_with_finds_the_place(golf, words, said, held):
    code, _, err = golf(f"new mine {words}")
    assert code == 0 and said in err
    recipe = load_recipe(golf.root / "submissions" / "mine")
    assert {name: recipe.values[name] for name in held} == held


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--with sdclip", "`attn_quantizer=sdclip.sdclip_rtn`"),
        ("--with partial_rope", "`--with pr"),
        ("--with gptq", "`--with pr1019:gptq`"),
        ("--with spase_gate", "did you mean `sparse_gate`?"),
        ("--with byte_planes", "fits no slot"),
        ("--from pr1809 --with gram_ns", "already has `gram_ns`"),
        ("--from pr18o9", "nearest: `pr1809`"),
        ("num_layer=3", "did you mean `num_layers`?"),
    ],
)
def test_what_is_not_plain_is_asked(golf, words, said):
    code, _, err = golf(f"new mine {words}")
    assert code == 2 and said in err
    assert not (golf.root / "submissions" / "mine").exists()


def test_the_choices_that_are_offered_work(golf):
    hint = golf("new mine --with sdclip")[2].split("say which: ")[1]
    for i, word in enumerate(hint.replace("`", "").strip().split(", ")[::3]):
        assert golf(f"new a{i} {word}")[0] == 0


def test_new_says_what_the_original_broke(golf):
    from golf.rules.pack import find_rule

    err = golf("new mine --from pr1809_legal")[2]
    assert "pr1809, which pr1809_legal mends, broke 2 rules" in err
    for code in ("R01", "R06"):
        assert find_rule(code).statement in err and find_rule(code).source in err
    assert "broke" not in golf("new other --from baseline")[2]
    assert "`golf new NAME --from pr1809_legal`" in golf("new third --from pr1809")[2]


def completed(words, cwd):
    made = subprocess.run(
        [sys.executable, "-m", "golf"], capture_output=True, text=True, check=False, cwd=cwd,
        env={**os.environ, "_GOLF_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))},
    )  # fmt: skip
    return made.stdout.split()


def test_the_shell_completes_names(tmp_path):
    (tmp_path / "submissions" / "my_own").mkdir(parents=True)
    (tmp_path / "submissions" / "my_own" / "recipe.toml").write_text('extends = "baseline"\n')
    assert completed("golf show sparse_", tmp_path) == ["sparse_gate"]
    assert completed("golf run my", tmp_path) == ["my_own"]
    assert completed("golf run my_own --track tens", tmp_path) == ["tensorboard"]
    assert completed("golf audit --pack pgolf-2026-05", tmp_path) == ["pgolf-2026-05"]
    assert completed("golf new x --from pr1809_", tmp_path) == ["pr1809_legal"]
    assert completed("golf new x num_lay", tmp_path) == ["num_layers="]
    assert completed("golf explain R38", tmp_path) == ["R38"]
    assert {"slots", "chains", "knobs"} <= set(completed("golf ls ", tmp_path))


def test_every_completed_parameter_exists():
    for verb in VERBS:
        load_verb(verb)  # raises where a parameter of SOURCES is not one of the function's
    assert {place.partition(".")[0] for place in SOURCES} <= set(VERBS)
    from golf.cli.complete import add_completion

    def command(path: str) -> None: ...

    with pytest.raises(KeyError):
        add_completion("size", command)
    assert "name" not in inspect.signature(command).parameters


def test_completion_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from golf.cli.complete import *\n"
        "for s in (recipes, submissions, techniques, knobs, values, rules, kinds): assert list(s()) or s is submissions\n"
        "assert not {'torch', 'libcst', 'numpy', 'pandas'} & set(sys.modules)"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert made.returncode == 0, made.stderr


WIDE = [
    ["a_rather_long_name_without_a_gap", "1,234,567", "words that can be wrapped at any of the gaps between them", "x"]
]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 140])
def test_tables_are_as_wide_as_the_terminal(width):
    columns = ("name", "number", "what", "y")
    lines = list(table_lines(columns, WIDE, ("number",), width))
    assert max(map(len, lines)) <= max(width, 34)
    for word in " ".join(WIDE[0]).split():
        assert width < 40 or any(word in line for line in lines)


@pytest.mark.parametrize(
    ("width", "count", "gap"),
    [(200, 5, 2), (56, 5, 2), (52, 5, 2), (50, 5, 1), (48, 5, 1), (47, 4, 2), (10, 2, 2), (3, 1, 2)],
)
def test_a_board_is_one_line_a_row_however_narrow_the_terminal(width, count, gap):
    """Authors and names are shortened first, the gaps next; then the last columns go."""
    columns, rows = (
        ("n", "score", "author", "run", "link"),
        [["1", "1.0565", "codemath3000", "a name that is long", "x" * 20]],
    )
    widths, found = fitting(columns, rows, {"author": 5, "run": 12}, width)
    assert (len(widths), found) == (count, gap)
    assert sum(widths) + found * (len(widths) - 1) <= max(width, 1)
    assert widths == [1, 6, 12, 19, 20] if width == 200 else sum(widths) <= width


def test_long_lines_go_on_below_their_text():
    line = "way out    reserve the measured time, or calibrate on text that the model generates"
    first, second = folded(line, 60).split("\n")
    assert (
        len(first) <= 60
        and second.startswith(" " * 11)
        and " ".join((first + second).split()) == " ".join(line.split())
    )
    assert folded("short", 60) == "short"


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 140])
def test_no_line_is_wider_than_the_terminal(columns, tmp_path):
    import fcntl
    import struct
    import termios

    for words in ("ls techniques", "ls knobs", "ls slots", "ls recipes", "ls rules", "show attn_out", "show pr1809",
                  "show pr1809 --params", "size baseline", "leaderboard", "compare pr1493 pr1809", "explain R06"):  # fmt: skip
        child, handle = pty.fork()
        if not child:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            os.chdir(tmp_path)
            os.environ.pop("COLUMNS", None)
            sys.argv, sys.stdin, sys.stdout, sys.stderr = ["golf", *words.split()], open(0), open(1, "w"), open(2, "w")
            code = 1
            try:
                main()
            except SystemExit as stop:
                code = int(stop.code or 0)
            finally:
                sys.stdout.flush()
                os._exit(code)
        seen = b""
        while True:
            try:
                piece = os.read(handle, 65536)
            except OSError:
                break
            seen += piece
            if not piece:
                break
        assert os.waitpid(child, 0)[1] == 0, seen
        lines = seen.decode().replace("\r", "").splitlines()
        wide = [line for line in lines if len(line) > columns and any(len(w) < columns - 14 for w in line.split())]
        assert lines and not wide, wide[:3]


def test_a_pipe_gets_whole_lines(golf, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = golf("ls techniques")[1].splitlines()
    assert len(lines) == 1 + len(techniques(load_catalogue())) and max(map(len, lines)) > 100


def test_signatures_are_of_what_a_caller_gives():
    catalogue = load_catalogue()
    assert ("forward", ("y", "u", "flow")) in signature(catalogue.definitions["SparseGate"])
    assert signature(catalogue.definitions["plain"]) == (("()", ("h", "env", "model", "stream")),)
    assert {knob.name for knob in points(catalogue)} >= {"attn_out", "coder", "reports"}
    assert reads(catalogue, "no_such_knob") == []
    with pytest.raises(GolfError, match="no part has a knob"):
        show("knob:no_such_knob")


def test_errors_and_talk_are_folded_at_a_terminal_and_whole_in_a_pipe(monkeypatch, capsys):
    text = "error: " + "a word and " * 20 + "\nhint:  look\n"
    assert as_wide_as_stderr(text) == text
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = as_wide_as_stderr(text)
    assert max(map(len, shown.split("\n"))) <= 60 and shown.split() == text.split() and shown.endswith("hint:  look\n")
    talk(text)
    assert capsys.readouterr().err == shown + "\n"
