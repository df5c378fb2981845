"""A mixture of Gaussians over [x; u; x' - x], pooled over conditions and iterations, as a prior for
local models.

Each component is a rough linear model of a region. At a time step the components are weighed by how
well they explain the samples there, and their mixture's moments become the prior (Levine & Abbeel
2014, section 4).
"""

import numpy as np

from ..normal_inverse_wishart import Array, NormalInverseWishart, asked, learnt, smallest
from .density import Density


class GaussianMixturePrior(Density):
    """A mixture over a window of recent transitions; see `Density` for how it is fitted."""

    careful = True  # it writes to nothing that it gets; see `asking`

    dx = 0

    def update(self, x: Array, u: Array, xnext: Array) -> None:
        """Adds transitions (M, .) to the window and refits."""
        self.dx = x.shape[-1]
        self.add(learnt(x, u, xnext, len(self.centre)))

    def least(self, z: Array) -> Array:
        """Returns the variance (d,) below which a coordinate counts as constant."""
        return smallest(z, self.dx)

    def at(self, x: Array, u: Array, xnext: Array) -> NormalInverseWishart:
        """Returns the prior of each step from the samples there, (C, T, N, .)."""
        mean, cov = self.moments(asked(x, u, xnext, len(self.centre)))
        one = np.ones(mean.shape[:2])
        return NormalInverseWishart(mean, cov, one, one)

    def log_likelihood(self, x: Array, u: Array, xnext: Array) -> float:
        """Returns the mean log density of transitions (M, .), in nats, in the units given."""
        return self.log_density(asked(x, u, xnext, len(self.centre)))
