"""A model of what another model misses: a simulator that is nearly right, and a process for the
rest.

    x'  =  base(x, u)  +  residual(x, u)

The base is fitted first, as a simulator whose factors are identified; then a model of this library
to what it leaves. GP-MI, Chatzilygeroudis & Mouret, Using Parameterized Black-Box Priors to Scale Up
Model-Based Policy Search for Robotics (2018): the prior mean of a Gaussian process is a simulator.
"""

from typing import Any

import numpy as np

from lqr import Gaussian

from .base import Array
from .storage.tree import check_tree


class Residual:
    """`base` tells x' by `predict`, as `IdentifiedSimulator`; `model` learns the rest."""

    careful = True  # it writes to nothing that it gets; see `asking`

    def __init__(self, base: Any, model: Any):
        self.base, self.model = base, model

    def fit(self, x: Array, u: Array, xnext: Array, rng: np.random.Generator) -> None:
        """Fits the base, then the model to what it leaves of transitions (M, dx), (M, du), (M,
        dx). A transition that the base cannot take teaches nothing.
        """
        self.base.fit(x, u, xnext, rng)
        missed = xnext - self.base.predict(x, u).mean
        rows = np.isfinite(missed).all(1)
        self.model.fit(x[rows], u[rows], x[rows] + missed[rows], rng)

    def predict(self, x: Array, u: Array) -> Gaussian:
        """Returns the distribution of x': mean (..., dx) and cov (..., dx, dx)."""
        mean, cov = self.model.predict(x, u)
        return Gaussian(self.base.predict(x, u).mean + (mean - x), cov)

    def marginals(self, x: Array, u: Array) -> tuple[Array, Array]:
        """Returns the mean of x' and the variance of each coordinate, (..., dx) each."""
        mean, var = self.model.marginals(x, u)
        return self.base.predict(x, u).mean + (mean - x), var

    def mean(self, x: Array, u: Array) -> Array:
        """Returns the predicted mean of x' (..., dx) alone."""
        return self.base.predict(x, u).mean + (self.model.mean(x, u) - x)

    def sample(self, x: Array, u: Array, rng: np.random.Generator) -> Array:
        """Returns a draw of x' (..., dx)."""
        return self.base.predict(x, u).mean + (self.model.sample(x, u, rng) - x)

    def linearise(self, x: Array, u: Array) -> Any:
        """Returns the tangent: the base's, and the model's of the rest."""
        rest, base = self.model.linearise(x, u), self.base.linearise(x, u)
        still = np.eye(np.shape(x)[-1], base.jacobian.shape[-1])
        jacobian = base.jacobian + rest.jacobian - still
        return type(base)(base.mean + (rest.mean - x), jacobian, rest.noise)

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs."""
        return {"base": self.base.state(), "model": self.model.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        check_tree(state, {"base": dict, "model": dict}, "residual")
        self.base.load_state(state["base"])
        self.model.load_state(state["model"])
