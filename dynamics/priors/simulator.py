"""A simulator whose parameters may be wrong, as a prior for local models: its tangent, and how far
its steps miss.

A task offers one step of its own simulator from any state, x' = f(x, u, factors), in which each
factor multiplies some physical parameter. The prior says x' ~ N(f + its tangent, R), where R is how
far f was from what was seen. As episodes arrive, the factors are identified again:

    minimise over theta = log factors    1/2 sum_i |(x'_i - f(x_i, u_i, e^theta)) / s|^2 + 1/2 |theta / width|^2

with s the residual's own size, found from the fit in turn. This is the mode of the posterior for
residuals N(0, s^2) and factors that are log-normal about what the simulator says.
"""

from typing import Any

import numpy as np

from lqr import Gaussian, InputError

from ..asking import simulated
from ..base import Array, Tangent
from ..capabilities import HasSimulator, Simulator, capability, manifold_of
from ..manifold import Manifold
from ..numbers import above, count, truth
from ..storage.tree import check_tree
from .linearised import Linearised


class OnManifold:
    """A simulator of states on a manifold, as priors see these: in tangent coordinates about the
    manifold's zero.
    """

    def __init__(self, simulator: Simulator, manifold: Manifold):
        self.parameters, self._simulator, self._manifold = simulator.parameters, simulator, manifold

    def __call__(self, x: Array, u: Array, factors: Array) -> Array:
        """Returns x (M, dim) plus the change, taken in the tangent space of the state itself."""
        state = self._manifold.retract(self._manifold.zero, x)
        after = simulated(self._simulator, state, u, factors)
        return x + self._manifold.difference(after, state)


