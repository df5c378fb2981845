"""What happened in episodes: states, actions, observations and costs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..interfaces import Array


class Trajectories(NamedTuple):
    """What happened, in N episodes. Past an episode's end the last state is repeated, with zero
    actions and cost.
    """

    x: Array  # (N, T+1, dx)
    u: Array  # (N, T, du), the actions that were applied, within the limits
    o: Array  # (N, T+1, do)
    cost: Array  # (N, T+1)
    length: Array  # (N,) int, steps until termination, T where there was none
    failed: Array  # (N,) bool, the simulator diverged; the fit must not see it

    @property
    def mask(self) -> Array:
        """Which steps were taken, (N, T) bool: before their episode's end, where it did not
        diverge.
        """
        return (np.arange(self.u.shape[1]) < self.length[:, None]) & ~self.failed[:, None]

    @property
    def states(self) -> Array:
        """Returns x with NaN past each episode's end, for figures."""
        past = np.arange(self.x.shape[1]) > self.length[:, None]
        return np.where(past[..., None], np.nan, self.x)

    @property
    def pairs(self) -> tuple[Array, Array]:
        """Observations (M, do) and actions (M, du) of the steps taken."""
        return self.o[:, :-1][self.mask], self.u[self.mask]

    @property
    def transitions(self) -> tuple[Array, Array, Array]:
        """States (M, dx), actions (M, du) and next states (M, dx) of the steps taken."""
        return self.x[:, :-1][self.mask], self.u[self.mask], self.x[:, 1:][self.mask]

    @property
    def valid(self) -> "Trajectories":
        """Returns the episodes that did not diverge."""
        return Trajectories(*(a[~self.failed] for a in self))

    @property
    def costs(self) -> Array:
        """Returns the cost of each episode, (N,); NaN where it diverged, as it was cut short."""
        return np.where(self.failed, np.nan, self.cost.sum(-1))

    @property
    def evaluated(self) -> dict[str, Array]:
        """Returns the arrays that a method yields of a policy's evaluation episodes, by the names
        that figures know.
        """
        return {"policy_cost": self.costs, "policy_x": self.states}

    def between(self, first: int, last: int) -> "Trajectories":
        """Returns the steps first..last-1, and the states around them."""
        states, steps = slice(first, last + 1), slice(first, last)
        x, u, o, cost = self.x[:, states], self.u[:, steps], self.o[:, states], self.cost[:, states]
        return Trajectories(x, u, o, cost, np.clip(self.length, first, last) - first, self.failed)


Act = Callable[[Array, Array, int], Array]  # x (N, dx), o (N, do), t -> u (N, du)
Watch = Callable[[Trajectories], None]
