"""Dyna-Q on a table: Q-learning from each step, and from remembered steps in between.

    Q(s, a)  <-  Q(s, a) + alpha (r + gamma max_a' Q(s', a') - Q(s, a))       of the real step, then of n others
    model(s, a)  <-  r, s'                                                    deterministic, the last that was seen
    r  <-  r + kappa sqrt(steps since (s, a) was tried)                       Dyna-Q+, in planning

Sutton, Integrated Architectures for Learning, Planning, and Reacting (1990); Sutton & Barto,
Reinforcement Learning (2018), section 8.2 and 8.3. In Dyna-Q+ actions that were never tried in a
state are planned too, as leading back to it for no reward.
"""

from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree
from lqr.kernels.jit import kernel

Array = np.ndarray


@kernel
def plan(Q, reward, after, end, tried, pairs, now, alpha, gamma, kappa):
    """Makes a Q-update of each of the remembered `pairs`, numbers of state and action."""
    A = Q.shape[1]
    for i in pairs:
        s, a = i // A, i % A
        r = reward[s, a] + kappa * np.sqrt(now - tried[s, a])
        ahead = 0.0 if end[s, a] else Q[after[s, a]].max()
        Q[s, a] += alpha * (r + gamma * ahead - Q[s, a])


class TabularQ:
    """The table, its model, and when each pair was last tried; `state` and `load_state` as a
    model's.
    """

    def __init__(self, cells: int, moves: int, alpha: float, gamma: float, kappa: float = 0.0):
        self.alpha, self.gamma, self.kappa = alpha, gamma, kappa
        shape = (cells, moves)
        self.Q, self.reward, self.end = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.after = np.repeat(np.arange(cells)[:, None], moves, 1).astype(float)
        self.tried, self.known = np.zeros(shape), np.zeros(shape)
        self.now = 0

    def choose(self, s: int, epsilon: float, rng: np.random.Generator) -> int:
        """Returns an action (epsilon-greedy; ties are broken at random)."""
        A = self.Q.shape[1]
        if rng.random() < epsilon:
            return int(rng.integers(A))
        best = np.flatnonzero(self.Q[s] == self.Q[s].max())
        return int(best[rng.integers(len(best))])

    def update(
        self, s: int, a: int, r: float, after: int, end: bool, n: int, rng: np.random.Generator
    ) -> None:
        """Learns from a real step, and from n remembered ones."""
        self.now += 1
        self.reward[s, a], self.after[s, a], self.end[s, a] = r, after, end
        self.tried[s, a], self.known[s, a] = self.now, 1.0
        own = np.array([s * self.Q.shape[1] + a])
        self._plan(own, 0.0)
        if n:
            seen = (
                self.known if not self.kappa else self.known.any(1, keepdims=True) + 0 * self.known
            )
            pairs = np.flatnonzero(seen)
            self._plan(pairs[rng.integers(len(pairs), size=n)], self.kappa)

    def _plan(self, pairs: Array, kappa: float) -> None:
        after, end = self.after.astype(np.int64), self.end > 0
        plan(
            self.Q,
            self.reward,
            after,
            end,
            self.tried,
            pairs,
            self.now,
            self.alpha,
            self.gamma,
            kappa,
        )

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs."""
        names = ("Q", "reward", "after", "end", "tried", "known")
        return {**{name: getattr(self, name) for name in names}, "now": self.now}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        names = ("Q", "reward", "after", "end", "tried", "known")
        check_tree(state, {**dict.fromkeys(names, self.Q.shape), "now": int}, "table")
        for name in names:
            setattr(self, name, state[name].copy())
        self.now = state["now"]
