"""Each method of the registry, in a tiny run: what it says of itself, and what it yields."""

from dataclasses import fields
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

from agents.planners import CEM
from agents.tasks.base.ode_task import MapTask
from experiments.engine import registry
from experiments.engine.tables import ACTORS
from experiments.engine.training import not_drawn
from experiments.reports.figures import kept
from lqr import Quadratic

TINY = {  # of the settings that a method has; the values that make it quick
    "iterations": 2,
    "samples": 2,
    "hidden": (4,),
    "policy_hidden": (4,),
    "policy_steps": 3,
    "fit_steps": 3,
    "horizon": 3,
    "clusters": 2,
    "plans": 2,
    "plan_starts": 2,
    "plan_iterations": 2,
    "planning": 1,
    "imitation": 1,
    "teaching": 2,
    "tune_steps": 12,
    "budget": 200,
    "planner": CEM(4, 2, 1),
    "policy_episodes": 1,
    "evaluations": 60,
    "units": 3,
    "searches": 2,
    "search_steps": 2,
    "restarts": 1,
    "candidates": 1,
    "particles": 5,
    "rounds": 1,
    "teacher": "trpo",
    "teacher_samples": 2,
    "teacher_hidden": (4,),
    "distil_steps": 3,
}


class Cart(MapTask):
    """x = [place, speed] of a pushed point for 6 steps."""

    name, dt, horizon = "cart", 0.2, 6
    dx, du, do = 2, 1, 2
    action_low, action_high = np.array([-2.0]), np.array([2.0])
    cost = Quadratic(np.diag([2.0, 0.2, 0.1]))

    def starts(self, conditions, rng):
        return np.stack([1.0 + conditions, 0.1 * rng.standard_normal(len(conditions))], 1)

    def advance(self, s, u):
        return np.stack([s[..., 0] + self.dt * s[..., 1], s[..., 1] + self.dt * u[..., 0]], -1)

    def states(self, s):
        return s.copy()

    see = states

    def metrics(self, x, u):
        return {"distance": np.abs(x[:, -1, 0])}


class ShortCart(Cart):
    """Its episodes end after 2 steps, or after 4 in the second condition, of 6."""

    name, ends = "short cart", np.array([2, 4])

    def reset(self, conditions, rng):
        self.left = self.ends[conditions]
        return super().reset(conditions, rng)

    def step(self, u):
        self.left = self.left - 1
        return super().step(u)

    def done(self):
        return self.left <= 0


@cache
def last(name, task=Cart):
    """Returns the last iteration of a tiny run of a method."""
    method = registry.load(name).method
    names = {field.name for field in fields(method.Config)}
    tiny = TINY | {"budget": 40} if task is ShortCart else TINY
    config = method.Config(**{key: value for key, value in tiny.items() if key in names})
    return list(method.train(task(2), config, np.random.default_rng(0)))[-1]


def needed(name):
    """Skips a method whose library is not installed."""
    if name in ("mbmf", "ilqg_mf") and find_spec("sb3_contrib") is None:
        pytest.skip("sb3_contrib is not installed: extra peers")


@pytest.mark.parametrize("name", registry.methods())
def test_a_method_says_whose_its_cost_is(name):
    assert import_module(registry.places()[name]).ACTOR in ACTORS


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", registry.methods())
def test_each_array_of_a_method_is_drawn_or_declared_for_tables_only(name):
    needed(name)
    only = getattr(registry.load(name).method, "TABLE_ONLY", ())
    arrays = last(name).arrays
    assert arrays
    assert not_drawn(arrays, kept(), only) == []
    assert set(only) <= set(arrays)  # what is declared is there


AXES = {"x": 2, "mean": 1, "cov": 1, "policy_x": 1, "model_error": 1}  # which of its axes is time


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", registry.methods())
def test_nothing_is_left_to_draw_past_an_episodes_end(name):
    needed(name)
    arrays = last(name, ShortCart).arrays
    for key in AXES.keys() & arrays.keys():
        for c, end in enumerate(ShortCart.ends):
            states = np.moveaxis(np.asarray(arrays[key])[c], AXES[key] - 1, 0)
            end = end + (key != "model_error")  # the state at the end is one
            assert np.isnan(states[end:]).all(), key
            assert np.isfinite(states[:end]).all(), key
