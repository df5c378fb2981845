"""iLQR from a guess of states and actions that need not obey the dynamics (multiple shooting).

    minimise  sum_t cost_t(x_t, u_t)    subject to   x_{t+1} = f(x_t, u_t),   from x0

Between the guessed states there are gaps, g_{t+1} = f(x_t, u_t) - x_{t+1}. The backward pass knows
them, as the affine part of the dynamics; a step alpha leaves (1 - alpha) of each, also of x0 - X_0
(Mastalli et al. 2020, section III). Steps are found by backtracking on the merit cost + nu sum |g|_1,
whose nu stays above the largest costate, so that the merit falls along every direction found
(Nocedal & Wright 2006, section 18.3). A full step closes all gaps, and then it is plain iLQR.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .batching import callable_of, finite, number, whole
from .cost_function import as_cost
from .costs import as_term
from .differentiation import Dynamics, check, differenced, parts
from .errors import InputError, NotPositiveDefinite
from .evaluation import backward_regularised, costate
from .expansion import Cost, make_convex, stack
from .types import Array, LinearGaussianController, LinearGaussianDynamics, QuadraticCost
from .user_functions import GuardedCost

STEPS = 0.5 ** np.arange(16)
ARMIJO = 1e-4


class ShootingResult(NamedTuple):
    """Locally optimal trajectories, and what is left of the gaps."""

    X: Array  # (..., T+1, dx)
    U: Array  # (..., T, du)
    controller: LinearGaussianController  # u = K x + k passes through (X, U); cov is 0
    cost: Array  # (...)
    gap: Array  # (...), the largest |f(x_t, u_t) - x_{t+1}|, and of x0
    merit: Array  # (...), cost + nu sum |gap|
    iterations: Array  # (...), backward passes
    converged: Array  # (...), gaps are closed, and no direction promises more than the tolerance
    status: Array  # (...): "converged", "no step improves" or "still improving"


def multiple_shooting(
    dynamics: Dynamics,
    cost: Cost | QuadraticCost | Callable[[Array, Array], Array],
    x0: Any,
    X: Any,
    U: Any,
    *,
    jacobian: Callable[[Array, Array], Array] | None = None,
    max_iterations: int = 200,
    tolerance: float = 1e-9,
) -> ShootingResult:
    """Returns the trajectories reached from the guess X (..., T+1, dx), U (..., T, du), for starts
    x0 (..., dx).

    `dynamics`, `cost` and `jacobian` are as in `ilqr`, for one problem at a time. A guess of the
    states helps where actions are hard to guess and states are not, and where a long rollout of
    unstable dynamics would run away. Raises InputError for shapes that do not fit, and for a guess
    whose cost is not finite.
    """
    x0, X, U = finite("x0", x0), finite("X", X), finite("U", U)
    max_iterations, tolerance = (
        whole("max_iterations", max_iterations, 0),
        number("tolerance", tolerance),
    )
    if X.ndim < 2 or U.ndim < 2 or X.shape[-2] != U.shape[-2] + 1 or x0.shape[-1:] != X.shape[-1:]:
        raise InputError(
            f"x0 has shape {x0.shape}, X {X.shape}, U {U.shape}; expected (..., dx), (..., T+1, dx), (..., T, du)"
        )
    callable_of("dynamics", dynamics, "(x, u) -> x'")
    objective = as_cost(cost)
    objective = as_term(objective) if isinstance(objective, QuadraticCost) else objective
    objective = GuardedCost(objective)
    try:
        lead = np.broadcast_shapes(x0.shape[:-1], X.shape[:-2], U.shape[:-2])
    except ValueError as error:
        raise InputError(
            f"leading axes of x0 {x0.shape}, X {X.shape}, U {U.shape} do not broadcast; make them equal or 1"
        ) from error
    starts = np.broadcast_to(x0, (*lead, x0.shape[-1]))
    guesses = np.broadcast_to(X, lead + X.shape[-2:]), np.broadcast_to(U, lead + U.shape[-2:])
    found = []
    for b in np.ndindex(lead):
        first, plan = starts[b].copy(), guesses[1][b].copy()
        check(
            dynamics,
            jacobian,
            False,
            (),
            first[None],
            plan[None],
            False,
            differenced(jacobian, None, False),
        )
        one = Shooting(dynamics, jacobian, objective, first, guesses[0][b].copy(), plan)
        found.append(one.solve(max_iterations, tolerance))
    flat = [np.stack(field) for field in zip(*found, strict=True)]
    X, U, K, k, *rest = (a.reshape(lead + a.shape[1:])[()] for a in flat)
    controller = LinearGaussianController(K, k, np.zeros((*k.shape, k.shape[-1])))
    return ShootingResult(X, U, controller, *rest)


class Shooting:
    """One problem, at its present states and actions."""

    def __init__(self, f: Any, jacobian: Any, cost: Any, x0: Array, X: Array, U: Array) -> None:
        self.roll, self.differentiate = parts(f, jacobian, None, False, (), False, False)
        self.cost, self.x0, self.X, self.U = cost, x0, X, U
        self.nu, self.mu = 0.0, 0.0
        self.J, self.gaps = self.evaluate(X, U)
        if not np.isfinite(self.J):
            raise InputError("the cost of the guess X, U is not finite; start from another one")

    def evaluate(self, X: Array, U: Array) -> tuple[float, Array]:
        """Returns the cost of a trajectory, and its gaps (T+1, dx), that of the start first."""
        T, dx = len(U), X.shape[1]
        none = np.zeros((T, 1, U.shape[1], dx)), np.zeros((T, 1, U.shape[1]))
        ahead, same = np.stack([X[:-1], X[:-1]], 1), np.empty((T, 1, U.shape[1]))
        free = np.full((T, 1, U.shape[1]), np.inf)
        here = np.ones(T, bool)
        self.roll(
            here, ahead.copy(), U[:, None].copy(), *none, np.ones(T), -free, free, ahead, same
        )
        gaps = np.concatenate([[self.x0 - X[0]], ahead[:, 1] - X[1:]])
        return float(self.cost(X, U).sum()), gaps

    def solve(self, max_iterations: int, tolerance: float) -> tuple[Any, ...]:
        """Returns the fields of a result."""
        status, iterations = "still improving", 0
        K, k = np.zeros((*self.U.shape, self.X.shape[1])), np.zeros(self.U.shape)
        while iterations < max_iterations:
            iterations += 1
            (K, k, _), slope = self.direction()
            scale = abs(self.J) + 1e-300
            if abs(slope) <= tolerance * scale and self.largest() <= tolerance * self.size():
                status = "converged"
                break
            if not self.step(K, k, slope):
                if self.mu > 1e10:
                    status = "no step improves"
                    break
                self.mu = max(10 * self.mu, 1e-6)
            else:
                self.mu = 0.0 if self.mu < 1e-6 else self.mu / 10
        if iterations and not np.isfinite(self.evaluate(self.X, self.U)[0]):
            raise InputError(
                "cost(X, U) gave numbers that are not finite for the trajectory found; expected the same ones each time"
            )
        merit = self.J + self.nu * abs(self.gaps).sum()
        affine = self.U - (K @ self.X[:-1, :, None])[..., 0]
        return (self.X, self.U, K, affine, self.J, self.largest(), merit, iterations,
                status == "converged", status)  # fmt: skip

    def largest(self) -> float:
        return float(abs(self.gaps).max())

    def size(self) -> float:
        return float(1.0 + abs(self.X).max())

    def direction(self) -> tuple[LinearGaussianController, float]:
        """Returns gains in deviations from the trajectory, and the slope of the merit along them."""
        T, dx, du = len(self.U), self.X.shape[1], self.U.shape[1]
        F = np.zeros((1, T, dx, dx + du))
        second = np.zeros((1, 0, dx, dx + du, dx + du))
        self.differentiate(np.ones(1, bool), self.X[None].copy(), self.U[None].copy(), F, second)
        model = LinearGaussianDynamics(F[0], self.gaps[1:], np.zeros((T, dx, dx)))
        C, c, _ = self.cost.expand(self.X, self.U)
        C = 0.5 * (C + np.swapaxes(C, -1, -2))
        c = c + (C @ stack(self.X, self.U)[..., None])[..., 0]
        C[T, dx:], C[T, :, dx:], c[T, dx:] = 0.0, 0.0, 0.0
        near = QuadraticCost(C, c, np.zeros(T + 1))
        curvature = abs(C).max() + 1e-300
        while True:
            try:
                gains, value = backward_regularised(model, near, 0.0, self.mu * curvature)
                break
            except NotPositiveDefinite:
                if self.mu > 1e10:  # hopeless: as if all curvature below zero were none
                    near = make_convex(near)
                self.mu = max(10 * self.mu, 1e-6)
        dX, dU = np.zeros_like(self.X), np.zeros_like(self.U)
        dX[0] = self.gaps[0]
        for t in range(T):
            dU[t] = gains.K[t] @ dX[t] + gains.k[t]
            dX[t + 1] = F[0, t] @ np.concatenate([dX[t], dU[t]]) + self.gaps[t + 1]
        self.nu = max(self.nu, 1.5 * abs(costate(value, dX)).max())
        slope = float((c * stack(dX, dU)).sum()) - self.nu * abs(self.gaps).sum()
        return gains, slope

    def step(self, K: Array, k: Array, slope: float) -> bool:
        """Takes the longest step that improves the merit; returns whether there was one."""
        merit = self.J + self.nu * abs(self.gaps).sum()
        for alpha in STEPS:
            X, U = self.shoot(K, k, alpha)
            if not (np.isfinite(X).all() and np.isfinite(U).all()):
                continue
            J, gaps = self.evaluate(X, U)
            gained = merit - (J + self.nu * abs(gaps).sum())
            enough = max(-ARMIJO * alpha * slope, 0.0) - 1e-13 * abs(merit)
            if np.isfinite(J) and gained >= enough:
                self.X, self.U, self.J, self.gaps = X, U, J, gaps
                return True
        return False

    def shoot(self, K: Array, k: Array, alpha: float) -> tuple[Array, Array]:
        """Returns a rollout that leaves (1 - alpha) of each gap."""
        X, U = np.empty_like(self.X), np.empty_like(self.U)
        X[0] = self.x0 - (1 - alpha) * self.gaps[0]
        free = np.full((1, 1, U.shape[1]), np.inf)
        for t in range(len(U)):
            both, taken = np.stack([X[t], X[t]])[None], np.empty((1, 1, U.shape[1]))
            base = np.stack([self.X[t], self.X[t]])[None]
            self.roll(np.ones(1, bool), base, self.U[None, t : t + 1].copy(), K[None, t : t + 1], k[None, t : t + 1],
                      np.array([alpha]), -free, free, both, taken)  # fmt: skip
            U[t], X[t + 1] = taken[0, 0], both[0, 1] - (1 - alpha) * self.gaps[t + 1]
        return X, U
