"""The race of methods: who goes on, what it costs, who is judged where, and what is handed out."""

import itertools

import numpy as np
import pytest

from agents.interfaces import Iteration
from agents.rollout import rollout
from agents.tasks.adapters.user_task import OwnTask
from agents.training import COUNTS, Training
from gps import auto
from gps.auto import Candidate, Config, told
from gps.steps.held_out import FIRST, Judge, surely_better
from gps.steps.race import Race
from gps.steps.records import REST, Records
from lqr import Diverged, InputError
from lqr.costs import WeightedNorm


class Counts:
    def __init__(self):
        self.episodes = self.steps = 0

    def add(self, episodes, steps):
        self.episodes, self.steps = self.episodes + episodes, self.steps + steps


class Place:
    """Holds x still where an action u put it: x' = u; condition c starts at c, the first held-out
    one at 2.
    """

    independent = True

    def reset(self, condition, rng):
        self.x = np.array([condition if condition < FIRST else 2.0 + condition - FIRST])
        return self.x

    def step(self, u):
        self.x = np.array(u, dtype=float)
        return self.x


def place(more=True, conditions=2):
    """Returns a task of ten steps whose cost is the sum of (x - 5)^2 over states 0 to 10: in start c
    an action u costs (c - 5)^2 + 10 (u - 5)^2.
    """
    task = OwnTask(
        Place,
        lambda x, u: ((x - 5) ** 2).sum(-1),
        action_low=[-20.0],
        action_high=[20.0],
        horizon=10,
        conditions=conditions,
    )
    if more:
        task.with_starts = lambda count: place(more, count)
    return task


class Learner:
    """A method whose policy takes the next of `actions` in each iteration, of `steps` steps, and
    says that it costs nothing.
    """

    def __init__(self, *actions, steps=20, tests=0):
        self.actions, self.steps, self.tests = actions, steps, tests

    def train(self, task, config, rng, state=None):
        counts = dict(state) if state else dict.fromkeys(COUNTS, 0)
        while True:
            number = counts["number"]
            counts = {**counts, "number": number + 1, "episodes": counts["episodes"] + 2}
            counts["steps"] += self.steps
            counts["evaluation_steps"] += self.tests
            policy = acting(task, self.actions[min(number, len(self.actions) - 1)])
            yield Iteration(number + 1, policy, {"cost": -1e9}, {}, counts)

    def candidate(self):
        most = self.steps + self.tests
        return Candidate(self, None, "", most, most)


def acting(task, action):
    """Returns the policy that takes this action everywhere."""
    policy = auto.at_rest(task)
    policy.biases[-1][:] = action
    return policy


class Hearing(Learner):
    """A method that notes the actions that others tried, and tries none."""

    def __init__(self):
        super().__init__(0)
        self.heard = []

    def train(self, task, config, rng, state=None):
        for row in super().train(task, config, rng, state):
            self.heard += [float(u) for found in task.others() for u in found.u[:, 0, 0]]
            yield row

    def candidate(self):
        return super().candidate()._replace(learns=True)


class Trying(Learner):
    """A method that runs an episode of its policy in each iteration."""

    def train(self, task, config, rng, state=None):
        training = Training(task, 10)
        for row in super().train(task, config, rng, state):
            found = rollout(task, row.policy, np.array([0]), 1, rng, noise=0.0)
            training.count(found, explored=False)
            yield row


class Failing(Learner):
    """A method all of whose episodes diverge in its second iteration."""

    def train(self, task, config, rng, state=None):
        yield from itertools.islice(super().train(task, config, rng, state), 1)
        raise Diverged("every episode diverged")


def race(state=None, **learners):
    table = {word: learner.candidate() for word, learner in learners.items()}
    return Race(place(), table, 100, np.random.default_rng(0), state)


def train(monkeypatch, budget, state=None, task=None, **learners):
    table = {word: learner.candidate() for word, learner in learners.items()}
    monkeypatch.setattr(Config, "candidates", lambda self, task: table)
    config = Config(budget=budget, trial_share=0.1)
    return auto.train(task or place(), config, np.random.default_rng(0), state)


