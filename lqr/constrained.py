"""State and action constraints by the method of multipliers, around iLQR or DDP.

    minimise  cost    subject to   g_i(x_t, u_t) <= 0  for every t and i

Each round solves the augmented Lagrangian cost + sum (max(0, lambda + rho g)^2 - lambda^2) / (2 rho) from the last
trajectory, then moves lambda to max(0, lambda + rho g), and raises rho where the violation did not fall by a factor of
four (Nocedal & Wright 2006, section 17.4).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from .costs import Cost, stack
from .errors import InputError
from .ilqr import ILQRResult, ilqr
from .types import Array, QuadraticCost

Constraint = Callable[[Array, Array], tuple[Array, Array]]
"""g(X (T+1, dx), U (T, du)) -> values (T+1, m) and Jacobians (T+1, m, n); at step T only x counts."""


class ConstrainedResult(NamedTuple):
    """The trajectory, and how well it keeps the constraints."""

    solution: ILQRResult  # its cost is that of the augmented Lagrangian
    cost: float  # without multipliers
    multipliers: Array  # (T+1, m), not negative
    violation: float  # the largest g, or 0
    rounds: int
    converged: bool  # violation within tolerance, and the last solve converged


@dataclass(frozen=True, eq=False)
class AugmentedLagrangian:
    """A cost with its constraints added for given multipliers (T+1, m) and penalties rho (T+1, m)."""

    cost: Cost
    constraint: Constraint
    multipliers: Array
    rho: Array

    def __call__(self, X: Array, U: Array) -> Array:
        pressed = np.maximum(self.multipliers + self.rho * self.constraint(X, U)[0], 0.0)
        return self.cost(X, U) + ((pressed**2 - self.multipliers**2) / (2 * self.rho)).sum(-1)

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        C, c, const = self.cost.expand(X, U)
        values, G = self.constraint(X, U)
        pressed = np.maximum(self.multipliers + self.rho * values, 0.0)
        extra = np.einsum("tmi,tm,tmj->tij", G, np.where(pressed > 0, self.rho, 0.0), G)
        gradient, xu = np.einsum("tm,tmi->ti", pressed, G), stack(X, U)
        linear = gradient - (extra @ xu[..., None])[..., 0]
        offset = ((pressed**2 - self.multipliers**2) / (2 * self.rho)).sum(-1)
        return QuadraticCost(C + extra, c + linear, const + offset - 0.5 * ((gradient + linear) * xu).sum(-1))


def constrained_ilqr(
    dynamics: Callable[[Array, Array], Array],
    cost: Cost,
    constraint: Constraint,
    x0: Array,
    U: Array,
    *,
    rho: float = 10.0,
    violation: float = 1e-6,
    max_rounds: int = 30,
    **options: Any,
) -> ConstrainedResult:
    """Returns a trajectory of locally least cost whose constraints hold within `violation`.

    `constraint` is as in `Constraint`; `options` go to `ilqr`. Check `converged`: an infeasible problem ends after
    `max_rounds` with the violation it could not remove. Raises InputError for shapes that do not fit.
    """
    T, n = len(U), len(x0) + np.shape(U)[-1]
    values, G = constraint(np.tile(np.asarray(x0, dtype=float), (T + 1, 1)), np.asarray(U, dtype=float))
    m = values.shape[-1]
    if values.shape != (T + 1, m) or G.shape != (T + 1, m, n):
        raise InputError(
            f"constraint gave shapes {values.shape} and {G.shape}; expected {(T + 1, m)} and {(T + 1, m, n)}"
        )
    problem = AugmentedLagrangian(cost, constraint, np.zeros((T + 1, m)), np.full((T + 1, m), rho))
    last, worst, rounds = np.inf, np.inf, 0
    while rounds < max(max_rounds, 1):
        rounds += 1
        solution = ilqr(dynamics, problem, x0, U, **options)
        U = solution.U
        values = constraint(solution.X, U)[0]
        worst = max(float(values.max()), 0.0)
        multipliers = np.maximum(problem.multipliers + problem.rho * values, 0.0)
        change = float(abs(np.minimum(-values, problem.multipliers / problem.rho)).max())  # complementarity as well
        if change <= violation:
            break
        grown = problem.rho * (10.0 if change > 0.25 * last else 1.0)
        problem = replace(problem, multipliers=multipliers, rho=np.minimum(grown, 1e10))
        last = change
    done = worst <= violation and solution.converged
    return ConstrainedResult(solution, float(cost(solution.X, U).sum()), problem.multipliers, worst, rounds, done)
