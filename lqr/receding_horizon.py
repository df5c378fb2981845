"""Receding horizon: plan, act once, shift the plan, plan again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .batching import callable_of, finite, numbers, whole
from .cost_terms import Sum, Term
from .costs import as_term
from .errors import InputError
from .expansion import Cost, ramp_weights
from .ilqr import ILQRResult
from .types import Array, QuadraticCost
from .user_functions import GuardedCost, guarded, real


def shift(U: Array, steps: int = 1) -> Array:
    """Returns the plan (..., T, du) `steps` later, its last action repeated: the warm start of a
    receding horizon.

    Raises InputError if U has no steps, or `steps` is below 0.
    """
    U, steps = numbers("U", U), whole("steps", steps, 0)
    if U.ndim < 2 or U.shape[-2] < 1:
        raise InputError(f"U has shape {U.shape}; expected (..., T, du) with T > 0")
    return U[..., np.minimum(np.arange(U.shape[-2]) + steps, U.shape[-2] - 1), :]


def receding_horizon(
    plant: Callable[[Array, Array], Array],
    plan: Callable[[Array, Array], ILQRResult],
    x0: Any,
    U: Any,
    steps: int,
) -> tuple[Array, Array]:
    """Returns the states (..., steps+1, dx) and actions (..., steps, du) of re-planning from the
    shifted last plan.

    plant(x (..., dx), u (..., du)) -> x' (..., dx). `plan(x, U)` is `ilqr` with all but its start
    fixed:
    lambda x, U: ilqr(dynamics, cost, x, U, max_iterations=5).
    """
    callable_of("plant", plant, "(x, u) -> x'")
    callable_of("plan", plan, "(x, U) -> ILQRResult")
    X, chosen, U = [finite("x0", x0)], [], finite("U", U)
    if X[0].ndim < 1 or U.ndim < 2:
        raise InputError(
            f"x0 has shape {X[0].shape}, U {U.shape}; expected (..., dx), (..., T, du)"
        )
    for _ in range(whole("steps", steps, 0)):  # all get copies, and give what is copied
        planned = guarded("plan", plan)(X[-1].copy(), U.copy())
        if not hasattr(planned, "U"):
            raise InputError(f"plan gave a {type(planned).__name__}; expected what `ilqr` returns")
        U = real("plan", planned.U, (*U.shape[:-2], np.shape(planned.U)[-2], U.shape[-1]), True)
        chosen.append(U[..., 0, :].copy())
        found = guarded("plant", plant)(X[-1].copy(), chosen[-1].copy())
        X.append(real("plant", found, X[0].shape, finite=True))
        U = shift(U)
    empty = np.zeros((*U.shape[:-2], 0, U.shape[-1]))
    return np.stack(X, -2), np.stack(chosen, -2) if chosen else empty


def window(cost: Cost | QuadraticCost, t: int, count: int, T: int) -> Cost:
    """Returns the cost of the steps t..t+count of an episode of T steps, as a cost of trajectories
    of `count` steps.

    What `lqr.costs` is made of is cut to size, and so is a cost that has a method `window(t, count,
    T)`; of any other, which says the steps of whole episodes alone, the window is taken out of a
    padded one. Raises InputError for a window that leaves the episode.
    """
    T = whole("T", T, 1)
    if whole("t", t, 0) + whole("count", count, 1) > T:
        raise InputError(f"got the steps {t} to {t + count}; expected one or more, within 0 to {T}")
    if isinstance(cost, QuadraticCost):
        cost = as_term(cost)
    if isinstance(cost, Sum):
        return Sum(tuple(window(term, t, count, T) for term in cost.terms))
    if hasattr(cost, "window"):
        return cost.window(t, count, T)  # type: ignore[no-any-return]
    if not callable(cost):  # one that is only called needs no `expand`
        raise InputError(f"cost is a {type(cost).__name__}; expected a cost or a QuadraticCost")
    if not isinstance(cost, Term):
        return _Padded(cost, t, T)
    ramp = ramp_weights(cost.ramp, T)
    cut = {name: _cut(getattr(cost, name), axis, t, count, T) for name, axis in cost._steps}
    return replace(cost, ramp=ramp[..., t : t + count + 1], **cut)  # type: ignore[type-var]


def _cut(a: Any, axis: int, t: int, count: int, T: int) -> Any:
    """Returns a field, cut to the window where it has an axis of steps: of T+1 states, or of T
    actions.
    """
    shape = np.shape(a)
    if len(shape) < -axis or shape[axis] not in (T, T + 1):
        return a
    steps = np.arange(t, t + count + (shape[axis] == T + 1))
    return np.take(np.asarray(a), steps, axis=axis)


@dataclass(frozen=True, eq=False)
class _Padded:
    """Steps t..t+count of a cost that takes whole episodes of T steps."""

    cost: Cost
    t: int
    T: int
    careful = True

    def __call__(self, X: Array, U: Array) -> Array:
        found = GuardedCost(self.cost)(*self._whole(X, U))
        return found[..., self.t : self.t + np.shape(U)[-2] + 1]

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        found = GuardedCost(self.cost).expand(*self._whole(X, U))
        lead = np.ndim(X) - 2
        steps = slice(self.t, self.t + np.shape(U)[-2] + 1)
        return QuadraticCost(*(a[(*[slice(None)] * lead, steps)] for a in found))

    def _whole(self, X: Array, U: Array) -> tuple[Array, Array]:
        X, U = np.asarray(X, dtype=float), np.asarray(U, dtype=float)
        states = np.clip(np.arange(self.T + 1) - self.t, 0, U.shape[-2])
        actions = np.zeros((*U.shape[:-2], self.T, U.shape[-1]))
        actions[..., self.t : self.t + U.shape[-2], :] = U
        return X[..., states, :], actions
