"""The Ray engine on a two-node cluster of this machine: the results of the local engine; a killed worker and a node that goes cost one attempt."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from dying import square, square_once_dead
from places import HELPERS, ROOT
from study_fakes import Heard, driver, make_fakes

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'parameter-golf[fleet]'")

from golf.data.factbook import load_documents  # noqa: E402
from golf.data.make import Settings, make_dataset  # noqa: E402
from golf.data.tokenizer import train_tokenizer  # noqa: E402
from golf.engine import local, ray_engine  # noqa: E402
from golf.errors import GolfError  # noqa: E402
from golf.files import sha256_of_file  # noqa: E402
from golf.run.store import open_store  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    os.environ |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(HELPERS)]), "FAKE_STEP_SECONDS": "0.001"}
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    found.add_node(num_cpus=1)
    ray.init(address=found.address, log_to_driver=False)
    yield found
    ray.shutdown()
    found.shutdown()


def scores(root):
    with open_store(root) as store:
        rows = store.runs_like("fake-")
        return {
            (r.submission, r.seed): (r.result["val_loss"], r.result["train_loss"], r.result["model_bytes"])
            for r in rows
            if r.state == "finished"
        }


def on_ray(root, **more):
    return driver(root, starter=ray_engine.RayScript, width=2, **more)


def test_a_cluster_that_asks_for_a_token_is_said_to_and_let_in_with_it(tmp_path):
    """Where a user has a token, `ray start` asks every driver for it, in the Rays that know tokens; a driver shows it only when told to.

    Never by golf itself: a driver that does, on a cluster that does not ask, refuses the cluster's own results and waits for ever.
    """
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0123456789abcdef" * 4)
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env |= {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    ray_cli = [str(Path(sys.executable).with_name("ray"))]
    begin = [*ray_cli, "start", "--head", "--port", "6391", "--num-cpus", "1", "--include-dashboard", "false"]
    subprocess.run(begin, env=env, check=True, capture_output=True)
    code = """
from golf.engine.ray_engine import connect
from golf.errors import GolfError
try:
    print(len(connect().nodes()))
except GolfError as fault:
    print(fault.hint)
