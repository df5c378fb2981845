"""The tables of Distral: cells, values and the shared policy, who acts by them, and what steps of
episodes are to them.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from agents.interfaces import State, Task
from agents.learners.cells import Cells
from agents.policies.tabular import TabularPolicy
from agents.rollout import Trajectories
from lqr import InputError

from .soft_q import SoftQ

Array = np.ndarray


class Steps(NamedTuple):
    """Steps of episodes, the last ones first, (M,) each."""

    s: Array  # cell
    a: Array  # number of the move
    r: Array  # reward
    after: Array  # the next cell
    end: Array  # bool: the episode terminated
    t: Array  # number of the step in its episode

    @property
    def transitions(self) -> tuple[Array, Array, Array, Array, Array]:
        """What values are learned from."""
        return self.s, self.a, self.r, self.after, self.end


class Tables:
    """Acts by the policies of the tasks, at random before the cells are known."""

    def __init__(self, task: Task, c: Any):
        """`c` are the settings of Distral. Raises InputError for goal coordinates that the
        observation has not.
        """
        self.task, self.cells = task, Cells(task, c.bins, c.levels)
        if any(i >= task.do for i in c.goal_coordinates):
            raise InputError(
                f"goal_coordinates is {c.goal_coordinates}; expected numbers below {task.do}, of the observation"
            )
        seen = without(self.cells.grid.counts, c.goal_coordinates)
        self.values = SoftQ(seen, len(self.cells.moves), c.kl_cost, c.entropy_cost, c.discount)

    def sample(self, o: Array, t: int, rng: np.random.Generator | None) -> Array:
        """Returns drawn actions (B, du) for observations o (B, do); the likeliest where rng is
        None.
        """
        if rng is None:
            return self.greedy().mean(o)
        if not self.cells.ready:
            share = ndtr(rng.standard_normal((len(o), self.task.du)))
            return self.task.action_low + share * (self.task.action_high - self.task.action_low)
        if t == 0:
            self._below = np.cumsum(np.exp(self.values.log_policy()), 1)
        below = self._below[self.cells.grid.cell_of(o)]
        drawn = ndtr(rng.standard_normal((len(o), 1))) * below[:, -1:]
        return self.cells.moves[(drawn > below[:, :-1]).sum(1)]

    def greedy(self) -> TabularPolicy:
        """Returns the policy of the likeliest moves."""
        return self.cells.policy(np.argmax(self.values.log_policy(), 1))

    def steps_of(self, episodes: Trajectories) -> Steps:
        """Returns the steps of the episodes that did not diverge, of all at once from the last to
        the first, so that what an end is worth is known at the beginning after one pass.
        """
        found = episodes.valid
        N, T = found.u.shape[:2]
        n = np.arange(N)
        end = np.zeros((N, T), bool)
        end[n, found.length - 1] = found.length < T
        reward = -found.cost[:, :-1] - np.where(end, found.cost[:, 1:], 0.0)
        order = np.argwhere(found.mask.T)[::-1]  # (M, 2): time, episode
        rows = order[:, 1], order[:, 0]
        o, after = found.o[:, :-1][rows], found.o[:, 1:][rows]
        if not self.cells.ready:
            self.cells.measure(o, reward[rows])
        c = self.cells
        r = c.worth(reward[rows], end[rows], self.values.discount) / c.unit
        cells = (c.grid.cell_of(a) for a in (o, after))
        s, following = cells
        return Steps(s, c.move_of(found.u[rows]), r, following, end[rows], order[:, 0])

    def kl(self, s: Array) -> float:
        """Returns the mean divergence of the policies from the shared one in cells s (M,), nats."""
        log, prior = self.values.log_policy()[s], self.values.log_prior()[s]
        return float((np.exp(log) * (log - prior)).sum(1).mean())

    def state(self) -> State:
        """Returns all that `load_state` needs."""
        return {"cells": self.cells.state(), "values": self.values.state()}

    def load_state(self, state: State) -> None:
        """Takes over what `state` returned."""
        self.cells.load_state(state["cells"])
        self.values.load_state(state["values"])


def without(counts: Array, left_out: tuple[int, ...]) -> Array:
    """Returns for each cell of a grid (do,) its cell in the grid without some coordinates, (S,)."""
    places = np.stack(np.unravel_index(np.arange(np.prod(counts)), tuple(counts)))
    kept = [i for i in range(len(counts)) if i not in left_out]
    if not kept:
        return np.zeros(int(np.prod(counts)), int)
    return np.ravel_multi_index(tuple(places[kept]), tuple(counts[kept]))