def test_the_worse_half_is_left_out_when_all_had_their_share():
    one = Learner(0)
    found, counts, order = race(a=one, b=one, c=one, d=one), Counts(), []
    for word, cost in zip("abcd", (9.0, 8.0, 7.0, 6.0), strict=True):
        found.score(word, cost)
    while counts.steps < 1000:
        order.append(found.turn(1000 - counts.steps))
        found.advance(order[-1], counts)
    # a share is 100 steps, 5 iterations of each; c and d go on until 200, and d alone from then on
    assert order == [*"aaaaabbbbbcccccddddd", *"cccccddddd", *"d" * 20]
    assert counts.steps == sum(found.steps.values()) == 20 * len(order)


def test_many_short_iterations_are_a_share():
    """Episodes that end early: 100 steps would be 100 iterations."""
    found, counts, order = race(short=Learner(0, steps=1), long=Learner(0)), Counts(), []
    for _ in range(15):
        order.append(found.turn(10**6))
        found.advance(order[-1], counts)
    assert order == ["short"] * 10 + ["long"] * 5


def test_who_does_not_fit_into_what_is_left_does_not_begin():
    found = race(small=Learner(0, steps=20), large=Learner(0, steps=50))
    assert found.turn(49) == "small"
    assert found.turn(19) is None


def test_who_learns_from_others_is_told_of_all_their_episodes_once_and_left_out_last():
    hearing = Hearing()
    how = {"a": Trying(1, 2, 3, 4, 5), "b": Trying(6, 7, 8, 9, 10), "ears": hearing}
    found, counts, order = race(**how), Counts(), []
    for word, cost in zip(how, (1.0, 2.0, 3.0), strict=True):
        found.score(word, cost)
    for n in range(20):
        if n == 7:  # what was not heard yet is kept
            found = race(found.state(), **how)
        order.append(found.turn(10**6))
        found.advance(order[-1], counts)
    assert order[:15] == ["a"] * 5 + ["b"] * 5 + ["ears"] * 5
    np.testing.assert_allclose(hearing.heard, np.arange(1.0, 11.0), atol=1e-9)
    assert found.left == ["a", "ears"]  # a is better than the ears, and teaches them
    found.score("ears", 0.5)
    while len(found.left) > 1:
        found.advance(found.turn(10**6), counts)
    assert found.left == ["ears"]


def test_a_race_goes_on_from_its_state():
    how = {"a": Learner(0), "b": Learner(1), "c": Learner(2)}
    whole, counts, order = race(**how), Counts(), []
    for n in range(40):
        order.append(whole.turn(10**6))
        whole.advance(order[-1], counts)
        whole.score(order[-1], float(n % 7))
    for stop in (1, 7, 19, 33):
        part = race(**how)
        for n in range(stop):
            part.advance(word := part.turn(10**6), counts)
            part.score(word, float(n % 7))
        again, rest = race(part.state(), **how), []
        for n in range(stop, 40):
            rest.append(again.turn(10**6))
            again.advance(rest[-1], counts)
            again.score(rest[-1], float(n % 7))
        assert rest == order[stop:]
        assert again.state() == whole.state()


def test_a_candidate_that_fails_is_left_out_named_and_paid_for():
    found, counts = race(bad=Failing(0), good=Learner(0)), Counts()
    for _ in range(10):
        found.advance(found.turn(10**6), counts)
    assert found.left == ["good"]
    assert found.failed == ["bad"]
    assert counts.steps == 10 * 20  # the iteration that failed counts as the most that it may take


def test_policies_are_judged_in_the_same_starts_that_training_does_not_see():
    task = place(conditions=2)
    training = Training(task, 1)
    judge = Judge(task, 1000, training)
    assert judge.count == 2  # the least
    starts = np.array([2.0, 3.0])  # training has 0 and 1
    np.testing.assert_allclose(judge.costs(acting(task, 4.0)), (starts - 5) ** 2 + 10)
    np.testing.assert_allclose(judge.costs(acting(task, 5.0), 3, 2), [0.0, 1.0])  # 5 and 6
    assert (training.episodes, training.steps) == (4, 40)
    own = Judge(place(more=False), 1000, training)  # its own starts are all that there are
    np.testing.assert_allclose(own.costs(acting(task, 5.0)), [25.0, 16.0])


