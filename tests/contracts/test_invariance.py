"""No method and no planner may depend on what cost is called zero, or on its unit.

A constant paid at each step changes no decision. Actions agree to rounding, that of differences of
numbers that are larger by the constant. In another unit all divergences and actions are the same,
to the tolerance of the search for eta, which begins at another number.
"""

from functools import cache

import numpy as np
import pytest
from every_method import METHODS, Cart, Other, actions, learned

from agents.planners import PLANNERS
from agents.planners.models import SimulatorModel
from agents.planners.objective import Objective
from lqr import QuadraticCost, ilqr

PLANNED = {
    "mpc",
    "open_loop",
    "pddm",
    "pets",
}  # whose policy goes on learning: what they did counts
UNITS = [1e-6, 1e6]


@cache
def acts(word, unit=1.0, constant=0.0):
    """Returns the actions of each iteration's policy on the cart, whose cost is in that unit."""
    task = Cart(cost=Other(Cart().cost, unit, constant))
    rows = learned(word, task)
    return [row.arrays["x"] if word in PLANNED else actions(task, row.policy) for row in rows]


@pytest.mark.parametrize("word", METHODS)
def test_a_constant_in_the_cost_changes_nothing(word):
    for now, before in zip(acts(word, constant=500.0), acts(word), strict=True):
        np.testing.assert_allclose(now, before, atol=1e-9)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("word", METHODS)
def test_the_unit_of_the_cost_changes_nothing(word, unit):
    for now, before in zip(acts(word, unit=unit), acts(word), strict=True):
        np.testing.assert_allclose(now, before, atol=1e-3)


def plan(word, unit=1.0, constant=0.0):
    """Returns a plan of a planner in the cart's own physics."""
    task = Cart(cost=Other(Cart().cost, unit, constant))
    planner = PLANNERS[word]()
    rng = np.random.default_rng(0)
    objective = Objective(SimulatorModel(task), task.cost, np.array([1.0, 0.0]), 0, 4, 6, rng)
    return planner(objective, np.zeros((0, 4, 1)), task.action_low, task.action_high, rng).U


@pytest.mark.parametrize("word", PLANNERS)
def test_a_plan_is_the_same_whatever_is_called_zero(word):
    if word == "cma":
        pytest.importorskip("cmaes")
    np.testing.assert_allclose(plan(word, constant=500.0), plan(word), atol=1e-7)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("word", PLANNERS)
def test_a_plan_is_the_same_in_any_unit(word, unit):
    if word == "cma":
        pytest.importorskip("cmaes")
    np.testing.assert_allclose(plan(word, unit=unit), plan(word), atol=1e-6)


class Waves:
    """A cost of angles that is convex near 0 alone, so that plans need regularisation."""

    def __call__(self, X, U):
        ends = [(0, 0)] * (U.ndim - 2) + [(0, 1)]
        return (1.0 - np.cos(X)).sum(-1) + np.pad(0.05 * (U**2).sum(-1), ends)

    def expand(self, X, U):
        dx, du = X.shape[-1], U.shape[-1]
        C = np.zeros((*X.shape[:-1], dx + du, dx + du))
        c = np.zeros((*X.shape[:-1], dx + du))
        C[..., range(dx), range(dx)] = np.cos(X)
        C[..., :-1, dx:, dx:] = 0.1 * np.eye(du)
        c[..., :dx] = np.sin(X) - np.cos(X) * X
        return QuadraticCost(C, c, np.zeros(X.shape[:-1]))


def iterates(unit, second_order, mu=0.0):
    """Returns what each iteration tells, with costs and regularisation in that unit."""
    seen = []

    def swing(x, u):
        return np.array([x[0] + 0.1 * x[1], x[1] + 0.1 * (np.sin(x[0]) + u[0])])

    def callback(p):
        seen.append([p.cost / unit, p.mu / unit, p.step, *p.U[:, 0]])

    ilqr(
        swing, Other(Waves(), unit), [2.5, 0.0], np.zeros((30, 1)), low=-3.0, high=3.0,
        second_order=second_order, callback=callback, mu=unit * mu,
    )  # fmt: skip
    return np.array(seen)


@pytest.mark.parametrize("mu", [0.0, 1.0])
@pytest.mark.parametrize("second_order", [None, False, True])
def test_the_unit_of_the_cost_scales_nothing_else_of_an_iterate(second_order, mu):
    as_told = iterates(1.0, second_order, mu)
    assert as_told[:, 1].max() > 1.0  # it was regularised
    for unit in (2.0**-20, 2.0**20):  # no rounding
        np.testing.assert_array_equal(iterates(unit, second_order, mu), as_told)
    for unit in UNITS:
        np.testing.assert_allclose(iterates(unit, second_order, mu), as_told, rtol=1e-5, atol=1e-5)
