"""Rollouts on a task small enough to compute by hand: a counter that adds up its actions."""

import numpy as np
import pytest

from agents.rollout import rollout
from dynamics import fit_linear_gaussian, make_prior
from gps.steps.local_data import by_condition, transitions
from lqr import InputError, LinearGaussianController, SimulationError
from lqr.costs import Action, WeightedNorm

T, DU = 12, 2
LIMITS = np.array([-1.0, -2.0]), np.array([1.0, 0.5])


class Counter:
    """x = [sum of the actions (2)], o = [x, steps so far]; condition c ends after `ends[c]`
    steps.
    """

    name, horizon, dt, dx, du, do = "counter", T, 1.0, 2, 2, 3
    action_low, action_high = LIMITS

    def __init__(self, ends=(99,), breaks=None):
        self.conditions, self.ends = len(ends), np.array(ends)
        self.breaks = np.array(breaks or [99] * len(ends))
        self.cost = WeightedNorm(np.ones(2), l2=2.0, alpha=1.0, target=-7.0) + Action(1.0)

    def reset(self, conditions, rng):
        self.where, self.t = np.asarray(conditions), 0
        self.x = np.stack([self.where, -self.where], 1) * 1.0
        return self.x.copy()

    def step(self, u):
        self.t += 1
        self.x = self.x + u
        self.x[self.t == self.breaks[self.where]] = np.nan
        return self.x.copy()

    def observe(self):
        return np.column_stack([self.x, np.full(len(self.x), self.t)])

    def done(self):
        return self.t >= self.ends[self.where]

    def metrics(self, x, u):
        return {}


def controllers(C=1, std=0.1, k=0.0, K=0.0, rng=None):
    cov = np.array([[1.0, 0.6], [0.6, 2.0]]) * std**2
    gains = K + np.zeros((C, T, DU, DU)) if rng is None else 0.2 * rng.normal(size=(C, T, DU, DU))
    means = k + np.zeros((C, T, DU)) if rng is None else rng.normal(size=(C, T, DU))
    return LinearGaussianController(gains, means, np.tile(cov, (C, T, 1, 1)))


class Timed:
    """Acts by its observation's last entry, the number of steps so far, and checks that t
    agrees.
    """

    def sample(self, o, t, rng):
        assert (o[:, 2] == t).all()
        return np.column_stack([0.01 * o[:, 2], 0.1 * np.ones(len(o))])

    def state(self):
        return {"kind": "timed"}


def test_without_noise_the_mean_actions_are_taken_one_controller_per_condition():
    actor = controllers(3, rng=np.random.default_rng(0))
    episodes = rollout(
        Counter((99, 99, 99)), actor, np.array([2, 0, 1]), 2, np.random.default_rng(1), noise=0.0
    )
    low, high = Counter.action_low, Counter.action_high
    for row, (controller, condition) in enumerate([(0, 2), (0, 2), (1, 0), (1, 0), (2, 1), (2, 1)]):
        x = np.array([condition, -condition], float)
        for t in range(T):
            np.testing.assert_allclose(episodes.x[row, t], x, atol=1e-12)
            u = np.clip(actor.K[controller, t] @ x + actor.k[controller, t], low, high)
            np.testing.assert_allclose(episodes.u[row, t], u, atol=1e-12)
            x = x + u
        np.testing.assert_allclose(episodes.x[row, T], x, atol=1e-12)


def test_the_action_that_is_recorded_is_the_one_that_was_applied():
    episodes = rollout(Counter(), controllers(std=3.0), np.array([0]), 40, np.random.default_rng(0))
    np.testing.assert_allclose(np.diff(episodes.x, axis=1), episodes.u, atol=1e-12)
    assert episodes.u.min((0, 1)).tolist() == [-1.0, -2.0]
    assert episodes.u.max((0, 1)).tolist() == [1.0, 0.5]


