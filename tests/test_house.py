"""The house: imports point down only and in no circle, and only `cli/` prints."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from places import ROOT

GOLF = ROOT / "golf"
# from the ground up; a room may import what stands below it, and within itself
FLOORS = (
    ("challenge", "errors", "stats", "parts"),
    ("files", "project"),
    ("engine", "figures"),
    ("logs", "data", "recipe"),
    ("reading",),
    ("compose", "preflight", "harness"),
    ("run",),
    ("artifact", "board", "models"),
    ("rules", "downstream"),
    ("record", "sae", "study", "audit", "pods"),
    ("repro",),
    ("cli",),
    ("__main__",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> dict[str, Path]:
    """Dotted name → file of every module of golf."""
    found = {}
    for path in GOLF.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(path: Path) -> set[str]:
    """The modules of golf that a file imports, anywhere in it, also for annotations only."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                names.add(whole if whole in MODULES else node.module)
    return {name for name in names if name in MODULES and name != "golf"}


ARROWS = {name: imported(path) - {name} for name, path in MODULES.items()}


def room(name: str) -> str:
    return name.split(".")[1]


def test_every_room_has_its_floor():
    assert {room(name) for name in MODULES if name != "golf"} - {"recipes"} == FLOOR.keys()


def test_imports_point_down_only():
    up = [
        f"{source} → {target}"
        for source, targets in ARROWS.items()
        for target in targets
        if source != "golf" and room(source) != room(target) and FLOOR[room(source)] <= FLOOR[room(target)]
    ]
    assert not up, "\n".join(up)


def test_no_import_runs_in_a_circle():
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " → ".join([*way[way.index(name) :], name])
        if name not in done:
            for target in ARROWS[name]:
                visit(target, (*way, name))
            done.add(name)

    for name in ARROWS:
        visit(name, ())


def test_only_the_command_line_prints():
    """`parts/` is what ships: its log is its own. Text that is a script for somebody else is no call."""
    for name, path in MODULES.items():
        if name != "golf" and room(name) not in ("cli", "parts"):
            calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
            assert not [n.lineno for n in calls if isinstance(n.func, ast.Name) and n.func.id == "print"], path


@pytest.mark.parametrize("call", ["fcntl.flock", "os.fsync", ".hexdigest()"])
def test_one_room_locks_writes_whole_and_hashes(call):
    """Exempt: what ships; a run's log, which is flushed as it grows; hashes over many pieces, and keys of in-memory tables; what a node without golf runs."""
    exempt = {"golf.run.session", "golf.compose.kept", "golf.compose.pieces", "golf.engine.on_node"}
    found = {
        name for name, path in MODULES.items() if name != "golf" and room(name) != "parts" and call in path.read_text()
    }
    assert found - exempt == {"golf.files"}


def test_the_ground_floor_is_small():
    """Five loose modules at most, each a word of the field."""
    loose = {path.stem for path in GOLF.glob("*.py")} - {"__init__", "__main__"}
    assert loose == {"challenge", "errors", "files", "project", "stats"}


@pytest.mark.parametrize("name", sorted(room for rooms in FLOORS for room in rooms if (GOLF / room).is_dir()))
def test_every_room_says_what_it_is_for(name):
    assert ast.get_docstring(ast.parse((GOLF / name / "__init__.py").read_text()))


def test_the_readme_names_every_room():
    page = (ROOT / "README.md").read_text()
    house = page.partition("## The house")[2].partition("\n## ")[0]
    for name in FLOOR.keys() - {"__main__"}:
        assert f"  {name}/" in house or f"  {name}.py" in house, name


def test_the_package_ships_the_data_that_it_names():
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for pattern in table["tool"]["setuptools"]["package-data"]["golf"]:
        assert list(GOLF.glob(pattern)), pattern


def test_modules_that_are_named_in_texts_exist():
    """`-m golf.x` and `import_module("golf.x")` show as no arrow."""
    for name, path in MODULES.items():
        for text in re.findall(r"\"(golf\.[a-z_.]+)\"", path.read_text()):
            module = text.rstrip(".")
            if module in ("golf.lock", "golf.db", "golf.toml"):  # names of files
                continue
            assert module in MODULES or (GOLF / module.removeprefix("golf.").replace(".", "/")).is_dir(), (name, text)


def test_no_text_cites_a_paper_that_is_not_in_the_repository():
    own = {
        *MODULES.values(),
        *(ROOT / "tests").rglob("*.py"),
        *(ROOT / "benchmarks").rglob("*.py"),
        *GOLF.rglob("*.toml"),
    }
    for path in own - {Path(__file__)}:
        found = re.findall(r"(?:design|reference|techniques|formats|baseline),? (?:§|part \d)[^\n]*", path.read_text())
        assert not found, (path.name, found)


def test_the_table_of_executable_checks_names_the_rules_that_ask_for_them():
    from golf.rules import dynamic
    from golf.rules.pack import load_pack

    of_rule = {code: rule.detectors for code, rule in load_pack().rules.items()}
    asked = {code for code, names in of_rule.items() if any(n.startswith(("executed.", "roundtrip.")) for n in names)}
    assert asked - {"R23"} == set(re.findall(r"R\d\d", dynamic.__doc__)), "R23 is a look at the order, no property"
