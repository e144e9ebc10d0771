"""The axes of a sweep: how they are written, what a grid and random draws make of them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golf.errors import GolfError
from golf.study.axes import draws, grid, parse_axes, split


def test_a_grid_is_every_combination_the_last_axis_fastest():
    axes = parse_axes(["matrix_lr=0.018,0.022", "attn_out=+xsa,-xsa", "num_layers=9..11"])
    found = grid(axes)
    assert len(found) == 12 and found[0] == {"matrix_lr": "0.018", "attn_out": "+xsa", "num_layers": "9"}
    assert found[1]["num_layers"] == "10" and found[-1] == {
        "matrix_lr": "0.022",
        "attn_out": "-xsa",
        "num_layers": "11",
    }


def test_a_comma_in_brackets_or_quotes_is_no_end_of_a_value():
    assert split('[1,2],[1, 2, 3],"a,b",(3,4)') == ["[1,2]", "[1, 2, 3]", '"a,b"', "(3,4)"]


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 40))
def test_draws_are_the_same_for_a_seed_and_fewer_are_the_first_of_more(seed, few, more):
    axes = parse_axes(["lr=0.001..0.1:log", "layers=2..9", "x=a,b"])
    first, second = draws(axes, few, seed), draws(axes, few + more, seed)
    assert second[: len(first)] == first
    assert len({tuple(one.values()) for one in second}) == len(second)
    for one in second:
        assert 0.001 <= float(one["lr"]) <= 0.1 and 2 <= int(one["layers"]) <= 9 and one["x"] in "ab"


def test_a_logarithmic_range_is_drawn_evenly_by_its_logarithm():
    found = [math.log10(float(one["lr"])) for one in draws(parse_axes(["lr=0.0001..1:log"]), 2000, 7)]
    for decade in range(-4, 0):
        assert 0.2 < sum(decade <= x < decade + 1 for x in found) / len(found) < 0.3


def test_draws_end_where_the_axes_have_no_more():
    assert len(draws(parse_axes(["a=1,2", "b=1,2"]), 50, 0)) == 4


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["matrix_lr"], "no axis"),
        (["=1"], "no axis"),
        (["a="], "no axis"),
        (["a=1,,2"], "no list"),
        (["a=[1,2"], "no list"),
        (["a=1,1"], "twice"),
        (["a=1,2", "a=3"], "2 times"),
        (["seed=1,2"], "no axis"),
        (["a=0.04..0.01"], "does not rise"),
        (["a=0..1:log"], "no logarithm"),
        (["a=0.1..0.2"], "no grid"),
        (["a=1..20000"], "more than 10,000"),
        ([f"a{i}=1,2,3,4,5,6,7,8,9,10" for i in range(5)], "100,000 trials"),
    ],
)
def test_what_is_no_axis_is_said_in_one_sentence(texts, said):
    with pytest.raises(GolfError) as fault:
        grid(parse_axes(texts))
    assert said in fault.value.message and fault.value.hint and "\n" not in fault.value.message
