"""What `ilqr` is given, checked and brought to one batch axis."""

from typing import Any, NamedTuple

import numpy as np

from .batching import finite, flatten, numbers, truths, with_batch
from .errors import InputError
from .expansion import Cost, stack
from .kernels.ilqr_backward import evaluate_quadratic
from .kernels.ilqr_line_search import FLAT
from .types import Array, QuadraticCost
from .user_functions import GuardedCost


class Batch(NamedTuple):
    """Problems with one batch axis, contiguous float64."""

    lead: tuple[int, ...]  # the axes that it stands for
    x0: Array  # (B, dx)
    U: Array  # (B, T, du), a copy
    low: Array  # (B, T, du)
    high: Array
    active: Array  # (B,) bool
    cost: tuple[
        Array, Array, Array
    ]  # C (B, T+1, n, n), c, const; empty if the cost is none of these


def prepare(cost: Cost | QuadraticCost, x0: Any, U: Any, low: Any, high: Any, active: Any) -> Batch:
    """Returns the batch. Raises InputError, with name and index, for shapes that do not fit or bad
    numbers.
    """
    x0, U, low, high = finite("x0", x0), finite("U", U), numbers("low", low), numbers("high", high)
    going = truths("active", active)
    for name, a, least in (("x0", x0, 1), ("U", U, 2)):
        if a.ndim < least or a.size == 0:
            raise InputError(
                f"{name} has shape {a.shape}; expected x0 (..., dx) and U (..., T, du), T > 0"
            )
    (T, du), dx, parts = U.shape[-2:], x0.shape[-1], None
    cost_lead: tuple[int, ...] = ()
    if isinstance(cost, QuadraticCost):
        cost_lead, (parts,) = flatten(("cost",), cost)
        S, n = parts[1].shape[1:]
        if (S, n) != (T + 1, dx + du):
            raise InputError(
                f"cost has {S} steps of size {n}; expected T + 1 = {T + 1}, dx + du = {dx} + {du}"
            )
    heads = {"x0": x0.shape[:-1], "U": U.shape[:-2], "low": low.shape[:-2], "high": high.shape[:-2]}
    heads |= {"active": going.shape, "cost": cost_lead}
    try:
        lead = np.broadcast_shapes(*heads.values()) if any(heads.values()) else ()
    except ValueError as error:
        raise InputError(f"leading axes do not broadcast: {heads}; make them equal or 1") from error
    for name, a in (("low", low), ("high", high)):
        if a.shape[-2:] not in ((), (1,), (du,), (1, 1), (1, du), (T, 1), (T, du)):
            raise InputError(
                f"{name} has shape {a.shape}; expected a number, ({du},), ({T}, {du}) or (..., {T}, {du})"
            )
    if low.size == high.size == 1 and low.item() <= high.item():  # numbers, as they are most often
        low, high = np.full((*lead, T, du), low.item()), np.full((*lead, T, du), high.item())
    else:
        low, high = (np.broadcast_to(a, (*lead, T, du)) for a in (low, high))
        if not (low <= high).all():
            at = first(~(low <= high))
            place = f"step {at[-2]}, action {at[-1]}" + (f" of problem {at[:-2]}" if lead else "")
            raise InputError(
                f"low is {low[at]}, high is {high[at]} at {place}; expected low <= high"
            )
    empty = np.zeros((0,) * 4), np.zeros((0,) * 3), np.zeros((0,) * 2)
    if parts and cost_lead != lead:
        whole = [a.reshape(*cost_lead, *a.shape[1:]) for a in parts]
        parts = [with_batch(a, lead, core) for a, core in zip(whole, (3, 2, 1), strict=True)]
    arrays: Any = tuple(parts) if parts else empty
    x0, U, low, high = (
        with_batch(a, lead, core) for a, core in ((x0, 1), (U, 2), (low, 2), (high, 2))
    )
    return Batch(lead, x0, U.copy(), low, high, np.broadcast_to(going, lead).ravel(), arrays)


def first(where: Array) -> tuple[int, ...]:
    """Returns the index of the first True."""
    return tuple(int(i) for i in np.argwhere(where)[0])


def cost_parts(cost: Cost, lead: tuple[int, ...], offset: Array) -> tuple[Any, Any]:
    """Returns expand and evaluate over a cost that is called with the leading axes of the batch.

    Where the cost is a constant for the most part, what is evaluated is the cost less that of the
    first trajectories, step by step, which goes into `offset` (B,): the constant does not hide
    small gains.
    """

    reference: list[Array] = []  # costs of the first trajectories
    careful = GuardedCost(cost, getattr(cost, "said", "cost"))

    def whole(X: Array, U: Array) -> tuple[Array, Array]:
        return X.reshape(*lead, *X.shape[1:]), U.reshape(*lead, *U.shape[1:])

    def expand(active, C0, c0, X, U, C, c):
        if active.any():
            found = careful.expand(*whole(X, U), active.reshape(lead))
            H, linear = found.C.reshape(C.shape), found.c.reshape(c.shape)
            turned = H.swapaxes(-1, -2)
            if (abs(H - turned) > 1e-10 * (abs(H) + abs(turned))).any():  # more than rounding
                H = 0.5 * (H + turned)
            C[active] = H[active]
            c[active] = (linear + (H @ stack(X, U)[..., None])[..., 0])[active]

    def evaluate(active, C0, c0, const, X, U, J):
        fine = active & np.isfinite(X).all((1, 2))
        J[active] = np.inf
        if fine.any():
            steps = careful(*whole(np.where(fine[:, None, None], X, 0.0), U)).reshape(X.shape[:-1])
            if not reference:
                reference.append(_constant(steps))
                offset[:] = reference[0].sum(-1)
            J[fine] = (steps - reference[0]).sum(-1)[fine]

    return expand, evaluate


def _constant(steps: Array) -> Array:
    """Returns the costs (B, T+1) of trajectories that are a constant for the most part, 0 for
    others.
    """
    steps = np.where(np.isfinite(steps), steps, 0.0)
    varying = np.abs(steps - steps.mean(-1, keepdims=True)).sum(-1)
    flat = np.abs(steps).sum(-1) >= FLAT * varying
    return np.where(flat[:, None], steps, 0.0)


def total_cost(cost: Cost | QuadraticCost, batch: Batch, X: Array) -> Array:
    """Returns the costs (B,) of trajectories X (B, T+1, dx) with the batch's actions."""
    U, J = batch.U, np.zeros(len(X))
    if isinstance(cost, QuadraticCost):
        evaluate_quadratic(np.ones(len(X), np.bool_), *batch.cost, X, U, J)
        return J
    inputs = (a.reshape(*batch.lead, *a.shape[1:]) for a in (X, U))
    name = getattr(cost, "said", "cost")
    J = GuardedCost(cost, name)(*inputs).reshape(X.shape[:-1]).sum(-1)
    if not np.isfinite(J[batch.active & np.isfinite(X).all((1, 2))]).all():
        raise InputError(
            f"{name}(X, U) gave numbers that are not finite for the trajectory found; expected the same ones each time"
        )
    return J
