"""Any global model as a prior for local models, by its tangent."""

from typing import Any

import numpy as np

from ..asking import linearise
from ..base import Array, Model
from ..capabilities import attached
from ..normal_inverse_wishart import NormalInverseWishart, asked, learnt
from ..numbers import above, count
from ..replay_buffer import CAPACITY, ReplayBuffer
from ..storage.tree import check_tree


class Linearised:
    """Says: around here [x; u] spreads as it did so far, and x' - x follows the model's tangent,
    with its noise.

    The model is fitted to the last `window` transitions at every update. Where it has `tangents`,
    the members' own, a step on which they disagree gets a weaker prior than one on which they
    agree.
    """

    careful = True  # it writes to nothing that it gets; see `asking`

    def __init__(
        self, model: Model, seed: int = 0, max_strength: float = 10.0, window: int = CAPACITY
    ):
        self.model, self.seed = model, count("seed", seed, 0)
        self.max_strength = above(
            "max_strength", max_strength
        )  # the relative strength of a step, and its reciprocal's
        self.updates = 0
        self.buffer = ReplayBuffer(count("window", window))

    def attach(self, task: Any) -> None:
        """Hands the task to a model that has a method `attach`."""
        attached(self.model, task)

    def update(self, x: Array, u: Array, xnext: Array) -> None:
        """Adds transitions (M, .) and fits the model to all that are kept."""
        learnt(x, u, xnext, self.buffer.width)
        self.updates += 1
        self.buffer.add_and_fit(
            self.model, x, u, xnext, np.random.default_rng([self.seed, self.updates])
        )

    def at(self, x: Array, u: Array, xnext: Array) -> NormalInverseWishart:
        """Returns the prior of each step, (C, T), linearised at the mean of the samples there, (C,
        T, N, .).
        """
        asked(x, u, xnext, self.buffer.width)
        dx = x.shape[-1]
        x, u = x.mean(2), u.mean(2)
        mean, jacobian, noise = linearise(self.model, x, u)
        G = jacobian.copy()  # of the change of state
        G[..., range(dx), range(dx)] -= 1.0
        spread = self._spread()
        joint = G @ spread
        explained = joint @ np.swapaxes(G, -1, -2)
        across = np.swapaxes(joint, -1, -2)
        cov = np.block(
            [
                [np.broadcast_to(spread, (*x.shape[:2], *spread.shape)), across],
                [joint, explained + noise],
            ]
        )
        cov = 0.5 * (cov + np.swapaxes(cov, -1, -2))
        strength = self._strength(x, u, spread, noise)
        z = np.concatenate([x, u, mean - x], -1)
        return NormalInverseWishart(
            z, cov * strength[..., None, None], np.ones(x.shape[:2]), strength
        )

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs, as a tree of arrays and numbers."""
        data = self.buffer.state()
        return {"updates": self.updates, "data": data, "model": self.model.state()} if data else {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        check_tree(state, {"updates": int, "data": dict, "model": dict} if state else {}, "prior")
        if state:
            self.updates = state["updates"]
            self.buffer.load_state(state["data"])
            self.model.load_state(state["model"])

    def _spread(self) -> Array:
        """Returns the covariance of all [x; u] that are kept, (n, n), with something for each
        direction without any.
        """
        z = np.concatenate(self.buffer.transitions[:2], -1)
        variance = z.var(0)
        variance = np.maximum(variance, 1e-12 * np.maximum((z**2).max(0), 1e-12))
        return (
            np.cov(z.T, bias=True) + np.diag(1e-6 * variance) if len(z) > 1 else np.diag(variance)
        )

    def _strength(self, x: Array, u: Array, spread: Array, noise: Array) -> Array:
        """Returns each step's relative strength, (C, T), of geometric mean 1 before it is bounded.

        n0 pseudo-samples of covariance `spread` let a coefficient's row vary by noise_i / n0
        spread^-1. So the members' tangents, whose rows vary by V_i, are worth n / dx sum_i noise_i
        / tr(spread V_i) pseudo-samples.
        """
        members = getattr(self.model, "tangents", None)
        if members is None:
            return np.ones(x.shape[:2])
        gap = members(x, u)
        gap = gap - gap.mean(0)
        disagreement = np.einsum("e...ij,jk,e...ik->...i", gap, spread, gap) / max(len(gap) - 1, 1)
        noise = np.maximum(np.diagonal(noise, axis1=-2, axis2=-1), 1e-300)
        log = -np.log(np.mean(np.maximum(disagreement, 1e-12 * noise) / noise, -1))
        return np.exp(
            np.clip(log - log.mean(), -np.log(self.max_strength), np.log(self.max_strength))
        )
