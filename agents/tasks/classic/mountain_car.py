"""Gymnasium's MountainCarContinuous-v0: a car, too weak for the hill, gathers speed on the other
side first.

s = x = o = [place, speed], in units of the environment, one step apart. It ends on top, at 0.45,
and that is rewarded by 100; each step costs 0.1 u^2 (Moore 1990).
"""

from dataclasses import dataclass

import numpy as np

from lqr import InputError, QuadraticCost
from lqr.costs import Action, WeightedNorm

from ...settings import Count
from ..base.ode_task import MapTask

Array = np.ndarray

LEFT, RIGHT, GOAL, FASTEST, POWER, SLOPE = -1.2, 0.6, 0.45, 0.07, 0.0015, 0.0025


@dataclass(frozen=True)
class SparseCost:
    """Gymnasium's reward with its sign changed: 0.1 u^2 for each step, and -100 on top."""

    careful = True  # it writes to nothing that it gets

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1)."""
        cost = -100.0 * on_top(X)
        cost[..., :-1] += 0.1 * (U**2).sum(-1)
        return cost

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the expansion: that of the effort, as the rest is flat."""
        effort = Action(0.2).expand(X, U)
        return effort._replace(const=effort.const - 100.0 * on_top(X))

    def window(self, t: int, count: int, T: int) -> "SparseCost":
        """Returns the cost of any steps: the same."""
        return self


def on_top(x: Array) -> Array:
    """Returns which cars (..., 2) are on top, and not rolling back."""
    return (x[..., 0] >= GOAL) & (x[..., 1] >= 0)


class MountainCar(MapTask):
    """The cost, in place of the sparse reward, is the squared distance to the goal and the effort
    that is charged.

    An episode's end is worth reaching: the steps that are left cost nothing. `metrics` counts
    Gymnasium's return.
    """

    name = "mountain_car"
    env_id: str | None = "MountainCarContinuous-v0"
    dt = 1.0
    dx, du, do = 2, 1, 2
    action_low, action_high = np.array([-1.0]), np.array([1.0])

    def __init__(self, conditions: Count = 1, horizon: Count = 999):
        super().__init__(conditions)
        if horizon < 1:
            raise InputError(f"horizon is {horizon}; expected at least 1")
        self.horizon = horizon
        goal = WeightedNorm([1.0, 0.0], target=[GOAL, 0.0], l2=2.0, ramp="quadratic")
        self.cost = goal + Action(0.2)

    def starts(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Returns cars at rest in the valley, (B, 2)."""
        place = rng.uniform(-0.6, -0.4, size=len(conditions))
        return np.stack([place, np.zeros(len(conditions))], -1)

    def advance(self, s: Array, u: Array) -> Array:
        """Returns s one step later; the wall on the left stops the car."""
        place, speed = s[..., 0], s[..., 1]
        speed = np.clip(speed + POWER * u[..., 0] - SLOPE * np.cos(3 * place), -FASTEST, FASTEST)
        place = np.clip(place + speed, LEFT, RIGHT)
        return np.stack([place, np.where(place == LEFT, np.maximum(speed, 0.0), speed)], -1)

    def states(self, s: Array) -> Array:
        """Returns a copy of s."""
        return s.copy()

    def see(self, s: Array) -> Array:
        """Returns a copy of s, Gymnasium's observation."""
        return s.copy()

    def ended(self, x: Array) -> Array:
        """Returns which cars are on top, and not rolling back."""
        return on_top(x)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns whether the car came to the top, and Gymnasium's return, (N,) each."""
        top = self.ended(x).any(1)
        return {"reached": top.astype(float), "return": 100.0 * top - 0.1 * (u**2).sum((1, 2))}


class SparseMountainCar(MountainCar):
    """The same with Gymnasium's sparse reward as its cost: nothing leads there but curiosity."""

    name = "mountain_car_sparse"

    def __init__(self, conditions: Count = 1, horizon: Count = 999):
        super().__init__(conditions, horizon)
        self.cost = SparseCost()
