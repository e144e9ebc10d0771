"""The documentation: links lead somewhere, the reference has everything that there is, the examples run."""

import ast
import re
import sys
import tomllib
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from evaluation import OneProcess, StubGPT, knobs, stream_of
from places import ROOT

from golf.errors import Exit
from golf.recipe import shipped_recipes
from golf.recipe.catalogue import load_catalogue
from golf.recipe.techniques import techniques
from golf.rules.pack import load_pack

DOCS = ROOT / "docs"
WRITTEN = {str(path.relative_to(ROOT)): path.read_text() for path in [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]}


@pytest.fixture(scope="session")
def generated():
    sys.path.insert(0, str(DOCS))
    try:
        import hooks
    finally:
        sys.path.remove(str(DOCS))
    return hooks.pages()


def anchors(text):
    """The anchors of a page's headings, as mkdocs makes them."""
    heads = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads}


def test_every_link_leads_somewhere(generated):
    pages = {**WRITTEN, **{f"docs/{path}": text for path, text in generated.items()}}
    broken = []
    for page, text in pages.items():
        for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
            if re.match(r"https?://|mailto:", target):
                continue
            path, _, anchor = target.partition("#")
            place = (ROOT / page).parent / path if path else ROOT / page
            name = str(place.resolve().relative_to(ROOT))
            if not (place.exists() or name in pages) or (anchor and anchor not in anchors(pages.get(name, ""))):
                broken.append(f"{page}: {target}")
    assert not broken, "\n".join(broken)


def test_the_menu_names_every_page_and_no_other(generated):
    named = set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert named == {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} | set(generated)


def test_the_reference_has_every_choice_technique_recipe_and_rule(generated):
    catalogue = load_catalogue()
    for knob in catalogue.knobs.values():
        page = {"Slot": "slots", "Chain": "chains"}.get(knob.kind, "knobs")
        assert f"| `{knob.name}` |" in generated[f"reference/{page}.md"], knob.name
    assert all(f"| `{name}` |" in generated["reference/techniques.md"] for name in techniques(catalogue))
    assert all(f"\n## {name}\n" in generated["reference/recipes.md"] for name in shipped_recipes())
    assert all(f"\n## {code}: " in generated["reference/rules.md"] for code in load_pack().rules)
    assert (
        re.findall(r"^\| (D\d+b?) ", generated["reference/checks.md"], re.MULTILINE)
        == "D1 D1b D2 D3 D4 D5 D6 D7 D8 D9 D10".split()
    )


def test_every_benchmark_is_listed_and_says_what_it_measures(generated):
    for path in (ROOT / "benchmarks").glob("*.py"):
        row = rf"^\| `(?:make bench NAME=)?{path.stem}(?:\.py)?` \| (.*) \|$"
        (text,) = re.findall(row, generated["reference/benchmarks.md"], re.MULTILINE)
        assert len(text) > 20, path.name


def test_every_table_has_as_many_cells_in_each_row(generated):
    for page, text in {**WRITTEN, **generated}.items():
        lines = re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines()
        for above, line in pairwise(lines):
            if line.startswith("|") and above.startswith("|"):
                cells = [len(re.findall(r"(?<!\\)\|", row)) for row in (above, line)]
                assert cells[0] == cells[1], (page, line)


def test_exit_codes_are_all_explained():
    text = WRITTEN["docs/troubleshooting.md"]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == set(map(int, Exit))


def blocks(page, language):
    """(title or "", text) of a page's code blocks in one language."""
    return re.findall(rf'```{language}(?: title="([^"]*)")?\n(.*?)```', WRITTEN[page], flags=re.DOTALL)


def test_python_and_toml_in_the_pages_are_python_and_toml():
    for page in WRITTEN:
        for _, text in blocks(page, "python"):
            ast.parse(text)
        for _, text in blocks(page, "toml"):
            tomllib.loads(text)


def test_the_example_of_a_rule_has_the_fields_of_a_rule():
    (_, text), *_ = blocks("docs/guide/rule.md", "toml")
    given = tomllib.loads(text)["rule"][0]
    real = tomllib.loads((ROOT / "golf" / "rules" / "packs" / "pgolf-2026-05.toml").read_text())["rule"]
    assert set(given) == set().union(*real)


@pytest.mark.parametrize("page", ["evaluator", "coder"])
def test_the_example_is_a_part_that_composes(golf, page):
    """As the page has it, in a submission of its own; composing runs every hook, coder and evaluator once."""
    assert golf("new mine --from baseline num_layers=2 model_dim=64 num_heads=2 num_kv_heads=1")[0] == 0
    for language in ("python", "toml"):
        for title, text in blocks(f"docs/guide/{page}.md", language):
            path = Path(title)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((path.read_text() if path.is_file() else "") + "\n" + text)
    code, _, err = golf("compose mine")
    assert code == 0, err
    assert re.search("def half_windows|class BzipCoder", Path("submissions/mine/train_gpt.py").read_text())


def test_the_example_of_an_evaluator_scores_every_target_once_from_what_was_before():
    part = {}
    exec(blocks("docs/guide/evaluator.md", "python")[0][1], part)
    h, model = knobs(eval_seq_len=32, eval_batch_windows=3), StubGPT()
    tokens = torch.arange(402) % 13 + 2
    trace = part["half_windows"](h, OneProcess(), model, stream_of(tokens), keep=True)
    scored = int(trace.visits.sum())
    assert (trace.visits[:scored] == 1).all() and scored >= 401 - 32
    later = tokens.clone()
    later[300:] = 2
    again = part["half_windows"](h, OneProcess(), model, stream_of(later), keep=True)
    assert torch.equal(trace.nats[:299], again.nats[:299]) and not torch.equal(trace.nats[:scored], again.nats[:scored])


@pytest.mark.slow
def test_the_pages_are_built_without_a_warning(tmp_path):
    if find_spec("mkdocs") is None:
        pytest.skip("needs mkdocs-material: `make docs` installs it")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True))
    assert (tmp_path / "reference" / "knobs" / "index.html").is_file()


def test_the_table_of_experiments_names_the_rules_that_ask_for_them():
    asked = {
        code for code, rule in load_pack().rules.items() if any(n.startswith("experiments.") for n in rule.detectors)
    }
    table = re.findall(r"^\| E\d .*\| ([^|]*) \|$", WRITTEN["docs/verify.md"], re.MULTILINE)
    named = set(re.findall(r"R\d\d", " ".join(table)))
    family = {f"R{number}" for number in range(30, 47)}
    assert len(table) == 6 and asked - family - {"R03"} == named - family, (
        "R03 is asked of what the box saw, not of an experiment"
    )