class IdentifiedSimulator:
    """A task's own simulator as a model of x', with factors on its parameters that are found from
    the transitions.
    """

    careful = True  # it writes to nothing that it gets; see `asking`

    def __init__(
        self, identify: bool = True, width: float = 0.7, limit: float = 10.0, window: int = 2000
    ):
        """`width` is the standard deviation of the log factors, 0.7 for a factor of 2; `limit`
        bounds the factors.

        The last `window` transitions count; `identify` says whether the factors are looked for, or
        stay 1.
        """
        self.identify = truth("identify", identify)
        self.width = above("width", width)
        self.limit = above("limit", limit, 1.0)
        self.window = count("window", window)
        self.simulator: Simulator | None = None  # of what the model sees
        self.raw: Any = None  # of the task's states
        self.theta = np.zeros(0)  # (P,), log factors
        self.spread = np.zeros(0)  # (n,), standard deviation of [x; u] in the window
        self.residual = np.zeros(
            (0, 0)
        )  # (dx, dx), second moment of what the simulator misses in one step
        # by how much the last fit changed the simulator's steps, as a share of their size
        self.moved = 0.0

    def attach(self, task: Any) -> None:
        """Takes the task's simulator. Raises InputError where the task has none."""
        found = capability(task, HasSimulator)
        if found is None:
            name = "none" if task is None else task.name
            raise InputError(
                f"the prior simulator got the task {name}, which has no simulator; expected an attribute `simulator` "
                "(see dynamics.capabilities.Simulator); give it one, or choose another prior"
            )
        simulator, manifold = found.simulator, manifold_of(task)
        self.raw = simulator
        self.simulator = OnManifold(simulator, manifold) if manifold else simulator
        self.theta = np.zeros(len(simulator.parameters))

    @property
    def factors(self) -> dict[str, float]:
        """What the simulator's parameters are multiplied by, by name."""
        return dict(zip(self._attached().parameters, np.exp(self.theta).tolist(), strict=True))

    def step(self, x: Array, u: Array) -> Array:
        """Returns the task's states (M, .) one step after x (M, .) under u (M, du), as the
        simulator now believes.
        """
        self._attached()
        return simulated(self.raw, x, u, np.exp(np.tile(self.theta, (len(x), 1))))

    def fit(self, x: Array, u: Array, xnext: Array, rng: np.random.Generator) -> None:
        """Identifies the factors from transitions (M, dx), (M, du), (M, dx), and how far the
        simulator then is off.
        """
        x, u, xnext = (a[-self.window :] for a in (x, u, xnext))
        change = xnext - x
        self.spread = np.sqrt(np.maximum(np.concatenate([x, u], -1).var(0), 1e-12))
        before = self._miss(self.theta, x, u, change)
        if self.identify and len(self.theta):
            self._identify(x, u, change)
        miss = self._miss(self.theta, x, u, change)
        valid = np.isfinite(miss).all(1) & np.isfinite(before).all(1)
        miss, size = miss[valid], np.maximum(np.sqrt((change**2).mean(0)), 1e-9)
        self.moved = (
            float((np.abs(miss - before[valid]) / size).mean(0).max(initial=0.0))
            if len(miss)
            else 0.0
        )
        floor = 1e-12 * np.maximum(change.var(0), 1e-12)
        self.residual = miss.T @ miss / max(len(miss), 1) + np.diag(floor)

    def miss(self, theta: Array, x: Array, u: Array, xnext: Array) -> Array:
        """Returns how far the simulator with log factors theta (P,) is from x' (M, dx)."""
        return self._miss(theta, x, u, xnext - x)

    def predict(self, x: Array, u: Array) -> Gaussian:
        """Returns x' (..., dx) as simulated, and the second moment of what the simulator misses
        (..., dx, dx).
        """
        x = np.asarray(x, dtype=float)
        after = self._simulate(
            self.theta, x.reshape(-1, x.shape[-1]), np.reshape(u, (-1, np.shape(u)[-1]))
        )
        return Gaussian(
            after.reshape(x.shape), np.broadcast_to(self.residual, (*x.shape, x.shape[-1]))
        )

    def sample(self, x: Array, u: Array, rng: np.random.Generator) -> Array:
        """Returns a draw of x' (..., dx)."""
        mean = self.predict(x, u).mean
        return mean + rng.standard_normal(mean.shape) @ np.linalg.cholesky(self.residual).T

    def linearise(self, x: Array, u: Array) -> Tangent:
        """Returns the tangent of the simulator by central differences, in one batch.

        A step that the simulator cannot take leaves the state as it is.
        """
        dx = x.shape[-1]
        xu = np.concatenate([x, u], -1)
        n, h = xu.shape[-1], 1e-3 * self.spread
        points = (
            xu.reshape(-1, 1, n) + np.concatenate([np.zeros((1, n)), np.diag(h), -np.diag(h)])
        ).reshape(-1, n)
        after = self._simulate(self.theta, points[:, :dx], points[:, dx:])
        change = (after - points[:, :dx]).reshape(-1, 2 * n + 1, dx)
        change = np.where(np.isfinite(change).all((1, 2))[:, None, None], change, 0.0)
        slope = np.swapaxes((change[:, 1 : n + 1] - change[:, n + 1 :]) / (2 * h[:, None]), -1, -2)
        slope[..., range(dx), range(dx)] += 1.0
        noise = np.broadcast_to(self.residual, (*x.shape, dx))
        return Tangent(x + change[:, 0].reshape(x.shape), slope.reshape(*x.shape, n), noise)

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs, as a tree of arrays and numbers."""
        return (
            {name: getattr(self, name) for name in ("theta", "spread", "residual", "moved")}
            if len(self.spread)
            else {}
        )

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        form = {
            "theta": (len(self.theta),),
            "spread": ("n",),
            "residual": ("dx", "dx"),
            "moved": float,
        }
        check_tree(state, form if state else {}, "simulator")
        for name, value in state.items():
            setattr(self, name, value)

    def _attached(self) -> Simulator:
        if self.simulator is None:
            raise InputError(
                "the prior simulator has no task; expected attach(task), or make_prior(..., task)"
            )
        return self.simulator

    def _simulate(self, theta: Array, x: Array, u: Array) -> Array:
        factors = np.exp(np.broadcast_to(theta, (len(x), theta.shape[-1])))
        return simulated(self._attached(), x, u, factors)

    def _miss(self, theta: Array, x: Array, u: Array, change: Array) -> Array:
        return x + change - self._simulate(theta, x, u)

    def _identify(self, x: Array, u: Array, change: Array, most: int = 200) -> None:
        """Moves theta to the mode of its posterior, given at most `most` transitions spread over
        the window.
        """
        from mujoco import minimize

        usable = np.flatnonzero(np.isfinite(self._miss(self.theta, x, u, change)).all(1))
        if not len(usable):
            return
        rows = usable[:: -(-len(usable) // most)]
        x, u, change = x[rows], u[rows], change[rows]
        least = 1e-6 * np.maximum(np.sqrt((change**2).mean(0)), 1e-9)
        M, P = len(x), len(self.theta)
        bound = np.full(P, np.log(self.limit))

        def residual(thetas: Array) -> Array:  # (P, K) -> (R, K)
            K = thetas.shape[1]
            stacked = (np.concatenate([a] * K) for a in (x, u, change))
            miss = self._miss(np.repeat(thetas.T, len(x), axis=0), *stacked) / size
            miss = np.where(np.isfinite(miss), miss, 1e6)  # a step that fails is as bad as it gets
            return np.concatenate([miss.reshape(K, -1).T, thetas / self.width])

        size = np.maximum(np.sqrt((self._miss(self.theta, x, u, change) ** 2).mean(0)), least)
        for _ in range(
            10
        ):  # the smaller the miss, the more the data say; P of them may be fitted by chance
            theta, _ = minimize.least_squares(
                self.theta,
                residual,
                bounds=[-bound, bound],
                eps=1e-4,
                xtol=1e-4,
                max_iter=20,
                verbose=0,
            )
            self.theta, before = theta.ravel(), size
            miss = (self._miss(self.theta, x, u, change) ** 2).sum(0)
            size = np.maximum(np.sqrt((miss + P * before**2) / (M + P)), least)
            if (size > 0.9 * before).all():
                break


class SimulatorPrior(Linearised):
    """The prior `simulator`: the tangent of the task's own simulator at the mean of each step's
    samples.
    """

    model: IdentifiedSimulator

    def __init__(
        self, identify: bool = True, width: float = 0.7, limit: float = 10.0, window: int = 2000
    ):
        """See `IdentifiedSimulator`."""
        super().__init__(IdentifiedSimulator(identify, width, limit, window))

    def attach(self, task: Any) -> None:
        """Takes the task's simulator. Raises InputError where the task has none."""
        self.model.attach(task)