@pytest.mark.parametrize(
    ("costs", "other", "better"),
    [
        ([1.0], [2.0], True),
        ([2.0], [2.0], False),
        ([1.0, 1.0], [2.0, 2.0], True),
        ([1.0, 1.0], [4.0, 0.0], False),  # 1 on average, and the standard error is 2
        ([1.0, np.inf], [9.0, 9.0], False),
        ([1.0, 1.0], [9.0, np.inf], True),
    ],
)
def test_better_is_what_chance_does_not_explain(costs, other, better):
    assert surely_better(np.array(costs), np.array(other)) is better


def test_the_best_policy_is_handed_out_whatever_candidates_say(monkeypatch):
    *_, last = train(monkeypatch, 3000, a=Learner(3), b=Learner(4.5), c=Learner(-4))
    assert last.policy.act(np.zeros(1)) == pytest.approx(4.5)
    assert last.state["records"]["decided"]
    text = told(last.state)
    assert text.startswith("b went on")
    assert "handed out is b" in text


def test_no_action_is_handed_out_where_nothing_is_better(monkeypatch):
    *_, last = train(monkeypatch, 3000, a=Learner(-1), b=Learner(11))
    np.testing.assert_array_equal(last.policy.act(np.ones(1)), 0.0)
    # starts 2 to 4 of three episodes, at x = 0 for ten steps
    assert last.scalars["best_cost"] == pytest.approx(250 + np.mean([9, 4, 1]))
    assert "no action is handed out" in told(last.state)


def test_a_lucky_policy_loses_the_final():
    """It costs 1 less than no action where it was judged, and 100 more in fresh starts."""
    found = Records()
    found.policies = dict.fromkeys((REST, "lucky", "good"), None)
    found.costs = {REST: np.full(3, 5.0), "lucky": np.full(3, 1.0), "good": np.full(3, 4.0)}
    assert found.better == ["lucky", "good"]
    found.last = {REST: np.full(3, 5.0), "lucky": np.full(3, 105.0), "good": np.full(3, 4.0)}
    assert found.better == ["good"]
    assert found.best == "good"


@pytest.mark.parametrize("budget", [10, 19, 99, 500, 777, 1001])
def test_no_more_steps_than_the_budget_are_taken(monkeypatch, budget):
    *_, last = train(monkeypatch, budget, a=Learner(5, steps=30, tests=60), b=Learner(4))
    assert last.scalars["env_steps"] <= budget
    if budget >= 500:
        assert last.policy.act(np.zeros(1)) > 0
        assert last.scalars["env_steps"] > budget - 100 - 0.1 * budget


def test_a_budget_of_less_than_an_episode_is_refused(monkeypatch):
    with pytest.raises(InputError, match="budget is 9; expected an episode's 10 or more"):
        next(train(monkeypatch, 9, a=Learner(5)))


def test_a_stopped_run_goes_on_to_the_same_end(monkeypatch):
    how = {"a": Learner(1, 2, 3, 4), "b": Learner(5, 4, 3, 2)}
    rows = list(train(monkeypatch, 1500, **how))
    for stop in (0, 3, 8, len(rows) - 2, len(rows) - 1):
        rest = list(train(monkeypatch, 1500, rows[stop].state, **how))
        assert [row.scalars for row in rest] == [row.scalars for row in rows[stop + 1 :]]
        for row, same in zip(rest, rows[stop + 1 :], strict=True):
            np.testing.assert_array_equal(row.policy.act(np.ones(1)), same.policy.act(np.ones(1)))


def test_what_learns_from_single_steps_has_as_many_starts_as_the_budget_has_full_episodes():
    """Each start has rows in what an iteration tells, so more would only cost memory."""
    found = Config(budget=2000).candidates(place())
    assert found["sac"].task.conditions == 200 < FIRST
    assert Config(budget=20).candidates(place())["sac"].task.conditions == auto.STARTS
    assert found["sac"].most == 50 + 9  # whole episodes of 10 steps
    assert Config(budget=2000).candidates(place(more=False))["sac"].task is None


def test_what_sees_no_time_does_not_learn_a_cost_that_changes_with_it():
    task = place()
    assert "sac" in Config(budget=2000).candidates(task)
    task.cost = WeightedNorm(np.ones(1), l2=1.0, ramp=np.linspace(0.0, 1.0, 11))
    assert sorted(Config(budget=2000).candidates(task)) == ["badmm", "pets"]
