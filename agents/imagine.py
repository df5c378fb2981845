"""Closed-loop rollouts in a model: a policy acts, the model says what happens next.

    x_0 given;    u_t = pi(x_t, o_t, t), within the limits;    x_t+1 = f(x_t, u_t);    o_t+1 = h(x_t+1)

All rows go side by side. What the model is asked is a function: its mean, a sample, one member, or
the true simulator. What comes back has the form of real episodes, so whatever learns from these
learns from imagined ones.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lqr.user_functions import guarded, real

from .interfaces import Array
from .rollout import Act, Trajectories

Step = Callable[[Array, Array], Array]  # x (..., dx), u (..., du) -> x' (..., dx)


def imagine(
    step: Step,
    act: Act,
    x0: Array,
    horizon: int,
    low: Array,
    high: Array,
    observation_of: Callable[[Array], Array] | None = None,
    cost: Callable[[Array, Array], Array] | None = None,
    ended: Callable[[Array], Array] | None = None,
    disagreement: Step | None = None,
    until: Callable[[Array], Array] | None = None,
    bonus: float = 0.0,
) -> Trajectories:
    """Returns the trajectories of `horizon` steps from states x0 (..., dx), one per row.

    `act(x, o, t)` returns actions (..., du), which are cut to the limits low and high (du,); o is
    `observation_of(x)`, or x itself. `cost(X, U)` returns the cost of each step, (..., T+1), 0
    where it is left out. A row is over once `ended(x)` (...,) says so of its next state: from there
    on its state is repeated, with zero actions and cost, as in a rollout. A row whose state is no
    longer finite has `failed`; what it meets before that stands.

    `disagreement(x, u)` (...) tells how little the model knows of a step. A row goes on only while
    `until(disagreement)` (...) is True: a step to which it says no is not taken. With a `bonus`,
    each step costs that much less per unit of disagreement.
    """
    x0 = np.asarray(x0, dtype=float)
    batch, see = x0.shape[:-1], observation_of or _itself
    X = np.empty((*batch, horizon + 1, x0.shape[-1]))
    U = np.zeros((*batch, horizon, len(low)))
    X[..., 0, :] = x = x0
    O = [_asked("observation_of", see, x, shape=(*batch, None))]
    lead = (*batch, len(low))
    length, alive = np.full(batch, horizon), np.ones(batch, bool)
    doubts = np.zeros((*batch, horizon))
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(horizon):
            u = np.clip(_asked("the actor", act, x, O[-1], t, shape=lead), low, high)
            if disagreement is not None:
                doubt = _asked("disagreement", disagreement, x, u, shape=batch)
                over = alive & ~until(doubt) if until else ~alive & alive
                length[over], alive = t, alive & ~over
                doubts[..., t] = np.where(alive, doubt, 0.0)
            after = _asked("step", step, x, u, shape=x.shape)
            if not alive.all():
                u = np.where(alive[..., None], u, 0.0)
                after = np.where(alive[..., None], after, x)
            U[..., t, :], X[..., t + 1, :] = u, after
            x = after
            O.append(_asked("observation_of", see, x, shape=O[0].shape))
            if ended is not None:
                over = _asked("ended", ended, x, shape=batch).astype(bool) & alive
                length[over], alive = t + 1, alive & ~over
        paid = np.zeros(X.shape[:-1])
        if cost is not None:
            paid = _asked("cost(X, U)", cost, X, U, shape=paid.shape)
    paid[..., :-1] -= bonus * doubts
    paid[np.arange(horizon + 1) > length[..., None]] = 0.0
    failed = np.asarray(~np.isfinite(X).all((-2, -1)))
    return Trajectories(X, U, np.stack(O, axis=-2), paid, length, failed)


def controllers(controller: Any) -> Act:
    """Returns the mean actions of linear-Gaussian controllers, with the batch axes of the
    states.
    """

    def act(x: Array, o: Array, t: int) -> Array:
        K, k = controller.K[..., t, :, :], controller.k[..., t, :]
        return (K @ x[..., None])[..., 0] + k

    return act


def _asked(
    name: str, function: Callable[..., Any], *given: Any, shape: tuple[int | None, ...]
) -> Array:
    """Returns what a function gave as a new array of that shape, None for any size; it gets copies."""
    copies = [a.copy() if isinstance(a, np.ndarray) else a for a in given]
    found = guarded(name, function)(*copies)
    last = np.shape(found)[-1:] if isinstance(found, np.ndarray | list) else ()
    return real(
        name, found, tuple(last[0] if size is None and last else size or 1 for size in shape)
    )


def _itself(x: Array) -> Array:
    return x
