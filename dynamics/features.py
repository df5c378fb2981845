"""Models that see an angle as its cosine and sine, and say how x itself changes.

    x' - x  =  f(x without its angles, cos(angles), sin(angles), u)

An angle that turns on and on is the same place again, which a model of [x; u] has to learn once for
each turn; its change is learned as it is, so that states never leave their circle (Deisenroth &
Rasmussen 2011 and Chatzilygeroudis et al. 2017 do the same). The cosines and sines go to the model
as further actions; in their place in x stands 0, an input that tells a model nothing.
"""

from typing import Any

import numpy as np

from lqr import Gaussian, InputError

from .base import Array, Tangent
from .numbers import count


class Featured:
    """A model of this library, or one like it, behind angles as features."""

    careful = True  # it writes to nothing that it gets; see `asking`

    def __init__(self, model: Any, angles: tuple[int, ...]):
        """`angles` are the coordinates of x, in radians, that the model sees as features."""
        self.model = model
        self.angles = tuple(count("each of angles", i, 0) for i in angles)

    def inputs(self, x: Array, u: Array) -> tuple[Array, Array]:
        """Returns what the model is asked for states x (..., dx) under u (..., du): x with 0 in
        place of its angles, and [cosines; sines; u].

        Raises InputError where x has fewer coordinates than the angles say.
        """
        x = np.array(x, dtype=float)
        if max(self.angles, default=-1) >= x.shape[-1]:
            raise InputError(
                f"angles are {self.angles}; expected coordinates of x, 0 to {x.shape[-1] - 1}"
            )
        angle = x[..., self.angles]
        x[..., self.angles] = 0.0
        return x, np.concatenate([np.cos(angle), np.sin(angle), u], -1)

    def fit(self, x: Array, u: Array, xnext: Array, rng: np.random.Generator) -> None:
        """Learns from transitions, (M, dx), (M, du), (M, dx); see `Model`."""
        still, more = self.inputs(x, u)
        self.model.fit(still, more, still + (xnext - x), rng)

    def predict(self, x: Array, u: Array) -> Gaussian:
        """Returns the distribution of x': mean (..., dx) and cov (..., dx, dx)."""
        still, more = self.inputs(x, u)
        mean, cov = self.model.predict(still, more)
        return Gaussian(x + (mean - still), cov)

    def marginals(self, x: Array, u: Array) -> tuple[Array, Array]:
        """Returns the mean of x' and the variance of each coordinate, (..., dx) each."""
        still, more = self.inputs(x, u)
        mean, var = self.model.marginals(still, more)
        return x + (mean - still), var

    def mean(self, x: Array, u: Array) -> Array:
        """Returns the predicted mean of x' (..., dx) alone."""
        still, more = self.inputs(x, u)
        return x + (self.model.mean(still, more) - still)

    def jacobian(self, x: Array, u: Array) -> Array:
        """Returns the exact derivatives of the predicted mean, (..., dx, n)."""
        still, more = self.inputs(x, u)
        return self._chain(self.model.jacobian(still, more), x)

    def sample(self, x: Array, u: Array, rng: np.random.Generator) -> Array:
        """Returns a draw of x' (..., dx)."""
        still, more = self.inputs(x, u)
        return x + (self.model.sample(still, more, rng) - still)

    def linearise(self, x: Array, u: Array) -> Tangent:
        """Returns the exact tangent of the predicted mean, with the covariance."""
        still, more = self.inputs(x, u)
        found = self.model.linearise(still, more)
        return Tangent(x + (found.mean - still), self._chain(found.jacobian, x), found.noise)

    def state(self) -> dict[str, Any]:
        """Returns the model's state."""
        return self.model.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        self.model.load_state(state)

    def _chain(self, J: Array, x: Array) -> Array:
        """Returns derivatives by [x; u] of those by [x without angles; cos; sin; u]."""
        dx, a = np.shape(x)[-1], len(self.angles)
        by_x, by_cos, by_sin, by_u = np.split(J, [dx, dx + a, dx + 2 * a], -1)
        angle = np.asarray(x)[..., None, self.angles]
        turn = np.cos(angle) * by_sin - np.sin(angle) * by_cos
        by_x = by_x.copy()
        by_x[..., self.angles] = turn
        by_x[..., self.angles, self.angles] += 1.0
        return np.concatenate([by_x, by_u], -1)
