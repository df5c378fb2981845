"""The tasks of the suite that no word names: the cart of docs/own.md in other units, and reachers of
four random targets.
"""

import numpy as np

from agents.tasks.adapters.user_task import OwnTask
from agents.tasks.mujoco.reacher import ReacherFour, sample_layout
from lqr.costs import Action, WeightedNorm

Array = np.ndarray
FIRST_LAYOUT = 40_000  # the seed of the first
STARTS = ((1.0, 0.0), (-0.5, 0.0))  # m, m/s


class Cart:
    """x = [position, velocity] and u = force, each in a unit of so many m, m/s and N; it is to stop
    at 0.
    """

    independent = True

    def __init__(self, unit: float):
        self.unit = unit

    def reset(self, condition: int, rng: np.random.Generator) -> Array:
        """Starts at one of two places."""
        self.x = np.array(STARTS[condition]) / self.unit
        return self.x

    def step(self, u: Array) -> Array:
        """Returns x after 0.1 s."""
        self.x = cart_step(self.x, u)
        return self.x


def cart_step(x: Array, u: Array) -> Array:
    """Returns states (..., 2) 0.1 s after states x (..., 2) under forces u (..., 1), in any unit."""
    return x + 0.1 * np.stack([x[..., 1], u[..., 0] - 0.5 * x[..., 1]], -1)


class CartTask(OwnTask):
    """The cart; what it costs does not depend on the unit."""

    def __init__(self, unit: float):
        cost = WeightedNorm(unit**2 * np.array([1.0, 0.1]), l2=2.0) + Action(0.01 * unit**2)
        super().__init__(
            lambda: Cart(unit),
            cost,
            action_low=[-20 / unit],
            action_high=[20 / unit],
            horizon=20,
            dt=0.1,
            conditions=2,
            name=f"cart in units of {unit:g}",
        )

    def simulator(self, x: Array, u: Array, factors: Array) -> Array:
        """Returns the states after one step, (M, 2); nothing of it may be wrong."""
        return cart_step(x, u)


class LayoutTask(ReacherFour):
    """Four targets and starts of Reacher-v5's own distribution, with the cost of `reacher_four`."""

    def __init__(self, number: int):
        super().__init__()
        self.name = f"reacher of layout {number}"
        self.angles, self.targets = sample_layout(4, np.random.default_rng(FIRST_LAYOUT + number))
