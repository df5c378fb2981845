"""Gymnasium's MountainCarContinuous-v0: a car, too weak for the hill, gathers speed on the other
side first.

s = x = o = [place, speed], in units of the environment, one step apart. It ends on top, at 0.45,
and that is rewarded by 100; each step costs 0.1 u^2 (Moore 1990).
"""

import numpy as np

from lqr import InputError
from lqr.costs import Action, WeightedNorm

from ...settings import Count
from ..base.ode_task import MapTask

Array = np.ndarray

LEFT, RIGHT, GOAL, FASTEST, POWER, SLOPE = -1.2, 0.6, 0.45, 0.07, 0.0015, 0.0025


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
        return (x[..., 0] >= GOAL) & (x[..., 1] >= 0)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns whether the car came to the top, and Gymnasium's return, (N,) each."""
        top = self.ended(x).any(1)
        return {"reached": top.astype(float), "return": 100.0 * top - 0.1 * (u**2).sum((1, 2))}
