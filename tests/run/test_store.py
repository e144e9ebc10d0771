"""The run store: transitions, faults, several processes at once."""

import sqlite3
import subprocess
import sys

import pytest

from golf.errors import Exit, GolfError
from golf.run import store as store_module
from golf.run.schema import NEXT_STATES, SCHEMA_VERSION, STATES
from golf.run.store import has_store, open_store

ROW = {"submission": "mine", "set_id": "abc", "script_sha256": "a" * 64, "track": "local"}


def add(store, seed=1, **columns):
    return store.start(folder=store.root / "runs" / f"seed_{seed}", seed=seed, **{**ROW, **columns})


def test_a_run_is_read_back_as_it_was_written(tmp_path):
    with open_store(tmp_path) as store:
        run = add(store, smoke=True, derived={"coder": "lzma"}, world_size=2)
        done = store.move(run.id, "finished", result={"val_bpb": 1.5}, exit_code=0)
    with open_store(tmp_path) as store:
        (again,) = store.runs("mine")
    assert again == done
    assert again.smoke is True and again.derived == {"coder": "lzma"} and again.result == {"val_bpb": 1.5}
    assert again.folder == tmp_path / "runs" / "seed_1" and again.finished_at is not None


def test_a_project_may_be_moved(tmp_path):
    with open_store(tmp_path / "old") as store:
        add(store)
    (tmp_path / "old").rename(tmp_path / "new")
    with open_store(tmp_path / "new") as store:
        assert store.runs()[0].folder == tmp_path / "new" / "runs" / "seed_1"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("following", STATES)
def test_only_the_listed_transitions_are_possible(tmp_path, state, following):
    with open_store(tmp_path) as store:
        run = add(store)
        if state != "started":
            store.move(run.id, state)
        if following == state or following in NEXT_STATES[state]:
            assert store.move(run.id, following).state == following
        else:
            with pytest.raises(GolfError, match=f"is {state} and cannot become {following}"):
                store.move(run.id, following)
            assert store.run(run.id).state == state


def test_nothing_leaves_finished():
    assert NEXT_STATES["finished"] == ()


def test_a_former_run_goes_aside_in_the_same_transaction(tmp_path):
    with open_store(tmp_path) as store:
        first = add(store)
        second = add(store, aside="seed_1.1")
        assert store.run(first.id).folder.name == "seed_1.1" and second.folder.name == "seed_1"
        with pytest.raises(GolfError):
            add(store, aside=None)  # two runs in one folder
        assert len(store.runs()) == 2


def test_runs_are_narrowed_by_state_and_column(tmp_path):
    with open_store(tmp_path) as store:
        one, two = add(store, 1), add(store, 2)
        store.move(two.id, "failed")
        assert [run.id for run in store.runs(state=("started", "failed"))] == [one.id, two.id]
        assert [run.id for run in store.runs(state="failed")] == [two.id]
        assert [run.id for run in store.runs(seed=1)] == [one.id]
        assert store.runs("other") == []


def test_metrics_are_kept_by_step_and_the_last_value_wins(tmp_path):
    with open_store(tmp_path) as store:
        run = add(store)
        store.record(run.id, [(2, "loss", 3.0), (1, "loss", 4.0), (1, "loss", 5.0)])
        assert store.metrics(run.id, "loss") == [(1, 5.0), (2, 3.0)]
        store.forget([run.id])
        assert store.metrics(run.id, "loss") == [] and store.runs() == []


def test_a_missing_run_is_named(tmp_path):
    with open_store(tmp_path) as store, pytest.raises(GolfError, match="no run 7"):
        store.run(7)


def test_a_damaged_store_is_one_clear_error(tmp_path):
    open_store(tmp_path).close()
    (tmp_path / ".golf" / "golf.db").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(GolfError, match="is damaged") as caught:
        open_store(tmp_path)
    assert caught.value.code == Exit.REFUSED and "mv " in caught.value.hint


def test_a_damaged_page_is_one_clear_error(tmp_path):
    with open_store(tmp_path) as store:
        for seed in range(200):
            add(store, seed)
    path = tmp_path / ".golf" / "golf.db"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(GolfError, match="is damaged"), open_store(tmp_path) as store:
        store.runs()


def test_a_store_of_a_newer_golf_is_refused(tmp_path):
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / ".golf" / "golf.db") as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(GolfError, match=f"has schema {SCHEMA_VERSION + 1}") as caught:
        open_store(tmp_path)
    assert caught.value.code == Exit.REFUSED


def test_an_older_store_is_migrated_with_its_rows(tmp_path, monkeypatch):
    with open_store(tmp_path) as store:
        add(store)
    monkeypatch.setattr(store_module, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    monkeypatch.setitem(store_module.MIGRATIONS, SCHEMA_VERSION, "ALTER TABLE runs ADD COLUMN host TEXT")
    with open_store(tmp_path) as store:
        assert len(store.runs()) == 1
    with sqlite3.connect(tmp_path / ".golf" / "golf.db") as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION + 1


def test_a_migration_that_breaks_off_leaves_the_old_store(tmp_path, monkeypatch):
    with open_store(tmp_path) as store:
        add(store)
    monkeypatch.setattr(store_module, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    monkeypatch.setitem(
        store_module.MIGRATIONS, SCHEMA_VERSION, "ALTER TABLE runs ADD COLUMN host TEXT; ALTER TABLE nothing DROP it"
    )
    with pytest.raises(GolfError):
        open_store(tmp_path)
    monkeypatch.undo()
    with open_store(tmp_path) as store:
        assert len(store.runs()) == 1


def test_asking_for_a_store_does_not_make_one(tmp_path):
    assert not has_store(tmp_path) and not (tmp_path / ".golf").exists()


def test_a_folder_where_the_store_should_be_is_one_clear_error(tmp_path):
    (tmp_path / ".golf").write_text("a file")
    with pytest.raises(GolfError, match="cannot be opened"):
        open_store(tmp_path)


WRITER = """
import sys
from pathlib import Path
from golf.run.store import open_store
root, first = Path(sys.argv[1]), int(sys.argv[2])
for seed in range(first, first + 25):
    with open_store(root) as store:
        run = store.start(folder=root / f"seed_{seed}", seed=seed, submission="mine", set_id="s", script_sha256="x", track="local")
        store.record(run.id, [(step, "loss", step * 1.0) for step in range(10)])
        store.move(run.id, "finished", result={"seed": seed})
"""


def test_four_processes_write_at_once_and_nothing_is_lost(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(100 * number)], stderr=subprocess.PIPE)
        for number in range(4)
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors.decode()
    with open_store(tmp_path) as store:
        runs = store.runs("mine", "finished")
        assert sorted(run.seed for run in runs) == sorted(100 * n + i for n in range(4) for i in range(25))
        assert all(run.result == {"seed": run.seed} for run in runs)
        assert all(len(store.metrics(run.id, "loss")) == 10 for run in runs)
