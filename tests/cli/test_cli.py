"""The command line as a whole: quick, documented, plain, and its errors are sentences."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
from places import ROOT

from golf.cli import GROUPS, MOST_SHORT, SHORT, VERBS, load_verb, module_of
from golf.errors import Exit

GOLDEN = Path(__file__).with_name("golden_help.txt")
CONSTRAINTS = (ROOT / "constraints.txt").read_text()
PINNED_TYPER = CONSTRAINTS.split("typer==")[1].split()[0]
QUICK = (
    ("--help",), ("--version",), ("ls",), ("ls", "techniques"), ("ls", "rules"), ("ls", "knobs"), ("show", "pr1809"), ("show", "attn_out"), ("show", "technique:xsa"),
    ("explain", "R01"), ("leaderboard",), ("status",), ("verify", "--only", "static", "SCRIPT"),
)  # fmt: skip


def golf(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    plain = os.environ | {"COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb"} | env
    return subprocess.run(
        [sys.executable, "-m", "golf", *words], cwd=cwd, env=plain, check=False, capture_output=True, text=True
    )


def verbs_there() -> list[str]:
    return [verb for verb in VERBS if find_spec(module_of(verb)) is not None]


ASKED_FOR_HELP = """
import contextlib, json, sys
from golf.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["golf", *words, "--help"]
    with contextlib.suppress(SystemExit):
        main()
    print()
"""


def help_pages(cwd: Path) -> str:
    """The root's help and every verb's, one after the other, from one process."""
    asked: list[list[str]] = [[]]
    for verb in verbs_there():
        asked += [[verb], *([verb, name] for name in getattr(load_verb(verb), "commands", {}))]
    plain = os.environ | {"COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb"}
    made = subprocess.run(
        [sys.executable, "-c", ASKED_FOR_HELP, json.dumps(asked)],
        cwd=cwd,
        env=plain,
        check=True,
        capture_output=True,
        text=True,
    )
    return "\n".join(line.rstrip() for line in made.stdout.removesuffix("\n").splitlines()) + "\n"


def test_an_option_is_added_or_changed_on_purpose(tmp_path):
    """The command line grows only with this file: `GOLF_WRITE_HELP=1 pytest tests/cli/test_cli.py` writes it anew."""
    if version("typer") != PINNED_TYPER:
        pytest.skip(f"the pages are those of typer {PINNED_TYPER}, this is {version('typer')}")
    pages = help_pages(tmp_path)
    if os.environ.get("GOLF_WRITE_HELP"):
        GOLDEN.write_text(pages)
    assert pages == GOLDEN.read_text()


def test_no_line_of_a_help_page_is_cut_off_or_too_wide(tmp_path):
    """Read from the golden pages (of 110 columns), and the root's at both usual widths."""
    narrow, wide = (golf("--help", cwd=tmp_path, COLUMNS=columns).stdout for columns in ("80", "140"))
    assert narrow == wide and max(map(len, narrow.splitlines())) <= 80
    for line in GOLDEN.read_text().splitlines():
        assert len(line) <= 80 and (not line.endswith("...") or line.startswith("Usage:")), line


def test_verbs_stand_in_four_groups_with_a_text_that_fits():
    texts = {verb: text for verbs in GROUPS.values() for verb, text in verbs.items()}
    assert len(GROUPS) == 4 and list(texts) == verbs_there(), "every verb in one group, and no other"
    named = {f"{verb} {name}" for verb in VERBS for name in getattr(load_verb(verb), "commands", {})}
    assert set(SHORT) == named
    assert all(0 < len(text) <= MOST_SHORT and not text.endswith(".") for text in (*texts.values(), *SHORT.values()))


def test_an_example_stands_on_one_line_unless_it_is_broken_by_hand():
    lines = GOLDEN.read_text().splitlines()
    examples = [number for number, line in enumerate(lines) if line.startswith("  $ golf")]
    assert len(examples) >= len(VERBS) - 3, "every verb shows how it is called; those with sub-commands on their pages"
    for number in examples:
        following = lines[number + 1].strip()
        assert not following or lines[number].endswith("\\"), lines[number]


@pytest.mark.parametrize("words", QUICK, ids=" ".join)
def test_reading_commands_import_neither_torch_nor_pandas_nor_datasets(words, tmp_path):
    script = tmp_path / "train_gpt.py"
    script.write_text("print('hello')\n")
    words = [str(script) if word == "SCRIPT" else word for word in words]
    code = (
        "import sys; sys.argv = ['golf', *sys.argv[1:]]\n"
        "from golf.cli import main\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        "heavy = sorted({'torch', 'pandas', 'datasets', 'matplotlib', 'scipy'} & sys.modules.keys())\n"
        "print('HEAVY', heavy)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []", done.stderr[-2000:]


@pytest.mark.parametrize("verb", verbs_there())
def test_every_verb_has_a_help_page_with_an_example_and_helpful_options(verb):
    command = load_verb(verb)
    commands = list(getattr(command, "commands", {}).values()) or [command]
    for one in commands:
        assert one.help, f"{verb} {one.name} has no help"
        assert "$ golf" in one.help, f"{verb} {one.name} shows no example"
        for param in one.params:
            assert getattr(param, "help", "") or param.name in ("help", "version"), f"{verb}: {param.name} has no help"


def test_the_root_lists_every_verb_and_says_where_to_start(tmp_path):
    page = golf("--help", cwd=tmp_path).stdout
    assert "golf demo" in page
    assert all(f"\n  {verb}" in page for verb in verbs_there())


def test_the_version_names_golf_composer_and_rules(tmp_path):
    from golf import __version__

    line = golf("--version", cwd=tmp_path).stdout
    assert __version__ in line and "composer" in line and "pgolf-" in line


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("frobnicate",), Exit.USAGE, "frobnicate"),
        (("new", "mine", "--from", "pr1890"), Exit.USAGE, "pr1868"),
        (("new", "mine", "--from", "baseline", "num_layer=3"), Exit.USAGE, "num_layers"),
        (("new", "mine", "--from", "baseline", "--with", "pr1809:xsb"), Exit.USAGE, "xsa"),
        (("new", "mine", "--from", "baseline", "num_layers=many"), Exit.USAGE, "num_layers"),
        (("run",), Exit.USAGE, "golf new"),
        (("run", "nothing"), Exit.USAGE, "golf new"),
        (("show", "technique:xsaa"), Exit.USAGE, "xsa"),
        (("explain", "R99"), Exit.USAGE, "R"),
        (("verify", "no-such-folder"), Exit.USAGE, "no-such-folder"),
    ],
)
def test_a_users_mistake_is_one_sentence_with_the_way_out(words, code, says, tmp_path):
    done = golf(*words, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert says in done.stderr


def test_a_submission_is_found_from_inside_its_folder_and_never_overwritten(tmp_path):
    assert golf("new", "mine", "--from", "baseline", cwd=tmp_path).returncode == 0
    inside = tmp_path / "submissions" / "mine"
    before = (inside / "train_gpt.py").read_bytes()
    assert golf("compose", "--check", cwd=inside).returncode == 0
    assert golf("new", "mine", "--from", "pr1394", cwd=tmp_path).returncode != 0
    assert (inside / "train_gpt.py").read_bytes() == before
    refused = golf("run", "--seeds", "1337", cwd=inside)
    assert refused.returncode == Exit.REFUSED
    assert "--smoke" in refused.stderr
