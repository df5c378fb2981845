"""A mixture of Gaussians that is fitted to a window of points, and says what it expects near some
of them.
"""

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ..copies import first_of_copies
from ..normal_inverse_wishart import Array
from ..numbers import count, number
from ..storage.tree import check_tree
from .em import Mixture, features, fit_mixture, log_densities, responsibilities, start

one_thread = threadpool_limits.wrap(
    limits=1, user_api="blas"
)  # small products: more threads only wait for each other
LADDER = (1, 2, 5, 10, 20, 40, 80)  # numbers of components that are tried


class Density:
    """A mixture over a window of recent points, warm-started from one update to the next.

    The number of components climbs a ladder as long as points that were held out become more
    probable; it is looked at again when the window has grown by half.
    """

    def __init__(self, window: int = 4000, floor: float = 1e-5, em_steps: int = 4):
        self.window, self.floor = count("window", window), number("floor", floor)
        self.em_steps = count("em_steps", em_steps)
        self.z: Array | None = None  # (M, d), the window
        self.looked_at = 0  # size of the window at the last choice of the number of components
        self.centre, self.scale = np.zeros(0), np.ones(0)  # (d,), the units of the mixture
        self.weights, self.means, self.covs = (
            np.zeros(0),
            np.zeros((0, 0)),
            np.zeros((0, 0, 0)),
        )  # standardised

    @one_thread
    def add(self, z: Array) -> None:
        """Adds points (M, d) to the window and refits."""
        self.z = z if self.z is None else np.concatenate([self.z, z])[-self.window :]
        centre, scale = self.z.mean(0), np.sqrt(np.maximum(self.z.var(0), self.least(self.z)))
        z = (self.z - centre) / scale
        if len(self.weights):  # express the old mixture in the new units
            self.means = (self.centre + self.scale * self.means - centre) / scale
            ratio = self.scale / scale
            self.covs = self.covs * ratio[:, None] * ratio[None, :]
        self.centre, self.scale = centre, scale
        if len(z) >= 1.5 * self.looked_at:
            self.looked_at = len(z)
            self._choose(z)
        else:
            self._keep(fit_mixture(features(z), self._mixture(), self.em_steps, self.floor))

    def least(self, z: Array) -> Array:
        """Returns the variance (d,) below which a coordinate of the points (M, d) counts as
        constant.
        """
        square = (z**2).mean(0)
        return 1e-20 * np.where(square > 0, square, 1.0)

    @one_thread
    def moments(self, z: Array, weight: Array | None = None) -> tuple[Array, Array]:
        """Returns the mean (C, T, d) and covariance (C, T, d, d) of the mixture near each step's
        points (C, T, N, d).

        The components weigh as much as they explain of the points, each of which counts by `weight`
        (C, T, N).
        """
        C, T, N, d = z.shape
        z = (z - self.centre) / self.scale
        share, _ = responsibilities(log_densities(features(z.reshape(-1, d)), self._mixture()))
        share = share.reshape(C, T, N, -1)
        if weight is None:
            weight = share.mean(2)
        else:
            total = weight.sum(2, keepdims=True)
            even = np.where(
                total > 0, weight / np.maximum(total, 1e-300), 1 / N
            )  # no point there: all, alike
            weight = (even[..., None] * share).sum(2)
        mean = weight @ self.means
        second = self.covs + self.means[:, :, None] * self.means[:, None, :]
        cov = np.tensordot(weight, second, 1) - mean[..., :, None] * mean[..., None, :]
        scale = self.scale
        return self.centre + scale * mean, cov * scale[:, None] * scale[None, :]

    def log_density(self, z: Array) -> float:
        """Returns the mean log density of points (M, d), in nats, in the units given."""
        z = (z - self.centre) / self.scale
        return float(_score(features(z), self._mixture()).mean() - np.log(self.scale).sum())

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs, as a tree of arrays and numbers."""
        names = ("z", "looked_at", "weights", "means", "covs", "centre", "scale")
        return {name: getattr(self, name) for name in names} if self.z is not None else {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        form = {
            "z": ("M", "d"),
            "looked_at": int,
            "weights": ("K",),
            "means": ("K", "d"),
            "covs": ("K", "d", "d"),
        }
        check_tree(state, form | {"centre": ("d",), "scale": ("d",)} if state else {}, "prior")
        for name, value in state.items():
            setattr(self, name, value)

    def _choose(self, z: Array) -> None:
        """Climbs the ladder while a fifth of the points, held out, becomes more probable.

        Every candidate is hedged half and half with a single Gaussian, so that one point far from
        all components does not decide. One step down is forgiven: a few EM steps do not always show
        what a rung is worth.
        """
        new, copy_of = np.unique(first_of_copies(z), return_inverse=True)  # copies stay together
        held = (np.random.default_rng(len(new)).permutation(len(new)) % 5 == 0)[copy_of]
        phi = features(z)
        best, best_score, worse = 1, -np.inf, 0
        if len(new) >= 10:
            seen, unseen = phi[~held], phi[held]
            broad = _score(unseen, self._cold(z[~held], seen, 1, 1))
            for K in (
                k for k in LADDER if k == 1 or (k >= len(self.weights) // 2 and 10 * k <= len(new))
            ):
                score = np.logaddexp(
                    _score(unseen, self._cold(z[~held], seen, K, self.em_steps)), broad
                ).mean()
                if score > best_score:
                    best, best_score, worse = K, score, 0
                elif (worse := worse + 1) == 2:
                    break
        self._keep(self._cold(z, phi, best, 2 * self.em_steps))

    def _cold(self, z: Array, phi: Array, K: int, steps: int) -> Mixture:
        return fit_mixture(
            phi, start(z, phi, K, self.floor, np.random.default_rng(K)), steps, self.floor
        )

    def _keep(self, mixture: Mixture) -> None:
        self.weights, self.means, self.covs = mixture

    def _mixture(self) -> Mixture:
        return Mixture(self.weights, self.means, self.covs)


def _score(phi: Array, mixture: Mixture) -> Array:
    return responsibilities(log_densities(phi, mixture))[1]
