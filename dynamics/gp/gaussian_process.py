"""A Gaussian process for each coordinate's change of state, with a length scale for each input
(ARD).

Hyper-parameters maximise the marginal likelihood of a random subset (scikit-learn's, by L-BFGS,
from the last ones). The posterior then rests on all data through inducing points (deterministic
training conditional: Quinonero-Candela & Rasmussen, A unifying view of sparse approximate Gaussian
process regression, 2005, section 6), which averages noise over all of them; where every transition
is an inducing point, it is the exact one. The points are those of the data that the others explain
least (pivoted Cholesky: Burt et al., Convergence of sparse variational inference, 2020): on episodes
that crowd around a few trajectories, random ones explain the rest up to ten times worse.

Measured on episodes of `reacher_four` (6 + 2 inputs, 12 iterations = 4800 transitions; CPU seconds of
one core; error of the next iteration's changes of state, in units of their spread): scikit-learn on
200 transitions, 30 steps of L-BFGS, 0.5 s, 0.0015; GPyTorch 1.15 (all outputs in one batch) on the
same, 60 steps of Adam 0.8 s, 0.054, 200 steps 2.4 s, 0.008; scikit-learn on 400 transitions 3.7 s,
0.0002. With hyper-parameters of 200 and 300 inducing points, in all 0.8 s, the error is 0.0005,
prediction and tangent at 200 points take 3 ms each.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from threadpoolctl import threadpool_limits

from lqr.batching import number

from ..base import Array, ChangeModel
from ..copies import first_of_copies
from ..normaliser import Normaliser
from ..numbers import count, truth

one_thread = threadpool_limits.wrap(
    limits=1, user_api="blas"
)  # small products: more threads only wait for each other
BOUNDS = {
    "variance": (1e-3, 1e4),
    "length": (0.1, 1e3),
    "slope": (1e-3, 1e4),
    "noise": (1e-8, 1.0),
}  # in standard units
JITTER = 1e-10  # of the variance
NO_SLOPE = -60.0  # log of a linear part's variance that is none: beside 1 it is lost in rounding
CURB = 30.0  # power of the penalty beyond the largest ratio of signal to noise


class GaussianProcess(ChangeModel):
    """`subset` transitions for the hyper-parameters, `inducing` and at most `max_points` of all for the
    posterior. Without `slope` the kernel is the squared exponential alone, whose moments are known
    (`moments`); `signal_to_noise` is about the largest ratio of their deviations, 0 for any: without a
    bound, a few exact transitions make a process too certain, and its matrices near singular.
    """

    word = "gp"

    def __init__(
        self,
        subset: int = 200,
        inducing: int = 300,
        max_points: int = 10_000,
        iterations: int = 30,
        reject_outliers: bool = True,
        rare: tuple[int, ...] = (),
        slope: bool = True,
        signal_to_noise: float = 0.0,
    ):
        subset, inducing = count("subset", subset), count("inducing", inducing)
        max_points, iterations = count("max_points", max_points), count("iterations", iterations)
        reject_outliers = truth("reject_outliers", reject_outliers)
        super().__init__(
            subset=subset,
            inducing=inducing,
            max_points=max_points,
            iterations=iterations,
            reject_outliers=int(reject_outliers),
        )
        self.reject_outliers = reject_outliers
        self.take_rare(rare)
        self.slope = truth("slope", slope)
        self.signal_to_noise = number("signal_to_noise", signal_to_noise, 0.0)
        if not self.slope or self.signal_to_noise:  # as files of before had neither
            self.settings |= {"slope": int(self.slope), "signal_to_noise": self.signal_to_noise}
        self.subset = subset
        self.inducing = inducing
        self.max_points = max_points
        self.iterations = iterations
        self.theta = np.zeros(
            (0, 0)
        )  # (dx, n + 3), logs of variance, length scales, slope and noise variance
        self.points = np.zeros((0, 0))  # (m, n), the inducing ones
        self.weights = np.zeros((0, 0))  # (dx, m), of the kernel at the points in the mean
        self.prior, self.post = (
            np.zeros((0, 0, 0)),
            np.zeros((0, 0, 0)),
        )  # (dx, m, m), Cholesky factors
        # what `_bumps` multiplies by, made from these
        self._product: Array | None = None
        self._explained: Array | None = None  # see `explained`

    @one_thread
    def _fit(
        self, z: Array, y: Array, inlier: Array, before: Normaliser | None, rng: np.random.Generator
    ) -> None:
        z, y = z[inlier], y[inlier]
        new = first_of_copies(z, y) == np.arange(len(z))
        z, y = z[new], y[new]  # copies would agree without noise
        if len(self.theta) != y.shape[1] or self.theta.shape[1] != z.shape[1] + 3:
            self.theta = np.tile(_first(z.shape[1], self.slope), (y.shape[1], 1))
        if len(z) > 2:  # fewer say nothing of length scales
            rows = rng.permutation(len(z))[: self.subset]
            self.theta = np.stack(
                [self._learn(z[rows], y[rows, i], th) for i, th in enumerate(self.theta)]
            )
        if len(z) > self.max_points:
            rows = np.sort(rng.permutation(len(z))[: self.max_points])
            z, y = z[rows], y[rows]
        self.points = z[self._least_explained(z)]
        parts = [self._condition(z, y[:, i], th) for i, th in enumerate(self.theta)]
        self.weights, self.prior, self.post = (np.stack(part) for part in zip(*parts, strict=True))
        self._product = self._explained = None

    def _learn(self, z: Array, y: Array, start: Array) -> Array:
        """Returns the logs of the hyper-parameters that make y (M,) most probable."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

        n = z.shape[1]
        kernel = ConstantKernel(1.0, BOUNDS["variance"]) * RBF(np.ones(n), BOUNDS["length"])
        if self.slope:
            kernel = kernel + ConstantKernel(1.0, BOUNDS["slope"]) * DotProduct(0.0, "fixed")
        kernel = kernel + WhiteKernel(1.0, BOUNDS["noise"])
        here = np.arange(n + 3) != (-1 if self.slope else n + 1)  # what is learned
        for theta in (start, _first(n, self.slope)):
            process = GaussianProcessRegressor(
                kernel.clone_with_theta(theta[here]), optimizer=self._search, alpha=1e-9
            )
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter(
                        "ignore"
                    )  # an irrelevant input's length scale lies at its bound
                    found = process.fit(z, y).kernel_.theta
            except np.linalg.LinAlgError:  # the last hyper-parameters are singular on this subset
                continue
            return found if self.slope else np.insert(found, n + 1, NO_SLOPE)
        return _first(n, self.slope)

    def _search(self, objective: Any, start: Array, bounds: Array) -> tuple[Array, float]:
        from scipy.optimize import minimize

        def curbed(theta: Array) -> tuple[float, Array]:
            """The penalty of PILCO's code (Deisenroth et al. 2013): (log ratio / log bound)^30."""
            value, slope = objective(theta)
            log_bound = np.log(self.signal_to_noise)
            ratio = 0.5 * (theta[0] - theta[-1]) / log_bound
            steep = CURB * ratio ** (CURB - 1) * 0.5 / log_bound
            return value + ratio**CURB, slope + steep * (_one(theta, 0) - _one(theta, -1))

        found = minimize(
            curbed if self.signal_to_noise else objective,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": self.iterations},
        )
        return found.x, found.fun

    def _least_explained(self, z: Array) -> Array:
        """Returns rows of z, each the one that those before it explain least, by the mean of the
        correlations.
        """
        left, factor, rows = np.ones(len(z)), np.zeros((min(self.inducing, len(z)), len(z))), []
        for i in range(len(factor)):
            worst = int(np.argmax(left))
            if left[worst] < 1e-8:
                break
            rows.append(worst)
            row = np.mean([_correlation(th, z[worst : worst + 1], z)[0] for th in self.theta], 0)
            factor[i] = (row - factor[:i, worst] @ factor[:i]) / np.sqrt(left[worst])
            left = np.maximum(left - factor[i] ** 2, 0.0)
            left[worst] = 0.0
        return np.array(rows)

    def _condition(self, z: Array, y: Array, theta: Array) -> tuple[Array, Array, Array]:
        """Returns the weights (m,) of the posterior mean and the two Cholesky factors of the
        posterior variance.
        """
        noise, K = np.exp(theta[-1]), _kernel(theta, self.points, self.points)
        L = np.linalg.cholesky(K + JITTER * np.diag(np.diagonal(K)))
        A = solve_triangular(L, _kernel(theta, self.points, z), lower=True)
        B = np.linalg.cholesky(np.eye(len(L)) + A @ A.T / noise)
        half = solve_triangular(B, A @ y / noise, lower=True)
        return solve_triangular(L.T, solve_triangular(B.T, half)), L, B

    @one_thread
    def _predict(self, z: Array) -> tuple[Array, Array]:
        mean, var = np.empty((len(z), len(self.theta))), np.empty((len(z), len(self.theta)))
        for i, theta in enumerate(self.theta):
            k = _kernel(theta, z, self.points)
            alone = np.exp(theta[0]) + np.exp(theta[-2]) * (z**2).sum(1)
            mean[:, i] = k @ self.weights[i]
            a = solve_triangular(self.prior[i], k.T, lower=True)
            b = solve_triangular(self.post[i], a, lower=True)
            var[:, i] = np.maximum(alone - (a**2).sum(0), 0.0) + (b**2).sum(0) + np.exp(theta[-1])
        return mean, var[..., None] * np.eye(len(self.theta))

    def marginals(self, x: Array, u: Array) -> tuple[Array, Array]:
        """Returns the mean of x' and the variance of each coordinate, as `predict` does, (..., dx)
        each: by products alone, for many points at once.
        """
        z, normaliser = self._ask(x, u)
        mean, var = self._marginals(z)
        mean = np.asarray(x) + np.reshape(
            normaliser.change_mean + normaliser.change_std * mean, np.shape(x)
        )
        return mean, (var * normaliser.change_std**2).reshape(np.shape(x))

    @one_thread
    def _marginals(self, z: Array) -> tuple[Array, Array]:
        """Returns mean and variance (M, dx) at points z (M, n), in standard units."""
        E, variance, explained = len(self.theta), np.exp(self.theta[:, 0]), self.explained()
        mean, var = np.empty((len(z), E)), np.empty((len(z), E))
        slope, linear = np.exp(self.theta[:, -2]), z @ self.points.T if self.slope else None
        noise = np.exp(self.theta[:, -1])
        for rows, k in zip(_rows(z), self._correlations(z), strict=True):
            for i in range(E):
                kernel = variance[i] * k[:, i]
                alone = variance[i]
                if linear is not None:
                    kernel = kernel + slope[i] * linear[rows]
                    alone = alone + slope[i] * (z[rows] ** 2).sum(1)
                mean[rows, i] = kernel @ self.weights[i]
                part = kernel @ explained[i].T
                left = alone - np.einsum("ij,ij->i", part, part)
                var[rows, i] = np.maximum(left, 0.0) + noise[i]
        return mean, var

    def explained(self) -> Array:
        """Returns Q (dx, m, m) with which the variance is k(z, z) - |Q k(points, z)|^2 + noise.

        With K = L L' and I + A A' / noise = B B', Q'Q = L^-T (I - (B B')^-1) L^-1; by the
        eigenvectors of B B', so that no difference of large numbers is taken.
        """
        if self._explained is None:
            parts = []
            for L, B in zip(self.prior, self.post, strict=True):
                size, U = np.linalg.eigh(B @ B.T)
                share = np.sqrt(np.maximum(size - 1.0, 0.0) / size)
                parts.append(solve_triangular(L.T, U * share).T)
            self._explained = np.stack(parts)
        return self._explained

    def _mean(self, z: Array) -> Array:
        slope = np.exp(self.theta[:, -2:-1]) * (self.weights @ self.points)
        return np.concatenate([bump.sum(-1) for bump in self._bumps(z)]) + z @ slope.T

    @one_thread
    def _tangent(self, z: Array) -> Array:
        rate = np.exp(-2 * self.theta[:, 1:-2])  # (dx, n)
        slope = np.exp(self.theta[:, -2:-1]) * (self.weights @ self.points)
        pull = np.concatenate([bump @ self.points - bump.sum(-1)[..., None] * part[:, None] for part, bump in
                               zip(_chunks(z), self._bumps(z), strict=True)])  # fmt: skip
        return rate * pull + slope

    def _bumps(self, z: Array) -> Iterator[Array]:
        """Yields variance * correlation * weight of the points z, a thousand at a time, (M, dx, m):
        the mean without the slope, point by point.

        All outputs at once, from one product: |z - p|^2 / l^2 = z^2 / l^2 - 2 z p / l^2 + p^2 /
        l^2.
        """
        scale = np.exp(self.theta[:, 0, None]) * self.weights  # (dx, m)
        for part in self._correlations(z):
            part *= scale
            yield part

    def _correlations(self, z: Array) -> Iterator[Array]:
        """Yields the correlations of the points z with the inducing ones, a thousand at a time, (M,
        dx, m), as new arrays.
        """
        if self._product is None:
            rate = np.exp(-2 * self.theta[:, 1:-2])[:, None]  # (dx, 1, n)
            shape = self.weights.shape
            square = np.broadcast_to(-0.5 * rate, (*shape, z.shape[1]))
            rest = -0.5 * (rate * self.points**2).sum(-1, keepdims=True)
            columns = np.concatenate([square, rate * self.points, rest], -1)
            self._product = np.ascontiguousarray(columns.reshape(-1, columns.shape[-1]).T)
        for part in _chunks(z):
            power = np.concatenate([part**2, part, np.ones((len(part), 1))], 1) @ self._product
            power = np.exp(np.minimum(power, 0.0, out=power), out=power)
            yield power.reshape(len(part), *self.weights.shape)

    def _state(self) -> dict[str, Any]:
        return {
            name: getattr(self, name) for name in ("theta", "points", "weights", "prior", "post")
        }

    def _form(self) -> dict[str, Any]:
        square = ("dx", "m", "m")
        return {
            "theta": ("dx", "h"),
            "points": ("m", "n"),
            "weights": ("dx", "m"),
            "prior": square,
            "post": square,
        }

    def _load(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self._product = self._explained = None


def _rows(z: Array, size: int = 1000) -> list[slice]:
    """Returns which rows of z stand in each of its chunks."""
    return [slice(i, i + size) for i in range(0, max(len(z), 1), size)]


def _chunks(z: Array, size: int = 1000) -> list[Array]:
    """Returns the rows of z, so many at a time."""
    return [z[i : i + size] for i in range(0, len(z), size)] or [z]


def _first(n: int, slope: bool = True) -> Array:
    """Returns the logs of variance 1, length scales 3, slope 1 or none, and noise variance 0.001."""
    return np.array([0.0, *[np.log(3.0)] * n, 0.0 if slope else NO_SLOPE, np.log(1e-3)])


def _one(theta: Array, i: int) -> Array:
    """Returns zeros but for a 1 at place i."""
    return np.eye(len(theta))[i]


def _correlation(theta: Array, a: Array, b: Array) -> Array:
    """Returns exp(-1/2 squared distance in length scales), (A, B)."""
    from scipy.spatial.distance import cdist

    length = np.exp(theta[1:-2])
    return np.exp(-0.5 * cdist(a / length, b / length, "sqeuclidean"))


def _kernel(theta: Array, a: Array, b: Array) -> Array:
    """Returns the prior covariance of the function at a and b, (A, B)."""
    return np.exp(theta[0]) * _correlation(theta, a, b) + np.exp(theta[-2]) * (a @ b.T)
