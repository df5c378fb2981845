"""Plans in a model: optimal where the optimum is known, loyal to the policy, and sound where the
model breaks.
"""

import numpy as np
import pytest
from linear_tasks import ObservedPoint, TrueWorld, rolled

from agents.policies import make_policy
from gps.steps import planned_trajectories as plans
from lqr import NumericalError


def test_a_plan_is_what_its_controller_does_in_the_model_and_no_worse_than_the_guesses():
    task, rng = ObservedPoint(), np.random.default_rng(0)
    world = TrueWorld()
    x0 = task.reset(np.arange(3), rng)
    U = rng.uniform(-3, 3, size=(3, 3, 15, 2))
    made = plans.plan(task, world, x0, U, 15, 0.0)
    assert made.cost == pytest.approx(ObservedPoint().optimum(), rel=1e-3)
    x = x0
    for t in range(15):
        u = np.einsum("cij,cj->ci", made.controller.K[:, t], x) + made.controller.k[:, t]
        np.testing.assert_allclose(u, made.U[:, t], atol=1e-9)
        x = world.step(x, u)
    np.testing.assert_allclose(x, made.X[:, -1], atol=1e-9)


def test_another_plan_has_to_be_cheaper_than_the_policys_by_the_share_of_loyalty():
    task = ObservedPoint()
    x0 = task.reset(np.arange(1), np.random.default_rng(0))
    U = np.zeros((1, 2, 15, 2))
    U[:, 1, :5] = -0.2 * x0[:, None, :2]
    policys, others = (task.cost(*rolled(x0[0], u)).sum() for u in U[0])
    steps = task.cost(*rolled(x0[0], U[0, 0]))
    share = (policys - others) / (len(steps) * steps.std())
    assert share > 0.01
    for warm_start_bias, expected in ((0.99 * share, others), (1.01 * share, policys)):
        assert plans.plan(task, TrueWorld(), x0, U, 0, warm_start_bias).cost == pytest.approx(
            expected
        )


class Steep(TrueWorld):
    """Breaks where an action is large; after two steps no number is left."""

    def step(self, x, u):
        return super().step(x, u) * np.where(np.abs(u).max(-1, keepdims=True) > 2.9, 1e200, 1.0)


def test_guesses_under_which_the_model_diverges_are_replaced_by_the_cheapest_of_the_others():
    task, rng = ObservedPoint(), np.random.default_rng(0)
    x0, policy = task.reset(np.arange(3), rng), make_policy("mlp", task, (8,), np.ones(2), rng)
    last = np.zeros((3, 15, 2))
    last[1, 3:] = 3.0  # the limit
    random = plans.noise((12, 15, 2), 0.3 * np.ones(2), 0.0, rng).reshape(3, 4, 15, 2)
    U = plans.guesses(task, Steep(), policy, x0, random, last)
    cost = plans.plan(task, Steep(), x0, U, 15, 0.05).cost
    assert (cost < 1.001 * plans.plan(task, TrueWorld(), x0, U, 15, 0.05).cost).all()
    cost = [task.cost(*rolled(x0[1], U[1, s])).sum() for s in (0, 2, 3)]
    np.testing.assert_array_equal(U[1, 1], U[1, [0, 2, 3][int(np.argmin(cost))]])
    np.testing.assert_array_equal(U[[0, 2], 1], last[[0, 2]])
    policy.biases[-1] = np.array([30.0, 0.0])
    with pytest.raises(
        NumericalError, match="the model diverges from start 0 under each of 2 guesses"
    ):
        plans.guesses(task, Steep(), policy, x0, random[:, :2], last + 3.0)


def test_smoothed_noise_keeps_its_variance_and_is_alike_from_step_to_step():
    draws = plans.noise((2000, 60, 2), np.array([1.0, 3.0]), 4.0, np.random.default_rng(0))
    assert draws.std((0, 1)) == pytest.approx([1.0, 3.0], rel=0.03)
    assert ((draws[:, 1:] * draws[:, :-1]).mean((0, 1)) > [0.9, 8.1]).all()


def test_far_is_ten_times_the_range_of_what_is_known():
    known = np.array([[0.0, 5.0], [1.0, 5.0]])
    x = np.array(
        [
            [10.9, 5.0],
            [11.1, 5.0],
            [-9.9, 5.0],
            [0.5, 5.1],
            [0.5, 5.0 + 1e-7],
            [np.nan, 5.0],
            [np.inf, 5.0],
        ]
    )
    assert plans.near(x, known).tolist() == [True, False, True, False, True, False, False]