@pytest.mark.parametrize("smoothing", [0.0, 1.0, 2.5])
def test_exploration_has_the_controllers_covariance_with_and_without_smoothing(smoothing):
    task = Counter()
    task.action_low, task.action_high = np.full(2, -np.inf), np.full(2, np.inf)
    actor = controllers(std=0.1, k=0.3)
    u = rollout(task, actor, np.array([0]), 20_000, np.random.default_rng(0), smoothing=smoothing).u
    for t in (0, 5, T - 1):
        np.testing.assert_allclose(np.cov(u[:, t].T), actor.cov[0, t], rtol=0.05)
        np.testing.assert_allclose(u[:, t].mean(0), 0.3, atol=0.005)
    neighbours = np.corrcoef(u[:, 5, 0], u[:, 6, 0])[0, 1]
    expected = {0.0: 0.0, 1.0: np.exp(-1 / 4), 2.5: np.exp(-1 / 25)}[
        smoothing
    ]  # of Gaussian smoothing, width s
    assert neighbours == pytest.approx(expected, abs=0.04)


def test_noise_scales_the_standard_deviation():
    task, actor = Counter(), controllers(std=0.1)
    one, half = (
        rollout(task, actor, np.array([0]), 5, np.random.default_rng(4), noise=s).u
        for s in (1.0, 0.5)
    )
    np.testing.assert_allclose(half, 0.5 * one, atol=1e-12)


def test_the_same_generator_gives_the_same_episodes_and_another_gives_others():
    a, b, c = (
        rollout(Counter(), controllers(), np.array([0]), 3, np.random.default_rng(s))
        for s in (1, 1, 2)
    )
    assert np.array_equal(a.u, b.u)
    assert not np.isclose(a.u, c.u).any()


def test_a_policy_sees_the_observation_and_the_step_of_the_same_moment():
    episodes = rollout(Counter(), Timed(), np.array([0]), 3, np.random.default_rng(0))
    np.testing.assert_allclose(episodes.u[:, :, 0], np.tile(0.01 * np.arange(T), (3, 1)))
    assert np.array_equal(episodes.o[0, :, 2], np.arange(T + 1))


def test_an_episode_that_ends_early_keeps_its_last_state_and_costs_nothing_afterwards():
    task = Counter(ends=(5, 99, 1))
    episodes = rollout(task, controllers(3, k=0.25), np.arange(3), 2, np.random.default_rng(0))
    assert episodes.length.tolist() == [5, 5, T, T, 1, 1]
    full = task.cost(episodes.x, episodes.u)
    for row, L in enumerate(episodes.length):
        assert (episodes.x[row, L:] == episodes.x[row, L]).all()
        assert (episodes.o[row, L:] == episodes.o[row, L]).all()
        assert (episodes.u[row, L:] == 0).all()
        assert (episodes.u[row, :L] != 0).all()
        np.testing.assert_array_equal(episodes.cost[row, : L + 1], full[row, : L + 1])
        assert (episodes.cost[row, L + 1 :] == 0).all()
        assert episodes.cost[row, L] > 0
    assert not episodes.failed.any()


def test_once_every_episode_has_ended_nobody_is_asked_for_an_action():
    asked = []

    class OnStates:
        def sample(self, o, t, rng):
            asked.append(t)
            return 0.01 * o[:, 1:] + 0.1

    task = Counter(ends=(5, 3), breaks=[99, 2])
    episodes = rollout(task, OnStates(), np.arange(2), 2, np.random.default_rng(0))
    assert asked == [0, 1, 2, 3, 4]
    assert episodes.length.tolist() == [5, 5, 2, 2]
    alone = rollout(
        Counter(ends=(5, T)), OnStates(), np.arange(2), 2, np.random.default_rng(0)
    )  # where it goes on
    for a, b in zip(episodes, alone, strict=True):
        np.testing.assert_array_equal(a[:2], b[:2])


@pytest.mark.parametrize("word", ["flat", "gmm"])
def test_what_lies_past_an_episodes_end_does_not_reach_the_fit(word):
    actor = controllers(2, std=0.3)
    episodes = rollout(Counter(ends=(7, 99)), actor, np.arange(2), 6, np.random.default_rng(0))
    local = by_condition(episodes, actor, np.ones(2))
    assert local.used.sum((1, 2)).tolist() == [6 * 7, 6 * T]
    x, u = local.x.copy(), local.u.copy()
    x[0, :, 8:], u[0, :, 7:] = 1e9, np.nan
    fits = []
    for data in (local, local._replace(x=x, u=u)):
        prior = make_prior(word)
        prior.update(*transitions(data))
        fits.append(fit_linear_gaussian(data.x, data.u, prior, weight=data.used))
    for clean, poisoned in zip(fits[0].dynamics, fits[1].dynamics, strict=True):
        assert np.array_equal(clean, poisoned)
    assert fits[0].evidence == fits[1].evidence


