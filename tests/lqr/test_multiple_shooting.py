"""Guesses of states: exact in one step on linear problems, the optimum of iLQR on others."""

import numpy as np
import pytest
from problems import dense_optimum, random_problem

from lqr import Action, InputError, WeightedNorm, ilqr, multiple_shooting

T = 25


def pendulum(x, u):  # angle 0 is upright
    rate = x[1] + 0.1 * (5.0 * np.sin(x[0]) + u[0])
    return np.array([x[0] + 0.1 * rate, rate])


COST = WeightedNorm([100.0, 10.0], ramp="final") + WeightedNorm([0.1, 0.1]) + Action(0.1)


def test_one_step_closes_all_gaps_of_a_linear_problem_and_solves_it():
    rng = np.random.default_rng(0)
    dynamics, cost, x0 = random_problem(rng, 3, 2, 5)
    same = dynamics.F[2], dynamics.f[2]
    dynamics = dynamics._replace(F=np.tile(same[0], (5, 1, 1)), f=np.tile(same[1], (5, 1)))
    found = multiple_shooting(
        lambda x, u: same[0] @ np.concatenate([x, u]) + same[1],
        cost, x0.mean, rng.normal(size=(6, 3)), rng.normal(size=(5, 2)),
    )  # fmt: skip
    U, total = dense_optimum(dynamics, cost, x0.mean)
    np.testing.assert_allclose(found.U, U, rtol=1e-6, atol=1e-7)
    assert found.cost == pytest.approx(total)
    assert found.gap < 1e-9
    assert found.iterations <= 3
    assert found.merit == pytest.approx(found.cost, abs=1e-6)


def test_from_a_guess_of_the_states_it_finds_an_optimum_that_ilqr_confirms():
    start = np.array([np.pi, 0.0])
    guess = np.linspace(start, np.zeros(2), T + 1)  # straight through, which no action does
    found = multiple_shooting(pendulum, COST, start, guess, np.zeros((T, 1)))
    assert found.converged
    assert found.gap < 1e-8
    again = ilqr(pendulum, COST, start, found.U)
    assert again.iterations <= 3
    np.testing.assert_allclose(again.U, found.U, atol=1e-4)
    assert found.cost == pytest.approx(again.cost, rel=1e-8)
    x = start
    for t in range(T):  # the controller passes through the trajectory
        u = found.controller.K[t] @ x + found.controller.k[t]
        np.testing.assert_allclose(u, found.U[t], atol=1e-6)
        x = pendulum(x, u)


def test_a_rollout_that_runs_away_is_no_hindrance():
    def unstable(x, u):
        return np.array([x[0] + 0.1 * x[0] ** 3 + 0.5 * u[0]])

    cost, start = WeightedNorm([1.0]) + Action(0.1), np.array([2.0])
    with pytest.raises(InputError, match="not finite"):
        ilqr(unstable, cost, start, np.zeros((30, 1)))
    guess = 2.0 * 0.7 ** np.arange(31.0)[:, None]
    found = multiple_shooting(unstable, cost, start, guess, np.zeros((30, 1)))
    assert found.converged
    assert abs(found.X[-1, 0]) < 0.1


def test_a_batch_is_its_members_and_what_does_not_fit_is_named():
    starts = np.array([[np.pi, 0.0], [2.0, 1.0]])
    guess = np.linspace(starts, np.zeros((2, 2)), T + 1, axis=1)
    found = multiple_shooting(pendulum, COST, starts, guess, np.zeros((T, 1)))
    alone = multiple_shooting(pendulum, COST, starts[1], guess[1], np.zeros((T, 1)))
    np.testing.assert_array_equal(found.U[1], alone.U)
    assert found.status.shape == (2,)
    with pytest.raises(InputError, match="X \\(3, 2\\), U"):
        multiple_shooting(pendulum, COST, starts[0], np.zeros((3, 2)), np.zeros((T, 1)))
    with pytest.raises(InputError, match="dynamics"):
        multiple_shooting(3, COST, starts[0], guess[0], np.zeros((T, 1)))
