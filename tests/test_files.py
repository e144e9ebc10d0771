"""Whole-or-not writing, the lock, TOML."""

import threading
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golf.files import Lock, is_locked, toml, toml_text, whole_file, write_atomically

VALUES = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(st.characters(exclude_categories=["Cs"]))
)  # fmt: skip
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def test_a_file_is_whole_or_not_there(tmp_path):
    write_atomically(tmp_path / "deep" / "a", b"first")
    with pytest.raises(RuntimeError), whole_file(tmp_path / "deep" / "a") as file:
        file.write(b"half")
        assert (tmp_path / "deep" / "a").read_bytes() == b"first"
        raise RuntimeError
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a"] and (tmp_path / "deep" / "a").read_bytes() == b"first"  # fmt: skip


def test_two_threads_write_one_file_and_one_of_them_wins(tmp_path):
    contents = [bytes([number]) * 100_000 for number in range(4)]
    threads = [threading.Thread(target=write_atomically, args=(tmp_path / "a", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() in contents and len(list(tmp_path.iterdir())) == 1


def test_a_lock_is_waited_for_in_a_with_block(tmp_path):
    first, order = Lock(tmp_path / "lock"), []
    assert first.take()

    def second():
        with Lock(tmp_path / "lock"):
            order.append("second")

    waiting = threading.Thread(target=second)
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    order.append("first")
    first.release()
    waiting.join(5)
    assert order == ["first", "second"] and not is_locked(tmp_path / "lock")


@given(VALUES)
def test_what_is_written_as_toml_is_read_back(value):
    assert tomllib.loads(f"a = {toml(value)}")["a"] == value


@given(st.dictionaries(NAMES, st.one_of(VALUES, st.dictionaries(NAMES, VALUES), st.lists(VALUES)), max_size=5))
def test_a_table_of_tables_is_read_back(table):
    assert tomllib.loads(toml_text(table, "# a comment")) == table


def test_toml_reads_as_by_hand():
    text = toml_text(
        {"name": "a", "none": None, "big": 786_432, "tools": {}, "rule": {"R01": {"n": 1}, "R 2": {"lr": 1e-8}}}, "# by hand"
    )  # fmt: skip
    assert text == (
        '# by hand\nname = "a"\nbig = 786_432\n\n[tools]\n\n[rule.R01]\nn = 1\n\n[rule."R 2"]\nlr = 1e-08\n'
    )
    assert toml("\ud800") == '"?"', "half a surrogate pair has no form"
    assert toml(float("nan")) == "nan" and toml((1, "x")) == '[1, "x"]'
