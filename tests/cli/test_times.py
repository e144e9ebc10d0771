"""Every command of the first table of docs/times.md answers within its bound, on the largest input that the table names."""

import os
import re

import pytest
from places import ROOT
from project_of_runs import make_project

ROWS = re.findall(r"^\| `golf ([^`]+)` \| (\d+) \|", (ROOT / "docs" / "times.md").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def used():
    """Processor seconds so far, children with it."""

    def seconds():
        now = os.times()
        return now.user + now.system + now.children_user + now.children_system

    return seconds


def test_the_table_names_commands_with_bounds():
    assert len(ROWS) > 10 and all(0 < int(bound) <= 15 for _, bound in ROWS)


@pytest.mark.parametrize(("line", "bound"), ROWS)
def test_a_command_answers_within_its_bound(golf, used, line, bound):
    import torch  # noqa: F401  imports are left out

    if "mine" in line and not line.startswith("new "):
        assert golf("new mine --from pr2135")[0] == 0
    if line.startswith("logs"):
        step = "step:{0}/20000 train_loss:3.1415 train_time:{0}00ms step_avg:100.00ms\n"
        log = "".join(step.format(i) for i in range(1, 140_000))
        (golf.root / "long.txt").write_text(f"{log}final_int8_zlib_roundtrip_exact val_loss:2.1 val_bpb:1.24\n")
        assert 9e6 < (golf.root / "long.txt").stat().st_size
        line = line.replace("LOG", "long.txt")
    if "FOLDER" in line:
        from golf.compose import compose
        from golf.recipe import load_recipe

        folder = golf.root / "records" / "track_10min_16mb" / "2026-04-09_Mine"
        folder.mkdir(parents=True)
        script = compose(load_recipe("pr2135"))
        (folder / "train_gpt.py").write_text(
            script + "\n".join(f"def spare_{i}():\n    return {i}\n" for i in range(50_000))
        )
        assert 1.9e6 < (folder / "train_gpt.py").stat().st_size
        line = line.replace("FOLDER", str(folder))
    if line in ("runs", "status"):
        make_project(golf.root, {seed: 1.2 + seed / 1e6 for seed in range(1000)})
    before = used()
    code, _, err = golf(line)
    assert code in (0, 1, 6), err
    assert used() - before < float(bound)
