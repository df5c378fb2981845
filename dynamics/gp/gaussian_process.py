"""A Gaussian process for each coordinate's change of state, with a length scale for each input
(ARD).

Hyper-parameters maximise the marginal likelihood of a random subset (scikit-learn's, by L-BFGS,
from the last ones). The posterior then rests on all data through inducing points (deterministic
training conditional: Quinonero-Candela & Rasmussen, A unifying view of sparse approximate Gaussian
process regression, 2005, section 6), which averages noise over all of them; where every transition
is an inducing point, it is the exact one. The points are those of the data that the others explain
least (pivoted Cholesky: Burt et al., Convergence of sparse variational inference, 2020): on trials
that crowd around a few trajectories, random ones explain the rest up to ten times worse.

Measured on trials of `reacher_four` (6 + 2 inputs, 12 iterations = 4800 transitions; CPU seconds of
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


class GaussianProcess(ChangeModel):
    """`subset` transitions for the hyper-parameters, `inducing` and at most `max_points` of all for the
    posterior.
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
        self._product: tuple[Array, Array] | None = None

    @one_thread
    def _fit(
        self, z: Array, y: Array, inlier: Array, before: Normaliser | None, rng: np.random.Generator
    ) -> None:
        z, y = z[inlier], y[inlier]
        new = first_of_copies(z, y) == np.arange(len(z))
        z, y = z[new], y[new]  # copies would agree without noise
        if len(self.theta) != y.shape[1] or self.theta.shape[1] != z.shape[1] + 3:
            self.theta = np.tile(_first(z.shape[1]), (y.shape[1], 1))
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
        self._product = None

    def _learn(self, z: Array, y: Array, start: Array) -> Array:
        """Returns the logs of the hyper-parameters that make y (M,) most probable."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

        n = z.shape[1]
        kernel = ConstantKernel(1.0, BOUNDS["variance"]) * RBF(np.ones(n), BOUNDS["length"])
        kernel = kernel + ConstantKernel(1.0, BOUNDS["slope"]) * DotProduct(0.0, "fixed")
        kernel = kernel + WhiteKernel(1.0, BOUNDS["noise"])
        for theta in (start, _first(n)):
            process = GaussianProcessRegressor(
                kernel.clone_with_theta(theta), optimizer=self._search, alpha=1e-9
            )
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter(
                        "ignore"
                    )  # an irrelevant input's length scale lies at its bound
                    return process.fit(z, y).kernel_.theta
            except np.linalg.LinAlgError:  # the last hyper-parameters are singular on this subset
                continue
        return _first(n)

    def _search(self, objective: Any, start: Array, bounds: Array) -> tuple[Array, float]:
        from scipy.optimize import minimize

        found = minimize(
            objective,
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
        if self._product is None:
            rate = np.exp(-2 * self.theta[:, 1:-2])[:, None]  # (dx, 1, n)
            scale = np.exp(self.theta[:, 0, None]) * self.weights  # (dx, m)
            square = np.broadcast_to(-0.5 * rate, (*scale.shape, z.shape[1]))
            rest = -0.5 * (rate * self.points**2).sum(-1, keepdims=True)
            columns = np.concatenate([square, rate * self.points, rest], -1).reshape(scale.size, -1)
            self._product = np.ascontiguousarray(columns.T), scale
        columns, scale = self._product
        for part in _chunks(z):
            power = np.concatenate([part**2, part, np.ones((len(part), 1))], 1) @ columns
            yield (
                np.exp(np.minimum(power, 0.0, out=power), out=power).reshape(
                    len(part), *scale.shape
                )
                * scale
            )

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
        self._product = None


def _chunks(z: Array, size: int = 1000) -> list[Array]:
    """Returns the rows of z, so many at a time."""
    return [z[i : i + size] for i in range(0, len(z), size)] or [z]


def _first(n: int) -> Array:
    """Returns the logs of variance 1, length scales 3, slope 1 and noise variance 0.001."""
    return np.log([1.0, *[3.0] * n, 1.0, 1e-3])


def _correlation(theta: Array, a: Array, b: Array) -> Array:
    """Returns exp(-1/2 squared distance in length scales), (A, B)."""
    from scipy.spatial.distance import cdist

    length = np.exp(theta[1:-2])
    return np.exp(-0.5 * cdist(a / length, b / length, "sqeuclidean"))


def _kernel(theta: Array, a: Array, b: Array) -> Array:
    """Returns the prior covariance of the function at a and b, (A, B)."""
    return np.exp(theta[0]) * _correlation(theta, a, b) + np.exp(theta[-2]) * (a @ b.T)
