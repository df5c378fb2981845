"""Where episodes end, learned from where they did: a logistic function of the next state.

    log p / (1 - p)  =  net(x') + log (ended / not ended),     net taught by as many ends as others

A state that is seen once in a thousand steps counts as much as the others in the fit, and as little
as it should in what is said. Before an end was seen, nothing ends.
"""

from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree

from ..interfaces import Array
from ..policies.layers import units
from .relu_networks import ReluNetworks


class LearnedEnd:
    """One hidden layer over states in standard units; `state` and `load_state` are as a model's."""

    def __init__(self, dx: int, hidden: int = 32, steps: int = 1000, rate: float = 1e-2):
        self.steps, self.rate = steps, rate
        self.networks = ReluNetworks((dx, hidden, 1), 1, np.random.default_rng(0))
        self.centre, self.scale = np.zeros(dx), np.ones(dx)
        self.odds = -np.inf  # log of the ratio of ends to other steps

    def fit(self, xnext: Array, end: Array, rng: np.random.Generator) -> None:
        """Learns from next states (M, dx) and whether the episode ended there (M,), anew."""
        ended, others = np.flatnonzero(end), np.flatnonzero(~end)
        if not len(ended) or not len(others):
            return
        self.centre, self.scale = units(xnext)
        self.odds = float(np.log(len(ended) / len(others)))
        self.networks = ReluNetworks(self.networks.sizes, 1, rng)
        z = ((xnext - self.centre) / self.scale).astype(np.float32)
        target = np.repeat(np.array([1.0, 0.0], np.float32), 64)
        for step in range(self.steps):
            rows = np.concatenate([rng.choice(ended, 64), rng.choice(others, 64)])
            said = self.networks.forward(z[rows])[0, :, 0]
            slope = (1 / (1 + np.exp(-said)) - target) / len(rows)
            self.networks.backward(slope[None, :, None].astype(np.float32))
            self.networks.step(self.rate * (1 - step / self.steps))

    def probability(self, x: Array) -> Array:
        """Returns how probable it is that an episode ends in states x (..., dx), (...)."""
        if np.isinf(self.odds):
            return np.zeros(x.shape[:-1])
        z = ((x - self.centre) / self.scale).astype(np.float32).reshape(-1, x.shape[-1])
        logit = self.networks.forward(z)[0, :, 0].astype(float) + self.odds
        return (0.5 + 0.5 * np.tanh(0.5 * logit)).reshape(x.shape[:-1])

    def ended(self, x: Array) -> Array:
        """Returns in which states x (..., dx) an episode ends, more probably than not, (...)."""
        return np.asarray(self.probability(x) > 0.5)

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs; empty before an end was seen."""
        if np.isinf(self.odds):
            return {}
        units = {"centre": self.centre, "scale": self.scale, "odds": self.odds}
        return {"flat": self.networks.flat.astype(float), **units}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        dx, count = len(self.centre), len(self.networks.flat)
        form = {"flat": (count,), "centre": (dx,), "scale": (dx,), "odds": float}
        check_tree(state, form if state else {}, "end")
        if state:
            self.networks.flat[:] = state["flat"]
            self.centre, self.scale, self.odds = state["centre"], state["scale"], state["odds"]
