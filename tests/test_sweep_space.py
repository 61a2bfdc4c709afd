"""Parameters of a sweep: texts become values, and the same seed gives the same variants."""

import pytest

from replay.study.sweep_space import Axis, SweepError, draw, grid, parse_axis, sort_key


def test_an_axis_is_a_list_a_grid_or_an_interval() -> None:
    assert parse_axis("fast=5, 10,5").values == ("5", "10")
    assert parse_axis("width=0.1:0.5:0.2").values == ("0.1", "0.3", "0.5")
    assert parse_axis("n=1:4:1").values == ("1", "2", "3", "4")
    assert parse_axis("size=0.01:1:log") == Axis("size", low="0.01", high="1", is_log=True)
    assert parse_axis("n=2:50").is_integer
    assert not parse_axis("n=2:50.0").is_integer


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("fast", "is no parameter"),
        ("=1", "is no parameter"),
        ("fast=1,,2", "empty value"),
        ("fast=a:b", "is no number"),
        ("fast=5:1", "with LOW below HIGH"),
        ("fast=1:5:1:1", "with LOW below HIGH"),
        ("fast=0:1:log", "begins above 0"),
        ("fast=0:1:0", "step must be above 0"),
        ("fast=0:1e9:1", "fewer than 100,000"),
        ("fast=1:inf", "is not finite"),
    ],
)
def test_another_text_is_refused_with_the_form(text: str, part: str) -> None:
    with pytest.raises(SweepError, match=part):
        parse_axis(text)


def test_a_grid_is_every_combination_in_order() -> None:
    found = grid([parse_axis("a=1,2"), parse_axis("b=x,y,z")])
    assert [variant.label for variant in found] == ["a=1 b=x", "a=1 b=y", "a=1 b=z", "a=2 b=x", "a=2 b=y", "a=2 b=z"]
    with pytest.raises(SweepError, match="given twice"):
        grid([parse_axis("a=1"), parse_axis("a=2")])
    with pytest.raises(SweepError, match="add a step, as in a=1:9:1"):
        grid([parse_axis("a=1:9")])
    with pytest.raises(SweepError, match="needs a parameter"):
        grid([])
    with pytest.raises(SweepError, match="more than 100,000"):
        grid([parse_axis(f"{name}=1:100:1") for name in "abc"])


def test_draws_are_different_within_their_bounds_and_repeatable() -> None:
    axes = [parse_axis("n=2:9"), parse_axis("w=0.001:10:log"), parse_axis("side=buy,sell")]
    found = draw(axes, 40, seed=5)
    assert found == draw(axes, 40, seed=5) != draw(axes, 40, seed=6)
    assert len({variant.label for variant in found}) == 40
    assert {int(variant.values["n"]) for variant in found} <= set(range(2, 10))
    assert all(0.001 <= float(variant.values["w"]) <= 10 for variant in found)
    assert sum(float(variant.values["w"]) < 0.1 for variant in found) > 10, "half of a logarithmic interval"
    assert len(draw([parse_axis("n=1:3")], 10, seed=1)) == 3, "the interval has no more"


def test_numbers_sort_by_size() -> None:
    assert sorted(["10", "9", "x", "1.5"], key=sort_key) == ["1.5", "9", "10", "x"]