"""

    def connected(**more):
        words, known = [sys.executable, "-c", code], env | {"RAY_ADDRESS": "127.0.0.1:6391"} | more
        return subprocess.run(words, env=known, check=False, capture_output=True, text=True)

    try:
        with_token, without = connected(RAY_AUTH_MODE="token"), connected()
    finally:
        subprocess.run([*ray_cli, "stop", "--force"], env=env, check=False, capture_output=True)
    assert with_token.stdout.strip() == "1", with_token.stderr[-2000:]
    assert without.stdout.strip() == "1" or "RAY_AUTH_MODE=token golf" in without.stdout


def test_tasks_come_back_in_any_order_each_once(cluster):
    assert dict(ray_engine.run_all(square, list(range(9)), 2)) == {n: n * n for n in range(9)}


def test_results_come_in_order_and_a_killed_worker_costs_one_attempt(cluster, tmp_path):
    arguments = [(n, str(tmp_path / "mark") if n == 3 else "") for n in range(9)]
    assert list(ray_engine.in_order(square_once_dead, iter(arguments), 2)) == [n * n for n in range(9)]
    with pytest.raises(local.Died, match="died twice"):
        list(ray_engine.in_order(square, iter([1, -1, 2]), 2))


def test_a_data_set_made_on_the_cluster_is_that_of_one_process_to_the_byte(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("golf.data.make.BATCH_CHARACTERS", 4000)
    texts = [line for document in load_documents()[:14] for line in document.lines][:300]
    tokenizer = tmp_path / "mine.model"
    tokenizer.write_bytes(train_tokenizer(texts, 384))
    settings = Settings({"name": "texts"}, sha256_of_file(tokenizer), "none", 60, 5000)
    here, there = (
        make_dataset(
            tmp_path / name, lambda start: iter(texts[start:]), tokenizer, settings, processes=n, mapper=mapper
        )
        for name, n, mapper in (("here", 1, local.in_order), ("there", 2, ray_engine.in_order))
    )
    assert here["files"] == there["files"] and len(here["files"]) > 3
    texts[200] = "half a \ud800 character"
    with pytest.raises(GolfError, match="document 200 is no text"):
        make_dataset(tmp_path / "bad", lambda start: iter(texts[start:]), tokenizer, settings, processes=2, mapper=ray_engine.in_order)  # fmt: skip


def test_twelve_trials_are_those_of_the_local_engine_to_the_bit(cluster, tmp_path):
    for name in ("here", "there"):
        make_fakes(tmp_path / name, 12, seeds=(1,))
    assert not driver(tmp_path / "here").run().failed
    assert not on_ray(tmp_path / "there").run().failed
    assert scores(tmp_path / "there") == scores(tmp_path / "here") and len(scores(tmp_path / "here")) == 12
    for folder in (tmp_path / "there" / "submissions").glob("*/runs/*/seed_1"):
        twin = tmp_path / "here" / folder.relative_to(tmp_path / "there")
        assert (folder / "model.golf").read_bytes() == (twin / "model.golf").read_bytes()


def scripts_at_work():
    """The processes of scripts that nodes are running."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and "golf-trial-" in str((entry / "cwd").readlink()):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def at_work_within(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := scripts_at_work():
            return found
        time.sleep(0.05)
    raise AssertionError("no script came to work")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_worker_that_is_killed_costs_one_attempt(cluster, tmp_path, monkeypatch):
    make_fakes(tmp_path, 3, seeds=(1,), steps=60)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    heard = Heard()
    driving = threading.Thread(target=lambda: on_ray(tmp_path, view=heard).run())
    driving.start()
    os.kill(parent_of(at_work_within(60)[0]), signal.SIGKILL)
    driving.join(120)
    assert any("trying once more" in line for line in heard.lines), heard.lines
    assert len(scores(tmp_path)) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_node_that_goes_costs_one_attempt(cluster, tmp_path, monkeypatch):
    make_fakes(tmp_path, 3, seeds=(1,), steps=60)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    third = cluster.add_node(num_cpus=1)
    heard = Heard()
    driving = threading.Thread(target=lambda: driver(tmp_path, starter=ray_engine.RayScript, width=3, view=heard).run())
    driving.start()
    until = time.monotonic() + 60
    while len(scripts_at_work()) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    cluster.remove_node(third, allow_graceful=False)
    driving.join(180)
    assert len(scores(tmp_path)) == 3 and any("trying once more" in line for line in heard.lines), heard.lines


@pytest.mark.parametrize("point", ["row", "noted", "trained", "finishing", "finished"])
def test_a_driver_that_was_killed_goes_on_and_every_trial_finishes_once(cluster, tmp_path, monkeypatch, point):
    seed = random.randrange(1 << 30)
    count = 1 + random.Random(seed).randrange(3)
    print(f"{point}: seed {seed}, at passing {count}")
    make_fakes(tmp_path / "here", 4, seeds=(1,))
    driver(tmp_path / "here").run()
    make_fakes(tmp_path / "there", 4, seeds=(1,))
    env = {**os.environ, "RAY_ADDRESS": cluster.address}
    command = [sys.executable, str(HELPERS / "study_fakes.py"), str(tmp_path / "there"), point, str(count)]
    assert subprocess.run(command, env=env, check=False, timeout=90, capture_output=True).returncode == -9
    assert not on_ray(tmp_path / "there").run().failed
    assert scores(tmp_path / "there") == scores(tmp_path / "here")
    with open_store(tmp_path / "there") as store:
        assert len(store.runs(state="finished")) == 4


@pytest.mark.parametrize("processes", [2, 8])
def test_more_processes_than_a_node_has_are_refused(cluster, processes):
    """Two nodes of one CPU hold no run of two processes: Ray would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with pytest.raises(
        GolfError, match=rf"asks for {processes} CPUs of one node; the largest of the cluster's \d has 1$"
    ):
        ray_engine.refuse_too_large(nodes, {"num_cpus": processes})
    ray_engine.refuse_too_large(nodes, {"num_cpus": 1})
