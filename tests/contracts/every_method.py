"""Every method of the library with settings so small that an iteration takes a moment, and a task
for them: a cart on a line.
"""

from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from agents.planners import CEM, PLANNERS, RandomShooting
from agents.rollout import rollout
from agents.tasks.base.ode_task import MapTask
from experiments.engine import registry
from gps import auto
from lqr import Action, QuadraticCost, WeightedNorm

LOCAL = {"iterations": 2, "samples": 3, "prior": "flat"}
POLICY = {"hidden": (4,), "policy_steps": 20}
PLANS = {"planner": CEM(samples=8, elites=2, iterations=2), "horizon": 3, "fit_steps": 20}
PLANS |= {"iterations": 3, "hidden": (4,), "members": 2}
TEACHING = {"iterations": 2, "episodes": 2, "plan_starts": 3, "plan_iterations": 3}
TEACHING |= {"noisy_copies": 1, "policy_steps": 20, "hidden": (4,), "model": "nn"}
TEACHING |= {"fit_steps": 20, "model_hidden": (4,)}
TUNING = {"tune_steps": 12}
STEPWISE = {"iterations": 2, "iteration_steps": 12, "warm_up": 8, "batch": 4, "hidden": (4,)}
FITTED = STEPWISE | {"update_ratio": 1.0, "model_hidden": (4,), "fit_steps": 3, "members": 2}
FITTED |= {"fit_every": 8}
IMAGINED = FITTED | {"rollouts": 10}
ON_POLICY = {
    "iterations": 2,
    "iteration_steps": 12,
    "warm_up": 8,
    "hidden": (4,),
    "model_hidden": (4,),
}
ON_POLICY |= {"fit_steps": 3, "members": 2, "updates": 3, "imagined": 4}
ON_POLICY |= {"imagined_steps": 3, "validation": 2}
SEARCH = {"iterations": 2, "starts": 3, "units": 3}
TAUGHT = {"iterations": 3, "rounds": 2, "samples": 2, "teacher": "trpo", "teacher_samples": 2}
TAUGHT |= {"teacher_hidden": (4,), "hidden": (3,), "distil_steps": 20}
SMALL: dict[str, dict[str, Any]] = {
    "ars": {"iterations": 2, "directions": 2, "elites": 1},
    "auto": {"budget": 250},
    "black_drops": SEARCH | {"policy": "rbf", "evaluations": 30, "searches": 2, "imagined": 2},
    "gp_mi": SEARCH | {"policy": "rbf", "evaluations": 30, "searches": 2, "imagined": 2},
    "mc_pilco": SEARCH | {"search_steps": 2, "particles": 5},
    "pilco": SEARCH | {"search_steps": 1, "restarts": 1, "candidates": 1},
    "badmm": LOCAL | POLICY | {"forecasts": 2, "between": 1},
    "ilqg_gps": TEACHING,
    "ilqg_ld": {"iterations": 2, "samples": 3, "plan_iterations": 3, "guesses": 0},
    "ilqg_mf": TEACHING | TUNING | {"iterations": 3, "teaching": 2},
    "lqr_flm": LOCAL,
    "mdgps": LOCAL | POLICY | {"forecasts": 2},
    "pi2": LOCAL,
    "pigps": LOCAL | POLICY,
    "pilqr": LOCAL,
    "pilqr_gps": LOCAL | POLICY,
    "trpo": {"iterations": 2, "hidden": (4,)},
    "sac": STEPWISE | {"update_ratio": 1.0},
    "reset_free": LOCAL | POLICY | {"samples": 6},
    "mbmf": PLANS
    | TUNING
    | {"planner": RandomShooting(samples=8), "planning": 1, "imitation": 1}
    | {"policy_hidden": (4,), "policy_steps": 20, "policy_episodes": 1, "model": "nn"},
    "bptt": FITTED | {"path_length": 2, "paths": 4},
    "dhmbpo": IMAGINED | {"path_length": 1, "rollout_length": (2,)},
    "distral": {"iterations": 2, "bins": 3, "levels": 3},
    "actor_mimic": TAUGHT,
    "dnc": {"iterations": 2, "hidden": (4,), "parts": 2, "distil_every": 2, "distil_steps": 20},
    "policy_distillation": TAUGHT,
    "dfp": {"iterations": 2, "samples": 3, "updates": 3, "batch": 8, "hidden": (8,)},
    "dyna_q": {"iterations": 2, "iteration_steps": 12, "warm_up": 18, "planning_steps": 2},
    "mba": STEPWISE | {"update_ratio": 1.0, "rollouts": 10, "rollout_length": 2},
    "mbpo": IMAGINED,
    "me_trpo": ON_POLICY | {"validate_every": 2},
    "asynchronous": ON_POLICY | {"validate_every": 2},
    "mb_mpo": ON_POLICY,
    "valued_mpc": IMAGINED | {"planner": CEM(samples=8, elites=2, iterations=2), "horizon": 2},
    "mve": FITTED | {"value_expansion": 1},
    "svg": FITTED | {"path_length": 1},
    "mpc": PLANS,
    "open_loop": PLANS,
    "pddm": PLANS | {"planner": PLANNERS["reward_weighted"](samples=8), "particles": 2},
    "pets": PLANS | {"particles": 2},
}
METHODS = registry.methods()
"""The words of all methods; one that is not in SMALL runs with its defaults."""


