"""`golf run --nnodes`: two nodes on this machine under torchrun's own rendezvous; the run is node 0's."""

import threading

import pytest
from run_fakes import make_project, plan_of

from golf.errors import GolfError
from golf.files import Lock
from golf.run import nodes
from golf.run.session import Session
from golf.run.store import open_store
from golf.run.view import Silent
from golf.run.watch import Interrupts


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.01")
    return make_project(tmp_path / "project")


def plan_on(folder, rank, **more):
    return plan_of(folder, "7", nnodes=2, node_rank=rank, master="localhost:0", **more)


def free(plan, port):
    from dataclasses import replace

    return replace(plan, master=f"localhost:{port}")


@pytest.mark.slow
def test_two_nodes_are_one_run_and_the_second_knows_when_it_is_finished(folder):
    port, said, faults = nodes._free_port(), [], []

    def join():
        try:
            nodes.join(plan_on(folder, 1), said.append, Interrupts(), 120.0)
        except BaseException as fault:
            faults.append(fault)

    joining = threading.Thread(target=join)
    joining.start()
    plan = free(plan_on(folder, 0), port)
    with open_store(plan.root) as store:
        (run,) = Session(plan, store, Silent(), grace_seconds=2.0).run()
    joining.join(60)
    assert not faults and not joining.is_alive(), faults
    assert run.state == "finished" and run.world_size == 2 and f"seed 7: joined localhost:{port}" in said
    assert not (run.folder / nodes.RENDEZVOUS).exists() and (run.folder.parent / "seed_7_node1.log").exists()
    assert "golf_result" in run.log.read_text()
    # a node that comes too late learns that there is nothing to do
    nodes.join(plan_on(folder, 1), said.append, Interrupts(), 5.0)
    assert said[-1] == "seed 7 is finished"


def test_a_node_whose_run_does_not_begin_or_is_another_ends_with_a_sentence(folder, monkeypatch):
    monkeypatch.setattr(nodes, "POLL_SECONDS", 0.01)
    with pytest.raises(GolfError, match="node 0 did not begin seed 7 within 0 s"):
        nodes.join(plan_on(folder, 1), lambda text: None, Interrupts(), 0.05)
    plan = plan_on(folder, 0)
    place = plan.place(7)
    place.path.mkdir(parents=True)
    nodes.leave_address(plan, place, ("train", "export", "eval"))
    monkeypatch.setattr(nodes, "is_locked", lambda path: True)
    other = plan_of(folder, "7", nnodes=4, node_rank=3)
    with pytest.raises(GolfError, match="2 nodes of 1 processes, this one is asked for 4 of 1"):
        nodes.join(other, lambda text: None, Interrupts(), 5.0)
    held = Lock(plan.set_folder / ".node_1.lock")
    assert held.take()
    with pytest.raises(GolfError, match="another golf is node 1 already"):
        nodes.join(plan_on(folder, 1), lambda text: None, Interrupts(), 5.0)
    held.release()
    asked = Interrupts()
    asked.asked = True
    with pytest.raises(KeyboardInterrupt):
        nodes.join(plan_on(folder, 1), lambda text: None, asked, 5.0)


def test_the_launcher_of_each_node_is_torchruns_static_rendezvous(folder):
    plan = free(plan_on(folder, 0), 29511)
    plan.place(7).path.mkdir(parents=True)
    told = nodes.leave_address(plan, plan.place(7), ("export", "eval"))
    line = " ".join(nodes.command_of(told, 1, folder / "train_gpt.py"))
    assert "--nnodes=2 --node_rank=1 --nproc_per_node=1 --master_addr=localhost --master_port=29511" in line
    assert line.endswith("train_gpt.py export eval")


@pytest.mark.parametrize(
    ("more", "said"),
    [({"nnodes": 3}, "3 nodes of 1 processes"), ({"nnodes": 2, "node_rank": 2}, "node 2 of 2"), ({"nnodes": 0}, "0 nodes"),
     ({"nnodes": 2, "parallel": 2}, "side by side"), ({"nnodes": 2, "master": "nowhere"}, "is no address")],
)  # fmt: skip
def test_numbers_that_are_none_are_refused(folder, more, said):
    with pytest.raises(GolfError, match=said):
        plan_of(folder, "7", **more)


def test_the_command_line_takes_node_0_and_refuses_a_node_that_is_none(golf):
    """0 is a number that `--node-rank` takes, also by default."""
    _, _, err = golf("run nothing --smoke --node-rank 0 --nnodes 2")
    assert "no submission `nothing`" in err
    code, _, err = golf("run nothing --smoke --node-rank 9")
    assert code == 2 and "--node-rank" in err
