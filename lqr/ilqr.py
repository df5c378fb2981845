"""iLQR and DDP: the best trajectory of a known smooth system, by a sequence of LQR problems around
the last one.

    minimise  sum_t cost_t(x_t, u_t)    subject to   x_{t+1} = f(x_t, u_t),   low <= u_t <= high

Control limits are met inside the backward pass (Tassa, Mansard & Todorov 2014), steps are found by
backtracking, and mu I is added to Quu on a schedule that grows it where a step fails (Tassa, Erez &
Todorov 2012). DDP adds the second derivatives of f; where they make a step fail, one step goes
without them. iLQR neglects them (Gauss-Newton), or learns them from the change of the Jacobians
between trajectories, by symmetric rank-one updates per time step (partitioned quasi-Newton:
Griewank & Toint 1982; Nocedal & Wright 2006, section 6.2), which ends superlinearly at the same
cost.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .batching import callable_of, number, truth, whole
from .box_qp import BoxQP, ilqr_backward_with
from .cost_function import as_cost
from .differentiation import (
    Dynamics,
    TimedDynamics,
    check,
    compiled,
    differenced,
    is_compiled,
    parts,
)
from .errors import InputError
from .expansion import Cost
from .ilqr_inputs import cost_parts, first, prepare, total_cost
from .kernels.ilqr_backward import (
    backward_pointer,
    compiled_ilqr_backward,
    compiled_parts,
    count_steps,
    evaluate_quadratic,
    expand_quadratic,
)
from .kernels.ilqr_line_search import FROZEN, ROUGH, RUNNING, SETTLED, STATIONARY, UNFIT, iterate
from .kernels.jit import plain
from .types import Array, LinearGaussianController, QuadraticCost
from .user_functions import guarded

CostOfStep = Callable[[Array, Array], Array]
STATUS = (
    "still improving", "stationary", "cost change below tolerance", "no step improves", "stopped by the callback",
    "not active",
)  # fmt: skip
_WORDS = np.array(STATUS)


class Progress(NamedTuple):
    """What the callback receives after each iteration."""

    iteration: int
    cost: Array  # (...)
    step: Array  # (...), alpha of the line search, 0 if no step was taken
    mu: Array  # (...), regularisation, in units of the cost per squared action
    X: Array  # (..., T+1, dx)
    U: Array  # (..., T, du)


class ILQRResult(NamedTuple):
    """Locally optimal trajectories, and the feedback around them. A single problem has no leading
    axes.
    """

    X: Array  # (..., T+1, dx)
    U: Array  # (..., T, du)
    controller: LinearGaussianController  # u = K x + k passes through (X, U); cov is 0
    cost: Array  # (...)
    iterations: Array  # (...), backward passes
    converged: Array  # (...)
    status: Array  # (...), words of STATUS


def ilqr(
    dynamics: Dynamics | TimedDynamics,
    cost: Cost | QuadraticCost | CostOfStep,
    x0: Any,
    U: Any,
    *,
    low: Any = -np.inf,
    high: Any = np.inf,
    jacobian: Callable[[Array, Array], Array] | None = None,
    hessian: Callable[[Array, Array], Array] | None = None,
    second_order: bool | None = None,
    vectorised: bool | str = False,
    timed: bool = False,
    solve_qp: BoxQP | None = None,
    callback: Callable[[Progress], Any] | None = None,
    active: Any = True,
    max_iterations: int = 500,
    tolerance: float = 1e-9,
    mu: float = 0.0,
) -> ILQRResult:
    """Returns the trajectories that iLQR reaches from the actions U (..., T, du) and the
    states x0 (..., dx).

    All leading axes, of x0, U, limits and a QuadraticCost alike, are those of a batch: one call for
    all problems, each with its own line search, regularisation and end. A `cost` that is no
    QuadraticCost gets X and U with these axes; a plain function cost(x, u) is a `CostFunction`.

    dynamics(x (dx,), u (du,)) -> x' (dx,); if `vectorised`, x (..., dx) and u (..., du) whose last
    leading axes are those of the batch; if it is "any", x and u with any leading axes, so that only
    the problems that are still being improved are computed. jacobian(X (T, dx), U (T, du)) -> (T,
    dx, n) and hessian(X, U) -> (T, dx, n, n), with the leading axes in front if `vectorised`, are
    found by central differences where they are None. If `timed`, the dynamics change with the step,
    dynamics(x, u, t); they must be `vectorised`, with a jacobian. `second_order`: True is DDP (so
    is a `hessian`), False is iLQR, None is iLQR that learns the curvature of the dynamics on its
    way. `low` and `high` limit the actions: numbers, (du,), (T, du) or (..., T, du). `solve_qp`
    replaces the box-QP solver. A callback that returns True, or such an array (...), ends the
    problems. Where `active` (...) is False, actions are kept as they are. `mu` is the regularisation
    to begin with, in the cost's unit per squared action; its schedule goes by the cost's curvature,
    so that the unit of the cost scales nothing but the costs. A problem ends when its
    expected improvement falls below `tolerance`, relative to its cost; or, where that is a constant
    for the most part, to what of it changes: its variation along the trajectory, and what was
    gained. Functions get copies, which they may write to.
    Differences are central, with steps of 6e-6 max(1, |x|), of 6e-4 from |x| = 100 on, and of
    6e-6 |x|^(1/3) from 1e6 on; for second derivatives 1e-4 times the same.

    With numba's `dynamics` (and `jacobian`), a QuadraticCost and neither hessian, solve_qp nor
    callback, nor second_order=True with a `jacobian`, the whole solve is one compiled call.
    Raises InputError for shapes that do not fit, and for a start whose cost is not finite, with the
    problem's index.
    """
    max_iterations = whole("max_iterations", max_iterations, 0)
    tolerance, mu = number("tolerance", tolerance), number("mu", mu)
    second_order, timed = truth("second_order", second_order, None), truth("timed", timed)
    vectorised = truth("vectorised", vectorised, "any")
    for name, function in (("hessian", hessian), ("solve_qp", solve_qp), ("callback", callback)):
        if function is not None:
            callable_of(name, function, "or None")
    objective: Any = as_cost(cost)
    batch = prepare(objective, x0, U, low, high, active)
    lead, x0, U, low, high, going, quadratic = batch
    if timed and not (vectorised and jacobian and (hessian or not second_order)):
        raise InputError(
            "got timed dynamics; expected vectorised ones, with a jacobian (and a hessian for DDP)"
        )
    (B, T, du), dx, exact = U.shape, x0.shape[1], bool(second_order or hessian)
    differences = differenced(jacobian, hessian, exact)
    check(dynamics, jacobian, vectorised, lead, x0, U, timed, differences, bool(going.all()))
    X = np.zeros((B, T + 1, dx))
    K = np.zeros((B, T, du, dx))
    k = np.zeros((B, T, du))
    J = np.zeros(B)
    X[:, 0] = x0
    status, iterations = np.where(going, RUNNING, FROZEN), np.zeros(B, int)
    H = np.zeros((B, T if exact else 0, dx, dx + du, dx + du))
    if isinstance(
        objective, QuadraticCost
    ):  # constants would hide small gains from the line search
        C0, c0, const = quadratic
        quadratic, offset = (C0, c0, np.zeros_like(const)), const.sum(-1)
    else:
        offset = np.zeros(B)
    rest = (*quadratic, offset, X, U, K, k, low, high, H, second_order is None and not exact, int(max_iterations),
            float(tolerance), float(mu), status, J, iterations)  # fmt: skip
    native = is_compiled(dynamics) and isinstance(objective, QuadraticCost)
    native = native and not (vectorised or hessian or solve_qp or callback)
    if native and (jacobian is None or (is_compiled(jacobian) and not exact)):
        expand, evaluate, report = compiled_parts()
        steps = compiled(dynamics, jacobian, True, exact)
        iterate(*steps, expand, evaluate, backward_pointer(dx, du), report, *rest)
    else:
        steps = parts(dynamics, jacobian, hessian, vectorised, lead, exact, timed)
        quadratics = expand_quadratic, evaluate_quadratic
        cost_functions = (
            quadratics
            if isinstance(objective, QuadraticCost)
            else cost_parts(objective, lead, offset)
        )
        ilqr_backward = ilqr_backward_with(solve_qp) if solve_qp else compiled_ilqr_backward(dx, du)
        with np.errstate(all="ignore"):  # a trial that diverges is refused by its cost
            plain(iterate)(
                *steps, *cost_functions, ilqr_backward, _reporter(callback, lead, offset), *rest
            )
    count_steps(dx, du, T * int(iterations.sum()))
    if (status == UNFIT).any():
        place = f" of problem {first((status == UNFIT).reshape(lead))}" if lead else ""
        raise InputError(
            f"the cost of the first rollout{place} is not finite: do the dynamics or the cost "
            "give NaN? start from other actions U, or a shorter horizon"
        )
    if (status == ROUGH).any():
        place = f" of problem {first((status == ROUGH).reshape(lead))}" if lead else ""
        raise InputError(
            f"{'dynamics' if jacobian is None else 'jacobian'} has no derivative at or beside the trajectory{place}: "
            "it gave NaN, another shape, or an exception there; expected smooth dynamics everywhere near it"
        )
    J = np.where(status == UNFIT, J, total_cost(objective, batch, X))
    affine = U - (K @ X[:, :-1, :, None])[..., 0]
    X, U, K, affine = (a.reshape(*lead, *a.shape[1:]) for a in (X, U, K, affine))
    controller = LinearGaussianController(K, affine, np.zeros((*lead, T, du, du)))
    done = (status == STATIONARY) | (status == SETTLED)
    return ILQRResult(
        X, U, controller, *(a.reshape(lead)[()] for a in (J, iterations, done, _WORDS[status]))
    )


def _reporter(
    callback: Callable[[Progress], Any] | None, lead: tuple[int, ...], offset: Array
) -> Any:
    def report(iteration, J, step, mu, X, U, stop):
        if callback is None:
            return
        arrays = (a.reshape((*lead, *a.shape[1:])).copy()[()] for a in (J + offset, step, mu, X, U))
        answer = guarded("callback", callback)(Progress(iteration, *arrays))
        if answer is not None:
            said = np.asarray(answer)
            if said.dtype.kind != "b" or said.shape not in ((), lead):
                raise InputError(
                    f"callback gave {answer!r}; expected None, True, False, or booleans of shape {lead}"
                )
            stop |= np.broadcast_to(said, lead).ravel()

    return report
