"""What a user writes to bring a task, a cost and a prior of their own: a few lines each, and no
base class.
"""

import numpy as np
import pytest

from agents.rollout import rollout
from dynamics import PRIORS, NormalInverseWishart
from gps import badmm, lqr_flm
from lqr import Action, WeightedNorm


class Cart:
    """A cart on a rail, pushed by u, is to stop at the origin: x = [position (m), velocity
    (m/s)].
    """

    name, horizon, dt, dx, du, do, conditions = "cart", 20, 0.1, 2, 1, 2, 2
    action_low, action_high = np.array([-20.0]), np.array([20.0])
    cost = WeightedNorm([1.0, 0.1], l2=2.0) + Action(0.01)

    def reset(self, conditions, rng):
        self.x = np.column_stack([np.array([1.0, -0.5])[conditions], np.zeros(len(conditions))])
        return self.x.copy()

    def step(self, u):
        self.x = self.x @ np.array([[1.0, 0.0], [0.1, 0.95]]) + u * [0.0, 0.1]
        return self.x.copy()

    def observe(self):
        return self.x.copy()

    def done(self):
        return np.zeros(len(self.x), bool)

    def metrics(self, x, u):
        return {"distance": np.abs(x[:, -1, 0])}


class Textbook:
    """A prior that knows Newton's law, though not the friction: x' - x = dt [v; u] with u and x
    about 1 in size.
    """

    asked = 0

    def update(self, x, u, xnext):
        pass

    def at(self, x, u, xnext):
        type(self).asked += 1
        G = np.array([[0.0, 0.1, 0.0], [0.0, 0.0, 0.1]])  # change of state per [x; u]
        cov = np.block([[np.eye(3), G.T], [G, G @ G.T + 1e-4 * np.eye(2)]])
        lead = x.shape[:2]
        one = np.ones(lead)
        return NormalInverseWishart(
            np.zeros((*lead, 5)), np.broadcast_to(cov, (*lead, 5, 5)), one, one
        )

    def state(self):
        return {}

    def load_state(self, state):
        pass


@pytest.fixture
def textbook(monkeypatch):
    monkeypatch.setitem(PRIORS, "textbook", Textbook)
    Textbook.asked = 0


def least_cost():
    """The least mean cost of the two conditions: dense least squares over all forces."""
    A, B = np.array([[1.0, 0.1], [0.0, 0.95]]), np.array([[0.0], [0.1]])
    M, rows = np.zeros((2, 20)), []
    for t in range(21):
        rows.append(np.diag([1.0, np.sqrt(0.1)]) @ M)
        if t < 20:
            M = A @ M
            M[:, t : t + 1] = B
    left = np.vstack([*rows, np.sqrt(0.005) * np.eye(20)])
    costs = []
    for x0 in ([1.0, 0.0], [-0.5, 0.0]):
        free = [np.diag([1.0, np.sqrt(0.1)]) @ np.linalg.matrix_power(A, t) @ x0 for t in range(21)]
        b = np.concatenate([*free, np.zeros(20)])
        force = np.linalg.lstsq(left, -b, rcond=None)[0]
        costs.append(((left @ force + b) ** 2).sum())
    return np.mean(costs)


def test_a_task_a_cost_and_a_prior_of_ones_own_train_local_controllers(textbook):
    config = lqr_flm.Config(
        iterations=8, samples=4, prior="textbook", initial_std=0.02, min_std=0.001
    )
    last = list(lqr_flm.train(Cart(), config, np.random.default_rng(0)))[-1]
    assert Textbook.asked >= 8
    assert least_cost() * 0.999 < last.scalars["cost"] < 1.03 * least_cost()


@pytest.mark.slow
def test_the_same_trains_a_neural_policy(textbook):
    config = badmm.Config(
        iterations=8, samples=4, prior="textbook", initial_std=0.02, min_std=0.002, hidden=(16,)
    )
    last = list(badmm.train(Cart(), config, np.random.default_rng(0)))[-1]
    episode = rollout(Cart(), last.policy, np.arange(2), 1, np.random.default_rng(1), noise=0.0)
    assert Textbook.asked >= 8
    assert episode.cost.sum(-1).mean() == pytest.approx(last.scalars["policy_cost"])
    assert last.scalars["policy_cost"] < 1.2 * least_cost()


def test_a_prior_can_be_handed_over_as_an_object_without_a_word():
    prior = Textbook()
    config = lqr_flm.Config(iterations=3, samples=4, prior=prior, initial_std=0.1)
    first, *_, last = list(lqr_flm.train(Cart(), config, np.random.default_rng(0)))
    assert last.scalars["cost"] < first.scalars["cost"]


def test_a_prior_that_knows_the_system_needs_fewer_episodes(textbook):
    costs = {}
    for word in ("flat", "textbook"):
        config = lqr_flm.Config(iterations=2, samples=1, prior=word, initial_std=0.1, kl_step=100.0)
        costs[word] = list(lqr_flm.train(Cart(), config, np.random.default_rng(0)))[-1].scalars[
            "cost"
        ]
    assert costs["textbook"] < costs["flat"]
