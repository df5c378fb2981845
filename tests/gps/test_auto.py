"""The race of methods: who goes on, what it costs, and what is handed out."""

import itertools

import numpy as np
import pytest

from agents.interfaces import Iteration
from agents.policies.linear import LinearPolicy
from agents.tasks import make_task
from gps import auto
from gps.auto import Candidate, Config, Race, told
from lqr import SimulationError


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


def test_a_policy_of_which_an_episode_diverged_is_the_worst():
    assert auto.score({"cost": 1.0, "diverged": 1.0}) == np.inf
    assert auto.score({"cost": 1.0, "policy_cost": 2.0, "policy_diverged": 1.0}) == np.inf
    # the controllers' noisy episodes are not those that it is judged by
    assert (
        auto.score({"cost": 1.0, "policy_cost": 2.0, "diverged": 1.0, "policy_diverged": 0.0}) == 2
    )


class Planner:
    """A method that tells, as planners do, the cost of the policy that it had before it learned:
    random actions at first, in `steps` steps of learning and `tests` of evaluation, in turn.
    """

    costs = (-1e9, 1e9, -5e8, 2e9)

    def __init__(self, steps=10, tests=(0,)):
        self.steps, self.tests = steps, tests

    def train(self, task, config, rng, state=None):
        counts = dict(state) if state else dict.fromkeys(auto.COUNTS, 0)
        while True:
            number = counts["number"]
            tests = self.tests[number % len(self.tests)]
            counts = {**counts, "number": number + 1, "steps": counts["steps"] + self.steps}
            counts["evaluation_steps"] += tests
            policy = LinearPolicy.zero(task)
            policy.gain = policy.gain + number + 1.0
            cost = self.costs[number % len(self.costs)]
            yield Iteration(number + 1, policy, {"cost": cost}, {}, counts)


def train(monkeypatch, budget, state=None, **learners):
    table = {word: Candidate(method, None, "", late=True) for word, method in learners.items()}
    monkeypatch.setattr(Config, "candidates", lambda self, task: table)
    config = Config(budget=budget, trial_share=0.1)
    return auto.train(make_task("pendulum"), config, np.random.default_rng(0), state)


def test_what_acted_is_handed_out_with_the_cost_that_it_had(monkeypatch):
    rows = [next(run := train(monkeypatch, 10_000, a=Planner()))]
    rows += [next(run) for _ in range(3)]
    assert rows[0].scalars["best_cost"] > 0  # random actions are nobody's
    assert rows[2].scalars["best_cost"] == -5e8
    assert rows[2].policy.gain[0, 0] == 2.0  # the third cost is that of the second policy
    for row in (0, 1, 2):
        again = next(train(monkeypatch, 10_000, rows[row].state, a=Planner()))
        seen = np.random.default_rng(1).normal(size=(5, again.policy.do))
        np.testing.assert_array_equal(again.policy.act(seen), rows[row + 1].policy.act(seen))
        assert again.scalars == rows[row + 1].scalars


@pytest.mark.parametrize("budget", [500, 777, 1001])
def test_no_more_steps_than_the_budget_are_taken(monkeypatch, budget):
    evaluated = Planner(steps=30, tests=(60, 0))  # each second iteration has no evaluation
    *_, last = train(monkeypatch, budget, a=evaluated, b=evaluated)
    assert budget - 2 * 90 < last.scalars["env_steps"] <= budget


class Failing(Learner):
    """A method all of whose episodes diverge in its second iteration."""

    def train(self, task, config, rng, state=None):
        yield from itertools.islice(super().train(task, config, rng, state), 1)
        raise SimulationError("every episode diverged")


def test_a_candidate_that_fails_is_left_out_and_named(monkeypatch):
    table = {"bad": Candidate(Failing(1, 0), None, ""), "good": Candidate(Learner(5, 0), None, "")}
    monkeypatch.setattr(Config, "candidates", lambda self, task: table)
    found = Race(object(), Config(budget=300, trial_share=0.1), np.random.default_rng(0), None)
    while found.total < 300:
        found.advance(found.turn(), Counts())
    assert found.left == ["good"]
    assert told({"race": found.state()}).endswith("; bad failed")
    last = {"bad": Candidate(Failing(1, 0), None, "")}
    monkeypatch.setattr(Config, "candidates", lambda self, task: last)
    alone = Race(object(), Config(budget=300), np.random.default_rng(0), None)
    alone.advance("bad", Counts())
    with pytest.raises(SimulationError):
        alone.advance("bad", Counts())
