"""Chances hang on what they are for, and on nothing else."""

import pytest

from tests.support.simulation.draws import Draws, Streams, rolls


def test_a_name_is_one_chance_whatever_else_is_drawn():
    few, many = Draws(7, "saga", 1), Draws(7, "saga", 1)
    many.roll("new")
    assert few.roll("delay") == many.roll("delay") == rolls(7, "saga", 1, "delay")[0]
    assert few.of("step", 2).roll("delay") == Draws(7, "saga", 1, "step", 2).roll("delay")


def test_other_names_and_other_worlds_are_other_chances():
    drawn = {
        Draws(seed, *names).roll("x") for seed in range(10) for names in ((), ("a",), ("a", 1), ("a", 2), ("b", 1))
    }
    assert len(drawn) == 50


def test_the_same_name_cannot_be_drawn_twice():
    draws = Draws(1)
    draws.pick("delay", "abc")
    with pytest.raises(ValueError, match="'delay' is drawn twice"):
        draws.chance("delay", 0.5)


def test_everything_comes_about_as_often_as_it_should():
    draws = Draws(3)
    picked = [draws.of("pick", n).pick("x", "abc", (1, 0, 3)) for n in range(2_000)]
    assert "b" not in picked
    assert 400 < picked.count("a") < 600
    whole = [draws.of("whole", n).whole("x", -1, 1) for n in range(3_000)]
    assert all(900 < whole.count(n) < 1_100 for n in (-1, 0, 1))
    assert 850 < sum(draws.of("chance", n).chance("x", 0.3) for n in range(3_000)) < 950


def test_an_id_more_moves_no_chance():
    few, many = Streams(1, "c0"), Streams(1, "c0")
    few.getrandbits(64)
    ids = [many.getrandbits(64) for _ in range(9)]
    assert few.random() == many.random() != Streams(1, "c1").random()
    assert len(set(ids)) == 9
