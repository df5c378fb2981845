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
