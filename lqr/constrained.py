"""State and action constraints by the method of multipliers, around iLQR or DDP.

    minimise  cost    subject to   g_i(x_t, u_t) <= 0, or = 0,  for every t and i

Each round solves the augmented Lagrangian cost + sum (max(0, lambda + rho g)^2 - lambda^2) / (2
rho) from the last trajectory, then moves lambda to max(0, lambda + rho g), and raises rho where the
violation did not fall by a factor of four (Nocedal & Wright 2006, section 17.4). For an equality
there is no max.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .batching import callable_of, finite, number, positive, truths, whole
from .cost_function import as_cost
from .costs import as_term
from .differentiation import Dynamics
from .errors import InputError
from .expansion import Cost, stack
from .ilqr import ILQRResult, ilqr
from .types import Array, LinearGaussianController, QuadraticCost
from .user_functions import GuardedCost, guarded, real

Constraint = Callable[[Array, Array], tuple[Array, Array]]
"""g(X (..., T+1, dx), U (..., T, du)) -> values (..., T+1, m), Jacobians (..., T+1, m, n); at step
T only x counts.
"""


class ConstrainedResult(NamedTuple):
    """The trajectory, and how well it keeps the constraints."""

    solution: ILQRResult  # its cost is that of the augmented Lagrangian
    cost: Array  # (...), without multipliers
    multipliers: Array  # (..., T+1, m), not negative but of equalities
    violation: Array  # (...), the largest g, or |g| of an equality, or 0
    rounds: Array  # (...)
    converged: Array  # (...), violation within tolerance, and the last solve converged


@dataclass(frozen=True, eq=False)
class AugmentedLagrangian:
    """A cost with its constraints added for given multipliers and penalties rho, both (..., T+1,
    m).
    """

    cost: Cost
    constraint: Constraint
    multipliers: Array
    rho: Array
    equality: Array  # (m,) bool
    said = "the cost with its constraint"

    def __call__(self, X: Array, U: Array) -> Array:
        values, _ = asked(self.constraint, X, U, finite=False)
        pressed = pressing(self.multipliers + self.rho * values, self.equality)
        return self.cost(X, U) + ((pressed**2 - self.multipliers**2) / (2 * self.rho)).sum(-1)

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        C, c, const = self.cost.expand(X, U)
        values, G = asked(self.constraint, X, U, finite=False)
        pressed = pressing(self.multipliers + self.rho * values, self.equality)
        acting = np.where((pressed > 0) | self.equality, self.rho, 0.0)
        extra = np.einsum("...mi,...m,...mj->...ij", G, acting, G)
        gradient, xu = np.einsum("...m,...mi->...i", pressed, G), stack(X, U)
        linear = gradient - (extra @ xu[..., None])[..., 0]
        offset = ((pressed**2 - self.multipliers**2) / (2 * self.rho)).sum(-1)
        return QuadraticCost(
            C + extra, c + linear, const + offset - 0.5 * ((gradient + linear) * xu).sum(-1)
        )


def constrained_ilqr(
    dynamics: Dynamics,
    cost: Cost | QuadraticCost,
    constraint: Constraint,
    x0: Any,
    U: Any,
    *,
    rho: float = 10.0,
    violation: float = 1e-6,
    max_rounds: int = 30,
    equality: Any = False,
    **options: Any,
) -> ConstrainedResult:
    """Returns trajectories of locally least cost whose constraints hold within `violation`.

    `constraint` is as in `Constraint`; where `equality`, True or (m,) booleans, it is g = 0 and its
    multiplier may have any sign, else g <= 0. A step that a constraint leaves out has g = -1, or g =
    0 for an equality, with slope 0 there. x0 (..., dx), U (..., T, du) and `options` are those of
    `ilqr`. Each problem of a batch has its own multipliers, penalties and end. Check `converged`:
    an infeasible problem ends after `max_rounds` with the violation it could not remove. Raises
    InputError for shapes that do not fit, or rho that is not above 0.
    """
    x0, U = finite("x0", x0), finite("U", U)
    rho, violation = float(positive("rho", rho, ())[0]), number("violation", violation)
    callable_of("constraint", constraint, "(X, U) -> values, Jacobians")
    max_rounds = max(whole("max_rounds", max_rounds, 0), 1)
    cost = as_cost(cost)
    cost = as_term(cost) if isinstance(cost, QuadraticCost) else cost
    if x0.ndim < 1 or U.ndim < 2:
        raise InputError(
            f"x0 has shape {x0.shape}, U {U.shape}; expected (..., dx) and (..., T, du)"
        )
    lead, (T, du), dx = np.broadcast_shapes(x0.shape[:-1], U.shape[:-2]), U.shape[-2:], x0.shape[-1]
    x0, U = np.broadcast_to(x0, (*lead, dx)), np.broadcast_to(U, (*lead, T, du))
    values, _ = asked(constraint, np.repeat(x0[..., None, :], T + 1, -2), U)
    m, cost = values.shape[-1], GuardedCost(cost)
    equal = _which(equality, m)
    multipliers, penalty = np.zeros((*lead, T + 1, m)), np.full((*lead, T + 1, m), float(rho))
    worst, last, rounds = np.full(lead, np.inf), np.full(lead, np.inf), np.zeros(lead, int)
    going, solution = np.ones(lead, bool), None
    for _ in range(max_rounds):
        problem = AugmentedLagrangian(cost, constraint, multipliers, penalty, equal)
        solution = _merge(going, ilqr(dynamics, problem, x0, U, active=going, **options), solution)
        U, rounds = solution.U, rounds + going
        values, _ = asked(constraint, solution.X, U)
        worst = np.where(equal, abs(values), np.maximum(values, 0.0)).max((-1, -2))
        slack = np.minimum(-values, multipliers / penalty)  # both feasibility and complementarity
        change = abs(np.where(equal, values, slack)).max((-1, -2))
        pressed = pressing(multipliers + penalty * values, equal)  # of the solution, also the last
        multipliers = np.where(going[..., None, None], pressed, multipliers)
        going = going & (change > violation)
        if not going.any():
            break
        here = going[..., None, None]
        grown = np.minimum(
            np.where(change > 0.25 * last, 10.0, 1.0)[..., None, None] * penalty, 1e10
        )
        penalty, last = np.where(here, grown, penalty), change
    assert solution is not None
    total = cost(solution.X, U).sum(-1)
    done = (worst <= violation) & solution.converged
    return ConstrainedResult(solution, total, multipliers, worst[()], rounds[()], done)


def pressing(raised: Array, equality: Array) -> Array:
    """Returns lambda + rho g, without what is below 0 where the constraint is none of equality."""
    return np.where(equality, raised, np.maximum(raised, 0.0))


def _which(equality: Any, m: int) -> Array:
    """Returns which constraints are equalities, (m,). Raises InputError for anything else."""
    which = truths("equality", equality)
    if which.shape not in ((), (m,)):
        raise InputError(
            f"equality is {equality!r}; expected True, False, or booleans of shape ({m},), one per constraint"
        )
    return np.broadcast_to(which, (m,))


def asked(constraint: Constraint, X: Array, U: Array, finite: bool = True) -> tuple[Array, Array]:
    """Returns the values (..., T+1, m) and Jacobians (..., T+1, m, n) of a constraint, which gets
    copies. Raises InputError, which names it, for anything else.
    """
    both, lead = guarded("constraint", constraint)(X.copy(), U.copy()), X.shape[:-1]
    if not isinstance(both, tuple | list) or len(both) != 2:
        raise InputError(
            f"constraint gave a {type(both).__name__}; expected two arrays, values {(*lead, 'm')} and Jacobians"
        )
    m = int(max(np.size(both[0]) // max(np.prod(lead, dtype=int), 1), 1))
    n = X.shape[-1] + U.shape[-1]
    values = real("constraint", both[0], (*lead, m), finite)
    return values, real("constraint", both[1], (*lead, m, n), finite)


def _merge(here: Array, new: ILQRResult, old: ILQRResult | None) -> ILQRResult:
    """Returns the new results where `here`, and the old ones elsewhere."""
    if old is None:
        return new

    def pick(a: Any, b: Any) -> Any:
        return np.where(here.reshape(here.shape + (1,) * (np.ndim(a) - here.ndim)), a, b)[()]

    K = LinearGaussianController(
        *(pick(a, b) for a, b in zip(new.controller, old.controller, strict=True))
    )
    fields = {
        name: pick(getattr(new, name), getattr(old, name))
        for name in ILQRResult._fields
        if name != "controller"
    }
    return ILQRResult(controller=K, **fields)