def test_an_episode_whose_state_is_no_number_fails_alone():
    episodes = rollout(
        Counter(ends=(99, 99), breaks=(99, 4)),
        controllers(2),
        np.arange(2),
        2,
        np.random.default_rng(0),
    )
    assert episodes.failed.tolist() == [False, False, True, True]
    assert np.isfinite(episodes.cost[:2]).all()


def test_the_steps_taken_are_those_before_an_end_in_episodes_that_did_not_fail():
    episodes = rollout(
        Counter(ends=(2, 99), breaks=(99, 4)),
        controllers(2),
        np.arange(2),
        2,
        np.random.default_rng(0),
    )
    assert np.argwhere(episodes.mask).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    (o, u), (x, v, after) = episodes.pairs, episodes.transitions
    rows = [(episodes.o, 0), (episodes.u, 0), (episodes.x, 0), (episodes.u, 0), (episodes.x, 1)]
    for got, (whole, later) in zip((o, u, x, v, after), rows, strict=True):
        np.testing.assert_array_equal(got, [whole[n, t + later] for n in (0, 1) for t in (0, 1)])


def test_when_every_episode_fails_the_error_says_so():
    with pytest.raises(SimulationError, match="all 2 episodes diverged in counter"):
        rollout(Counter(breaks=(2,)), controllers(), np.array([0]), 2, np.random.default_rng(0))


def test_fewer_samples_than_one_are_refused():
    with pytest.raises(InputError, match="samples is 0"):
        rollout(Counter(), controllers(), np.array([0]), 0, np.random.default_rng(0))


class LateDivergence(Counter):
    """Its simulator diverges two steps after each episode's end."""

    @property
    def diverged(self):
        return self.t > self.ends[self.where] + 1


def test_what_a_simulator_does_after_its_episode_does_not_fail_it():
    episodes = rollout(
        LateDivergence(ends=(4, 99)), controllers(2), np.arange(2), 3, np.random.default_rng(0)
    )
    assert not episodes.failed.any()
    assert episodes.length.tolist() == [4] * 3 + [T] * 3


@pytest.mark.parametrize("samples", [2, 5])
def test_antithetic_episodes_mirror_each_other_and_stay_normal(samples):
    many = 4000
    actor = controllers(C=many, std=0.05)
    plain = rollout(
        Counter(ends=(99,) * many), actor, np.arange(many), samples, np.random.default_rng(3)
    )
    paired = rollout(
        Counter(ends=(99,) * many),
        actor,
        np.arange(many),
        samples,
        np.random.default_rng(3),
        antithetic=True,
    )
    u = paired.u.reshape(many, samples, T, DU)
    for first in range(0, samples - 1, 2):
        np.testing.assert_array_equal(u[:, first + 1], -u[:, first])
    np.testing.assert_array_equal(
        u[:, 0], plain.u.reshape(u.shape)[:, 0]
    )  # the same draws, but for the signs
    if samples % 2:
        assert (
            abs(np.corrcoef(u[:, -1, 0, 0], u[:, -2, 0, 0])[0, 1]) < 0.06
        )  # the last one has no partner
    for i in range(samples):
        np.testing.assert_allclose(np.cov(u[:, i].reshape(-1, DU).T), actor.cov[0, 0], atol=2e-4)


def test_antithetic_draws_move_the_given_generator_on_and_can_be_repeated():
    class Noisy(Timed):
        def sample(self, o, t, rng):
            return 0.05 * rng.standard_normal((len(o), DU))

    runs, after = [], []
    for _ in range(2):
        rng = np.random.default_rng(5)
        runs.append(rollout(Counter(), Noisy(), np.zeros(1, int), 4, rng, antithetic=True).u)
        after.append(rng.random())
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0][1::2], -runs[0][::2])
    assert after[0] == after[1]
    assert after[0] != np.random.default_rng(5).random()
