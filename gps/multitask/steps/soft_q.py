"""Soft Q-learning on a table, with a prior policy that all tasks share.

    V(s)     =  1/beta log sum_a pi_0(a|s)^alpha exp(beta Q(s, a))
    Q(s, a)  <- Q(s, a) + rate (r + discount V(s') - Q(s, a))
    pi(a|s)  =  pi_0(a|s)^alpha exp(beta (Q(s, a) - V(s)))
    pi_0(a|s)  proportional to how often a was taken in s by all tasks, discounted

Teh, Bapst, Czarnecki et al., Distral (2017), section 2.2: with a cost c_KL of a nat of divergence
from the prior and a worth c_Ent of a nat of entropy, alpha = c_KL / (c_KL + c_Ent) and
beta = 1 / (c_KL + c_Ent). With c_KL = 0 the prior does not matter: soft Q-learning.
"""

from typing import Any

import numpy as np
from scipy.special import logsumexp

from dynamics.storage.tree import check_tree
from lqr.kernels.jit import kernel

Array = np.ndarray


@kernel
def backups(Q, log_prior, s, a, r, after, end, alpha, beta, discount, rate):
    """Makes a soft Q-update of each transition (M,), in this order; log_prior is (S, A)."""
    for i in range(len(s)):
        ahead = 0.0
        if not end[i]:
            z = alpha * log_prior[after[i]] + beta * Q[after[i]]
            most = z.max()
            ahead = (most + np.log(np.exp(z - most).sum())) / beta
        Q[s[i], a[i]] += rate * (r[i] + discount * ahead - Q[s[i], a[i]])


class SoftQ:
    """The values of all cells, and the prior, which sees less: `seen` (S,) is the cell in which it
    is when the values are in a cell. `state` and `load_state` as a model's.
    """

    def __init__(
        self, seen: Array, moves: int, kl_cost: float, entropy_cost: float, discount: float
    ):
        self.seen, self.discount = seen, discount
        self.alpha = kl_cost / (kl_cost + entropy_cost)
        self.beta = 1.0 / (kl_cost + entropy_cost)
        self.Q = np.zeros((len(seen), moves))
        self.visits = np.zeros((int(seen.max()) + 1, moves))  # of the prior's cells

    def log_prior(self) -> Array:
        """Returns log pi_0 in each of the values' cells, (S, A)."""
        found = self.visits + 1.0 / self.visits.shape[1]  # one more visit, of all actions alike
        return np.log(found / found.sum(1, keepdims=True))[self.seen]

    def log_policy(self) -> Array:
        """Returns log pi in each cell, (S, A)."""
        z = self.alpha * self.log_prior() + self.beta * self.Q
        return z - logsumexp(z, axis=1, keepdims=True)

    def update(self, s: Array, a: Array, r: Array, after: Array, end: Array, rate: float) -> None:
        """Learns from transitions (M,), in this order."""
        prior = self.log_prior()
        backups(self.Q, prior, s, a, r, after, end, self.alpha, self.beta, self.discount, rate)

    def distil(self, s: Array, a: Array, weight: Array, memory: float) -> None:
        """Makes the prior the most likely one given actions a (M,) in cells s (M,), each counted
        `weight` (M,) times; what was counted before counts `memory` times as much.
        """
        self.visits *= memory
        np.add.at(self.visits, (self.seen[s], a), weight)

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs."""
        return {"Q": self.Q.copy(), "visits": self.visits.copy()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        check_tree(state, {"Q": self.Q.shape, "visits": self.visits.shape}, "soft Q")
        self.Q, self.visits = state["Q"].copy(), state["visits"].copy()