def module(word):
    """Returns the module of a method."""
    return registry.load(word).method if word not in registry.names() else import_module(word)


class SmallRace(auto.Config):
    """Its candidates with small settings; two of three would be alike."""

    def candidates(self, task):
        found = super().candidates(task)
        words = sorted(found.keys() & SMALL.keys())
        smaller = {
            word: dict(zip(("method", "config"), endless(word), strict=True)) for word in words
        }  # those that do not plan are judged by the race alone
        for one in smaller.values():
            if hasattr(one["config"], "evaluate_every"):
                one["config"] = replace(one["config"], evaluate_every=0)
        return {word: found[word]._replace(**smaller[word]) for word in words}


def endless(word):
    """Returns the small settings of a method that nothing but a budget ends."""
    return small(word, iterations=auto.FOREVER)


def small(word, **more):
    """Returns the small settings of a method."""
    method = module(word)
    if word == "auto":
        return method, SmallRace(**{**SMALL[word], **more})
    return method, replace(method.Config(), **{**SMALL.get(word, {}), **more})


class Cart(MapTask):
    """x = [place, speed], u a force less `weight`, which is held up by it; each end of the track is
    far.
    """

    name, horizon, dt, dx, du, do = "cart", 6, 0.3, 2, 1, 2

    def __init__(self, conditions=2, low=(-1.0,), high=(1.0,), weight=0.0, cost=None):
        super().__init__(conditions)
        self.action_low, self.action_high = np.array(low, float), np.array(high, float)
        self.du, self.weight = len(self.action_low), weight
        self.cost = cost or WeightedNorm([1.0, 0.1]) + Action(0.1 * np.ones(self.du))
        self.counted = {"resets": 0, "steps": 0}  # shared by copies of the task

    def starts(self, conditions, rng):
        self.counted["resets"] += len(conditions)
        place = np.where(np.asarray(conditions) == 0, 1.0, -0.5)
        return np.stack([place, 0.01 * rng.standard_normal(len(place))], -1)

    def step(self, u):
        self.counted["steps"] += len(u)
        return super().step(u)

    def advance(self, s, u):
        force = u.sum(-1) - self.weight
        speed = s[..., 1] + self.dt * force
        return np.stack([s[..., 0] + self.dt * s[..., 1], speed], -1)

    def states(self, s):
        return s.copy()

    see = states

    def metrics(self, x, u):
        return {}


class Other:
    """A cost in another unit, plus a constant at each step."""

    def __init__(self, cost, unit=1.0, constant=0.0):
        self.cost, self.unit, self.constant = cost, unit, constant

    def __call__(self, X, U):
        return self.unit * self.cost(X, U) + self.constant

    def expand(self, X, U):
        C, c, const = self.cost.expand(X, U)
        return QuadraticCost(self.unit * C, self.unit * c, self.unit * const + self.constant)


def learned(word, task, seed=0, **more):
    """Returns what a method yields on the task."""
    method, config = small(word, **more)
    return list(method.train(task, config, np.random.default_rng(seed)))


def actions(task, policy, seed=1):
    """Returns the actions of a policy without noise."""
    every = np.arange(task.conditions)
    return rollout(task, policy, every, 1, np.random.default_rng(seed), noise=0.0).u
