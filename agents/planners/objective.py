"""What a plan costs: action sequences are rolled out in a planning model from one state, and
evaluated.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lqr import QuadraticCost, window
from lqr.cost_terms import careful
from lqr.expansion import stack
from lqr.user_functions import GuardedCost

from ..interfaces import Cost
from .base import Array
from .models import PlanningModel

AT_ONCE = (
    2**16
)  # numbers of states that are evaluated together: what a cost computes then stays in the cache

DIFFERENCE = 1e-3  # of a value's slope, in sizes of the state; it may be of single precision

Value = Callable[[Array], Array]
"""The cost to go from states (..., dx), (...), that of the state itself included."""


class Objective:
    """The cost of steps t..t+H of an episode of `steps` steps from state x0 (dx,), and what is
    paid from the state after them on by `value`.

    Past the episode's end nothing is rolled out, costs, or counts. `calls` counts the model's
    one-step predictions.
    """

    def __init__(
        self,
        model: PlanningModel,
        cost: Cost,
        x0: Array,
        t: int,
        horizon: int,
        steps: int,
        rng: np.random.Generator,
        value: Value | None = None,
        optimism: float = 0.0,
    ):
        self.model = model
        self.x0 = np.asarray(x0, dtype=float)
        self.t = t
        self.rng = rng
        self.calls = 0
        self.count = max(min(horizon, steps - t), 1)
        self.cost: Any = careful(window(cost, min(t, steps - 1), self.count, steps))
        self.value = value if t + horizon < steps else None
        self.optimism = optimism

    def __call__(self, U: Array) -> Array:
        """Returns costs (N,) of sequences U (N, H, du), the particles' mean less `optimism` times
        their deviation.
        """
        U = U[:, : self.count]
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # a sequence that diverges costs NaN or infinity
            X = self.model.roll(self.x0, U, self.t, self.rng)  # (N, P, H+1, dx)
            N, P, H = X.shape[0], X.shape[1], self.count
            self.calls += N * P * H
            many = np.broadcast_to(U[:, None], (N, P, *U.shape[1:]))
            some = max(AT_ONCE // X[0].size, 1)
            blocks = (slice(i, i + some) for i in range(0, N, some))
            total = np.concatenate(
                [self._sum(self.cost(X[block], many[block])) for block in blocks]
            )
            if self.value is not None:
                total = total + self.value(X[:, :, -1])
            mean = total.mean(1)
            return mean - self.optimism * total.std(1) if self.optimism else mean

    def _sum(self, costs: Array) -> Array:
        """Returns sums of costs (..., H+1); the last state's is in the value, where there is one."""
        return costs.sum(-1) if self.value is None else costs[..., :-1].sum(-1)

    def steps(self, horizon: int) -> int:
        """Returns how many of `horizon` steps lie within the episode."""
        return min(horizon, self.count)

    def step(self, x: Array, u: Array, i: int) -> Array:
        """Returns the mean of x' (..., dx) after step i of the horizon."""
        self.calls += int(np.prod(x.shape[:-1]))
        return self.model.step(x, u, self.t + i)

    def jacobian(self, X: Array, U: Array) -> Array:
        """Returns the derivatives of `step` along the horizon, (..., H, dx, n)."""
        self.calls += int(np.prod(X.shape[:-1]))
        return self.model.jacobian(X, U, self.t)

    def gradient(self, U: Array) -> tuple[Array, Array]:
        """Returns the cost (N,) along the model's mean and its exact derivatives (N, H, du), by the
        adjoint recursion

        p_H = dl_H/dx or dV/dx,   dJ/du_t = dl_t/du + B_t' p_t+1,   p_t = dl_t/dx + A_t' p_t+1,

        with that of the value by central differences.
        """
        n, dx = self.count, len(self.x0)
        X = np.empty((len(U), n + 1, dx))
        X[:, 0] = self.x0
        with np.errstate(over="ignore", invalid="ignore"):
            for t in range(n):
                X[:, t + 1] = self.step(X[:, t], U[:, t], t)
            total, beyond = self._sum(self.cost(X, U[:, :n])), np.zeros((len(U), dx))
            if self.value is not None:
                total, beyond = total + self.value(X[:, n]), _slope_of(self.value, X[:, n])
            quadratic = _expanded(self.cost, X, U[:, :n], np.isfinite(total))
            slope = _slope(quadratic, X, U[:, :n])
            F = self.jacobian(X[:, :-1], U[:, :n])
            last = slope[:, n, :dx] if self.value is None else beyond
            out, p = np.zeros(U.shape), last
            for t in range(n - 1, -1, -1):
                p = slope[:, t] + (np.swapaxes(F[:, t], -1, -2) @ p[..., None])[..., 0]
                out[:, t], p = p[:, dx:], p[:, :dx]
            return total, out


def _expanded(cost: Any, X: Array, U: Array, rows: Array) -> QuadraticCost:
    """Returns the expansion; of a user's cost it must be finite where `rows` (N,) says so."""
    found: QuadraticCost = (
        cost.expand(X, U, rows) if isinstance(cost, GuardedCost) else cost.expand(X, U)
    )
    return found


def _slope(cost: QuadraticCost, X: Array, U: Array) -> Array:
    """Returns the derivatives in xu of an expansion, at the trajectory that it was made at, (N,
    H+1, n).
    """
    return (cost.C @ stack(X, U)[..., None])[..., 0] + cost.c


def _slope_of(value: Value, x: Array) -> Array:
    """Returns the derivatives (N, dx) of a cost to go at states x (N, dx), by central differences."""
    h = DIFFERENCE * np.maximum(np.abs(x), 1.0)
    move = np.eye(x.shape[1]) * h[:, None]  # (N, dx, dx)
    up, down = (value(x[:, None] + sign * move) for sign in (1.0, -1.0))
    slope: Array = (up - down) / (2 * h)
    return slope
