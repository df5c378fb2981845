"""The race of methods: who goes on, what it costs, and what is handed out."""

import numpy as np
import pytest

from agents.interfaces import Iteration
from gps import auto
from gps.auto import Candidate, Config, Race, told


class Learner:
    """A method whose cost after its n-th iteration is start - slope n; an iteration takes 10 steps
    and no evaluation.
    """

    def __init__(self, start, slope):
        self.start, self.slope = start, slope

    def train(self, task, config, rng, state=None):
        number = state["number"] if state else 0
        while True:
            number += 1
            cost = self.start - self.slope * number + 0 * rng.standard_normal()
            counts = {"number": number, "episodes": number, "steps": 10 * number}
            counts |= {"evaluation_episodes": 0, "evaluation_steps": 0}
            yield Iteration(number, None, {"cost": cost, "env_steps": 10.0 * number}, {}, counts)


class Counts:
    def __init__(self):
        self.episodes = self.steps = 0

    def add(self, episodes, steps):
        self.episodes, self.steps = self.episodes + episodes, self.steps + steps


def race(monkeypatch, budget, state=None, **learners):
    table = {word: Candidate(Learner(*how), None, "") for word, how in learners.items()}
    monkeypatch.setattr(Config, "candidates", lambda self, task: table)
    return Race(object(), Config(budget=budget, trial_share=0.1), np.random.default_rng(0), state)


def test_the_worse_half_is_left_out_when_all_had_their_share(monkeypatch):
    found, counts, order = (
        race(monkeypatch, 1000, a=(9, 0), b=(9, 0.1), c=(8, 0), d=(7, 0)),
        Counts(),
        [],
    )
    while found.total < 1000:
        order.append(found.turn())
        found.advance(order[-1], counts)
    # a share is 100 steps, 10 iterations; then 9, 8, 8, 7: d goes on, and one of b and c, which b
    # loses by a hair: both stand at 8, and the first of the table is taken
    assert order[:40] == [word for word in "abcd" for _ in range(10)]
    assert set(order[40:60]) == {"b", "d"}
    assert set(order[60:]) == {"b"} if found.scores["b"] < 7 else {"d"}
    assert counts.steps == found.total == 10 * len(order)
    assert set(found.left) == set(order[60:])


def test_a_race_goes_on_from_its_state(monkeypatch):
    how = {"a": (9, 0.01), "b": (8, 0.02), "c": (8.5, 0.5)}
    whole, counts, order = race(monkeypatch, 600, **how), Counts(), []
    for _ in range(40):
        order.append(whole.turn())
        whole.advance(order[-1], counts)
    for stop in (1, 7, 19, 33):
        part = race(monkeypatch, 600, **how)
        for _ in range(stop):
            part.advance(part.turn(), counts)
        again, rest = race(monkeypatch, 600, part.state(), **how), []
        for _ in range(40 - stop):
            rest.append(again.turn())
            again.advance(rest[-1], counts)
        assert rest == order[stop:]
        assert again.state() == whole.state()


def test_it_says_who_went_on_and_why(monkeypatch):
    found, counts = race(monkeypatch, 300, good=(1, 0), bad=(5, 0)), Counts()
    while found.total < 300:
        found.advance(found.turn(), counts)
    text = told({"race": found.state()})
    assert text.startswith("good went on")
    assert "good 1 after 270 steps" in text
    assert "bad 5 after 30 steps" in text


@pytest.mark.parametrize("cost", [np.nan, np.inf])
def test_a_cost_that_is_no_number_is_the_worst(cost):
    assert auto.score({"cost": cost}) == np.inf
    assert auto.score({"cost": 1.0, "policy_cost": 2.0}) == 2.0
